# SPDX-License-Identifier: Apache-2.0
"""Late replies on a serial line, kept apart from the replies to later requests.

Does not queue requests and does not match bytes; see `request_queue` and `protocols.modbus.rtu`.
The reply to a read does not name its registers. The late reply to one request can therefore look
like the good reply to another. A device can also be one or more replies behind: each request then
brings the reply to an earlier one, after any time.

The guard is correct if one of two facts is true: a unit replies in the order of its requests, or a
reply comes within `stale_us` of the time-out. It keeps the requests of each unit whose reply can
still come (*open requests*), in their order. A reply that fits several of them is counted for the
earliest. This one and those before it are closed. A frame that began before a request was sent is
no reply to it: it can be the second copy of a reply. A reply that fits only the present request
closes all open requests. Within `stale_us` of its time-out no request is removed, because a second
copy of its reply can come. If none is left, the unit is in step again.

`unit_guard.TABLE` has the states of a unit. While the unit is HELD, a poll waits if an open request
of another transaction has the same reply shape. Meanwhile the bus sends a *disambiguating request*.
The kinds take turns: a shorter read; function 8 with a number that is not used twice; a read of
another function; a longer read. The polls from which they are made take turns too. An exception to
function 8 serves as well, if no older one can come. After `HOLD_FACTOR` * `stale_us` without
success the unit is SUSPECT. Polls are sent again, and a reply that fits an open request is
"unsure". Once in a hold time such polls pause for another disambiguating request. Writes never
wait; an ambiguous echo is "unsure".

Time proves nothing for a request of ours: a device that is one behind keeps its reply until the
next request. A guard that has only requests of another master ends after `FORGET_US`, because that
master can ask units that we never ask.

A unit has at most `MAX_OPEN` open requests. Then the two of another master that end first become
one that fits every reply.
"""

from drivers.modbus.stale_reply.unit_guard import (
    FORGET_US,
    FORGOTTEN,
    HELD,
    HOLD_ENDED,
    MANY,
    MAX_OPEN,
    PROVEN,
    SUSPECT,
    SYNCED,
    TIMED_OUT,
    UNCOUNTED_US,
    OpenRequest,
    UnitGuard,
)
from drivers.modbus.transaction import DIAGNOSTICS_PDU, exception_prefix_of, reply_prefix_of
from protocols.modbus.expected_reply import ECHO_FUNCTIONS, is_clear_request
from protocols.modbus.pdu import (
    BIT_READS,
    DIAGNOSTICS,
    MAX_READ,
    READS,
    diagnostics_echo,
    reply_prefix,
)
from protocols.time_units import MILLISECOND, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.duplicate_filter import DuplicateFilter
    from drivers.modbus.transaction import Transaction

HOLD_FACTOR = 4
_READS = READS + BIT_READS
_NONCE_STEP_US = 64
_MANY_COUNT = 1 << 30
_MAX_RECENT = 8
_ADAPTER_US = 100 * MILLISECOND
_DIAGNOSTICS_TURN, _LONGER_TURN, _TURNS = 1, 3, 4
_REFUSAL = bytes((0, 0x80 | DIAGNOSTICS))  # of any unit


class StaleReplyGuard:
    """The guards of one line; `units` holds those that are not in step.

    `copies` maps the start of a late reply that has come to the time until which a second copy of
    it can follow. A reply that begins so is ambiguous until then. The bus sets `due_at`, when the
    attempt on the wire times out: a reply until then is not late.
    """

    def __init__(self, stale_us: int) -> None:
        self._stale_us = stale_us
        self._hold_us = HOLD_FACTOR * stale_us
        self.units: dict[int, UnitGuard] = {}
        self.copies: dict[bytes, int] = {}
        self.due_at = 0
        self._foreign_holds: dict[int, int] = {}  # by unit
        self._number = 0  # of the last attempt that became open
        self._own: list[tuple[int, int]] = []  # our last attempts: when opened, number
        self._nonce = 0

    def expect_late(
        self,
        unit: int,
        pdu: bytes,
        now: int,
        owner: "Transaction | None" = None,
        sent_at: int = 0,
    ) -> None:
        """Open a request: it timed out or was cut off, or its reply can belong to an older one.

        `sent_at` is 0 if no frame can have begun before the request and end after it.
        """
        request = self._open(unit, pdu, now, owner)
        request.sent_at = sent_at or request.sent_at
        request.open_until = max(request.open_until, self.due_at + self._stale_us)
        request.is_foreign = False
        self._own = self._own[1 - _MAX_RECENT :] + [(now, self._number)]

    def _open(self, unit: int, pdu: bytes, now: int, owner: "Transaction | None") -> OpenRequest:
        """Add an attempt to the open requests of a unit; return its request."""
        guard = self.units.get(unit)
        if guard is None:
            guard = self.units[unit] = UnitGuard()
        if guard.state == SYNCED:
            guard.hold_until = now + self._hold_us
        guard.handle(TIMED_OUT)
        self._number += 1
        number = self._number
        for request in guard.requests:
            if request.pdu == pdu or request.pdu[:1] == pdu[:1] == DIAGNOSTICS_PDU:
                request.set_pdu(unit, pdu)  # only the newest number of function 8 counts
                request.last = self._number
                request.open_until = max(request.open_until, now + self._stale_us)
                if request.owner is not owner:
                    request.owner = None
                return request
        if len(guard.requests) >= MAX_OPEN and not guard.join_earliest(unit):
            pdu = b""  # the last entry represents all further requests
            number = guard.requests.pop().first
        request = OpenRequest(unit, pdu, number, owner)
        request.last = self._number
        request.open_until = now + self._stale_us
        guard.requests.append(request)
        return request

    def expect_foreign(self, unit: int, pdu: bytes, now: int, seen_at: int = NEVER) -> OpenRequest:
        """Open a request of another master, which can follow another without end.

        It was seen at `seen_at`, but an adapter can be late by `_ADAPTER_US`: the unit can have
        received it before our attempts of this time. All within a hold time end their hold
        together: our polls must go on.
        """
        hold_until = self._foreign_holds.get(unit, -NEVER)
        if now - hold_until > self._hold_us:
            hold_until = self._foreign_holds[unit] = now + self._hold_us
        request = self._open(unit, pdu, now, None)
        if not request.beside:
            recent = [number for at, number in self._own if at > seen_at - _ADAPTER_US]
            request.beside = recent[0] if recent else 0
        guard = self.units[unit]
        guard.hold_until = min(guard.hold_until, hold_until)
        return request

    def expect_many(self, unit: int, now: int) -> None:
        """Open an unknown number of requests of another master: it sent more than are kept.

        Only function 8 tells their replies from ours, or a time without any.
        """
        request = self.expect_foreign(unit, MANY, now)
        self.units[unit].is_uncounted = True
        if request.pdu == MANY:
            request.last = self._number + _MANY_COUNT

    def frame_seen(self, frame: bytes, now: int, seen_at: int) -> "bytes | None":
        """Record an intact frame that is not the reply; return its shape if it is a late reply.

        The frame began to arrive at `seen_at`.
        """
        guard = self.units.get(frame[0])
        if guard is None or is_clear_request(frame[:-2]):
            return None
        if frame[1] == 0x80 | DIAGNOSTICS:
            guard.refuses_diagnostics = True
        fitting = [request for request in guard.requests if request.fits_frame(frame)]
        if frame[1] in ECHO_FUNCTIONS:  # a request of another master looks like its reply
            fitting = [request for request in fitting if not request.is_foreign]
        if not fitting:
            return None
        guard.close_earliest(fitting, seen_at)
        guard.remove_closed(now)
        self._check_in_step(frame[0], guard)
        return frame[:2] if frame[1] & 0x80 else fitting[0].reply_prefix

    def expect_copy(self, shape: bytes, until: int) -> None:
        """Record that a second copy of a late reply can come until `until`."""
        if len(self.copies) >= MAX_OPEN:
            self.copies = {}
        self.copies[shape] = until

    def _can_be_copy(self, shape: bytes, began_at: int) -> bool:
        """Return whether a reply that began to come at `began_at` can be the copy of a late one."""
        if self.copies and began_at >= max(self.copies.values()):
            self.copies = {}
        return began_at < self.copies.get(shape, 0)

    def reply_accepted(
        self, transaction: "Transaction", is_exception: bool, now: int, began_at: int = NEVER
    ) -> bool:
        """Record a reply to `transaction`; return whether it can only be its own.

        Replies to several attempts of one transaction are its own: none is older than its request.
        Its first part came at `began_at`.
        """
        unit, pdu = transaction.unit, transaction.pdu
        reply = exception_prefix_of(transaction) if is_exception else reply_prefix_of(transaction)
        if self._can_be_copy(reply, began_at):
            self.expect_late(unit, pdu, now, transaction)
            return False
        guard = self.units.get(unit)
        if guard is None:
            return True
        fitting = guard.fitting(reply)
        if not fitting:
            guard.close_all(now)
            self._check_in_step(unit, guard)
            return True
        guard.close_earliest(fitting, now)
        is_own = not [1 for request in fitting if request.owner is not transaction]
        self.expect_late(unit, pdu, now, transaction)
        return is_own

    def is_owed(self, body: bytes) -> bool:
        """Return whether a frame (unit and PDU) can be the reply to an open request."""
        guard = self.units.get(body[0])
        if guard is None:
            return False
        return True in [request.fits_frame(body, 2) for request in guard.requests]

    def is_own_echo(self, unit: int, pdu: bytes) -> bool:
        """Return whether a frame equal to its reply can be the reply to an open request of ours."""
        guard = self.units.get(unit)
        if guard is None or pdu[0] not in ECHO_FUNCTIONS:
            return False
        return True in [r.pdu == pdu and not r.is_foreign for r in guard.requests]

    def _check_in_step(self, unit: int, guard: UnitGuard) -> None:
        if not guard.requests:
            guard.handle(PROVEN)
            del self.units[unit]

    def update(self, now: int) -> None:
        """End the holds and guards whose time has passed."""
        for unit in list(self.units):
            guard = self.units[unit]
            guard.remove_closed(now)
            if not guard.requests:
                self._check_in_step(unit, guard)
                continue
            if guard.state == HELD and now >= guard.hold_until:
                guard.handle(HOLD_ENDED)
            ends = [r.open_until if r.is_foreign else NEVER for r in guard.requests]
            if guard.state == SUSPECT and now >= max(ends) + FORGET_US:
                guard.handle(FORGOTTEN)
                del self.units[unit]

    def blocked_until(self, transaction: "Transaction", now: int) -> int:
        """Return the time until which a poll must wait; 0 if it can be sent.

        In the state SUSPECT it waits once in a hold time until a proof is possible. A fast sequence
        of polls would otherwise keep its requests open and never be in step again. Another master
        can open requests without end, so beside it each wait has a limit. If the number of its
        requests was unknown, no more polls are sent than are kept apart.
        """
        guard = self.units.get(transaction.unit)
        if guard is not None and guard.is_full_for(transaction.pdu):
            return now + self._stale_us
        if guard is None or (guard.state == HELD) == (now >= guard.hold_until):
            return 0
        if not self._is_ambiguous(guard, transaction):
            return 0
        open_until = max([request.open_until for request in guard.requests])
        if now - self._foreign_holds.get(transaction.unit, -NEVER) < UNCOUNTED_US:
            limit = guard.hold_until
            if guard.state != HELD:
                limit += 2 * self._stale_us
            if now >= limit:
                return 0
            open_until = min(open_until, limit)
        if now < open_until:
            return open_until
        return guard.hold_until if guard.state == HELD else 0

    def _is_ambiguous(self, guard: UnitGuard, transaction: "Transaction") -> bool:
        reply = reply_prefix_of(transaction)
        return [1 for r in guard.fitting(reply) if r.owner is not transaction] != []

    def is_retry_due(self, transaction: "Transaction", now: int) -> bool:
        """Return whether to try a disambiguating request, although `transaction` need not wait.

        True once in a hold time while the unit is SUSPECT.
        """
        guard = self.units.get(transaction.unit)
        if guard is None or guard.state != SUSPECT or now < guard.hold_until:
            return False
        if not self._is_ambiguous(guard, transaction):
            return False
        guard.hold_until = now + self._hold_us
        return True

    def exception_ambiguous(self, transaction: "Transaction") -> bool:
        """Return whether an exception could belong to another request of this function."""
        guard = self.units.get(transaction.unit)
        if guard is None:
            return False
        for request in guard.requests:
            if request.pdu != transaction.pdu and (
                request.pdu in (b"", MANY) or request.pdu[0] == transaction.pdu[0]
            ):
                return True
        return False

    def proof_request(
        self,
        transaction: "Transaction",
        now: int,
        duplicates: "DuplicateFilter",
        diagnostics: bool,
    ) -> "bytes | None":
        """Return a request whose reply fits no open request of the unit, or None.

        The kinds take turns, because a unit can ignore or refuse some of them: a part of the values
        of a poll, function 8 if `diagnostics` permits it, another function, more values. If the
        unit refuses function 8, none is sent while an older one is open: its exception would prove
        nothing. The polls take turns too, `transaction` and each open one, and so does each
        function. Of each kind but the parts one is open at a time.
        """
        guard = self.units.get(transaction.unit)
        if guard is None or True in [now < request.open_until for request in guard.requests]:
            return None  # its reply would prove nothing yet
        waiting = transaction.pdu
        own = [r for r in guard.requests if r.owner is None or r.owner.tag is not None]
        polls = [r.pdu for r in own] + [waiting]
        others = [f for f in _READS if bytes((f,)) not in [p[:1] for p in polls]]
        pdus = [r.pdu for r in own if not r.is_foreign] + [waiting]
        bases = sorted({p[3:] + p for p in pdus if p and p[0] in _READS}, reverse=True)
        for _ in range(_TURNS):
            guard.turn = (guard.turn + 1) % (_TURNS * max(1, len(bases) * max(1, len(others))))
            at = guard.turn // _TURNS
            if guard.turn % _TURNS == _DIAGNOSTICS_TURN:
                if diagnostics and not (guard.refuses_diagnostics and guard.fitting(_REFUSAL)):
                    # Another master of this kind counts too: both must not begin with one number.
                    self._nonce = (self._nonce or now // _NONCE_STEP_US) + 1 & 0xFFFF
                    return diagnostics_echo(self._nonce)
            elif bases:
                base = bases[at % len(bases)][2:]
                for read in _proof_reads(guard, base, polls, others):
                    replies = [bytes((transaction.unit,)) + reply_prefix(read)]
                    if read[0] != base[0]:
                        replies.append(bytes((transaction.unit, read[0] | 0x80)))
                    if not _is_any_due(guard, replies, duplicates, now):
                        return read
        return None


def _is_any_due(
    guard: "UnitGuard", replies: "list[bytes]", duplicates: "DuplicateFilter", now: int
) -> bool:
    """Return whether an older reply, or a copy of one, can begin like one of `replies`."""
    return any(guard.fitting(reply) or duplicates.is_expected(reply, now) for reply in replies)


def _proof_reads(
    guard: "UnitGuard", base: bytes, polls: "list[bytes]", others: "list[int]"
) -> "list[bytes]":
    """Return the reads whose turn it is: a part of `base`, one value by another function, or more.

    The good reply must fit no open request and no expected copy. For another function the exception
    must not fit either, so it proves as much. A longer read is longer than all open polls.
    """
    function = base[0]
    step = 8 if function in BIT_READS else 1  # values by which the length of the reply changes
    counts = range(step, base[3] << 8 | base[4], step)
    turn = guard.turn % _TURNS
    if turn == _LONGER_TURN:
        count = max([p[3] << 8 | p[4] for p in polls if p[:1] == base[:1]]) + step
        counts = range(count, min(count, MAX_READ) + 1)
    elif turn:
        if not others or [1 for r in guard.requests if r.pdu and r.pdu[0] in others]:
            return []
        function, counts = others[guard.turn // _TURNS % len(others)], range(1, 2)
    return [bytes((function, base[1], base[2], n >> 8, n & 0xFF)) for n in counts]
