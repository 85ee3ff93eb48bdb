# SPDX-License-Identifier: Apache-2.0
"""Heap of the RP2040 image in a copy of its RAM: the bytes that a collection would leave free.

Does not need the image: it looks for the record of MicroPython's heap (py/mpstate.h). That has the
start of the table of blocks, its length, the table of finalisers, and both ends of the pool. A
table has two bits for a block of 16 bytes: 1 begins an object, 2 continues it. An object is alive
if a word of the data below the heap, of the stack, or of a live object points to its begin.
"""

import struct

RAM = 0x20000000
_POOL_END = 0x2003E000
_STACK_END = 0x20042000
_BLOCK = 16
_BLOCKS_PER_BYTE = 4
_HEAD, _TAIL = 1, 2


def free_share(ram: bytes, stack_pointer: int) -> float:
    """Return the free part of the heap, 0 to 1. Raises ValueError if there is no heap."""
    table, length, pool = _find_heap(ram)
    bits = [ram[table - RAM + i // 4] >> 2 * (i % 4) & 3 for i in range(length * _BLOCKS_PER_BYTE)]
    sizes: dict[int, int] = {}
    last = 0
    for block, kind in enumerate(bits):
        if kind == _TAIL:
            sizes[last] += 1
        elif kind:
            sizes[block], last = 1, block
    roots = _words(ram, RAM, table) + _words(ram, stack_pointer & ~3, _STACK_END)
    live = _mark(ram, pool, sizes, roots)
    return 1 - sum(sizes[block] for block in live) / len(bits)


def _find_heap(ram: bytes) -> tuple[int, int, int]:
    """Return the start and the length of the table of blocks, and the start of the pool."""
    for at in range(0, len(ram) - 20, 4):
        table, length, finalisers, pool, end = struct.unpack_from("<5I", ram, at)
        is_heap = end == _POOL_END and end - pool == length * _BLOCKS_PER_BYTE * _BLOCK
        if is_heap and finalisers == table + length + 1:
            return table, length, pool
    raise ValueError("no heap of MicroPython")


def _words(ram: bytes, start: int, end: int) -> list[int]:
    count = (end - start) // 4
    return list(struct.unpack_from(f"<{count}I", ram, start - RAM))


def _mark(ram: bytes, pool: int, sizes: dict[int, int], roots: list[int]) -> set[int]:
    live: set[int] = set()
    waiting = roots
    while waiting:
        offset = waiting.pop() - pool
        block = offset // _BLOCK
        if offset % _BLOCK or block not in sizes or block in live:
            continue
        live.add(block)
        start = pool + block * _BLOCK
        waiting += _words(ram, start, start + sizes[block] * _BLOCK)
    return live
