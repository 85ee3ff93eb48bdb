# SPDX-License-Identifier: Apache-2.0
"""The supply temperature of the facility water: its reading, or its estimate while it is suspect.

Does not compare it with the row; `agent.control.law.plausibility` does, and accuses it.

Facility water above the return takes no heat. If the row gives heat nevertheless, the reading is
doubtful immediately, and suspect after `_PROOF_S`: water that has really become so warm ends the
rise of the row within this time. A reading that has jumped explains an error better than a reading
of the row, which cannot jump.
"""

from agent.control.law.row.checked_signal import RELATION, CheckedSignal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.law.row.readings import RowReadings

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_PROOF_S = 14.5
_ABOVE_K, _LEAST_RISE_K = 1.0, 2.0
_JUMP_K, _JUMP_S = 2.0, 120.0
_BAND_K, _FINE_BAND_K = 2.0, 6 / 10
_UNCERTAINTY_K = 2.0
_ANY_RATE = 1000.0


class FacilitySupply:
    """`signal` has the value and the reason of a suspicion. `is_doubtful`: it shows too warm water,
    and the time for a proof is not over.
    """

    def __init__(self) -> None:
        self.signal = CheckedSignal(-20.0, 90.0, _BAND_K, _FINE_BAND_K)
        self.is_doubtful = False
        self._jump_left_s = self._warm_s = 0.0
        self._last_reason = ""

    @property
    def has_jumped(self) -> bool:
        """Return whether a valid reading has just jumped."""
        return self._jump_left_s > 0.0 and not self.signal.suspect

    @property
    def moves_estimates(self) -> bool:
        """Return whether an estimate of the row can move because of this reading alone."""
        return bool(self.signal.suspect) or self.is_doubtful or self._jump_left_s > 0.0

    def read(self, r: "RowReadings", dt: float) -> None:
        """Take the reading of a cycle, and replace it if it is suspect."""
        signal, raw = self.signal, r.fws_supply_c
        jump_k = 0.0 if signal.raw is None or raw is None else raw - signal.raw
        self._jump_left_s -= dt
        if not -_JUMP_K < jump_k < _JUMP_K:
            self._jump_left_s = _JUMP_S
        signal.read(raw, _ANY_RATE, _ANY_RATE, 0.0, dt)
        if signal.suspect:
            r.fws_supply_c = signal.value

    def check_warm(self, rise_k: float, above_k: float, dt: float) -> None:
        """Compare with the return: the water is `above_k` above it, and the row gives `rise_k`."""
        self.is_doubtful = above_k > _ABOVE_K and rise_k > _LEAST_RISE_K
        self._warm_s = self._warm_s + dt if self.is_doubtful else 0.0
        if self._warm_s >= _PROOF_S:
            self.signal.mark_suspect(RELATION)

    def settle(self, raw: "float | None", estimate: "float | None", dt: float) -> bool:
        """Set the value for the next cycle. Return whether a suspicion has begun or ended."""
        signal, last = self.signal, self._last_reason
        signal.settle(raw, estimate, _UNCERTAINTY_K, dt)
        self._last_reason = signal.suspect
        return signal.suspect != last
