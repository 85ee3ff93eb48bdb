# SPDX-License-Identifier: Apache-2.0
"""JSON of records: one meaning for each file, and one form for each content.

A JSON parser takes the last of two equal keys, and a person can read the first. Therefore a file
with a key twice is refused. So are NaN and infinity, which JSON does not have. The number of values
is limited before the file is parsed: a Python object needs up to 60 times the bytes of its text.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NoReturn

from hil.errors import BenchError

MAX_VALUES = 20_000_000
"""Limit of the commas of a file: three weeks of samples, once a second, of nine channels."""
MAX_CONTAINERS = 1_000_000
"""Limit of the lists and objects of a file."""


def sha256(data: bytes) -> str:
    """Return the SHA-256 hash in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: object) -> bytes:
    """Write JSON that is equal for equal content: sorted keys, no blanks, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def parse_strict(data: bytes, path: Path) -> dict[str, Any]:
    """Parse an object; raises BenchError that names `path` and the problem."""
    if data.count(b",") > MAX_VALUES or data.count(b"[") + data.count(b"{") > MAX_CONTAINERS:
        raise BenchError(f"{path}: too many values for a record")
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise BenchError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BenchError(f"{path}: not a record")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is given twice")
    return table


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
