"""Operators of the emulated unit: two keys that everybody can know, and what is signed with them.

Not the operators' tools (deploy/ops): signed here are what a scenario wants the unit to meet, good
and bad. The keys come from fixed seeds, so that one seed of a run is one run.
"""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.remote.message import command, patch
from agent.remote.message.canonical import exact
from hil.bench.testbed_settings import Setting
from protocols.signed_message import COMMAND, PATCH, Envelope, pack, signed_text

OPERATE, LIMITS, STRANGER = 1, 2, 3
HEALTH_S = 60
CONFIRM_S = 600
_DAY_S = 86_400
_TARGET = "bench/cdu1"


def _key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def _public(number: int) -> str:
    return _key(number).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def section(_: Setting) -> dict[str, Any]:
    """Write the section `remote` of the unit's configuration."""
    return {
        "port": "store:/virtual/remote",
        "health_s": HEALTH_S,
        "keys": [
            {"number": OPERATE, "public": _public(OPERATE), "role": "operate"},
            {"number": LIMITS, "public": _public(LIMITS), "role": "limits"},
        ],
    }


def _sealed(kind: int, base: bytes, body: bytes, signer: int) -> bytes:
    text = signed_text(kind, _TARGET, base, body)
    # A stranger claims to be the operator.
    number = OPERATE if signer == STRANGER else signer
    return pack(Envelope(kind, body, [(number, _key(signer).sign(text))]))


def signed_patch(
    report: bytes, utc_s: int, changes: list[tuple[int, float]], signer: int = OPERATE
) -> bytes:
    """Sign a change for the unit whose report is `report`."""
    told = json.loads(report)
    values = [(number, exact(value)) for number, value in changes]
    body = patch.write(utc_s, told["version"], utc_s + _DAY_S, CONFIRM_S, values)
    return _sealed(PATCH, bytes.fromhex(told["hash"]), body, signer)


def signed_command(utc_s: int, name: str, *arguments: tuple[str, Any]) -> bytes:
    """Sign a command for the unit."""
    body = command.write(utc_s, utc_s + _DAY_S, name, list(arguments))
    return _sealed(COMMAND, b"", body, OPERATE)
