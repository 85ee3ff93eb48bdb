# SPDX-License-Identifier: Apache-2.0
"""A model of the guard against late replies, its device, and the search over all their states.

The master of the model uses `StaleReplyGuard` and `RequestQueue` of the product, and their table of
states. The device of the model answers in the order of its requests. It can keep any number of
replies back, up to the bound, so that it is one or more replies behind. It can drop a request or a
reply, send a reply after the time-out, and send a second copy of a late reply. In one case it also
sends a second copy of each good reply in two parts: the first one before our next request, the
second one after its time-out. In others another master asks the same device while our poll waits:
the device can have received that request before ours or after it. Every order of these steps is
tried, for every sequence of polls of a small alphabet.

Two properties are checked in every state:
- a reply that is taken as good is the reply to an attempt of its own transaction;
- from every state a device that answers again gives good values within a few polls.

Not a test; see `test_stale_reply_model`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import product
from typing import Any

from drivers.modbus.duplicate_filter import DuplicateFilter
from drivers.modbus.request_queue import RequestQueue
from drivers.modbus.stale_reply.guard import StaleReplyGuard
from drivers.modbus.stale_reply.unit_guard import OpenRequest
from drivers.modbus.transaction import POLL, Transaction, reply_prefix_of
from drivers.modbus.unit_health import UnitHealth
from drivers.modbus.wire_time import WireTime
from protocols.modbus import pdu
from protocols.modbus.rtu import build_frame

UNIT = 5
STALE_US = 1000
HOLD_US = 5 * STALE_US
STEP_US = STALE_US  # time of each poll of the model: the hold ends after four
READ_A, READ_B = pdu.read_holding(10, 1), pdu.read_holding(20, 1)
WIDE_A, WIDE_B = pdu.read_holding(10, 2), pdu.read_holding(20, 2)
THEIRS, WIDE_THEIRS = pdu.read_holding(40, 1), pdu.read_holding(40, 2)

Pending = tuple[int, bytes]  # number of the transaction (0: another master), PDU of the request
EXCEPTION = b"\x83"
"""In place of the PDU of a request: the reply to it is an exception."""


def copied(thing: Any) -> Any:
    """Copy an object and share its attributes: `copy.copy` took half the time of a search."""
    other = object.__new__(type(thing))
    for name in getattr(thing, "__slots__", None) or thing.__dict__:
        setattr(other, name, getattr(thing, name))
    return other


class GuardState:
    """One state: the master with its guard, and the device with the replies that it owes."""

    def __init__(self, polls: tuple[bytes, ...]) -> None:
        self.polls = polls
        self.now = 0
        self.number = 0
        self.guard = StaleReplyGuard(STALE_US)
        self.owed: tuple[Pending, ...] = ()
        self.late: Pending | None = None  # a late reply, of which a second copy can come
        self.good: Pending | None = None  # a good reply, of which a copy in two parts can come
        self.theirs = 0  # requests of another master so far

    def key(self) -> Any:
        """The state without absolute times and numbers.

        Polls with replies of one shape have names in the order of their appearance: states that
        differ by the names only are one. A reply has only its shape: no attempt to come has the
        number of an older one.
        """
        requests: list[Any] = []
        units = self.guard.units
        pending = [*self.owed, *[p for p in (self.late, self.good) if p is not None]]
        nonces = sorted(
            {request for _, request in pending if request[0] == pdu.DIAGNOSTICS}
            | {r.pdu for g in units.values() for r in g.requests if r.pdu[0] == pdu.DIAGNOSTICS}
        )
        seen = [r.pdu for g in units.values() for r in g.requests if r.pdu in self.polls]
        names = seen if len({shape_of(poll) for poll in self.polls}) == 1 else self.polls

        def shape(request: bytes) -> Any:
            return nonces.index(request) if request in nonces else shape_of(request)

        def name_of(request: OpenRequest) -> Any:
            if request.pdu in names:
                return names.index(request.pdu), shape(request.pdu)
            return request.pdu if request.is_foreign else shape(request.pdu)

        numbers = sorted({n for g in units.values() for r in g.requests for n in (r.first, r.last)})
        for guard in units.values():
            requests = [
                (
                    name_of(r),
                    numbers.index(r.first),
                    numbers.index(r.last),
                    r.first > r.last,
                    max(0, r.open_until - self.now),
                    r.is_foreign,
                    r.owner is None,
                    bisect_left(numbers, r.beside) if r.beside else -1,
                    r.beside in numbers,
                )  # a copy begins at the last poll: `sent_at` is that, or earlier, or 0
                for r in guard.requests
            ]
            hold_us = max(0, guard.hold_until - self.now)
            flags = (guard.is_uncounted, guard.refuses_diagnostics)
            requests.append((guard.state, hold_us, guard.turn, flags))
        owed = tuple(shape(request) for _, request in self.owed)
        copies = [shape(p[1]) if p else None for p in (self.late, self.good)]
        holds = [max(-HOLD_US, at - self.now) for at in self.guard._foreign_holds.values()]
        return (tuple(requests), owed, self.theirs, *copies, *holds)


def shape_of(request: bytes) -> bytes:
    """Return a read without its address: what its reply shows."""
    return request[:1] + request[3:]


def reply_frame(request: bytes) -> bytes:
    """Return the frame of the reply; its values do not matter."""
    if request == EXCEPTION:
        return build_frame(UNIT, EXCEPTION + b"\2")
    if request[0] in pdu.READS:
        return build_frame(UNIT, bytes((request[0], 2 * request[4])) + bytes(2 * request[4]))
    if request[0] in pdu.BIT_READS:
        return build_frame(UNIT, bytes((request[0], 1, 0)))
    return build_frame(UNIT, request[:5])


REFUSED = build_frame(UNIT, bytes((pdu.DIAGNOSTICS | 0x80, 1)))


class Explorer:
    """Breadth-first search over all states that `requests` and the device can reach."""

    def __init__(
        self,
        requests: tuple[bytes, ...],
        behind: int,
        diagnostics: bool = True,
        *,
        cuts_copies: bool = False,
        theirs: tuple[bytes, ...] = (),
        most_theirs: int = 1,
        refuses: bool = False,
        learns: bool = False,
    ) -> None:
        self.requests = requests
        self.modes = (True, False) if learns else (diagnostics,)
        self.refuses = refuses  # the device has no function 8
        self.cuts_copies = cuts_copies
        self.theirs, self.most_theirs = theirs, most_theirs
        self.behind = behind
        self.diagnostics = diagnostics
        self.wire_time = WireTime()
        self.health = UnitHealth(1, 1)
        self.states = 0
        self.transitions = 0
        self.suspects = 0
        self.most_polls = 0  # until a good value

    def run(self, limit: int, polls: int) -> None:
        """Explore all states, at most `limit`; each recovers within `polls` polls."""
        start = GuardState(self.requests)
        seen = {start.key()}
        queue = deque([start])
        while queue:
            world = queue.popleft()
            self.states += 1
            assert self.states <= limit, "more states than expected"
            for mode, request in product(self.modes, self.requests):
                self.diagnostics = mode
                self.check_recovery(world, request, polls)
            for after in self.successors(world):
                self.transitions += 1
                key = after.key()
                if key not in seen:
                    seen.add(key)
                    queue.append(after)

    def successors(self, world: GuardState) -> list[GuardState]:
        """Return all states after one poll; the bus can learn of an echo: no function 8."""
        found = []
        for mode, request in product(self.modes, self.requests):
            self.diagnostics = mode
            for lost in (False, True):
                found.extend(self.poll(world, request, lost))
                for theirs in self.theirs if world.theirs < self.most_theirs else ():
                    for is_first, is_refused in product((False, True), repeat=2):
                        found.extend(self.poll(world, request, lost, theirs, is_first, is_refused))
        return found

    def poll(
        self,
        world: GuardState,
        request: bytes,
        is_lost: bool,
        theirs: bytes = b"",
        is_first: bool = False,
        is_refused: bool = False,
    ) -> list[GuardState]:
        """Poll once with `request`, or with what the guard sends instead of it.

        `theirs` is the request of another master; `is_first`: the device has it before ours.
        `is_refused`: its reply is an exception.
        """
        base = self.copy_of(world)
        base.now += STEP_US
        base.number += 1
        sent = self.choose(base, request)
        if sent is None:
            base.late = base.good = None
            return [base]
        base.theirs += theirs != b""
        foreign = ((0, EXCEPTION if is_refused else theirs),) if theirs else ()
        own = () if is_lost else ((base.number, sent.pdu),)
        base.owed += foreign + own if is_first else own + foreign
        return self.outcomes(base, sent, theirs)

    def copy_of(self, world: GuardState) -> GuardState:
        """Copy a state."""
        other = copied(world)
        other.guard = copied(world.guard)
        other.guard.units = {}
        other.guard.copies = dict(world.guard.copies)
        other.guard._own = []  # the polls of the model are further apart
        other.guard._foreign_holds = dict(world.guard._foreign_holds)
        for unit, guard in world.guard.units.items():
            new = other.guard.units[unit] = copied(guard)
            new.requests = [copied(request) for request in guard.requests]
        return other

    def choose(self, world: GuardState, request: bytes) -> Transaction | None:
        """Return what the queue of the product sends; None if the poll has to wait."""
        queue = RequestQueue()
        queue.polls.append(Transaction(UNIT, request, world.number, POLL, 0, self.health))
        world.guard.update(world.now)
        filter_ = DuplicateFilter(self.wire_time, 0)
        if world.late is not None:
            shape = bytes((UNIT,)) + pdu.reply_prefix(world.late[1])
            filter_.expect(shape, world.now + 1, world.now)
        sent, _ = queue.take_first_ready(world.now, world.guard, filter_, self.diagnostics)
        return sent

    def outcomes(
        self, world: GuardState, sent: Transaction, theirs: bytes = b""
    ) -> list[GuardState]:
        """Return the states for every number of replies that the device sends now."""
        found = []
        for count in range(len(world.owed) + 1):
            for dropped in range(len(world.owed) - count + 1):
                after = self.copy_of(world)
                after.owed = world.owed[dropped + count :]
                if len(after.owed) > self.behind:
                    continue
                frames = list(world.owed[dropped : dropped + count])
                if world.good is not None and not frames:
                    found.append(self.cut_copy(self.copy_of(after), sent, world.good))
                if world.late is not None:  # the second copy comes first, or not at all
                    second = self.copy_of(after)
                    found.append(self.deliver(second, sent, [world.late, *frames], True, theirs))
                found.append(self.deliver(after, sent, frames, False, theirs))
        return found

    def cut_copy(self, world: GuardState, sent: Transaction, good: Pending) -> GuardState:
        """Let a copy of the last reply begin before our request and end after its time-out."""
        frame, began_at = reply_frame(good[1]), world.now
        world.guard.expect_late(UNIT, sent.pdu, world.now, sent, world.now)
        world.guard.frame_seen(frame, world.now, began_at)
        world.late = world.good = None
        return world

    def deliver(
        self,
        world: GuardState,
        sent: Transaction,
        frames: list[Pending],
        has_copy: bool,
        theirs: bytes = b"",
    ) -> GuardState:
        """Give the frames to the master, in order; the first that fits `sent` ends the poll."""
        if theirs or (0, EXCEPTION) in frames:
            is_copy = has_copy and not reply_frame(frames[0][1]).startswith(reply_prefix_of(sent))
            return self.deliver_beside(world, sent, frames[is_copy:], theirs)
        guard, is_decided, late = world.guard, False, None
        world.good = None
        for position, (number, request) in enumerate(frames):
            is_refused = self.refuses and request[0] == pdu.DIAGNOSTICS
            frame = REFUSED if is_refused else reply_frame(request)
            fits = frame.startswith(reply_prefix_of(sent))
            if is_refused and not is_decided and sent.pdu[0] == pdu.DIAGNOSTICS:
                is_decided = not guard.exception_ambiguous(sent)
                if is_decided:
                    guard.reply_accepted(sent, True, world.now, world.now)
                    continue
            if not is_decided and fits:
                is_own = guard.reply_accepted(sent, False, world.now)
                self.suspects += not is_own
                assert not is_own or number == world.number, (request, sent.pdu)
                is_decided = True
                if self.cuts_copies and not guard.units:  # else the duplicate filter expects it
                    world.good = (number, request)
            elif not (has_copy and position == 0) and guard.frame_seen(frame, world.now, world.now):
                late = (number, request)
                if is_refused:  # as the bus does; the duplicate filter knows good replies only
                    guard.expect_copy(frame[:2], world.now + STEP_US + 1)
        if not is_decided:
            guard.expect_late(UNIT, sent.pdu, world.now, sent, world.now)
        world.late = late
        return world

    def deliver_beside(
        self, world: GuardState, sent: Transaction, frames: list[Pending], theirs: bytes
    ) -> GuardState:
        """The same, with a request of another master during the poll, or an exception to one.

        As in the bus, the replies of one shape to both are none. Without a reply our request is
        opened first, then theirs. Then the frames are counted.
        """
        guard, waiting = world.guard, []
        world.late = world.good = None
        is_alike = theirs != b"" and pdu.reply_prefix(theirs) == pdu.reply_prefix(sent.pdu)
        takes_exception = not theirs and not guard.exception_ambiguous(sent)
        while frames:
            (number, request), frames = frames[0], frames[1:]
            is_exception = request == EXCEPTION
            fits = reply_frame(request).startswith(reply_prefix_of(sent))
            if not fits and not (
                is_exception and takes_exception and sent.pdu[0] == pdu.READ_HOLDING
            ):
                waiting.append(request)
                continue
            for before in waiting:
                guard.frame_seen(reply_frame(before), world.now, world.now)
            waiting = []
            if is_alike:
                if UNIT in guard.units:
                    guard.expect_late(UNIT, sent.pdu, world.now, sent)
            else:
                is_own = guard.reply_accepted(sent, is_exception, world.now)
                assert is_exception or not is_own or number == world.number, (request, sent.pdu)
            break
        else:
            guard.expect_late(UNIT, sent.pdu, world.now, sent, world.now - 1)
        if theirs:
            guard.expect_foreign(UNIT, theirs, world.now, world.now)
        for request in waiting + [request for _, request in frames]:
            guard.frame_seen(reply_frame(request), world.now, world.now)
        return world

    def check_recovery(self, world: GuardState, request: bytes, polls: int) -> None:
        """From this state a device without faults gives a good value within `polls` polls."""
        before = self.suspects
        now = self.copy_of(world)
        now.late = None
        for number in range(polls):
            now.now += STEP_US
            now.number += 1
            sent = self.choose(now, request)
            if sent is None:
                continue
            self.deliver(now, sent, [*now.owed, (now.number, sent.pdu)], False)
            now.owed, now.late = (), None
            if sent.pdu == request and not now.guard.units:
                self.most_polls = max(self.most_polls, number + 1)
                self.suspects = before
                return
        raise AssertionError("no recovery")
