# SPDX-License-Identifier: Apache-2.0
"""Is the reading of a device temperature possible?

Does not limit loads; see `agent.power.detector.device_heat`. Temperatures in °C.

    below the supply            nothing cools a device below its coolant
    a jump                      heat moves a case by at most `_JUMP_K` + `_JUMP_K_S` a second
    a first reading at the      it may be such a value from before a restart or a gap. After a
    limit of the class          jump away from it, the next value is a first reading again

Such a reading is suspect until it comes back near the last good reading or near the expectation of
its power and its supply, or until it moves as heat does: by `_MOVED_K` since the jump. A device
whose power is limited becomes colder, and one without flow becomes hotter; a false value stands
still. So a false value limits a load, but does not switch it off.
"""

_COLDER_K = 3.0
_JUMP_K, _JUMP_K_S, _MOST_S = 10.0, 5.0, 20.0
_BACK_K = 10.0
_MOVED_K = 3.0


class CaseCheck:
    """`is_suspect`: the last reading is not used. `suspect_us`: the time since the first such
    reading, 0 without one. `last_c`: the last good reading, or None.
    """

    def __init__(self) -> None:
        self.is_suspect = False
        self.suspect_us = self._suspect_from = 0
        self.last_c: float | None = None
        self._raw_c: float | None = None
        self._jumped_c: float | None = None
        self._read_at = 0

    def forget(self) -> None:
        """There is no reading: the next one has no one before it."""
        self.last_c = self._raw_c = self._jumped_c = None
        self.is_suspect, self.suspect_us = False, 0

    def step(
        self,
        case_c: float,
        limit_c: float,
        supply_c: "float | None",
        expected_c: "float | None",
        now_us: int,
    ) -> bool:
        """Take a new reading. Return whether it is possible. `expected_c`: None if unknown."""
        elapsed_s = min((now_us - self._read_at) / 1_000_000, _MOST_S)
        raw_c, self._raw_c, self._read_at = self._raw_c, case_c, now_us
        most_k = _JUMP_K + _JUMP_K_S * elapsed_s
        is_jump = raw_c is not None and not -most_k <= case_c - raw_c <= most_k
        is_first = raw_c is None or (is_jump and self.last_c is None)
        if is_first:
            self._jumped_c = case_c if case_c >= limit_c else None
        elif is_jump:
            self._jumped_c = case_c
        jumped_c = self._jumped_c
        if jumped_c is not None and (
            abs(case_c - jumped_c) >= _MOVED_K
            or _is_near(case_c, self.last_c)
            or _is_near(case_c, expected_c)
        ):
            self._jumped_c = None
        if not self.is_suspect:
            self._suspect_from = now_us
        is_below = supply_c is not None and case_c < supply_c - _COLDER_K
        self.is_suspect = is_below or self._jumped_c is not None
        self.suspect_us = now_us - self._suspect_from if self.is_suspect else 0
        if not self.is_suspect:
            self.last_c = case_c
        return not self.is_suspect


def _is_near(case_c: float, known_c: "float | None") -> bool:
    return known_c is not None and abs(case_c - known_c) < _BACK_K
