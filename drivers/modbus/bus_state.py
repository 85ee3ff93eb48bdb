# SPDX-License-Identifier: Apache-2.0
"""The states of one bus, as a table.

Does not act: `drivers.modbus.bus` reports events and acts by the state. The state tells what is on
the wire. Times, such as the idle time before a request, stay with `line_timer`.
"""

CLOSED, IDLE, DRAIN, WAIT_REPLY, DEFERRED = 0, 1, 2, 3, 4
"""The port is closed; the port is open, no request is on the wire; the same after a time-out, a
late reply can come; a request is on the wire; a reply came that can be a part of a longer frame."""

OPENED, PORT_LOST, SENT, REPLIED, TIMED_OUT, DEFER, DECIDED = 0, 1, 2, 3, 4, 5, 6
"""The port opened; it closed, failed, or the bus closed it; a request was written; the reply is
complete, good or not; the time for it passed; a reply waits for silence or for more bytes; these
came."""

TABLE = (
    (CLOSED, OPENED, IDLE),
    (CLOSED, PORT_LOST, CLOSED),
    (IDLE, SENT, WAIT_REPLY),
    (IDLE, PORT_LOST, CLOSED),
    (DRAIN, SENT, WAIT_REPLY),
    (DRAIN, PORT_LOST, CLOSED),
    (WAIT_REPLY, REPLIED, IDLE),
    (WAIT_REPLY, TIMED_OUT, DRAIN),
    (WAIT_REPLY, DEFER, DEFERRED),
    (WAIT_REPLY, PORT_LOST, CLOSED),
    (DEFERRED, DECIDED, WAIT_REPLY),
    (DEFERRED, PORT_LOST, CLOSED),
)
"""(state, event, next state)."""

_EVENTS = 7
_NONE = 255


def _build_index() -> bytes:
    """Return the next states, by state and event; built once at import."""
    index = bytearray([_NONE] * (_EVENTS * (DEFERRED + 1)))
    for before, event, after in TABLE:
        index[_EVENTS * before + event] = after
    return bytes(index)


_INDEX = _build_index()
AFTER_SENT = {before: after for before, event, after in TABLE if event == SENT}
AFTER_REPLY = {before: after for before, event, after in TABLE if event == REPLIED}
"""The next state after the two events of each request, by state: faster than `next_state`."""


def next_state(state: int, event: int) -> int:
    """Return the state after `event`. Raises `ValueError` if the table does not have the pair."""
    after = _INDEX[_EVENTS * state + event]
    if after == _NONE:
        raise ValueError("no transition from state %d by event %d" % (state, event))
    return after
