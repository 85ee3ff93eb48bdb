"""A Modbus line or stream: a bounded queue of requests, one of them on the wire at a time.

Not a device: it knows no registers, and not a port: it opens nothing. It decides when a request
may go out, how long its reply may take, and what becomes of it. Urgent jobs (writes) go before the
others.

Theory of operation, RTU. A request waits until the line has been silent for t3.5: 3.5 characters,
or 1.75 ms above 19200 baud ("MODBUS over Serial Line V1.02", section 2.5.1.1). Its reply is due at
the end of the request on the wire, plus `timeout_us`, plus the time of the reply's own characters.
After a timeout the line must be silent for `drain_us`; bytes extend that, up to `_PATIENCE_US`.

Late replies. A reply to a read does not say which registers it holds, so the late reply to one
request may look like the good reply to another. Rule: a request that got no reply leaves a shadow
for `late_us`. While it lasts, the same unit is not asked anything whose good reply would look the
same, unless it is the very same request (then the late reply is the same block, or the echo of the
same write); and as an exception names no registers either, it is not believed for another request
with that function. When the same request has been answered, one more reply may be under way, so
the shadow starts anew. A slave that says everything twice is met likewise: what its second copy
would answer waits until that would have come, `drain_us` after. Other units, and requests whose
replies differ (another function, count, written address or value), go on meanwhile; a unit's jobs
that are held keep their order among those that look alike.

TCP needs none of that: transaction numbers tell replies apart. A stream out of step is closed
("close" in the outbox), and everything that waits is lost until the port is reported open again.
"""

from protocols.errors import EncodeError
from protocols.modbus import rtu, tcp
from protocols.modbus.pdu import EXCEPTION, GOOD, reply_head
from protocols.timing import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protocols.modbus.pdu import Answer

    Values = tuple[int, ...]
    Action = tuple[int, str, bytes]

OK = GOOD
TIMEOUT = "timeout"
MISMATCH = "mismatch"
LOST = "lost"

_FAST_BAUD = 19200
_FAST_GAP_US = 1750
_PATIENCE_US = 250_000
_MAX_SHADOWS = 32


class Result:
    """What became of one job.

    `status`: "ok" (`values` of a read; none for a write), "exception" (`code`), "timeout"
    (nothing), "mismatch" (`reason` names what did not match), "lost" (the port went away). `at` is
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


class _Job:
    """A request that waits or is on the wire."""

    __slots__ = ("pdu", "retries", "tag", "unit", "urgent")

    def __init__(self, unit: int, pdu: bytes, tag: "Any", urgent: bool, retries: int) -> None:
        self.unit = unit
        self.pdu = pdu
        self.tag = tag
        self.urgent = urgent
        self.retries = retries


class _Shadow:
    """A request whose reply may still come: see "Late replies" above.

    `strict` holds the very same request too.
    """

    def __init__(self, unit: int, pdu: bytes, until: int, strict: bool = False) -> None:
        self.unit = unit
        self.pdu = pdu
        self.head = reply_head(pdu)
        self.until = until
        self.strict = strict

    def covers(self, job: _Job) -> bool:
        """Whether what may still come could be taken for the good reply to `job`."""
        alike = self.unit == job.unit and self.head == reply_head(job.pdu)
        return alike and (self.strict or self.pdu != job.pdu)


class Bus:
    """One port's queue and clockwork. Times in microseconds; `queue_limit` jobs of each urgency.

    A reply is out of the way for certain `timeout_us + late_us` after its request; keep that below
    the period of the polls, or one timeout keeps its shadow alive from poll to poll.

    `bits_per_char` counts start, data, parity and stop bits. Counters only grow. `transactions`
    are jobs that were decided on the wire, `errors` those of them that were not "ok" (lost jobs
    are counted in `lost` alone); `timeouts` and `mismatched` are attempts, `retries` further
    attempts, `refused` jobs that found the queue full or the port closed. `client` holds the
    counters of the bytes.
    """

    def __init__(
        self,
        port: int,
        framing: str,
        baud: int = 19200,
        bits_per_char: int = 10,
        timeout_us: int = 300_000,
        queue_limit: int = 64,
        drain_us: int = 10_000,
        late_us: int = 500_000,
    ) -> None:
        self.port = port
        self.serial = framing == "rtu"
        self.client: rtu.Client | tcp.Client = rtu.Client() if self.serial else tcp.Client()
        self.open = False
        self.transactions = 0
        self.errors = 0
        self.timeouts = 0
        self.mismatched = 0
        self.exceptions = 0
        self.retries = 0
        self.lost = 0
        self.refused = 0
        self.closes = 0
        self._units = rtu.UNITS if self.serial else tcp.UNITS
        self._bit_us = bits_per_char * SECOND
        self._baud = baud
        self._timeout = timeout_us
        self._limit = queue_limit
        self._late = late_us
        self._gap = 0
        if self.serial:
            fast = baud > _FAST_BAUD
            self._gap = _FAST_GAP_US if fast else (7 * self._bit_us + 2 * baud - 1) // (2 * baud)
        self._drain = max(drain_us, self._gap) if self.serial else 0
        self._silence = self._gap
        self._free_at = 0
        self._patience = NEVER
        self._wake_at = NEVER
        self._job: _Job | None = None
        self._queue: list[_Job] = []
        self._urgent: list[_Job] = []
        self._shadows: list[_Shadow] = []
        self._copies: list[_Shadow] = []  # of what was answered; all over at _copies_until
        self._copies_until = 0
        self._results: list[Result] = []
        self._out: list[Action] = []

    # The byte counters under one roof, for status and telemetry.

    @property
    def dropped_bytes(self) -> int:
        """Bytes that were noise."""
        return self.client.dropped_bytes

    @property
    def foreign(self) -> int:
        """Intact frames of other units."""
        return self.client.foreign

    @property
    def late(self) -> int:
        """Replies nobody was waiting for any more, and duplicates."""
        return self.client.late

    @property
    def crc_errors(self) -> int:
        """Replies with a bad CRC."""
        return self.client.crc_errors

    def submit(
        self, unit: int, pdu: bytes, tag: "Any", urgent: bool = False, retries: int = 1
    ) -> bool:
        """Queue a request; False when the port is closed or the queue full.

        `pdu` is one of `protocols.modbus.pdu`'s requests. The result comes with `tag`, which is not
        looked at. `retries` are attempts after the first; exceptions are not retried. Raises
        `EncodeError` for a unit that the framing cannot address.
        """
        if not self._units[0] <= unit <= self._units[1]:
            raise EncodeError("unit %r is not %d to %d" % ((unit,) + self._units))
        queue = self._urgent if urgent else self._queue
        if not self.open or len(queue) >= self._limit:
            self.refused += 1
            return False
        queue.append(_Job(unit, pdu, tag, urgent, retries))
        if self._job is None:
            self._wake_at = self._free_at
        return True

    def deadline(self) -> int:
        """When `wake` is wanted; NEVER while there is nothing to send and nothing to wait for."""
        return self._wake_at

    def outbox(self) -> "list[Action]":
        """What the port is to do: (port, "write" or "close", data). Drained."""
        out = self._out
        if out:
            self._out = []
        return out

    def results(self) -> "list[Result]":
        """What has been decided since the last call, in order. Drained."""
        results = self._results
        if results:
            self._results = []
        return results

    def event(self, kind: str, now: int) -> None:
        """Take "opened", "closed" or "failed"; what else a port reports is of no concern here."""
        if kind == "opened":
            self._lose_all(now, "reopened")
            self.open = True
            self._silence = self._gap
            self._free_at = now + self._gap
        elif kind in ("closed", "failed"):
            self._lose_all(now, "port " + kind)

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes; `now` is the arrival of the last one."""
        answer = self.client.feed(data)
        job = self._job
        if job is None:
            self._extend_silence(now)
        else:
            self._free_at = now + self._silence
            if answer is not None:
                self._answered(job, answer, now)
        if self.client.broken:
            self._close(now)
        elif answer is not None:
            self._send(now)

    def _answered(self, job: _Job, answer: "Answer", now: int) -> None:
        """A final reply has come, good or not."""
        if answer[0] == GOOD or answer[0] == EXCEPTION:
            self._finish(job, answer[0], answer[1], answer[2], now)
        else:
            self._try_again(job, now)

    def wake(self, now: int) -> None:
        """Take the passing of the deadline: give up a reply, or send the next request."""
        job = self._job
        if job is not None:
            if now < self._wake_at:
                return
            self._time_out(job, now)
        self._send(now)

    def _extend_silence(self, now: int) -> None:
        """Bytes came while nothing was asked: wait on, but not for ever."""
        if not (self._queue or self._urgent):
            self._free_at = now + self._silence
            return
        if self._patience == NEVER:
            self._patience = now + _PATIENCE_US
        self._free_at = min(now + self._silence, self._patience)
        self._wake_at = max(self._wake_at, self._free_at)

    def _send(self, now: int) -> None:
        """Put the next job on the wire if the line is free, else set the deadline."""
        if not (self._queue or self._urgent):
            self._wake_at = NEVER
            return
        if now < self._free_at:
            self._wake_at = self._free_at
            return
        job = self._next(now)
        if job is None:
            return
        client = self.client
        frame = client.start(job.unit, job.pdu, bool(self._shadows) and self._in_doubt(job))
        self._out.append((self.port, "write", frame))
        self._job = job
        self._silence = self._gap
        self._patience = NEVER
        self._wake_at = now + self._timeout
        if self.serial:
            chars = len(frame) + client.reply_length
            self._wake_at += chars * self._bit_us // self._baud

    def _next(self, now: int) -> "_Job | None":
        """Take the first job that may go; None (and a later deadline) if all are held."""
        queue = self._urgent or self._queue
        if not self._shadows and (now >= self._copies_until or self._is_new(queue[0])):
            return queue.pop(0)
        self._shadows = [shadow for shadow in self._shadows if shadow.until > now]
        shadows = self._shadows + [shadow for shadow in self._copies if shadow.until > now]
        held: list[_Job] = []
        free_at = NEVER
        for queue in (self._urgent, self._queue):
            for i, job in enumerate(queue):
                until = _held_until(job, shadows, held)
                if until == 0:
                    return queue.pop(i)
                held.append(job)
                free_at = min(free_at, until)
        self._wake_at = free_at
        return None

    def _is_new(self, job: _Job) -> bool:
        """Whether no second copy of a reply could be taken for the reply to `job`."""
        return True not in [shadow.covers(job) for shadow in self._copies]

    def _in_doubt(self, job: _Job) -> bool:
        """Whether an exception could be the late reply to another request of this function."""
        for shadow in self._shadows:
            if shadow.unit == job.unit and shadow.pdu[0] == job.pdu[0] and shadow.pdu != job.pdu:
                return True
        return False

    def _finish(self, job: _Job, status: str, code: int, values: "Values", now: int) -> None:
        """Hand over the result of the job on the wire."""
        self._job = None
        self.transactions += 1
        reason = ""
        if status != GOOD:
            self.errors += 1
            reason = self.client.reason
            if status == EXCEPTION:
                self.exceptions += 1
                reason = ""
        for shadow in self._shadows:
            if shadow.unit == job.unit and shadow.pdu == job.pdu:
                shadow.until = self._wake_at + self._late  # as if its own reply were still to come
        if self.serial and status == GOOD:
            self._expect_copy(job, now)
        self._results.append(Result(job.tag, job.unit, status, code, values, now, reason))

    def _expect_copy(self, job: _Job, now: int) -> None:
        """A slave may say it twice: remember that until the second copy would have come."""
        if now >= self._copies_until or len(self._copies) >= _MAX_SHADOWS:
            self._copies = []
        chars = self.client.reply_length * self._bit_us // self._baud
        until = now + chars + self._drain
        self._copies_until = max(self._copies_until, until)
        self._copies.append(_Shadow(job.unit, job.pdu, until, True))

    def _time_out(self, job: _Job, now: int) -> None:
        """No reply in time: drain the line, remember that the reply may still come."""
        self.client.stop()
        if self.serial:
            self._silence = self._drain
            self._free_at = now + self._drain
            self._patience = now + _PATIENCE_US
            self._cast_shadow(job, now)
        self._try_again(job, now)

    def _try_again(self, job: _Job, now: int) -> None:
        """Queue the job once more in front, or give it up."""
        status = MISMATCH if self.client.reason else TIMEOUT
        if self.client.reason:
            self.mismatched += 1
        else:
            self.timeouts += 1
        if job.retries <= 0:
            self._finish(job, status, 0, (), now)
            return
        job.retries -= 1
        self.retries += 1
        self._job = None
        (self._urgent if job.urgent else self._queue).insert(0, job)

    def _cast_shadow(self, job: _Job, now: int) -> None:
        """Remember for `late_us` that this request was not answered."""
        until = now + self._late
        for shadow in self._shadows:
            if shadow.unit == job.unit and shadow.pdu == job.pdu:
                shadow.until = until
                return
        if len(self._shadows) >= _MAX_SHADOWS:
            self._shadows.pop(0)
        self._shadows.append(_Shadow(job.unit, job.pdu, until))

    def _close(self, now: int) -> None:
        """The stream is out of step: have it closed, count, lose what waits."""
        if self.open:
            self.closes += 1
            self._out.append((self.port, "close", b""))
            self._lose_all(now, "stream broken: " + self.client.broken)

    def _lose_all(self, now: int, reason: str) -> None:
        """The port is gone: everything that waits is lost, the shadows stay."""
        jobs = self._urgent + self._queue
        if self._job is not None:
            jobs.insert(0, self._job)
            if self.serial:
                self._cast_shadow(self._job, now)
        for job in jobs:
            self._results.append(Result(job.tag, job.unit, LOST, 0, (), now, reason))
        self.lost += len(jobs)
        self.open = False
        self._job = None
        self._queue = []
        self._urgent = []
        self._wake_at = NEVER
        self._patience = NEVER
        self.client.reset()


def _held_until(job: _Job, shadows: "list[_Shadow]", held: "list[_Job]") -> int:
    """When the shadows let `job` go; 0 for now. It must not overtake a job it looks like."""
    until = 0
    for shadow in shadows:
        if shadow.covers(job):
            until = max(until, shadow.until)
    for other in held:
        if other.unit == job.unit and reply_head(other.pdu) == reply_head(job.pdu):
            return NEVER
    return until
