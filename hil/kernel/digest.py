"""The digest of a run: what went in and out of the agent, and when, as one number.

sha256 over a record for each input and each output: time (8 bytes), port, operation, length, bytes.
Two runs with the same digest were the same run, on whichever interpreter.
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


class Digest:
    """A running sha256 over the records of a run."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, now: int, port: int, op: str, data: bytes) -> None:
        """Add one record."""
        self._hash.update(_RECORD_HEADER(now, port, CODES[op], len(data)) + data)

    def text(self) -> str:
        """Give the digest so far, hexadecimal."""
        return self._hash.hexdigest()
