# SPDX-License-Identifier: Apache-2.0
"""The known benches: public keys that a person has accepted, as SSH does for hosts.

Does not verify signatures; see `hil.record.bench_key`. The file `known_benches` has one line for
each bench: the key in hexadecimal, and the date on which it was accepted. The key of the bench on
this machine is known without a line.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from hil.errors import BenchError
from hil.io.regular_file import SMALL_BYTES, MissingFileError, read_regular
from hil.record.bench_key import BenchKey, default_path

_KEY = re.compile(r"[0-9a-f]{64}")


def store_path() -> Path:
    """Return the path of the file, beside the default key of the bench."""
    return default_path().with_name("known_benches")


def is_key(text: str) -> bool:
    """Return whether `text` has the form of a public key."""
    return bool(_KEY.fullmatch(text))


def is_known(key: str) -> bool:
    """Return whether a key was accepted, or is that of this machine. Raises BenchError."""
    return key in _read_keys() or key == _own_key()


def accept(key: str) -> None:
    """Add a key to the known benches. Raises BenchError."""
    path = store_path()
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
            file.write(f"{key} {date}\n")
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}") from None


def _read_keys() -> set[str]:
    path = store_path()
    try:
        lines = read_regular(path, SMALL_BYTES, follow_links=True).split(b"\n")
    except MissingFileError:
        return set()
    texts = [_decode_line(path, number, line) for number, line in enumerate(lines, 1)]
    return {words[0] for text in texts if (words := text.split()) and is_key(words[0])}


def _decode_line(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise BenchError(f"{path}, line {number}: not UTF-8; correct or delete the line") from None


def _own_key() -> str:
    """Return the public key of this machine's bench; "": it has none yet."""
    path = default_path()
    return BenchKey(path).public if path.exists() else ""
