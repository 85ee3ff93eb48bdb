# SPDX-License-Identifier: Apache-2.0
"""The states of one device session, as tables: its communication, and its requested outputs.

Does not act: `agent.fieldbus.device_session` and `agent.fieldbus.write_cycle` report events and act
by the states. How many cycles were silent, which request is on the bus and how many rounds have
passed are their data. The identity of the device is not a part of the tables.
"""

UNKNOWN, ONLINE, LOST = 0, 1, 2
"""The device has not replied yet; it replies; it did not reply for some cycles."""

ANSWERED, MISSED = 0, 1
"""A good reply; some cycles in a row without one."""

COMM_TABLE = (
    (UNKNOWN, ANSWERED, ONLINE),
    (ONLINE, MISSED, LOST),
    (LOST, ANSWERED, ONLINE),
)
"""(state, event, next state) of the communication."""

NONE, PENDING, WAITING, SENT, VERIFIED = 0, 1, 2, 3, 4
"""Nothing is requested; the batch is not made (unknown device, values that cannot be encoded, or
the loops decide first); the batch of an older request is on the bus; the batch is made; a poll
round that began after the batch shows the values."""

REQUESTED, BUSY, WRITTEN, READ_BACK, NOT_READ_BACK, WITHHELD = 0, 1, 2, 3, 4, 5
"""New values, or the same ones again; an older batch is on the bus; a batch is made and its first
request is on the bus; a round shows the values; the device is silent or shows another value; the
request is dropped."""

WRITE_TABLE = (
    (NONE, REQUESTED, PENDING),
    (PENDING, REQUESTED, PENDING),
    (WAITING, REQUESTED, PENDING),
    (SENT, REQUESTED, PENDING),
    (VERIFIED, REQUESTED, PENDING),
    (PENDING, BUSY, WAITING),
    (PENDING, WRITTEN, SENT),
    (SENT, READ_BACK, VERIFIED),
    (VERIFIED, READ_BACK, VERIFIED),
    (VERIFIED, NOT_READ_BACK, SENT),
    (PENDING, WITHHELD, NONE),
    (WAITING, WITHHELD, NONE),
    (SENT, WITHHELD, NONE),
    (VERIFIED, WITHHELD, NONE),
)
"""(state, event, next state) of the requested outputs."""


def next_state(state: int, event: int, table: "tuple[tuple[int, int, int], ...]") -> int:
    """Return the state after `event`. Raises `ValueError` if the table does not have the pair."""
    for before, cause, after in table:
        if before == state and cause == event:
            return after
    raise ValueError("no transition from state %d by event %d" % (state, event))
