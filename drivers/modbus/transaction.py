# SPDX-License-Identifier: Apache-2.0
"""One Modbus request on its way through a bus, and its result.

Does not queue or send: `drivers.modbus.bus` does. Contains the priorities of requests and the
status words of results.
"""

from drivers.modbus.register_span import overlaps, written_block
from protocols.modbus.pdu import DIAGNOSTICS, GOOD, READS, reply_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.unit_health import UnitHealth

    Values = tuple[int, ...]

OK = GOOD
TIMEOUT = "timeout"
INVALID_REPLY = "mismatch"
PORT_CLOSED = "lost"
BUSY = "busy"
AMBIGUOUS = "unsure"
SUPERSEDED = "superseded"

POLL, WRITE, STOP = 0, 1, 2
"""Priorities; the higher number is sent first."""
DIAGNOSTICS_PDU = bytes((DIAGNOSTICS,))
"""How each request of function 8 begins."""


class TransactionResult:
    """The result of one transaction.

    `status` is one of:
        "ok"          a good reply; `values` are those of a read, a write has none
        "unsure"      a reply that can be a late reply to an older request, an echo of the line, or
                      the reply to another master (`reason`)
        "exception"   the unit replied with exception `code`
        "busy"        the unit still replied with exception `code` (5 or 6) after the retries
        "timeout"     no reply
        "mismatch"    an invalid reply; `reason` names the difference
        "superseded"  a newer write to the same registers replaced the write
        "lost"        the port closed; `reason` says why
    `done_at` is the monotonic time of the result in microseconds. For a reply this is the arrival
    of its last byte.
    """

    __slots__ = ("code", "done_at", "reason", "status", "tag", "unit", "values")

    def __init__(
        self,
        tag: "Any",
        unit: int,
        status: str,
        code: int,
        values: "Values",
        done_at: int,
        reason: str = "",
    ) -> None:
        self.tag = tag
        self.unit = unit
        self.status = status
        self.code = code
        self.values = values
        self.done_at = done_at
        self.reason = reason


class Transaction:
    """A request that is queued or on the wire. A plain record, which the bus and its parts change.

    `retries` are the attempts that remain after the present one. `not_before` is the end of a
    pause after a "busy" reply, 0 without a pause. `is_probe`: the bus itself made the request, for
    an offline unit. `is_ambiguous`: a late echo of an older write can look like the reply.
    `has_partial_reply`: a reply came in more than one chunk. `margin_us` belongs to a reply that
    the duplicate filter discarded as premature (`is_premature`).

    Most transactions never change the class attributes. A board saves heap by them.
    """

    not_before = 0
    busy_count = 0
    is_first_attempt = True
    is_premature = False
    has_partial_reply = False
    margin_us = 0
    is_probe = False
    is_ambiguous = False
    reply_prefix = b""  # see `reply_prefix_of`

    def __init__(
        self, unit: int, pdu: bytes, tag: "Any", priority: int, retries: int, health: "UnitHealth"
    ) -> None:
        self.unit = unit
        self.pdu = pdu
        self.tag = tag
        self.priority = priority
        self.retries = retries
        self.health = health


def reply_prefix_of(transaction: Transaction) -> bytes:
    """Return the bytes with which each good reply begins, from the unit address on."""
    if not transaction.reply_prefix:
        pdu = transaction.pdu
        if pdu[0] in READS:  # the usual case, without a call
            transaction.reply_prefix = bytes((transaction.unit, pdu[0], 2 * pdu[4] & 0xFF))
        else:
            transaction.reply_prefix = bytes((transaction.unit,)) + reply_prefix(pdu)
    return transaction.reply_prefix


def exception_prefix_of(transaction: Transaction) -> bytes:
    """Return the bytes with which each exception begins."""
    return bytes((transaction.unit, transaction.pdu[0] | 0x80))


def same_reply_shape(first: Transaction, second: Transaction) -> bool:
    """Return whether good replies to two polls begin alike; such polls must keep their order."""
    return reply_prefix_of(first) == reply_prefix_of(second)


def supersedes(newer: Transaction, older: Transaction) -> bool:
    """Return whether the write `newer` replaces the older write `older`.

    Both must write a common address of the same unit. Writes with the same tag are one sequence
    and do not replace each other.
    """
    if newer.unit != older.unit or newer.tag == older.tag:
        return False
    new_block, old_block = written_block(newer.pdu), written_block(older.pdu)
    return new_block is not None and old_block is not None and overlaps(new_block, old_block)
