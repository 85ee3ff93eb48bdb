# SPDX-License-Identifier: Apache-2.0
"""Earliest time of the next session: back-off, pauses, slots of the GNSS receiver, fading signal.

Does not decide what to send; see `agent.satcom.component`.

Back-off. The vendor (RockBLOCK 9704 FAQ) recommends: send immediately without a signal query; after
a failure retry within 0 to 5 s twice, within 0 to 30 s twice, then after minutes. Here the first
retry follows immediately, because most failures are no longer than a fade. The jitter comes from a
small seeded generator: units of a site do not transmit at the same time, and a run is repeatable.
"""

from protocols.modem import sbd
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class TxPermission(Protocol):
        """The service `coexistence`: times when the modem can transmit."""

        def earliest_tx(self, now: int, length: int) -> int:
            """Return the earliest time from `now` on at which `length` may be transmitted."""
            ...

        def announce_tx(self, start: int, end: int) -> None:
            """Announce a transmission from `start` to `end`."""
            ...


_PAUSES_S = ((0, 1), (0, 5), (0, 30), (0, 30))
_LONG_PAUSE_S = (60, 180)
WAIT, HOUR = 180 * SECOND, 3600 * SECOND
_EMPTY_PAUSE_US = 60 * SECOND
_ACQUIRE_US = 10 * SECOND
"""Longest time for which an alarm waits for the network after the radio was switched on."""
_FADING_WAIT_US = 20 * SECOND
"""Longest time for which an attempt waits for a signal that is absent."""
_GOOD_BARS, _WEAK_WAIT_US = 2, 8 * SECOND
"""After a failure: bars for a new session without delay, and the time to wait for them."""
_SESSION_US = 15 * SECOND
"""Duration of a session as announced to the GNSS receiver (`agent.gnss.tx_coexistence`)."""
_PAUSES = {sbd.WAIT: WAIT, sbd.BLOCKED: HOUR, sbd.REJECTED: 600 * SECOND}


class Backoff:
    """Pauses after failures; `attempt` is their number."""

    def __init__(self, seed: int) -> None:
        self.attempt = 0
        self._state = seed & 0x7FFFFFFF

    def reset(self) -> None:
        """Start again after a success."""
        self.attempt = 0

    def next_pause(self) -> int:
        """Return the next pause in µs."""
        low, high = _PAUSES_S[self.attempt] if self.attempt < len(_PAUSES_S) else _LONG_PAUSE_S
        self.attempt += 1
        # Generator of Park and Miller with Schrage's constants (CACM 31, 1988).
        self._state = (self._state * 48_271 + 11) % 2_147_483_647
        return (low * 1000 + self._state % ((high - low) * 1000)) * 1000


class SessionTimer:
    """Times of the last session and of the next one; `tried_at`: the last one began."""

    def __init__(self, seed: int) -> None:
        self.tried_at = 0
        self._backoff = Backoff(seed)
        self._coexistence: TxPermission | None = None
        self._next_try = self._failed_at = 0
        self._pause_until = self._alarm_pause_until = 0

    def connect(self, coexistence: "TxPermission | None") -> None:
        """Use the service `coexistence`, if there is one."""
        self._coexistence = coexistence

    def is_due(self, now: int, alarm: bool = False) -> bool:
        """Return whether a session can begin now; the pauses of an alarm are shorter."""
        pause_until = self._alarm_pause_until if alarm else self._pause_until
        return now >= max(self._next_try, pause_until)

    def advance(self, at: int) -> None:
        """Allow the next session at `at`, if it was to begin later. A pause is not shortened."""
        self._next_try = min(self._next_try, at)

    def is_slot_free(self, alarm: bool, now: int) -> bool:
        """Return whether the GNSS receiver permits a transmission now. An alarm does not wait."""
        free_at = now
        if self._coexistence is not None and not alarm:
            free_at = self._coexistence.earliest_tx(now, _SESSION_US)
            self._next_try = max(self._next_try, free_at)
        return free_at <= now

    def alarm_waits(
        self, now: int, service: "bool | None", bars: "int | None", radio_since: int, since: int
    ) -> bool:
        """Return whether an alarm that waits since `since` needs a better signal.

        It waits only while no satellite is received, and briefly after a failure. A session without
        a signal always fails. After a failure at a weak signal, a retry has more success with the
        next satellite, some seconds later.
        """
        acquiring = service is None and now - radio_since < _ACQUIRE_US
        network_absent = service is False and now - self.tried_at < WAIT and self.tried_at > 0
        no_signal = bars == 0 and now - max(self._failed_at, since) < _FADING_WAIT_US
        signal_weak = (
            self._failed_at > 0
            and (bars or 0) < _GOOD_BARS
            and now - self._failed_at < _WEAK_WAIT_US
        )
        return acquiring or network_absent or no_signal or signal_weak

    def begin(self, now: int) -> None:
        """Handle the begin of a session; it is announced to the GNSS receiver."""
        if self._coexistence is not None:
            self._coexistence.announce_tx(now, now + _SESSION_US)
        self.tried_at = now
        self._next_try = now

    def on_sent(self, now: int) -> None:
        """Handle a session that sent its message."""
        self._backoff.reset()
        self._failed_at = 0
        self._next_try = now

    def on_send_failed(self, now: int, reason_code: str, alarm: bool = False) -> None:
        """Handle a session that did not send its message; `alarm`: the message was one.

        A message that is rejected is no reason for an alarm to wait. For all other pauses an alarm
        waits at most three minutes: a denied session costs nothing, and the reason can end.
        """
        pause = _PAUSES.get(reason_code, 0)
        self._failed_at = now
        self._pause_until = now + pause
        if alarm or reason_code != sbd.REJECTED:
            self._alarm_pause_until = now + min(pause, WAIT)
        self.on_fetch_failed(now)

    def on_fetch_failed(self, now: int) -> None:
        """Handle a session without a message that failed."""
        self._next_try = now + self._backoff.next_pause()


class BackoffFilter:
    """Ring alerts, or fetches, that count: after one without a message a longer pause follows."""

    def __init__(self) -> None:
        self._due = 0
        self._pause = _EMPTY_PAUSE_US

    def reset(self) -> None:
        """Handle a message from the ground: the next pause is the first one."""
        self._pause = _EMPTY_PAUSE_US

    def restart(self) -> None:
        """End the pause too: the next one counts."""
        self.reset()
        self._due = 0

    def is_pausing(self) -> bool:
        """Return whether one was admitted since `restart`."""
        return self._due > 0

    def admit(self, now: int) -> bool:
        """Return whether an alert or a fetch at `now` counts."""
        if now < self._due:
            return False
        self._due = now + self._pause
        self._pause = min(2 * self._pause, HOUR)
        return True
