# SPDX-License-Identifier: Apache-2.0
"""The states of a session of the 9602/9603 driver, as a table.

    state     command          ends with
    IDLE      -                -
    CHECK     AT+SBDS          LOADED: the buffer has the message; EMPTY: the modem restarted
    TRANSFER  AT+SBDWB         STORED, or REFUSED: transfer again
    CLEAR     AT+SBDD0         STORED: the buffer is empty
    SESSION   AT+SBDIX         SENT: success with a new number; END: failed, or a fetch
    CONFIRM   AT+SBDS          END: sent if the buffer still has the message, else not accepted

END leads to IDLE from each state. Does not send commands; see `drivers.modems.sbd`.
"""

IDLE, CHECK, TRANSFER, CLEAR, SESSION, CONFIRM = range(6)
STATE_NAMES = ("idle", "check", "transfer", "clear", "session", "confirm")
SEND, SEND_AGAIN, FETCH, LOADED, EMPTY, STORED, REFUSED, SENT, END = range(9)

TABLE = (
    (IDLE, SEND, TRANSFER),
    (IDLE, SEND_AGAIN, CHECK),
    (IDLE, FETCH, CLEAR),
    (CHECK, LOADED, SESSION),
    (CHECK, EMPTY, TRANSFER),
    (TRANSFER, STORED, SESSION),
    (TRANSFER, REFUSED, TRANSFER),
    (CLEAR, STORED, SESSION),
    (SESSION, SENT, CONFIRM),
)
"""Rows (state, event, next state); an event without a row changes nothing."""


def next_state(state: int, event: int) -> int:
    """Return the state after `event`."""
    if event == END:
        return IDLE
    for row in TABLE:
        if row[0] == state and row[1] == event:
            return row[2]
    return state
