# SPDX-License-Identifier: Apache-2.0
"""One measured signal: tests of range and rate, and its substitute while it is suspect.

Does not know the physics: the caller gives the estimate (`agent.control.law.plausibility`).

A signal becomes suspect immediately by a value out of range, by a change that the plant cannot
make, by a reading that stands still while its estimate moves, or by the caller (`mark_suspect`).
While it is suspect, `value` is the estimate. It is valid again only by evidence: it agrees with the
estimate within the band for `_AGREE_S`, or for `_REPEATED_S` after a second fault in an hour. After
a value out of range or a change that is too fast, a second outside the band takes one second back.
If the caller marked it, it must agree without a break, and the mean difference must be in
`fine_band` too, or in `_GROSS_BAND` if the caller saw a difference of many kelvin. Without an
estimate it stays suspect.

An estimate that was learned for a short time may be the wrong one: the sensor was false while it
was learned. Then a small difference that stays for `_ADOPT_S` is no evidence against
the sensor. `note_age` tells the caller to learn again.
"""

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_AGREE_S = 59.5
_REPEATED_S = 3599.5
_FILTER_S = 30.0
_GROSS_BAND = 5 / 10
_ADOPT_S = 149.5
_ADOPT_K = 45 / 100
_STUCK_S, _STUCK_K, _TRANSIT_S = 19.5, 1.0, 59.5
"""A reading follows its estimate after the transit of the loop: 60 s at a third of the flow, and
half of it at two thirds.
"""

RANGE, RATE, RELATION = "range", "rate", "relation"
"""Reasons of a suspicion."""


class CheckedSignal:
    """`value` is the reading, its estimate or None. `uncertainty`: 0 for a valid reading.

    `low`, `high`: plausible range. `suspect`: the reason, empty while the reading is valid.
    """

    def __init__(self, low: float, high: float, band: float, fine_band: float) -> None:
        self.low, self.high, self.band, self.fine_band = low, high, band, fine_band
        self.value: float | None = None
        self.uncertainty = 0.0
        self.suspect = ""
        self.raw: float | None = None
        self._is_new_estimate = self._was_adopted = self._is_gross = False
        self._small_gap_s = 0.0
        self._elapsed_s = self._age_s = self._agree_s = self._mean_gap = 0.0
        self._since_fault_s = _REPEATED_S
        self._stuck_raw: float | None = None
        self._stuck_s = self._stuck_estimate = self._moved_s = 0.0

    def read(
        self,
        raw: "float | None",
        rise: float,
        fall: float,
        slack: float,
        dt: float,
        age_s: float = 0.0,
    ) -> "float | None":
        """Take a reading. Return it if it is valid. `rise`, `fall`: largest change per second;
        `slack`: what noise can add to a change. `age_s`: time since the device was read, s. A
        reading that is taken again grows old; the next one shows the change of the whole time.
        """
        self._elapsed_s += dt
        self._since_fault_s += dt
        if raw is None:
            return None
        if not self.low <= raw <= self.high:
            self.mark_suspect(RANGE)
            return None
        last, self.raw = self.raw, raw
        if last is not None:
            change = raw - last
            between_s = max(self._elapsed_s + self._age_s - age_s, dt)
            limit = (rise if change > 0 else fall) * between_s + slack
            if not -limit <= change <= limit:
                self.mark_suspect(RATE)
        self._elapsed_s, self._age_s = 0.0, age_s
        return None if self.suspect else raw

    def mark_suspect(self, reason: str, is_gross: bool = False) -> None:
        """Make the signal suspect. `is_gross`: it differed by much more than the bands."""
        self._agree_s = 0.0
        if not self.suspect:
            self.suspect, self._is_gross = reason, is_gross
            self._small_gap_s = 0.0

    def note_age(self, is_young: bool) -> bool:
        """Note whether the estimate was learned for a short time only. Return whether its small
        difference was adopted since the last call.
        """
        was_adopted, self._was_adopted = self._was_adopted, False
        self._is_new_estimate = is_young
        return was_adopted

    def check_stuck(
        self, raw: "float | None", estimate: "float | None", dt: float, moved_dt: float
    ) -> None:
        """Mark a temperature suspect that has not changed by one count in `_STUCK_S`, although its
        estimate has been more than `_STUCK_K` from the value of that time for `_TRANSIT_S`.
        `moved_dt`: the part of this time that `dt` counts; more at a larger flow.
        """
        if raw is None or estimate is None or raw != self._stuck_raw:
            self._stuck_raw, self._stuck_s = None if estimate is None else raw, 0.0
            self._stuck_estimate, self._moved_s = estimate or 0.0, 0.0
            return
        self._stuck_s += dt
        has_moved = not -_STUCK_K < estimate - self._stuck_estimate < _STUCK_K
        self._moved_s = self._moved_s + moved_dt if has_moved else 0.0
        if self._stuck_s >= _STUCK_S and self._moved_s >= _TRANSIT_S:
            self.mark_suspect(RELATION)

    def settle(
        self, raw: "float | None", estimate: "float | None", uncertainty: float, dt: float
    ) -> None:
        """Set `value` for this cycle from the reading and its estimate."""
        if not self.suspect and raw is not None:
            self.value, self.uncertainty = raw, 0.0
            return
        self.value, self.uncertainty = estimate, uncertainty
        if raw is None or estimate is None:
            self._agree_s, self._mean_gap = 0.0, self.band
            return
        if not -self.band < raw - estimate < self.band:
            # The estimate is rough while the row moves: such a second counts against the signal.
            is_related = self.suspect == RELATION or self._agree_s < dt
            self._agree_s = 0.0 if is_related else self._agree_s - dt
            self._mean_gap = self.band
            return
        self._mean_gap += dt / (dt + _FILTER_S) * (raw - estimate - self._mean_gap)
        fine_band = _GROSS_BAND if self._is_gross else self.fine_band
        if self.suspect == RELATION and not -fine_band < self._mean_gap < fine_band:
            self._agree_s = 0.0
            self._adopt(dt)
            return
        self._agree_s += dt
        if self._agree_s >= (_AGREE_S if self._since_fault_s >= _REPEATED_S else _REPEATED_S):
            self.end_suspicion()

    def end_suspicion(self) -> None:
        """Make the signal valid again."""
        self.suspect = ""
        self._since_fault_s = 0.0

    def forget_fault(self) -> None:
        """The next fault is not a repeated one: the evidence could not end this one."""
        self._since_fault_s = _REPEATED_S

    def _adopt(self, dt: float) -> None:
        """End the suspicion if a young estimate differs by little for `_ADOPT_S`."""
        is_small = self._is_new_estimate and -_ADOPT_K < self._mean_gap < _ADOPT_K
        self._small_gap_s = self._small_gap_s + dt if is_small else 0.0
        if self._small_gap_s >= _ADOPT_S and self._since_fault_s >= _REPEATED_S:
            self.end_suspicion()
            self._was_adopted = True
