# SPDX-License-Identifier: Apache-2.0
"""Small files of the start-up: read, replace atomically, check by a hash.

Frozen into the firmware. A function that reads or writes never raises: a damaged storage, or a file
that is too large for the memory, must not end a start. A sealed file is a SHA-256 followed by its
content.
"""

import hashlib
import os

_HASH = 32
_NEW = ".new"
_ERRORS = (OSError, MemoryError)


def read(path: str) -> "bytes | None":
    """Return the content of a file; None if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except _ERRORS:
        return None


def replace(path: str, data: bytes) -> bool:
    """Replace a file atomically; return whether it was possible."""
    try:
        with open(path + _NEW, "wb") as file:
            file.write(data)
        os.rename(path + _NEW, path)
    except _ERRORS:
        return False
    return True


def remove(path: str) -> None:
    """Remove a file if it exists."""
    try:
        os.remove(path)
    except _ERRORS:
        pass


def erase(path: str) -> None:
    """Overwrite a file with zeros and remove it."""
    data = read(path)
    if data is not None:
        try:
            with open(path, "r+b") as file:
                file.write(bytes(len(data)))
        except _ERRORS:
            pass
        remove(path)


def seal(body: bytes) -> bytes:
    """Return a content with its hash in front."""
    return hashlib.sha256(body).digest() + body


def unseal(data: "bytes | None") -> "bytes | None":
    """Return the content of a sealed file; None if it is missing or damaged."""
    if data is None or data[:_HASH] != hashlib.sha256(data[_HASH:]).digest():
        return None
    return data[_HASH:]
