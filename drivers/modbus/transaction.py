"""One request on its way through a bus, and what becomes of it.

Not a queue: `drivers.modbus.bus` keeps those. Here are the levels of urgency and the words for an
outcome.
"""

from drivers.modbus.stale_reply_guard import spans_overlap, written_span
from protocols.modbus.pdu import GOOD, READS, reply_prefix

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


class TransactionResult:
    """What became of one job.

    `status`: "ok" (`values` of a read; none for a write), "unsure" (a write, perhaps answered by an
    older one's echo), "exception" or "busy" (`code`), "timeout" (nothing), "mismatch" (`reason`
    names what did not match), "superseded" (by a newer write), "lost" (the port went away).
    `done_at` is when it was known: for a reply the arrival of its last byte.
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
    """A request that waits or is on the wire. `is_probe`: made by the bus itself.

    What most jobs never change is an attribute of the class: that saves a board's heap.
    """

    not_before = 0
    busy_count = 0
    is_first_attempt = True
    is_premature = False
    has_partial_reply = False
    margin_us = 0
    is_probe = False
    is_ambiguous = False
    _reply_prefix = b""

    def __init__(
        self, unit: int, pdu: bytes, tag: "Any", priority: int, retries: int, health: "UnitHealth"
    ) -> None:
        self.unit = unit
        self.pdu = pdu
        self.tag = tag
        self.priority = priority
        self.retries = retries
        self.health = health

    def reply_prefix(self) -> bytes:
        """The unit, and what every good reply begins with."""
        if not self._reply_prefix:
            pdu = self.pdu
            if pdu[0] in READS:  # the usual case, spelled out for speed
                self._reply_prefix = bytes((self.unit, pdu[0], 2 * pdu[4]))
            else:
                self._reply_prefix = bytes((self.unit,)) + reply_prefix(pdu)
        return self._reply_prefix


def same_reply_shape(first: Transaction, second: Transaction) -> bool:
    """Whether two polls of a unit have the same kind of reply, so that they keep their order."""
    return first.reply_prefix() == second.reply_prefix()


def supersedes(newer: Transaction, older: Transaction) -> bool:
    """Whether the write `one` makes the older write `two` pointless.

    Writes with the same tag are one sequence.
    """
    is_same_unit = newer.unit == older.unit and newer.tag != older.tag
    return is_same_unit and spans_overlap(written_span(newer.pdu), written_span(older.pdu))
