# SPDX-License-Identifier: Apache-2.0
"""The supply temperature of the facility water: its reading, or its estimate while it is suspect.

Does not compare it with the row; `agent.control.law.plausibility` does, and accuses it.

Water that is warmer than the supply cannot have cooled it. A reading that jumps above the supply,
or is above the return, is unproven while the row gives heat, and suspect after `_PROOF_S`: water
that has really become so warm ends the rise of the row within this time. A reading that has jumped
explains an error better than a reading of the row, which cannot jump.

Until the row has agreed with a jump for `_AGREE_S`, the lower temperature of before and after it
counts where supply or return are suspect too: an estimate of the supply must not be too high. All
readings as they are can agree with it, too (`accept_jump`): else a false supply would stay suspect
forever, because its estimate belongs to water that is gone.

A suspect reading must agree with its estimate. At a low load, the valve opens for some seconds
only: the time without an estimate, and after a move of the flow, is no evidence against it.
"""

from agent.control.law.row.checked_signal import RELATION, CheckedSignal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.row.readings import RowReadings

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_PROOF_S, _AGREE_S = 14.5, 9.5
_ABOVE_K, _LEAST_RISE_K = 1.0, 2.0
_JUMP_K, _JUMP_S = 2.0, 300.0
_BAND_K, _FINE_BAND_K = 3.0, 15 / 10
_UNCERTAINTY_K = 2.0
_MOVED, _LAG_S = 5 / 100, 14.5
"""A flow that moved by this part of both flows has moved both temperatures of the row after this
time.
"""
_ANY_RATE = 1000.0
_SUSPECT, _KELVIN = 12, 273
"""Numbers of the learned record; see `agent.control.law.plausibility`."""


class FacilityTemperature:
    """`signal` has the value and the reason of a suspicion. `is_unproven`: it shows water that is
    too warm, and the time for a proof is not over.
    """

    def __init__(self) -> None:
        self.signal = CheckedSignal(-20.0, 90.0, _BAND_K, _FINE_BAND_K)
        self.is_unproven = False
        self._jump_left_s = self._warm_s = self._agree_s = 0.0
        self._steady_lpm = self._steady_s = 0.0
        self._before_c: float | None = None
        self._last_reason = ""

    @property
    def has_jumped(self) -> bool:
        """Return whether a valid reading has just jumped."""
        return self._jump_left_s > 0.0 and not self.signal.suspect

    @property
    def moves_estimates(self) -> bool:
        """Return whether an estimate of the row can move because of this reading alone."""
        return bool(self.signal.suspect) or self.is_unproven or self._jump_left_s > 0.0

    def learned(self) -> "list[int]":
        """Return what must be known after a restart: `_SUSPECT`, and `_KELVIN` with the temperature
        of before a jump, in 1/10 K.
        """
        found = [_SUSPECT] if self.signal.suspect else []
        before_c = self._before_c
        return found if before_c is None else found + [int(10.0 * (before_c + _KELVIN) + 1 / 2)]

    def restore(self, numbers: "list[int]") -> None:
        """Take over the result of `learned` from before a restart."""
        if _SUSPECT in numbers:
            self.signal.mark_suspect(RELATION)
        for number in numbers:
            if number > 10 * _KELVIN - 1000:
                self._before_c = number / 10.0 - _KELVIN
                self._jump_left_s = _JUMP_S

    def read(self, r: "RowReadings", is_row_valid: bool, dt: float) -> None:
        """Take the reading of a cycle, and replace it if it cannot be used."""
        signal, raw, last = self.signal, r.fws_supply_c, self.signal.raw
        self._jump_left_s -= dt
        if raw is not None and last is not None and not -_JUMP_K < raw - last < _JUMP_K:
            self._jump_left_s, self._agree_s = _JUMP_S, 0.0
            if self._before_c is None:
                self._before_c = last
        signal.read(raw, _ANY_RATE, _ANY_RATE, 0.0, dt)
        if signal.suspect:
            r.fws_supply_c = signal.value
        elif raw is not None and self._before_c is not None and not is_row_valid:
            r.fws_supply_c = min(raw, self._before_c)

    def accept_jump(self) -> None:
        """All readings agree as they are, this one too: a jump is proven."""
        self._before_c = None

    def compare(self, supply_c: float, return_c: float, fws_supply_c: float, dt: float) -> None:
        """Compare a valid row with the reading."""
        cold_c = supply_c if self.has_jumped else return_c
        is_warm = fws_supply_c > cold_c + _ABOVE_K
        self.is_unproven = is_warm and return_c - supply_c > _LEAST_RISE_K
        self._warm_s = self._warm_s + dt if self.is_unproven else 0.0
        if self._warm_s >= _PROOF_S:
            self.signal.mark_suspect(RELATION)

    def note_agreement(self, is_agreeing: bool, dt: float) -> None:
        """Note whether the row agrees with the reading."""
        self._agree_s = self._agree_s + dt if is_agreeing else 0.0
        if self._agree_s >= _AGREE_S:
            self._before_c = None

    def settle(
        self,
        raw: "float | None",
        estimate: "float | None",
        fws_lpm: float,
        dt: float,
    ) -> bool:
        """Set the value for the next cycle. Return whether a suspicion has begun or ended.

        Whether a suspect reading agrees with its estimate is an open question if there is no
        estimate, through a valve that is nearly shut, or if the flow has just moved.
        """
        signal, last = self.signal, self._last_reason
        self._steady_s += dt
        if abs(fws_lpm - self._steady_lpm) > _MOVED * (fws_lpm + self._steady_lpm):
            self._steady_lpm, self._steady_s = fws_lpm, 0.0
        is_moved = self._steady_s < _LAG_S
        if (
            signal.suspect
            and raw is not None
            and (estimate is None or (is_moved and abs(raw - estimate) >= _BAND_K))
        ):
            signal.value = estimate
        else:
            signal.settle(raw, estimate, _UNCERTAINTY_K, dt)
        self._last_reason = signal.suspect
        return signal.suspect != last
