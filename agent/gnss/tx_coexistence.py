# SPDX-License-Identifier: Apache-2.0
"""Coexistence of the modem's transmitter and the GNSS receiver.

Does not control the modem; see `agent.satcom.component`.

An L-band terminal transmits 41 to 65 MHz beside the satellite signals. It can saturate the first
amplifier of the receiver, and no later filter can remove that. Therefore:

- The modem announces each transmission with `announce_tx(start, end)` before it begins.
- An epoch in such a window is marked as affected: its C/N0 does not count for the detectors. It is
  compared with the epochs between transmissions. The difference is the *desensitisation*.
- A component that needs an epoch calls `reserve(start, end)`. The modem calls
  `earliest_tx(now, length)` before it transmits. While the clock needs the receiver (no UTC yet,
  leap seconds unknown, not trusted), this time is reserved too, but for `wait_us` at most:
  jamming must not silence the link.

Times are monotonic µs, levels 1/256 dBHz.
"""

from protocols.time_units import SECOND

_MAX_WINDOWS = 8
_INTEGRATION_US = SECOND
"""The C/N0 of a receiver is a mean over about one second."""
_SCALE = 256
_MIN_SAMPLES = 4
MAX_RESERVATION = 900 * SECOND
"""Longest reservation: 15 minutes."""


class TxCoexistence:
    """The coexistence; see the module. `tx_affected` counts epochs during a transmission.
    `desense`: loss in 1/256 dB, None if unknown.
    """

    def __init__(self, wait_us: int = 0) -> None:
        self.tx_affected = 0
        self.desense: int | None = None
        self._wait_us = wait_us
        self._windows: list[tuple[int, int]] = []
        self._reserved: list[tuple[int, int]] = []
        self._priority_since: int | None = None
        self._sample_count = 0

    def announce_tx(self, start: int, end: int) -> None:
        """Announce a transmission from `start` to `end`."""
        self._windows = self._windows[1 - _MAX_WINDOWS :] + [(start, end)]

    def reserve(self, start: int, end: int) -> None:
        """Request that nothing is transmitted from `start` to `end`."""
        window = (start, min(end, start + MAX_RESERVATION))
        self._reserved = sorted(self._reserved[1 - _MAX_WINDOWS :] + [window])

    def set_rx_priority(self, needed: bool, now: int) -> None:
        """Set whether the clock needs every epoch."""
        if not needed:
            self._priority_since = None
        elif self._priority_since is None:
            self._priority_since = now

    def earliest_tx(self, now: int, length: int) -> int:
        """Return the earliest time from `now` on at which `length` may be transmitted."""
        at = now
        since = self._priority_since
        if since is not None:
            at = max(at, since + self._wait_us)
        for start, end in self._reserved:
            if at < end and start < at + length:
                at = end
        return at

    def is_tx_affected(self, epoch_us: int) -> bool:
        """Return whether the epoch was measured during a transmission."""
        for start, end in self._windows:
            if start <= epoch_us and epoch_us - _INTEGRATION_US <= end:
                return True
        return False

    def add_tx_epoch(self, level: int, usual: "int | None") -> None:
        """Add the level of an affected epoch. `usual` is the level between transmissions."""
        self.tx_affected += 1
        if usual is None:
            return
        self._sample_count += 1
        loss = usual - level
        if self.desense is None:
            self.desense = loss
        self.desense += (loss - self.desense) // min(self._sample_count, 16)

    def desense_centi_db(self) -> int:
        """Return the loss in 1/100 dB, 0 before four epochs have shown it."""
        if self.desense is None or self._sample_count < _MIN_SAMPLES:
            return 0
        return self.desense * 100 // _SCALE
