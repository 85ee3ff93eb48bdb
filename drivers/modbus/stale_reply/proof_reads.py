# SPDX-License-Identifier: Apache-2.0
"""Reads whose reply has another shape than that to a poll: they can show that a unit is in step.

Does not know the open requests of the unit; see `guard`.
"""

from protocols.modbus.pdu import BIT_READS, MAX_READ, READS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.transaction import Transaction

_MORE = 2  # longer reads, each by one more
_LAST_ADDRESS = 0xFFFF


def shorter_reads(transaction: "Transaction") -> "list[bytes]":
    """Return the reads of a part of the values; the byte counts of their replies differ."""
    return [
        _read(transaction, size * _step(transaction)) for size in range(1, _size_of(transaction))
    ]


def longer_reads(transaction: "Transaction") -> "list[bytes]":
    """Return reads of some more values. The unit can refuse them."""
    size, step = _size_of(transaction), _step(transaction)
    if not size:
        return []
    first = transaction.pdu[1] << 8 | transaction.pdu[2]
    counts = [step * (size + more) for more in range(1, _MORE + 1)]
    return [
        _read(transaction, count)
        for count in counts
        if count <= MAX_READ and first + count - 1 <= _LAST_ADDRESS
    ]


def other_reads(transaction: "Transaction") -> "list[bytes]":
    """Return the reads of one value by each function that reads, also that of `transaction`.

    That one is a shorter read, if it is shorter at all.
    """
    if not _size_of(transaction):
        return []
    place = transaction.pdu[1:3]
    return [bytes((function,)) + place + b"\0\1" for function in READS + BIT_READS]


def _step(transaction: "Transaction") -> int:
    """Return the values by which the length of the reply changes."""
    return 8 if transaction.pdu[0] in BIT_READS else 1


def _size_of(transaction: "Transaction") -> int:
    """Return the length of the reply in steps; 0 for a request that reads nothing."""
    pdu, step = transaction.pdu, _step(transaction)
    if pdu[0] not in READS + BIT_READS:
        return 0
    return ((pdu[3] << 8 | pdu[4]) + step - 1) // step


def _read(transaction: "Transaction", count: int) -> bytes:
    return transaction.pdu[:3] + bytes((count >> 8, count & 0xFF))
