"""A Modbus line or stream: a bounded queue of requests, one of them on the wire at a time.

Not a device: it knows no registers, and not a port: it opens nothing. It decides when a request
may go out, how long its reply may take, and what becomes of it.

Theory of operation, RTU. A request waits until the line has been silent for t3.5
(`drivers.modbus.wire_time`). Its reply must come within the unit's own time limit (`drivers.modbus.unit_health`), counted
from the end of the request on the wire, and the time of its own characters. On a line that hands
bytes over as they come (it is watched; some gateways hold whole frames back) the reply must begin
within that limit, and gets the time of its characters once it has. After a timeout the line must be
silent for `drain_us` (`drivers.modbus.line_timer`).

Order. Three levels: STOP, then WRITE, then POLL (`drivers.modbus.request_queue`). STOP and WRITE wait for no
drain, only for t3.5, and are not held by shadows; so a stop leaves one transaction and t3.5 after
it was asked for at the latest. A newer write replaces an older one to the same registers (or the
retries of the one on the wire), which then is "superseded".

Truth. What may still come from a request that was given up is kept apart by `drivers.modbus.stale_reply_guard`. A
write whose echo could be an older one's is "unsure", not "ok". Second copies of a reply are kept
apart by `drivers.modbus.duplicate_filter`.
Exceptions 05 and 06 mean "busy": asked again after a pause, `_BUSY_TRIES` times.

Dead units. A unit that is silent `drivers.modbus.unit_health.DEAD_AFTER` times in a row gets no more polls:
`submit` returns False at once. The bus itself probes it (`drivers.modbus.recovery_probe`); a good probe is handed
out as the poll's result. Writes are still tried, once.

TCP needs no silence and no shadows: transaction numbers tell replies apart. A stream out of step,
cut inside a reply or silent for long is closed ("close" in the outbox), and everything that waits
is lost until the port is reported open again.
"""

from drivers.modbus.counters import NO_ANSWERS, Counters
from drivers.modbus.duplicate_filter import PACED_AFTER, Copies
from drivers.modbus.line_timer import Silence
from drivers.modbus.recovery_probe import Probing, keep
from drivers.modbus.request_queue import Queues
from drivers.modbus.stale_reply_guard import Shadows
from drivers.modbus.transaction import (
    BUSY,
    LOST,
    MISMATCH,
    POLL,
    SUPERSEDED,
    TIMEOUT,
    UNSURE,
    Job,
    Result,
    replaces,
)
from drivers.modbus.unit_health import DEAD_AFTER, Health
from drivers.modbus.wire_time import Wire
from protocols.errors import EncodeError
from protocols.modbus import rtu, tcp
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protocols.modbus.pdu import Answer

    Values = tuple[int, ...]
    Action = tuple[int, str, bytes]

__all__ = ("Bus", "Result")

_RIVAL_US = 100 * MILLISECOND  # for the reply to another master's request
_LEAST_SERIAL_US = 40 * MILLISECOND  # USB adapters hold bytes back for up to 16 ms
_LEAST_STREAM_US = 250 * MILLISECOND  # one lost segment is sent again after 200 ms
_BUFFERED = 16  # characters a UART may hold back before the first is seen
_TELLING = 32  # a reply of more characters shows whether a line holds frames back
_TRICKLES_AFTER = PACED_AFTER
_BUSY_TRIES = 4
_BUSY_US = 50 * MILLISECOND
_LONGEST = 256  # bytes of the longest frame
_REFUSAL = 5  # and of an exception's
_STREAM_SILENT = 2 * DEAD_AFTER
_ANSWERS = (GOOD, EXCEPTION)


class Bus(Counters):
    """One port's queue and clockwork. Times in microseconds; `queue_limit` jobs of each urgency.

    `timeout_us` is the longest a reply may take to begin; a unit's own limit is mostly shorter.
    `bits_per_char` counts start, data, parity and stop bits. `limit` may be raised for a bus with
    more polls. `idle_until` may be set to when the next polls come, so that no probe is in their
    way. What is counted is in `drivers.modbus.counters`.
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
        super().__init__(rtu.Client() if framing == "rtu" else tcp.Client())
        self.port = port
        self.serial = framing == "rtu"
        self.wire = Wire(baud, bits_per_char, serial=self.serial)
        self.open = False
        self.idle_until = NEVER
        self._units = rtu.UNITS if self.serial else tcp.UNITS
        self._most = timeout_us
        self.limit = queue_limit
        drain = max(drain_us, self.wire.gap_us) if self.serial else 0
        self._line = Silence(self.wire.gap_us, drain)
        self._mismatches = 0
        self._health: dict[int, Health] = {}
        self._probing = Probing(self.wire, drain)
        self._shadows = Shadows(late_us)
        self._copies = Copies(self.wire, drain)
        self._queues = Queues()
        self._polls = self._queues.polls
        self._urgent = self._queues.urgent
        self._job: Job | None = None
        self._sent = 0
        self._asked = 0
        self._earliest = 0
        self._due_all = 0
        self._silent_in_a_row = 0
        self._trickles = 0
        self._wake_at = NEVER
        self._results: list[Result] = []
        self._out: list[Action] = []

    @property
    def waiting(self) -> int:
        """Jobs that are queued or on the wire."""
        return len(self._polls) + len(self._urgent) + (self._job is not None)

    @property
    def dead_units(self) -> int:
        """Units that get no more polls, only probes."""
        return len(self._probing.dead)

    def health(self, unit: int) -> Health:
        """How `unit` has been answering."""
        if unit not in self._health:
            least = _LEAST_SERIAL_US if self.serial else _LEAST_STREAM_US
            self._health[unit] = Health(least, self._most)
        return self._health[unit]

    def submit(
        self, unit: int, pdu: bytes, tag: "Any", urgent: int = POLL, retries: int = 1
    ) -> bool:
        """Queue a request; False when the port is closed, the queue full, or a polled unit dead.

        `pdu` is one of `protocols.modbus.pdu`'s requests. The result comes with `tag`, which is not
        looked at, except that writes with the same tag are one sequence and do not replace each
        other. `urgent` is POLL, WRITE or STOP. `retries` are attempts after the first;
        exceptions are not retried. Raises `EncodeError` for a unit that the framing cannot address.
        """
        if not self._units[0] <= unit <= self._units[1]:
            raise EncodeError("unit %r is not %d to %d" % ((unit,) + self._units))
        health = self._health.get(unit) or self.health(unit)
        if health.dead:
            if not urgent:
                keep(health, pdu, tag)
                self.skipped += 1
                return False
            retries = 0
        queue = self._urgent if urgent else self._polls
        if not self.open or len(queue) >= self.limit:
            self.refused += 1
            return False
        job = Job(unit, pdu, tag, urgent, retries, health)
        if urgent:
            self._add_urgent(job)
        else:
            queue.append(job)
        if self._job is None:
            due = self._line.quiet_at if urgent else self._line.free_at
            if due < self._wake_at:
                self._wake_at = due
        return True

    def _add_urgent(self, job: Job) -> None:
        for older in self._queues.add_urgent(job):
            self._supersede(older)
        if self._job is not None and replaces(job, self._job):
            self._job.retries = 0

    def _supersede(self, job: Job) -> None:
        self.superseded += 1
        self._results.append(Result(job.tag, job.unit, SUPERSEDED, 0, (), self._sent))

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
            self._line.begin(now)
            self._copies.paced = 0
            self._trickles = 0
            self._silent_in_a_row = 0
            self._wake_at = self._probing.due()
        elif kind in ("closed", "failed"):
            self._lose_all(now, "port " + kind)

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes; `now` is the arrival of the last one."""
        client = self.client
        answer = client.feed(data)
        job = self._job
        self._silent_in_a_row = 0
        if job is None:
            self._disturbed(now)
        else:
            self._line.heard(now)
            if answer is None:
                self._wake_at = self._due_all
                job.partial = True
            else:
                self._answered(job, answer, now)
        if client.broken:
            self._close(now, "stream broken: " + client.broken)
        elif answer is not None and self._job is None:
            self._send(now)

    def _answered(self, job: Job, answer: "Answer", now: int) -> None:
        """A final reply has come, good or not."""
        sent = self._sent
        if self.serial:
            sent = self._due_least(answer)
            while self._copies.too_early(job, self._ended(now) - sent):
                self.early += 1
                behind = self.client.reject()
                if behind is None:
                    return
                answer = behind
                sent = self._due_least(answer)
            if answer[0] == GOOD and self.client.reply_length > _TELLING:
                self._trickles = self._trickles + 1 if job.partial else 0
        verdict, code, values = answer
        if verdict not in _ANSWERS:
            self._try_again(job, now)
            return
        if job.health.dead:
            self._probing.dead.remove(job.unit)
        job.health.answered(now - sent, job.first)
        if verdict == EXCEPTION and code in (5, 6):
            self._pause(job, code, now)
        else:
            self._finish(job, verdict, code, values, now)

    def _due_least(self, answer: "Answer") -> int:
        """When a reply like `answer` ends that takes no longer than its bytes."""
        if answer[0] != EXCEPTION:
            return self._earliest
        return self._sent + self.wire.chars_us(self._asked + _REFUSAL)

    def _ended(self, now: int) -> int:
        """When the reply's own last byte came."""
        trailing = self.client.trailing
        return now - self.wire.chars_us(trailing) if trailing else now

    def wake(self, now: int) -> None:
        """Take the passing of the deadline: give up a reply, or send the next request."""
        job = self._job
        if job is not None:
            if now < self._wake_at:
                return
            self._time_out(job, now)
        self._send(now)

    def _disturbed(self, now: int) -> None:
        """Bytes came while nothing was asked: wait on, but not for ever."""
        waiting = bool(self._polls or self._urgent)
        self._line.disturbed(now, waiting)
        if waiting:
            due = self._line.quiet_at if self._urgent else self._line.free_at
            self._wake_at = max(self._wake_at, due)

    def _send(self, now: int) -> None:
        """Put the next job on the wire if the line is free, else set the deadline."""
        if not self.open:
            self._wake_at = NEVER
            return
        if self._urgent:
            if now < self._line.quiet_at:
                self._wake_at = self._line.quiet_at
                return
        elif now < self._line.free_at:
            waiting = self._polls or self._probing.dead
            self._wake_at = self._line.free_at if waiting else NEVER
            return
        elif self.client.buffer and self.serial and self._polls and self._gives_way(now):
            return
        job = self._next(now)
        if job is not None:
            self._start(job, now)

    def _gives_way(self, now: int) -> bool:
        """Let another master have the reply to what it has just asked."""
        late = self.client.late
        heard = self.client.open_request()
        if self.client.late != late:
            self._shadows.seen(self._second_copy(now))
        if heard is None:
            return False
        self._shadows.cast(heard[0], heard[1], now)
        self._wake_at = self._line.free_at = now + _RIVAL_US
        return True

    def _start(self, job: Job, now: int) -> None:
        client = self.client
        doubtful = False
        if self._shadows.late:
            doubtful = self._shadows.in_doubt(job)
            job.unsure = job.level > 0 and self._shadows.covered(job)
        frame = client.start(job.unit, job.pdu, doubtful)
        if client.repeater and self.serial:
            self.health(client.repeater).stutters = True
            client.repeater = 0
        self._mismatches = client.mismatches
        self._out.append((self.port, "write", frame))
        self._job = job
        self._sent = now
        self._line.asked()
        timeout = job.health.timeout_us
        if job.probe:
            timeout = job.health.probe_timeout_us()
            job.health.probes += 1
        if not self.serial:
            self._wake_at = self._due_all = now + timeout
            return
        sent, reply = len(frame), client.reply_length
        self._asked = sent
        self._earliest = now + self.wire.chars_us(sent + reply)
        self._wake_at = self._due_all = self._earliest + timeout
        if self._trickles >= _TRICKLES_AFTER and reply > _BUFFERED:
            self._wake_at = now + timeout + self.wire.chars_us(sent + _BUFFERED)

    def _next(self, now: int) -> "Job | None":
        """Take the first job that may go; None (and a later deadline) if there is none."""
        queue = self._urgent or self._polls
        if not queue:
            return self._next_probe(now)
        first, late = queue[0], self._shadows.late
        if not first.after and (first.level or not (late or self._copies.held_until(first, now))):
            return queue.pop(0)
        if late:
            self._shadows.prune(now)
        job, self._wake_at = self._queues.first_free(now, self._shadows, self._copies)
        return job

    def _next_probe(self, now: int) -> "Job | None":
        """A probe, if there is a dead unit and this is the time for it."""
        job, self._wake_at = None, NEVER
        if self._probing.dead:
            job, self._wake_at = self._probing.next(self._health, now, self.idle_until)
        if job is None:
            return None
        if self.serial:
            held = max(self._shadows.until(job, now), self._copies.held_until(job, now))
            if held > now:
                self._wake_at = held
                return None
        self.probes += 1
        return job

    def _used(self, job: Job, until: int) -> None:
        """Book the time that a transaction took; a probe must then pause for its share."""
        took = until - self._sent + self._line.gap_us
        self.busy_us += took
        if job.probe:
            self.probe_us += took
            self._probing.took(until, took)

    def _finish(self, job: Job, status: str, code: int, values: "Values", now: int) -> None:
        """Hand over the result of the job on the wire."""
        self._used(job, now)
        self._job = None
        reason = ""
        if status == GOOD:
            if self.serial:
                if self._shadows.late and not job.unsure:
                    self._prove(job, now)
                self._copies.expect(job, self.client.reply_length, now)
        elif status in NO_ANSWERS:
            reason = self.client.reason
        if job.tag is None:
            return
        self.count(status, job.probe)
        if job.unsure and status == GOOD:
            status = UNSURE
        if not job.probe or status in _ANSWERS:
            self._results.append(Result(job.tag, job.unit, status, code, values, now, reason))

    def _prove(self, job: Job, now: int) -> None:
        """A good reply says something about those that may still come."""
        self._shadows.answered(job, self._due_all, job.first)
        if self.client.mismatches != self._mismatches:
            self._shadows.seen(self._second_copy(now), job.unit)

    def _second_copy(self, now: int) -> int:
        """When a late reply that has just come would have come once more."""
        return now + self.wire.chars_us(_LONGEST) + self._line.drain_us

    def _pause(self, job: Job, code: int, now: int) -> None:
        """The device is busy: ask again later, and let the others go on."""
        self.busy += 1
        if job.busy >= _BUSY_TRIES or job.probe or job.tag is None:
            self._finish(job, BUSY, code, (), now)
            return
        self._used(job, now)
        job.after = now + (_BUSY_US << job.busy)
        job.busy += 1
        job.first = True
        self._requeue(job, False)

    def _requeue(self, job: Job, in_front: bool) -> None:
        """Put the job from the wire back, unless a newer write has replaced it meanwhile."""
        self._job = None
        if not self._queues.put_back(job, in_front):
            self._supersede(job)

    def _time_out(self, job: Job, now: int) -> None:
        """No reply in time: drain the line, remember that the reply may still come."""
        self.client.stop()
        if job.early:  # what was refused was the reply after all
            self._copies.was_reply(job)
        health = job.health
        if not self.client.reason:
            was_dead = health.dead
            health.silent(now)
            if health.dead and not was_dead:
                self._bury(job, now)
        if self.serial:
            self._line.drain(now)
            self._shadows.cast(job.unit, job.pdu, now)
        self._try_again(job, now)
        self._silent_in_a_row += 1
        if self.client.torn:
            self._close(now, "stream cut inside a reply")
        elif not self.serial and self._silent_in_a_row >= _STREAM_SILENT:
            self._close(now, "stream silent")

    def _bury(self, job: Job, now: int) -> None:
        """A unit has died: its waiting polls are given up at once."""
        self._probing.dead.append(job.unit)
        job.retries = 0
        health = job.health
        health.probe = None
        if not job.level:
            keep(health, job.pdu, job.tag)
        for other in self._queues.take_polls(job.unit):
            keep(health, other.pdu, other.tag)
            self.count(TIMEOUT, False)
            self._results.append(Result(other.tag, other.unit, TIMEOUT, 0, (), now))

    def _try_again(self, job: Job, now: int) -> None:
        """Queue the job once more in front, or give it up."""
        status = MISMATCH if self.client.reason else TIMEOUT
        if self.client.reason:
            self.mismatched += 1
        else:
            self.timeouts += 1
        if job.retries <= 0:
            self._finish(job, status, 0, (), now)
            return
        self._used(job, now)
        job.retries -= 1
        job.first = False
        job.early = False
        self.retries += 1
        self._requeue(job, True)

    def _close(self, now: int, reason: str) -> None:
        """The stream is of no use any more: have it closed, count, lose what waits."""
        if self.open:
            self.closes += 1
            self._out.append((self.port, "close", b""))
            self._lose_all(now, reason)

    def _lose_all(self, now: int, reason: str) -> None:
        """The port is gone: everything that waits is lost, the shadows stay."""
        jobs = self._queues.take_all()
        if self._job is not None:
            jobs.insert(0, self._job)
            if self.serial:
                self._shadows.cast(self._job.unit, self._job.pdu, now)
        jobs = [job for job in jobs if job.tag is not None and not job.probe]
        for job in jobs:
            self._results.append(Result(job.tag, job.unit, LOST, 0, (), now, reason))
        self.lost += len(jobs)
        self.open = False
        self._job = None
        self._wake_at = NEVER
        self._line.forget()
        self.client.reset()
