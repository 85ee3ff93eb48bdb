# SPDX-License-Identifier: Apache-2.0
"""Pool of qstrs: the names of the application, frozen into the firmware, without cost of heap.

MicroPython stores each name once and looks up each name of a module that it loads. The names in the
firmware are sorted. Names of a loaded module are unsorted and compared one by one, which took half
of the load time. An application with other names (a later release) also works.

The pool has the names of the modules, the paths of their files and folders, and texts: those of the
modules that stay loaded, and those of the profiles. A text that is in the pool needs no object: 16
bytes for a constant of a module, and 32 or 48 for the name of a point.

They stand in the table of names of a .mpy (version 6) that never runs. The file has a header, a
count of names and of objects, then the names: twice the length and the text with a zero byte, or an
odd number for a name that each MicroPython has. Then the objects: kind, length, content. Texts and
bytes end with a zero byte; a tuple has a count of objects.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.firmware.application.profile_trim import trim_profile
from deploy.firmware.application.romfs import (
    compile_module,
    compile_source,
    is_empty,
    package_profiles,
    portable_modules,
)

_HEADER_BYTES = 4
"""Bytes of a .mpy before its counts: magic, version, flags, small integer bits."""
_FOLDER = "/rom"
"""Where the start of the board mounts the application."""
_LONGEST = 255
"""Bytes of a name; MicroPython stores its length in one byte."""
_TEXT, _BYTES, _TUPLE = 5, 6, 10
_WITHOUT_LENGTH = 4
"""Kinds of objects (py/persistentcode.h); up to the last one, an object is its kind alone."""
_ONLY_FOR_LOADING = ("agent/config/", "drivers/device/profile_")
_SCHEMA = "schema"
"""Parts of the names of modules that a board drops after it has loaded its configuration."""


def read_qstrs(mpy: bytes) -> set[str]:
    """Return the names that a .mpy contains."""
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


def read_texts(mpy: bytes) -> set[str]:
    """Return the texts of a .mpy that are objects, because they are long or no names."""
    count, at = _read_varint(mpy, _HEADER_BYTES)
    objects, at = _read_varint(mpy, at)
    for _ in range(count):
        size, at = _read_varint(mpy, at)
        at += 0 if size & 1 else size // 2 + 1
    texts: set[str] = set()
    while objects:
        objects -= 1
        kind, at = mpy[at], at + 1
        if kind <= _WITHOUT_LENGTH:
            continue
        size, at = _read_varint(mpy, at)
        if kind == _TUPLE:
            objects += size
            continue
        if kind == _TEXT:
            texts.add(mpy[at : at + size].decode())
        at += size + (kind in (_TEXT, _BYTES))
    return texts


def add_qstrs(mpy: bytes, qstrs: set[str]) -> bytes:
    """Return a .mpy with more names, after those that it has."""
    count, start = _read_varint(mpy, _HEADER_BYTES)
    objects, first = _read_varint(mpy, start)
    end = first
    for _ in range(count):
        size, end = _read_varint(mpy, end)
        end += 0 if size & 1 else size // 2 + 1
    texts = [qstr.encode() for qstr in sorted(qstrs)]
    added = b"".join(_write_varint(2 * len(text)) + text + b"\0" for text in texts)
    counts = _write_varint(count + len(texts)) + _write_varint(objects)
    return mpy[:_HEADER_BYTES] + counts + mpy[first:end] + added + mpy[end:]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of 7-bit groups, highest first; return it and the next position."""
    value = 0
    while True:
        byte = data[at]
        value, at = value << 7 | byte & 0x7F, at + 1
        if byte < 0x80:
            return value, at


def _write_varint(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


def qstr_module(cache: Path, left_out: tuple[str, ...] = ()) -> bytes:
    """Return a .mpy that contains all names and texts and does nothing.

    `left_out`: the modules that the board does not have; see `portable_modules`.
    """
    qstrs: set[str] = set()
    for name in portable_modules(left_out=left_out):
        if not is_empty(name):
            compiled = compile_module(name, cache)
            qstrs |= read_qstrs(compiled)
            if _SCHEMA not in name and not name.startswith(_ONLY_FOR_LOADING):
                qstrs |= read_texts(compiled)
            qstrs.add(f"{_FOLDER}/{name[:-3]}.mpy")
        qstrs |= {f"{_FOLDER}/{parent}" for parent in Path(name).parents if parent.name}
    for path in package_profiles():
        qstrs |= set(_texts(json.loads(trim_profile(path))))
    short = {qstr for qstr in qstrs if len(qstr.encode()) <= _LONGEST}
    return add_qstrs(compile_source("_names", b"", cache), short)


def _texts(value: Any) -> Iterator[str]:
    """Return the texts of a JSON value, with those of the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
