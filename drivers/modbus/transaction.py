"""One request on its way through a bus, and what becomes of it.

Not a queue: `drivers.modbus.bus` keeps those. Here are the levels of urgency and the words for an outcome.
"""

from drivers.modbus.stale_reply_guard import overlap, written
from protocols.modbus.pdu import GOOD, READS, reply_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.unit_health import Health

    Values = tuple[int, ...]

OK = GOOD
TIMEOUT = "timeout"
MISMATCH = "mismatch"
LOST = "lost"
BUSY = "busy"
UNSURE = "unsure"
SUPERSEDED = "superseded"

POLL, WRITE, STOP = 0, 1, 2


class Result:
    """What became of one job.

    `status`: "ok" (`values` of a read; none for a write), "unsure" (a write, perhaps answered by an
    older one's echo), "exception" or "busy" (`code`), "timeout" (nothing), "mismatch" (`reason`
    names what did not match), "superseded" (by a newer write), "lost" (the port went away). `at` is
    when it was known: for a reply the arrival of its last byte.
    """

    __slots__ = ("at", "code", "reason", "status", "tag", "unit", "values")

    def __init__(
        self,
        tag: "Any",
        unit: int,
        status: str,
        code: int,
        values: "Values",
        at: int,
        reason: str = "",
    ) -> None:
        self.tag = tag
        self.unit = unit
        self.status = status
        self.code = code
        self.values = values
        self.at = at
        self.reason = reason


class Job:
    """A request that waits or is on the wire. `probe`: made by the bus itself.

    What most jobs never change is an attribute of the class: that saves a board's heap.
    """

    after = 0
    busy = 0
    first = True
    early = False
    partial = False
    spare = 0
    probe = False
    unsure = False
    _head = b""

    def __init__(
        self, unit: int, pdu: bytes, tag: "Any", level: int, retries: int, health: "Health"
    ) -> None:
        self.unit = unit
        self.pdu = pdu
        self.tag = tag
        self.level = level
        self.retries = retries
        self.health = health

    def head(self) -> bytes:
        """The unit, and what every good reply begins with."""
        if not self._head:
            pdu = self.pdu
            if pdu[0] in READS:  # the usual case, spelled out for speed
                self._head = bytes((self.unit, pdu[0], 2 * pdu[4]))
            else:
                self._head = bytes((self.unit,)) + reply_head(pdu)
        return self._head


def alike(one: Job, two: Job) -> bool:
    """Whether two polls of a unit have the same kind of reply, so that they keep their order."""
    return one.head() == two.head()


def replaces(one: Job, two: Job) -> bool:
    """Whether the write `one` makes the older write `two` pointless.

    Writes with the same tag are one sequence.
    """
    same = one.unit == two.unit and one.tag != two.tag
    return same and overlap(written(one.pdu), written(two.pdu))
