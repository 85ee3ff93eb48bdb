"""Second copies of replies on a serial line: which reply is too early to be one, what must wait.

Not a matcher: it sees times, not bytes. A slave or a gateway may say its reply twice, and the copy
could be taken for the reply to the next request that looks the same. A copy gives itself away by
its time: it ends before the reply can have been sent, which takes the wire's time and at least the
unit's fastest response. But some gateways and pseudo-terminals hand bytes over faster than any
wire. So the line has to show `PACED_AFTER` times in a row that its bytes take their time; then
what is too early is refused. Before that, what a copy could answer waits until the copy would have
come.
"""

from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.transaction import Job
    from drivers.modbus.wire_time import Wire

PACED_AFTER = 8
_COPY_US = 5 * MILLISECOND
_MAX_HEADS = 32


class Copies:
    """One line. `drain_us`: how long after a reply its copy may come."""

    def __init__(self, wire: "Wire", drain_us: int) -> None:
        self.paced = 0
        self._wire = wire
        self._gap = wire.gap_us
        self._drain = drain_us
        self._rounding = wire.chars_us(2)  # how chunks are rounded
        self._within = min(drain_us, max(_COPY_US, wire.chars_us(16))) - wire.chars_us(6)
        self._until = 0
        self._held: dict[bytes, int] = {}

    def too_early(self, job: "Job", spare: int) -> bool:
        """Whether a reply that ended `spare` us after the wire's time came too early to be one."""
        spare += self._rounding
        if self.paced < PACED_AFTER:
            self.paced = self.paced + 1 if spare >= 0 else 0
            return False
        if spare >= job.health.floor_us:
            return False
        job.early = True
        job.spare = spare
        return True

    def was_reply(self, job: "Job") -> None:
        """What was refused as too early for `job` was its reply after all: nothing better came."""
        job.health.correct(max(0, job.spare))
        if job.spare < 0:
            self.paced = 0

    def expect(self, job: "Job", length: int, now: int) -> None:
        """`job` was answered at `now` by a reply of `length` bytes; it may come once more.

        On a line that shows true times a copy is mostly too early to be the reply to what is sent
        after t3.5, and then nothing has to wait.
        """
        health = job.health
        if self.paced >= PACED_AFTER and health.known and not health.stutters:
            until = now + self._within - health.floor_us
            if until <= now + self._gap:
                return
        else:
            until = now + self._wire.chars_us(length) + self._drain
        if now >= self._until or len(self._held) >= _MAX_HEADS:
            self._held = {}
        head = job.head()
        self._held[head] = max(until, self._held.get(head, 0))
        self._until = max(self._until, until)

    def held_until(self, job: "Job", now: int) -> int:
        """Until when `job` is held; 0 when it may go."""
        if now >= self._until:
            return 0
        until = self._held.get(job.head(), 0)
        return until if until > now else 0

    def expected(self, head: bytes) -> bool:
        """Whether a copy that begins like this is remembered."""
        return head in self._held
