# SPDX-License-Identifier: Apache-2.0
"""The states of one controller of a redundant pair on one RS-485 line, as a pure function.

Does no input or output, and reads no clock: the caller reports what the port and the link received,
and the time since the last report. Two functions tell what the controller may do in a state:
`request_of` and `may_write`.

The frames on the line are the lease. The standby listens. It asks one device after `silence_ms`
without a frame (probe), then reads all devices for `read_ms`, and only then writes. The active
controller stops when it has no reply to its own request for `resign_ms`. The link between both
controllers carries their states. It makes takeovers faster or stops them; it never permits one.

    LISTEN    after a start: only receives
    STANDBY   receives, and answers the beacons of the active controller
    PROBE     the line was silent: one read request
    READ      polls all devices, writes nothing
    ACTIVE    polls and writes
    OFFER     was active, and offers the role to a peer that is ready (planned swap)
    QUIET     gave up the role, or its probe failed: sends nothing for a time
    OUT       taken out of the pair by a command, or because its port sent without end
"""

from collections import namedtuple

LISTEN, STANDBY, PROBE, READ, ACTIVE, OFFER, QUIET, OUT = 0, 1, 2, 3, 4, 5, 6, 7

NO_WORD, WORD_OTHER, WORD_READY, WORD_ACTIVE, WORD_OFFER = 0, 1, 2, 3, 4
"""State of the peer over the link: unknown; any other; standby that receives the frames of the
line; active with replies; it offers its role."""

NO_BEACON, OLDER_BEACON, NEWER_BEACON = 0, 1, 2
"""A beacon of an active peer on the line: none, or with an epoch below the own one, or not below.
"""

NO_COMMAND, TAKE_OUT, TAKE_IN, SWAP = 0, 1, 2, 3
"""Commands of operators, or of the controller itself: `SWAP` when it is less fit than its peer."""

NO_REQUEST, PROBE_REQUEST, POLL_REQUEST = 0, 1, 2

Timers = namedtuple(
    "Timers",
    (
        "resign_ms",  # ACTIVE without a reply to an own request
        "silence_ms",  # line without a frame, before a probe
        "collision_ms",  # more silence after a probe that collided
        "probe_ms",  # time for the reply to the probe
        "read_ms",  # READ before the first write
        "lapse_ms",  # ACTIVE after a time without a reply, before the next write
        "read_reply_ms",  # longest time between two replies in READ
        "read_limit_ms",  # READ gives up if the caller is not ready
        "pause_step_ms",  # a step of this length is a pause: the controller did not listen
        "listen_ms",  # LISTEN, and the shortest QUIET
        "relisten_ms",  # LISTEN after QUIET
        "offer_ms",  # time for the peer to take an offer
        "link_ms",  # a word of the peer is fresh
        "pause_ms",  # longest pause after failed probes
    ),
)
"""Times of the table in milliseconds. They keep: longest silence of an active controller (300)
< resign_ms < silence_ms; resign_ms + silence_ms + probe_ms + read_ms < 2000. `lapse_ms` is READ of
the peer and two of its beacons (500 each). `listen_ms` of both controllers differ by at least
silence_ms + probe_ms. `collision_ms` differs by more than one frame, else two probes collide again
and again."""

LineEvents = namedtuple(
    "LineEvents", ("reply", "request", "garbage", "beacon", "word", "command", "ready")
)
"""What was received since the last step. `reply`: a reply to the own request. `request`: a valid
request of another master. `garbage`: bytes that are neither. `beacon`, `word`, `command`: constants
of this module. `ready`: all actuators were read or are known as failed, and the next epoch is
durable."""

SILENCE = LineEvents(
    reply=False,
    request=False,
    garbage=False,
    beacon=NO_BEACON,
    word=NO_WORD,
    command=NO_COMMAND,
    ready=True,
)

PairState = namedtuple(
    "PairState",
    (
        "role",
        "role_ms",  # time in this role, as far as a rule needs it
        "reply_ms",  # time since the last reply to an own request (READ, ACTIVE)
        "silence_ms",  # time without a frame of another master (LISTEN, STANDBY, ACTIVE)
        "word",  # last word of the peer, NO_WORD when it is not fresh
        "word_ms",
        "disturbed",  # garbage since the last own reply (ACTIVE); the last probe collided (STANDBY)
        "conflicts",  # beacons with an older epoch (ACTIVE)
        "failed_probes",
    ),
)
"""State of one controller. Two states that no rule tells apart are equal, so that a model can count
them."""

_FIRST_PAUSE_MS = 1000
_MAX_CONFLICTS = 2


def timers_of(node: str) -> Timers:
    """Return the times of node `a` or `b`. `tests/agent/redundancy` explores all states."""
    return Timers(
        resign_ms=400,
        silence_ms=500,
        collision_ms=0 if node == "a" else 200,
        probe_ms=100,
        read_ms=900,
        lapse_ms=1900,
        read_reply_ms=300,
        read_limit_ms=3000,
        pause_step_ms=200,
        listen_ms=1000 if node == "a" else 1600,
        relisten_ms=700,
        offer_ms=500,
        link_ms=400,
        pause_ms=30_000,
    )


def start() -> PairState:
    """Return the state after a start of the controller."""
    return _enter(LISTEN, NO_WORD, 0, 0)


def _enter(role: int, word: int, word_ms: int, failed_probes: int) -> PairState:
    return PairState(
        role=role,
        role_ms=0,
        reply_ms=0,
        silence_ms=0,
        word=word,
        word_ms=word_ms,
        disturbed=False,
        conflicts=0,
        failed_probes=failed_probes,
    )


def request_of(state: PairState) -> int:
    """Return the requests that the controller may send in `state`."""
    if state.role == PROBE:
        return PROBE_REQUEST if state.role_ms == 0 else NO_REQUEST
    return POLL_REQUEST if state.role in (READ, ACTIVE) else NO_REQUEST


def may_write(state: PairState, timers: Timers) -> bool:
    """Return whether the controller may write to an actuator, stops included.

    It must be active, with a fresh reply to its own request, and without garbage since then.
    """
    if state.role != ACTIVE or state.disturbed or state.role_ms > 0:
        return False
    is_fresh: bool = state.reply_ms < timers.resign_ms
    return is_fresh


def word_of(state: PairState, timers: Timers) -> int:
    """Return what the controller tells its peer over the link."""
    if state.role == ACTIVE:
        return WORD_ACTIVE
    if state.role == OFFER:
        return WORD_OFFER
    return WORD_READY if state.role == STANDBY and not is_isolated(state, timers) else WORD_OTHER


def is_isolated(state: PairState, timers: Timers) -> bool:
    """Return whether the peer is active by its word, while the line is silent."""
    is_silent: bool = state.silence_ms >= timers.silence_ms
    return is_silent and state.word == WORD_ACTIVE


def step(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> PairState:
    """Return the state `elapsed_ms` after `state`, with what was received at the end of this time.

    Call it for each frame, and before each request, at least each 100 ms.
    """
    state = _with_word(state, events, elapsed_ms, timers)
    if events.command == TAKE_OUT:
        return _enter(OUT, state.word, state.word_ms, 0)
    return _RULES[state.role](state, events, elapsed_ms, timers)


def _with_word(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> PairState:
    word, word_ms = events.word, 0
    if word == NO_WORD and state.word != NO_WORD:
        word, word_ms = state.word, state.word_ms + elapsed_ms
        if word_ms >= timers.link_ms:
            word, word_ms = NO_WORD, 0
    return PairState(*state[:4], word, word_ms, *state[6:])


def _go(state: PairState, role: int) -> PairState:
    return _enter(role, state.word, state.word_ms, state.failed_probes)


def _fail(state: PairState) -> PairState:
    """Go to QUIET after a probe without a reply, or a takeover that was not possible."""
    return _enter(QUIET, state.word, state.word_ms, min(state.failed_probes + 1, 6))


def _age(state: PairState, role_ms: int, reply_ms: int, silence_ms: int) -> PairState:
    return PairState(state.role, role_ms, reply_ms, silence_ms, *state[4:])


def _silence_after(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> int:
    """Return the time without a frame of another master, capped.

    A controller that was paused did not listen in this time.
    """
    if events.request or events.garbage or elapsed_ms > timers.read_reply_ms:
        return 0
    longest_ms: int = timers.silence_ms + timers.collision_ms
    silence_ms: int = state.silence_ms + elapsed_ms
    return min(silence_ms, longest_ms)


def _listen(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> PairState:
    if events.request:
        return _enter(STANDBY, state.word, state.word_ms, 0)
    if events.word == WORD_ACTIVE:
        return _go(state, STANDBY)
    silence_ms = _silence_after(state, events, elapsed_ms, timers)
    role_ms = min(state.role_ms + elapsed_ms, timers.listen_ms)
    if role_ms >= timers.listen_ms and silence_ms >= timers.silence_ms:
        return _go(state, PROBE)
    return _age(state, role_ms, 0, silence_ms)


def _standby(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> PairState:
    if events.word == WORD_OFFER:
        return _go(state, READ)
    silence_ms = _silence_after(state, events, elapsed_ms, timers)
    needed_ms = timers.silence_ms + (timers.collision_ms if state.disturbed else 0)
    if silence_ms >= needed_ms and state.word != WORD_ACTIVE:
        return _go(state, PROBE)
    disturbed = state.disturbed and not events.request
    if events.request and state.failed_probes > 0:
        state = PairState(*state[:8], 0)
    return PairState(STANDBY, 0, 0, silence_ms, state.word, state.word_ms, disturbed, *state[7:])


def _probe(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> PairState:
    if events.word == WORD_ACTIVE:
        return _go(state, STANDBY)
    if events.request or events.garbage:
        return PairState(
            role=STANDBY,
            role_ms=0,
            reply_ms=0,
            silence_ms=0,
            word=state.word,
            word_ms=state.word_ms,
            disturbed=True,
            conflicts=0,
            failed_probes=state.failed_probes,
        )
    if events.reply:
        return _enter(READ, state.word, state.word_ms, 0)
    role_ms = state.role_ms + elapsed_ms
    if role_ms >= timers.probe_ms:
        return _fail(state)
    return _age(state, role_ms, 0, 0)


def _read(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> PairState:
    if events.request or events.garbage or events.word == WORD_ACTIVE:
        return _go(state, STANDBY)
    reply_ms = 0 if events.reply else state.reply_ms + elapsed_ms
    if reply_ms > timers.read_reply_ms:
        return _fail(state)
    if elapsed_ms >= timers.pause_step_ms:
        # It did not listen in this time: the other controller can be active again.
        return _age(state, 0, reply_ms, 0)
    role_ms = state.role_ms + elapsed_ms
    if role_ms >= timers.read_ms:
        if events.ready and events.reply:
            return _enter(ACTIVE, state.word, state.word_ms, 0)
        if role_ms >= timers.read_limit_ms:
            return _fail(state)
    return _age(state, role_ms, reply_ms, 0)


def _active(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> PairState:
    # Each reply shows that the devices receive this controller: conflicts before it do not count.
    conflicts = (0 if events.reply else state.conflicts) + (events.beacon == OLDER_BEACON)
    if events.beacon == NEWER_BEACON or conflicts >= _MAX_CONFLICTS:
        return _go(state, QUIET)
    # After a pause the time is over, even if a reply waited in the buffer of the port: it is old.
    is_paused = elapsed_ms >= timers.pause_step_ms
    is_late = is_paused and state.reply_ms + elapsed_ms >= timers.resign_ms
    reply_ms = 0 if events.reply else min(state.reply_ms + elapsed_ms, timers.resign_ms)
    # The requests of a third master: as long as both controllers receive them, the standby does
    # not take over. So this controller stays active, and writes again after its next reply.
    silence_ms = 0 if events.request else min(state.silence_ms + elapsed_ms, timers.resign_ms)
    if is_late or (reply_ms >= timers.resign_ms and silence_ms >= timers.resign_ms):
        return _go(state, QUIET)
    # These requests can be those of a peer in READ that did not receive this controller. Within
    # `lapse_ms` the peer is active. Then its beacons are received, or they collide: garbage.
    has_lapsed = state.reply_ms + elapsed_ms > timers.resign_ms
    wait_ms = timers.lapse_ms if has_lapsed else max(0, state.role_ms - elapsed_ms)
    if state.role_ms > 0 and events.garbage:
        wait_ms = max(wait_ms, timers.read_ms)
    if events.command == SWAP and state.word == WORD_READY:
        return _go(state, OFFER)
    disturbed = events.garbage or (state.disturbed and not events.reply)
    times = (wait_ms, reply_ms, silence_ms)
    return PairState(ACTIVE, *times, state.word, state.word_ms, disturbed, conflicts, 0)


def _offer(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> PairState:
    if events.request:
        return _go(state, STANDBY)
    role_ms = state.role_ms + elapsed_ms
    if role_ms >= timers.offer_ms:
        return _go(state, QUIET)
    return _age(state, role_ms, 0, 0)


def _quiet(state: PairState, events: LineEvents, elapsed_ms: int, timers: Timers) -> PairState:
    if events.request and state.failed_probes > 0:
        # The port receives again: the long pause after failed probes ends.
        state = PairState(*state[:8], 0)
    pause_ms = timers.listen_ms
    if state.failed_probes > 0:
        pause_ms = max(pause_ms, min(_FIRST_PAUSE_MS << state.failed_probes - 1, timers.pause_ms))
    role_ms = state.role_ms + elapsed_ms
    if role_ms >= pause_ms:
        # The pause keeps both controllers apart already: a part of LISTEN is enough.
        return _age(_go(state, LISTEN), timers.listen_ms - timers.relisten_ms, 0, 0)
    return _age(state, role_ms, 0, 0)


def _out(state: PairState, events: LineEvents, _: int, __: Timers) -> PairState:
    return _go(state, LISTEN) if events.command == TAKE_IN else _age(state, 0, 0, 0)


_RULES = (_listen, _standby, _probe, _read, _active, _offer, _quiet, _out)
