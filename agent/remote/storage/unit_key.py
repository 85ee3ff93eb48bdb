# SPDX-License-Identifier: Apache-2.0
"""Key of the unit for its reports, and the record of a trial that a site key began.

    unit.key     seed and public key, 64 bytes with a hash; `coldloop config unit make` writes it
    site.trial   the counter of the last change of a site key, with a hash

Does not sign; see `agent.remote.report_signer`. A damaged record counts as missing: the unit then
sends reports without a signature, which the tools of operators do not accept. The key is erased
with the store when the unit is decommissioned.
"""

from agent.remote.storage.config_slots import decode_hashed, with_hash, without_hash
from protocols import cbor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.remote.storage.config_slots import Read, Write

UNIT_KEY = "unit.key"
SITE_TRIAL = "site.trial"
_SEED_BYTES, _RECORD_BYTES = 32, 64


def unit_key_write(seed: bytes, public: bytes) -> "Write":
    """Return the write of a key."""
    return UNIT_KEY, with_hash(seed + public)


def read_unit_key(read: "Read") -> "tuple[bytes, bytes] | None":
    """Return seed and public key, None without a valid record."""
    body = without_hash(read(UNIT_KEY))
    if body is None or len(body) != _RECORD_BYTES:
        return None
    return body[:_SEED_BYTES], body[_SEED_BYTES:]


def site_trial_write(counter: int) -> "Write":
    """Return the write of the counter of a site key's change."""
    return SITE_TRIAL, with_hash(cbor.encode(counter))


def read_site_trial(read: "Read") -> int:
    """Return the counter of the last change of a site key, 0 without one."""
    counter = decode_hashed(read(SITE_TRIAL))
    return counter if type(counter) is int else 0
