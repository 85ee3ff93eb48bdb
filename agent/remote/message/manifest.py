# SPDX-License-Identifier: Apache-2.0
"""A manifest: the application update to fetch, and the hashes of its chunks.

Does not fetch; see `agent.remote.update.software_update`.

Body, CBOR: [counter, expiry, release, size, chunk, confirm minutes, hash, hashes, group?]

    counter     seconds since 2026-01-01 at signing; manifests have their own counter
    expiry      hours since 2026-01-01
    release     number of the release; it must be higher than all earlier ones
    size        bytes of the bundle
    chunk       bytes of each chunk, the last one can be shorter
    hash        SHA-256 of the whole bundle
    hashes      the first `CHUNK_HASH_BYTES` bytes of the SHA-256 of each chunk, concatenated

Two signatures are required, one of them from a holder of the role `limits`. The bundle itself is
not signed; a chunk with another hash is discarded.
"""

import hashlib

from agent.core.tunable import LIMITS
from agent.remote.message.chunk import CHUNK_HASH_BYTES, chunk_hash
from agent.remote.message.header import (
    EPOCH_S,
    HOUR_S,
    LONGEST_CONFIRM,
    MINUTE_S,
    check_count,
    check_counter,
)
from agent.remote.message.reject import Rejection
from protocols.cbor import decode, encode
from protocols.errors import DecodeError
from protocols.signed_message import MANIFEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MIN_CHUNK_BYTES, MAX_CHUNK_BYTES = 512, 7168
"""Bytes. A board has no memory for larger chunks; smaller ones waste capacity of the link."""
MAX_CHUNKS = 220
"""Their hashes fit into one message: a bundle of 1.5 MB in the largest chunks."""
_HASH = 32


class Manifest:
    """A decoded manifest with plausible fields. Its signatures are not verified yet."""

    needs_base = False
    KIND = MANIFEST

    def __init__(self, parts: "list[Any]") -> None:
        self.counter: int = parts[0]
        self.expires_s: int = EPOCH_S + HOUR_S * parts[1]
        self.not_before_s = 0
        self.release: int = parts[2]
        self.size: int = parts[3]
        self.chunk_size: int = parts[4]
        self.confirm_s: int = MINUTE_S * parts[5]
        self.hash: bytes = parts[6]
        self.chunk_hashes: bytes = parts[7]
        self.group: str = parts[8] if len(parts) > 8 else ""

    def required_role(self) -> int:
        """Return the required role."""
        return LIMITS

    def describe(self) -> str:
        """Return the name of the update."""
        return "update to release %d" % self.release


def decode_manifest(body: bytes) -> Manifest:
    """Decode the body of a manifest. Raises `Rejection` (malformed)."""
    try:
        parts = decode(body)
    except DecodeError as error:
        raise Rejection("malformed", str(error))
    if type(parts) is not list or len(parts) not in (8, 9):
        raise Rejection("malformed", "a manifest has 8 or 9 parts")
    check_counter(parts[0])
    for part in parts[1:3]:
        check_count(part)
    check_count(parts[4], MAX_CHUNK_BYTES)
    check_count(parts[3], MAX_CHUNKS * MAX_CHUNK_BYTES)
    check_count(parts[5], LONGEST_CONFIRM)
    if type(parts[6]) is not bytes or len(parts[6]) != _HASH or type(parts[7]) is not bytes:
        raise Rejection("malformed", "hashes are bytes")
    if parts[4] < MIN_CHUNK_BYTES or not parts[3]:
        raise Rejection(
            "malformed", "a bundle comes in pieces of %d bytes or more" % MIN_CHUNK_BYTES
        )
    if len(parts[7]) != CHUNK_HASH_BYTES * -(-parts[3] // parts[4]):
        raise Rejection("malformed", "a bundle needs a hash for each piece")
    if len(parts) == 9 and (type(parts[8]) is not str or not parts[8]):
        raise Rejection("malformed", "a group is named by a text")
    return Manifest(parts)


def encode_manifest(
    counter_s: int, expires_s: int, release: int, bundle: bytes, chunk_size: int, confirm_s: int
) -> bytes:
    """Encode the body of a manifest. `chunk_size`: bytes of a chunk. Times since 1970."""
    chunks = [bundle[offset : offset + chunk_size] for offset in range(0, len(bundle), chunk_size)]
    return encode(
        [
            counter_s - EPOCH_S,
            -((EPOCH_S - expires_s) // HOUR_S),
            release,
            len(bundle),
            chunk_size,
            -(-confirm_s // MINUTE_S),
            hashlib.sha256(bundle).digest(),
            b"".join([chunk_hash(data) for data in chunks]),
        ]
    )
