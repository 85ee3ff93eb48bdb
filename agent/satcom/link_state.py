# SPDX-License-Identifier: Apache-2.0
"""The states of the satellite link, as a table.

    state          the radio   a session      leaves by
    OFF            off         none           RADIO_ON: a window or an alarm, and no rule bars
    IDLE           on          none           SEND, FETCH, RADIO_OFF
    SENDING        on          of a message   END: sent or failed, RADIO_OFF: a rule bars
    FETCHING       on          empty          END, RADIO_OFF
    SENDING_LAST   off at END  of a message   END, RADIO_ON
    FETCHING_LAST  off at END  empty          END, RADIO_ON

A session in progress ends normally. A lost or restarted modem ends it as failed: the driver reports
that, or it is no longer busy. Does not act; see `agent.satcom.component`. The states of the session
at the modem, with the number that must be new, are in `drivers.modems.sbd_state`.
"""

OFF, IDLE, SENDING, FETCHING, SENDING_LAST, FETCHING_LAST = range(6)
STATE_NAMES = ("off", "idle", "sending", "fetching", "sending last", "fetching last")
RADIO_ON, RADIO_OFF, SEND, FETCH, END = range(5)

TABLE = (
    (OFF, RADIO_ON, IDLE),
    (IDLE, RADIO_OFF, OFF),
    (IDLE, SEND, SENDING),
    (IDLE, FETCH, FETCHING),
    (SENDING, END, IDLE),
    (SENDING, RADIO_OFF, SENDING_LAST),
    (FETCHING, END, IDLE),
    (FETCHING, RADIO_OFF, FETCHING_LAST),
    (SENDING_LAST, END, OFF),
    (SENDING_LAST, RADIO_ON, SENDING),
    (FETCHING_LAST, END, OFF),
    (FETCHING_LAST, RADIO_ON, FETCHING),
)
"""Rows (state, event, next state); an event without a row changes nothing."""


def next_state(state: int, event: int) -> int:
    """Return the state after `event`."""
    for row in TABLE:
        if row[0] == state and row[1] == event:
            return row[2]
    return state


def radio_is_on(state: int) -> bool:
    """Return whether the radio is to stay on."""
    return IDLE <= state <= FETCHING


def in_session(state: int) -> bool:
    """Return whether a session is in progress."""
    return state >= SENDING
