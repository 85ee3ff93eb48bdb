"""Replies that may still come: what a request that got none casts on the requests after it.

Not a queue and not a matcher. A reply to a read does not say which registers it holds, so the late
reply to one request may look like the good reply to another. A request that was given up leaves a
shadow for a while: until then the same unit is not asked anything whose good reply would look the
same, unless it is the very same request (whose late reply is the same block, or the same echo).

A shadow has two ends. Until `least` nothing lifts it. After that it goes on until `until`, unless
there is proof: a device answers in the order it was asked, so the good reply to a later request
that cannot be confused says that what came before is over. `distinguishing` makes such a request.
"""

from protocols.modbus.pdu import READS, reply_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.duplicate_filter import Copies
    from drivers.modbus.transaction import Job


_MAX_SHADOWS = 32
_UNPROVEN = 4
_SINGLE = (5, 6, 22)
_MULTIPLE = (15, 16)
_BOTH = 23


def written(pdu: bytes) -> "tuple[int, int, int] | None":
    """(table, first address, count) that a request writes, or None; table 0 is coils, 1 registers.

    It is read from the bytes, so that what a newer command replaces is found whoever made it.
    """
    function = pdu[0]
    table = 0 if function in (5, 15) else 1
    if function in _SINGLE:
        return (table, pdu[1] << 8 | pdu[2], 1)
    if function in _MULTIPLE:
        return (table, pdu[1] << 8 | pdu[2], pdu[3] << 8 | pdu[4])
    if function == _BOTH:
        return (table, pdu[5] << 8 | pdu[6], pdu[7] << 8 | pdu[8])
    return None


def overlap(one: "tuple[int, int, int] | None", two: "tuple[int, int, int] | None") -> bool:
    """Whether two results of `written` have an address in common."""
    if one is None or two is None or one[0] != two[0]:
        return False
    return one[1] < two[1] + two[2] and two[1] < one[1] + one[2]


class Shadow:
    """One request whose reply may come until `until`, and surely not before `least` if proven."""

    __slots__ = ("asked", "head", "least", "pdu", "unit", "until")

    def __init__(self, unit: int, pdu: bytes, least: int, until: int) -> None:
        self.unit = unit
        self.pdu = pdu
        self.head = bytes((unit,)) + reply_head(pdu)
        self.least = least
        self.until = until
        self.asked = False

    def covers(self, job: "Job") -> bool:
        """Whether what may still come could be taken for the good reply to `job`."""
        return self.head == job.head() and self.pdu != job.pdu


class Shadows:
    """The shadows on one line.

    `late_us`: how long a shadow lasts with proof; without, `_UNPROVEN` times as long.
    """

    def __init__(self, late_us: int) -> None:
        self._late_us = late_us
        self.late: list[Shadow] = []

    def cast(self, unit: int, pdu: bytes, now: int) -> None:
        """A request was given up; its reply may still come."""
        least, until = now + self._late_us, now + _UNPROVEN * self._late_us
        for shadow in self.late:
            if shadow.unit == unit and shadow.pdu == pdu:
                shadow.least = least
                shadow.until = until
                shadow.asked = False
                return
        if len(self.late) >= _MAX_SHADOWS:
            self.late.pop(0)
        self.late.append(Shadow(unit, pdu, least, until))

    def prune(self, now: int) -> None:
        """Forget what is over."""
        self.late = [shadow for shadow in self.late if shadow.until > now]

    def answered(self, job: "Job", due: int, first: bool) -> None:
        """`job` was answered well, at its first attempt or a later one; `due` was its time limit.

        Of the same request one more reply may be under way; what was asked before is over.
        """
        head = job.head()
        for shadow in self.late:
            if shadow.unit != job.unit:
                continue
            if shadow.pdu == job.pdu:
                shadow.least = due + self._late_us
                shadow.until = due + _UNPROVEN * self._late_us
            elif first and shadow.head != head:
                shadow.until = min(shadow.until, shadow.least)

    def seen(self, until: int, unit: int = 0) -> None:
        """A late reply has come, of `unit` if that is known: it may come a second time."""
        for shadow in self.late:
            if not unit or shadow.unit == unit:
                shadow.least = max(shadow.least, until)
                shadow.until = max(shadow.until, until)

    def until(self, job: "Job", now: int) -> int:
        """Until when `job` is held; 0 when it may go."""
        until = 0
        for shadow in self.late:
            if shadow.until > now and shadow.covers(job):
                until = max(until, shadow.least if now < shadow.least else shadow.until)
        return until

    def covered(self, job: "Job") -> bool:
        """Whether a late reply could be taken for the reply to `job`."""
        return True in [shadow.covers(job) for shadow in self.late]

    def in_doubt(self, job: "Job") -> bool:
        """Whether an exception could be the late reply to another request of this function."""
        for shadow in self.late:
            if shadow.unit == job.unit and shadow.pdu[0] == job.pdu[0] and shadow.pdu != job.pdu:
                return True
        return False

    def distinguishing(self, job: "Job", now: int, copies: "Copies") -> "bytes | None":
        """A read whose reply can be confused with no late one; None if there is none, or if it
        has been asked already.

        It reads a part of what `job` would read, so it asks for nothing new.
        """
        if job.pdu[0] not in READS:
            return None
        heads = []
        for shadow in self.late:
            if shadow.unit == job.unit:
                if shadow.asked or now < shadow.least:
                    return None
                heads.append(shadow.head)
        if not heads:
            return None
        for count in range(1, job.pdu[4]):
            pdu = job.pdu[:3] + bytes((0, count))
            head = bytes((job.unit,)) + reply_head(pdu)
            if head not in heads and not copies.expected(head):
                for shadow in self.late:
                    shadow.asked = shadow.asked or shadow.unit == job.unit
                return pdu
        return None
