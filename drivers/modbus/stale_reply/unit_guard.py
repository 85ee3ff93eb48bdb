# SPDX-License-Identifier: Apache-2.0
"""The open requests of one unit, in their order, and the state of the unit.

Does not know the line or the time of a reply; see `guard`. `TABLE` has the states.
"""

from protocols.modbus.pdu import DIAGNOSTICS, UNSIZED, reply_length, reply_prefix
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.transaction import Transaction

MANY = b"\0"
"""In place of the requests of another master that were not counted."""
FORGET_US = 150 * SECOND
"""A guard that has only requests of another master ends after this time without any."""
UNCOUNTED_US = 30 * SECOND
MAX_OPEN = 32
"""Open requests of one unit."""
_MAX_POLLS = 28
"""Of these, the rest is for writes and disambiguating requests."""

SYNCED, HELD, SUSPECT = 0, 1, 2
TIMED_OUT, PROVEN, HOLD_ENDED, FORGOTTEN = 0, 1, 2, 3
TABLE = (
    (SYNCED, TIMED_OUT, HELD),
    (HELD, TIMED_OUT, HELD),
    (HELD, HOLD_ENDED, SUSPECT),
    (HELD, PROVEN, SYNCED),
    (SUSPECT, TIMED_OUT, SUSPECT),
    (SUSPECT, PROVEN, SYNCED),
    (SUSPECT, FORGOTTEN, SYNCED),
)
"""(state, event, next state) of the guard of one unit."""


def next_state(state: int, event: int) -> int:
    """Return the state after `event`. Raises `ValueError` if the table does not have the pair."""
    for before, cause, after in TABLE:
        if before == state and cause == event:
            return after
    raise ValueError("no transition from state %d by event %d" % (state, event))


class OpenRequest:
    """A request whose reply can still come, sent once or several times.

    `first` and `last` are the numbers of its first and last attempt without a reply. `owner` is the
    transaction of all attempts, or None if there are several. `pdu` is empty for any request, and
    `MANY` for an unknown number of any but function 8. The request is kept until `open_until` (us)
    at least; it is closed if `first` is above `last`. The last attempt was sent at `sent_at`.
    `is_foreign`: it is that of another master. If `beside` is not 0, the unit can have received it
    before our attempt of that number and those after it, or later.
    """

    __slots__ = (
        "beside",
        "first",
        "is_foreign",
        "last",
        "length",
        "open_until",
        "owner",
        "pdu",
        "reply_prefix",
        "sent_at",
    )

    def __init__(self, unit: int, pdu: bytes, number: int, owner: "Transaction | None") -> None:
        self.set_pdu(unit, pdu)
        self.first = self.last = number
        self.open_until = self.sent_at = self.beside = 0
        self.owner = owner
        self.is_foreign = True

    def set_pdu(self, unit: int, pdu: bytes) -> None:
        """Set the request and the shape of its reply."""
        self.pdu = pdu
        is_known = pdu not in (b"", MANY)
        self.reply_prefix = bytes((unit,)) + (reply_prefix(pdu) if is_known else b"")
        self.length = reply_length(pdu) + 3 if is_known and pdu[0] not in UNSIZED else 0

    def fits(self, reply: bytes) -> bool:
        """Return whether `reply` (from the unit address on) can be the reply to this request."""
        if self.pdu == MANY:
            return reply[1] & 0x7F != DIAGNOSTICS
        if reply[1] & 0x80:
            return not self.pdu or self.pdu[0] == reply[1] & 0x7F
        return reply.startswith(self.reply_prefix)

    def has_shape_of(self, other: "OpenRequest") -> bool:
        """Return whether the good replies to both requests look alike."""
        return self.reply_prefix == other.reply_prefix and self.length == other.length

    def fits_frame(self, frame: bytes, missing: int = 0) -> bool:
        """Return whether a whole frame, of which `missing` bytes are cut off, can be the reply."""
        is_sized = self.length and not frame[1] & 0x80
        return self.fits(frame) and (not is_sized or len(frame) + missing == self.length)


class UnitGuard:
    """The open requests of one unit; times are in microseconds.

    `is_uncounted`: once the number of open requests was not known. `refuses_diagnostics`: an
    exception to function 8 came that can be an older one. `turn` is the kind of the last
    disambiguating request.
    """

    __slots__ = (
        "hold_until",
        "is_uncounted",
        "refuses_diagnostics",
        "requests",
        "state",
        "turn",
    )

    def __init__(self) -> None:
        self.state = SYNCED
        self.requests: list[OpenRequest] = []
        self.hold_until = 0
        self.turn = -1
        self.is_uncounted = self.refuses_diagnostics = False

    def fitting(self, reply: bytes) -> "list[OpenRequest]":
        """Return the requests to which `reply` (from the unit address on) can be the reply."""
        return [request for request in self.requests if request.fits(reply)]

    def close_earliest(self, fitting: "list[OpenRequest]", now: int) -> None:
        """Close the earliest attempt of the `fitting` requests, and all attempts before it.

        None is closed if the reply began to come at `now`, before this attempt was sent. The reply
        to a request of another master that came beside an attempt of ours does not close this one,
        also if we have sent an equal request.
        If a reply of no clear shape can be to either of both, none of both is closed.
        """
        answered = None
        for request in fitting:
            if request.first <= request.last and (
                answered is None or request.first < answered.first
            ):
                answered = request
        if answered is not None and now > answered.sent_at:
            earliest = answered.first
            limit = earliest + 1
            own_limit = min(limit, answered.beside or limit)
            for request in fitting:
                is_unclear = not answered.is_foreign and 0 < request.beside <= earliest
                if is_unclear and not request.has_shape_of(answered):
                    limit = own_limit = earliest
                    self.is_uncounted = True
            can_be_foreign = answered.is_foreign or answered.beside
            for request in self.requests:
                is_own = can_be_foreign and not (request.is_foreign or request is answered)
                if now >= request.open_until or (request.first == earliest and not is_own):
                    request.first = max(request.first, own_limit if is_own else limit)
        self.remove_closed(now)

    def close_all(self, now: int) -> None:
        """Close and remove all requests whose reply cannot come out of order any more."""
        self.requests = [request for request in self.requests if now < request.open_until]

    def remove_closed(self, now: int) -> None:
        """Remove closed requests whose time has passed.

        If the number of open requests was unknown, no count closes all of them: each ends after
        `UNCOUNTED_US`, as `MANY` does. The entry that can be any request also ends then: it fits
        each reply, so there is no proof while it is open.
        """
        kept = []
        for request in self.requests:
            is_open = request.first <= request.last
            if request.pdu == MANY or (is_open and (self.is_uncounted or not request.pdu)):
                is_open = now < request.open_until + UNCOUNTED_US
            if is_open or now < request.open_until:
                kept.append(request)
        self.requests = kept

    def is_full_for(self, pdu: bytes) -> bool:
        """Return whether a poll must wait: it would be one more open request than is kept apart."""
        if len(self.requests) < _MAX_POLLS:
            return False
        return True not in [request.pdu == pdu for request in self.requests]

    def join_earliest(self, unit: int) -> bool:
        """Let one entry stand for the two requests of another master whose time ends first.

        It fits every reply, so it must end early: with the later of both. Its fields are those that
        close fewer requests of ours. Returns whether there are two.
        """
        foreign = [r for r in self.requests if r.is_foreign and r.pdu != MANY]
        if len(foreign) <= 1:
            return False
        foreign.sort(key=lambda request: request.open_until)
        kept, other = foreign[0], foreign[1]
        self.requests.remove(other)
        kept.set_pdu(unit, b"")
        kept.owner = None
        kept.first = min(kept.first, other.first)
        kept.last = max(kept.last, other.last)
        kept.open_until = other.open_until
        kept.sent_at = max(kept.sent_at, other.sent_at)
        kept.beside = min(kept.beside or other.beside, other.beside or kept.beside)
        return True

    def handle(self, event: int) -> None:
        """Change the state by an event of the table."""
        self.state = next_state(self.state, event)
