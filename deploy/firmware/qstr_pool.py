"""The application's names, frozen into the firmware: found quickly there, and no cost of heap.

MicroPython keeps one copy of every name and looks for each name of a module that it loads. Those of
the firmware are sorted; those that came with a module are not, and are compared one by one, which
took half of the time that an application took to load. An application with other names (a later
release in a slot) loads all the same.
"""

import keyword
from pathlib import Path

from deploy.firmware.romfs import compile_module, portable_modules

_HEADER_BYTES = 4
"""Bytes of a .mpy before its numbers: magic, version, flags, small integers."""


def read_qstrs(mpy: bytes) -> set[str]:
    """Read the names that a .mpy (version 6) brings along.

    A count of names and one of objects, then the names: twice the length and the text with a zero,
    or an odd number for one that every MicroPython has.
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
    """Read a number in sevens of bits, the highest first; give it and where it ends."""
    value = 0
    while True:
        byte = data[at]
        value, at = value << 7 | byte & 0x7F, at + 1
        if byte < 0x80:
            return value, at


def qstr_module(cache: Path) -> str:
    """Write a module that is never run and has all names that can stand in one."""
    qstrs = set().union(*(read_qstrs(compile_module(name, cache)) for name in portable_modules()))
    lines = ["def names(x):"]
    for name in sorted(qstrs):
        parts = name.split(".")
        if all(
            part.isidentifier() and part.isascii() and not keyword.iskeyword(part) for part in parts
        ):
            lines.append(f"    x.{name}" if len(parts) == 1 else f"    import {name}")
    return "\n".join([*lines, ""])
