"""When to try again: at once, then seconds, then minutes.

The vendor's ladder (RockBLOCK 9704 FAQ): send at once without asking for the signal; after a
failure retry within 0 to 5 s twice, within 0 to 30 s twice, then after minutes. The first retry is
at once here: most failures last no longer than a fading. The jitter is a small generator seeded
once, so that units of one site do not all call at the same moment, and a run can be repeated.
"""

from protocols.time_units import SECOND

_STEPS = ((0, 1), (0, 5), (0, 30), (0, 30))
_THEN = (60, 180)
WAIT, HOUR = 180 * SECOND, 3600 * SECOND


class Ladder:
    """The pauses after failures, `rung` of them by now."""

    def __init__(self, seed: int) -> None:
        self.rung = 0
        self._state = seed & 0x7FFFFFFF

    def reset(self) -> None:
        """Something went well."""
        self.rung = 0

    def pause(self) -> int:
        """Give the next pause in microseconds."""
        low, high = _STEPS[self.rung] if self.rung < len(_STEPS) else _THEN
        self.rung += 1
        # Park and Miller's generator with Schrage's constants (CACM 31, 1988)
        self._state = (self._state * 48_271 + 11) % 2_147_483_647
        return (low * 1000 + self._state % ((high - low) * 1000)) * 1000
