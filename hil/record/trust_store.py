# SPDX-License-Identifier: Apache-2.0
"""The known benches: public keys that a person has accepted, as SSH does for hosts.

Does not verify signatures; see `hil.record.bench_key`. The file `known_benches` has one line for
each bench: the key in hexadecimal, and the date on which it was accepted. The key of the bench on
this machine is known without a line. A key with the word `revoked` after it is never known.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from hil.errors import BenchError
from hil.io.regular_file import SMALL_BYTES, MissingFileError, read_regular
from hil.record.bench_key import BenchKey, default_path

_KEY = re.compile(r"[0-9a-f]{64}")
_REVOKED = "revoked"
_BOM = b"\xef\xbb\xbf"
"""Mark that some editors write at the beginning of a text."""


def store_path() -> Path:
    """Return the path of the file, beside the default key of the bench."""
    return default_path().with_name("known_benches")


def is_key(text: str) -> bool:
    """Return whether `text` has the form of a public key."""
    return bool(_KEY.fullmatch(text))


def is_known(key: str) -> bool:
    """Return whether a key was accepted, or is that of this machine. Raises BenchError."""
    return key in known_keys()


def known_keys() -> set[str]:
    """Return the keys that were accepted, and that of this machine. Raises BenchError."""
    accepted, revoked = _read_keys()
    own = _own_key()
    return (accepted | ({own} if own else set())) - revoked


def accept(key: str) -> None:
    """Add a key to the known benches. Raises BenchError, also for a key that is revoked."""
    path = store_path()
    if key in _read_keys()[1]:
        raise BenchError(f"{path}: the key {key[:16]} is revoked; delete its line to accept it")
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        with open(os.open(path, flags, 0o600), "rb+") as file:
            file.write(f"{_end_of_line(file)}{key} {date}\n".encode())
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None


def _end_of_line(file: BinaryIO) -> str:
    """Return the end of line that the last line of a file lacks, for example after an edit."""
    if not file.seek(0, os.SEEK_END):
        return ""
    file.seek(-1, os.SEEK_END)
    return "" if file.read(1) == b"\n" else "\n"


def _read_keys() -> tuple[set[str], set[str]]:
    """Return the accepted keys and the revoked ones."""
    path = store_path()
    try:
        content = read_regular(path, SMALL_BYTES, follow_links=True).removeprefix(_BOM)
    except MissingFileError:
        return set(), set()
    texts = [
        _decode_line(path, number, line) for number, line in enumerate(content.split(b"\n"), 1)
    ]
    lines = [words for text in texts if (words := text.casefold().split()) and is_key(words[0])]
    return {words[0] for words in lines}, {words[0] for words in lines if _REVOKED in words[1:]}


def _decode_line(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise BenchError(f"{path}, line {number}: not UTF-8; correct or delete the line") from None


def _own_key() -> str:
    """Return the public key of this machine's bench; "": it has none yet."""
    path = default_path()
    return BenchKey(path).public if path.exists() else ""
