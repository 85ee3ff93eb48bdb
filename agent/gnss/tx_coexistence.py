"""Our own modem and our own receiver: transmissions announced, epochs tagged, harm measured.

An L-band terminal transmits 41 to 65 MHz beside the satellites' signals; it may drive the
receiver's first amplifier into saturation, and no filter can remove that afterwards. So:

- whoever transmits calls `announce(start, end)` with the window, before it begins;
- an epoch that lies in a window is *tagged*: its C/N0 does not vote, and is compared with the
  epochs between transmissions. The difference is the *desense*, which may be an alarm;
- whoever needs an epoch calls `reserve(start, end)`; who transmits asks `clear(now, length)` when
  it may begin. The time in which the clock needs the sky (no label yet, leap seconds not known,
  not trusted) is reserved too, for `wait_us` at most: a jammed sky must not silence the link.

Times are monotonic microseconds, levels 1/256 dBHz.
"""

from protocols.time_units import SECOND

_MAX_WINDOWS = 8
_INTEGRATION = SECOND
"""A receiver's C/N0 is a mean of about the second before."""
_SCALE = 256
_MIN_SAMPLES = 4
MAX_RESERVATION = 900 * SECOND
"""No reservation is longer than 15 minutes."""


class TxCoexistence:
    """See the module. `tx_affected`: epochs in a transmission; `desense`: 1/256 dB, None if
    unknown.
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
        """Say that something is transmitted from `start` to `end`."""
        self._windows = self._windows[1 - _MAX_WINDOWS :] + [(start, end)]

    def reserve(self, start: int, end: int) -> None:
        """Ask that nothing be transmitted from `start` to `end`."""
        window = (start, min(end, start + MAX_RESERVATION))
        self._reserved = sorted(self._reserved[1 - _MAX_WINDOWS :] + [window])

    def set_rx_priority(self, needed: bool, now: int) -> None:
        """Say whether the clock needs every epoch."""
        if not needed:
            self._priority_since = None
        elif self._priority_since is None:
            self._priority_since = now

    def earliest_tx(self, now: int, length: int) -> int:
        """Give the first moment from `now` on at which `length` may be transmitted."""
        at = now
        since = self._priority_since
        if since is not None:
            at = max(at, since + self._wait_us)
        for start, end in self._reserved:
            if at < end and start < at + length:
                at = end
        return at

    def is_tx_affected(self, epoch_us: int) -> bool:
        """Whether the epoch of this moment was measured while something was transmitted."""
        for start, end in self._windows:
            if start <= epoch_us and epoch_us - _INTEGRATION <= end:
                return True
        return False

    def add_tx_epoch(self, level: int, usual: "int | None") -> None:
        """Take the level of a tagged epoch, and what is usual between transmissions."""
        self.tx_affected += 1
        if usual is None:
            return
        self._sample_count += 1
        loss = usual - level
        if self.desense is None:
            self.desense = loss
        self.desense += (loss - self.desense) // min(self._sample_count, 16)

    def desense_centi_db(self) -> int:
        """Desense in hundredths of a dB, 0 until four epochs have shown it."""
        if self.desense is None or self._sample_count < _MIN_SAMPLES:
            return 0
        return self.desense * 100 // _SCALE
