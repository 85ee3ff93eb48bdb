# SPDX-License-Identifier: Apache-2.0
"""Back-off between attempts: immediately, then seconds, then minutes.

Does not decide whether to send; see `agent.satcom.component`.

The vendor (RockBLOCK 9704 FAQ) recommends: send immediately without a signal query; after a failure
retry within 0 to 5 s twice, within 0 to 30 s twice, then after minutes. Here the first retry
follows immediately, because most failures are no longer than a fade. The jitter comes from a small
seeded generator: units of a site do not transmit at the same time, and a run is repeatable.
"""

from protocols.time_units import SECOND

_PAUSES_S = ((0, 1), (0, 5), (0, 30), (0, 30))
_LONG_PAUSE_S = (60, 180)
WAIT, HOUR = 180 * SECOND, 3600 * SECOND


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
