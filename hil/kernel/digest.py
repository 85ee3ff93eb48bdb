# SPDX-License-Identifier: Apache-2.0
"""The digest of a run: one hash over all inputs and outputs of the agent, with their times.

It is SHA-256 over one record for each input and each output: time (8 bytes), port, operation,
length, bytes. Two runs with equal digests had the same inputs and outputs at the same times. This
is also true between two interpreters.
"""

import hashlib
import struct
from typing import Final

CODES: Final = {
    "receive": 0,
    "event": 1,
    "write": 16,
    "open": 17,
    "close": 18,
    "set": 19,
    "append": 20,
    "delete": 21,
    "get": 22,
    "list": 23,
}
_RECORD_HEADER: Final = struct.Struct(">qBBI").pack
_BATCH: Final = 512
"""Records that are hashed in one call."""


class Digest:
    """A running SHA-256 over the records of a run."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._parts: list[bytes] = []

    def add(self, now: int, port: int, op: str, data: bytes) -> None:
        """Add one record; `now` is in microseconds, `op` is a key of `CODES`."""
        parts = self._parts
        parts.append(_RECORD_HEADER(now, port, CODES[op], len(data)))
        parts.append(data)
        if len(parts) >= 2 * _BATCH:
            self._hash_parts()

    def _hash_parts(self) -> None:
        self._hash.update(b"".join(self._parts))
        self._parts.clear()

    def text(self) -> str:
        """Return the digest of the records so far, in hexadecimal."""
        self._hash_parts()
        return self._hash.hexdigest()
