# SPDX-License-Identifier: Apache-2.0
"""Blocks of registers or bits: overlap, containment, and the block that a request writes.

Does not plan reads (see `poll_plan`) and does not hold requests (see `request_queue`).
"""

from collections import namedtuple

from protocols.modbus.pdu import (
    READ_COILS,
    READ_HOLDING,
    READ_WRITE,
    WRITE_COIL,
    WRITE_COILS,
    WRITE_MULTIPLE,
    WRITES,
)

ReadBlock = namedtuple("ReadBlock", ("function", "address", "count"))
"""Registers that one request can read: function code, first address on the wire, count. Functions
1 and 2 count bits."""


def overlaps(first: "ReadBlock", second: "ReadBlock") -> bool:
    """Return whether two blocks have a register or bit in common."""
    is_disjoint = (
        first.address >= second.address + second.count
        or first.address + first.count <= second.address
    )
    return first.function == second.function and not is_disjoint


def is_within(inner: "ReadBlock", outer: "ReadBlock") -> bool:
    """Return whether `outer` contains the whole of `inner`."""
    start = outer.address
    is_inside = start <= inner.address and inner.address + inner.count <= start + outer.count
    return bool(inner.function == outer.function and is_inside)


def written_block(pdu: bytes) -> "ReadBlock | None":
    """Return the block that a request PDU writes, as its readback; None if the PDU only reads.

    The block comes from the bytes of the PDU. Thus it does not depend on the caller.
    """
    function = pdu[0]
    at, count = 1, 1
    if function == READ_WRITE:
        at = 5
    elif function not in WRITES:
        return None
    if function in (WRITE_COILS, WRITE_MULTIPLE, READ_WRITE):
        count = pdu[at + 2] << 8 | pdu[at + 3]
    table = READ_COILS if function in (WRITE_COIL, WRITE_COILS) else READ_HOLDING
    return ReadBlock(table, pdu[at] << 8 | pdu[at + 1], count)


def search_block(
    blocks: "list[ReadBlock]", function: int, address: int, registers: int
) -> "tuple[int, int]":
    """Return (block, offset) of registers; block -1 if no block reads them."""
    for number, block in enumerate(blocks):
        at = address - block.address
        if block.function == function and 0 <= at <= block.count - registers:
            return number, at
    return -1, 0
