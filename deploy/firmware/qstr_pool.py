# SPDX-License-Identifier: Apache-2.0
"""Pool of qstrs: the names of the application, frozen into the firmware, without cost of heap.

MicroPython stores each name once and looks up each name of a module that it loads. The names in the
firmware are sorted. Names of a loaded module are unsorted and compared one by one, which took half
of the load time. An application with other names (a later release) also works.
"""

import keyword
from pathlib import Path

from deploy.firmware.romfs import compile_module, portable_modules

_HEADER_BYTES = 4
"""Bytes of a .mpy before its counts: magic, version, flags, small integer bits."""


def read_qstrs(mpy: bytes) -> set[str]:
    """Return the names that a .mpy (version 6) contains.

    The file has a count of names and of objects, then the names: twice the length and the text with
    a zero byte, or an odd number for a name that each MicroPython has.
    """
    count, at = _read_varint(mpy, _HEADER_BYTES)
    _, at = _read_varint(mpy, at)
    qstrs = set()
    for _ in range(count):
        size, at = _read_varint(mpy, at)
        if size & 1:
            continue
        qstrs.add(mpy[at : at + size // 2].decode())
        at += size // 2 + 1
    return qstrs


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of 7-bit groups, highest first; return it and the next position."""
    value = 0
    while True:
        byte = data[at]
        value, at = value << 7 | byte & 0x7F, at + 1
        if byte < 0x80:
            return value, at


def qstr_module(cache: Path) -> str:
    """Return the source of a module that contains all names and never runs."""
    qstrs = set().union(*(read_qstrs(compile_module(name, cache)) for name in portable_modules()))
    lines = ["def names(x):"]
    for name in sorted(qstrs):
        parts = name.split(".")
        if all(
            part.isidentifier() and part.isascii() and not keyword.iskeyword(part) for part in parts
        ):
            lines.append(f"    x.{name}" if len(parts) == 1 else f"    import {name}")
    return "\n".join([*lines, ""])
