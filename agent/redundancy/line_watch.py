# SPDX-License-Identifier: Apache-2.0
"""What one controller of a pair receives on its RS-485 line: replies, other masters, garbage.

Does not send and does not decide; see `pair_table`. The frames come from the sniffer of the
protocol package, which also gets the frames that the controller itself sends. So a reply counts
only for the request before it on the line. A frame that is equal to the last own request is the
echo of the adapter, if it comes once, soon, and before a reply. The other controller can send the
same request later.

A controller that sends for more than 60 % of the time has an error in its code.
"""

from agent.redundancy.pair_table import LineEvents
from protocols.modbus.sniffer import (
    EXCEPTION,
    REPLY,
    REQUEST,
    UNANSWERED,
    UNSOLICITED,
    Sniffer,
)
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus.sniffer import SniffedFrame


_LATE_US = SECOND
"""Time in which a late reply to an own request can come."""
_ECHO_US = 50 * MILLISECOND
"""Longest delay of the echo of an adapter."""
_DUTY_US, _MOST_SENT_US = 2 * SECOND, 1_200_000
"""Time in which the own frames are counted, and their longest duration in it."""
_LEAST_FRAME = 4
"""Fewer bytes are noise, and not the rest of a request that another master has sent."""


class LineWatch:
    """The listener of one line. `char_us` is the time of a character in microseconds.

    `unit` and `peer_unit` are the addresses of both controllers. `beacons` holds the frames to
    `unit`, `beacon_replies` the replies of `peer_unit`; the owner takes them. `is_babbling`: too
    many own frames; the owner sends no more, and resets it.
    """

    def __init__(self, char_us: int, unit: int, peer_unit: int) -> None:
        self._unit = unit
        self._peer_unit = peer_unit
        self.beacons: list[bytes] = []
        self.beacon_replies: list[bytes] = []
        self._char_us = char_us
        self._sniffer = Sniffer(char_us)
        self.is_babbling = False
        self._duty_since = self._sent_us = 0
        self._own: SniffedFrame | None = None
        self._echo_until = 0
        self._recent: list[tuple[int, int, int]] = []  # unit, function, time of own requests
        self.replied_unit = 0
        self.has_same_node = False
        self._reply = self._request = self._garbage = False

    def deadline(self) -> int:
        """Return the time of the next `wake`, monotonic microseconds."""
        return self._sniffer.deadline()

    def sent(self, frame: bytes, now: int) -> None:
        """Take a frame that the controller begins to send at `now`."""
        self._own = None
        frame_us = len(frame) * self._char_us
        if now - self._duty_since >= _DUTY_US:
            self._duty_since, self._sent_us = now, 0
        self._sent_us += frame_us
        self.is_babbling = self.is_babbling or self._sent_us > _MOST_SENT_US
        for event in self._sniffer.feed(frame, now + frame_us):
            if event.kind == REQUEST:
                self._own = event
                self._echo_until = event.end + _ECHO_US
                self._recent = [entry for entry in self._recent if now - entry[2] < _LATE_US]
                self._recent.append((event.unit, event.function, now))
            else:
                self._take(event)

    def receive(self, data: bytes, now: int) -> None:
        """Take received bytes; `now` is the arrival of the last one."""
        for event in self._sniffer.feed(data, now):
            self._take(event)

    def wake(self, now: int) -> None:
        """Handle the passing of time."""
        for event in self._sniffer.wake(now):
            self._take(event)

    def _take(self, event: "SniffedFrame") -> None:
        own = self._own
        if event.kind in (REPLY, EXCEPTION):
            if own is None or event.request is not own:
                return
            self._echo_until = 0
            if event.unit == self._peer_unit:
                self.beacon_replies.append(event.data)
            else:
                self._reply = True
                self.replied_unit = event.unit
        elif event.kind == REQUEST:
            is_echo = own is not None and event.data == own.data
            if is_echo and event.end <= self._echo_until:
                self._echo_until = 0
                self._own = event  # the echo of the adapter: the reply belongs to it
            else:
                self._request = True
                if event.unit == self._unit:
                    self.beacons.append(event.data)
                elif event.unit == self._peer_unit:
                    self.has_same_node = True  # only a controller of the same letter asks it
        elif event.kind == UNSOLICITED:
            self._garbage = self._garbage or not self._is_late(event)
        elif event.kind != UNANSWERED and len(event.data) >= _LEAST_FRAME:
            self._garbage = True

    def _is_late(self, event: "SniffedFrame") -> bool:
        """Return whether the frame can be a late or second reply to an own request."""
        return (event.unit, event.function) in [entry[:2] for entry in self._recent]

    def take_events(self, beacon: int, word: int, command: int, ready: bool) -> LineEvents:
        """Return what was received since the last call, with the other events."""
        seen = (self._reply, self._request, self._garbage)
        self._reply = self._request = self._garbage = False
        return LineEvents(*seen, beacon, word, command, ready)
