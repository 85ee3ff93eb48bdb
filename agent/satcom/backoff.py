"""When to try again: at once, then seconds, then minutes.

The vendor's ladder (RockBLOCK 9704 FAQ): send at once without asking for the signal; after a
failure retry within 0 to 5 s twice, within 0 to 30 s twice, then after minutes. The first retry is
at once here: most failures last no longer than a fading. The jitter is a small generator seeded
once, so that units of one site do not all call at the same moment, and a run can be repeated.
"""

from protocols.time_units import SECOND

_PAUSES_S = ((0, 1), (0, 5), (0, 30), (0, 30))
_LONG_PAUSE_S = (60, 180)
WAIT, HOUR = 180 * SECOND, 3600 * SECOND


class Backoff:
    """The pauses after failures, `attempt` of them by now."""

    def __init__(self, seed: int) -> None:
        self.attempt = 0
        self._state = seed & 0x7FFFFFFF

    def reset(self) -> None:
        """Something went well."""
        self.attempt = 0

    def next_pause(self) -> int:
        """Give the next pause in microseconds."""
        low, high = _PAUSES_S[self.attempt] if self.attempt < len(_PAUSES_S) else _LONG_PAUSE_S
        self.attempt += 1
        # Park and Miller's generator with Schrage's constants (CACM 31, 1988)
        self._state = (self._state * 48_271 + 11) % 2_147_483_647
        return (low * 1000 + self._state % ((high - low) * 1000)) * 1000
