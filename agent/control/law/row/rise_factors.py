# SPDX-License-Identifier: Apache-2.0
"""Factors of the two relations for return minus supply, learned from the row.

Does not compare readings: `agent.control.law.plausibility` has the relations R1 (heat) and R6
(model of the exchanger). A factor is the calibration of the sensors, or the error of the model.

In the first minute each factor is the mean of measured over expected rise. Later it follows slowly,
while the row is the usual one and R1 agrees. The first minute is repeated

- if coolant was lost in it: what leaves by a leak takes heat with it;
- once, if a sensor drifted by half a kelvin or more in it; a longer drift must be found;
- if the caller has found that the learned factors were wrong (`restart`);
- from 1.0, if a sensor became suspect in it (`discard`): the mean of its first seconds is that of
  the fault.
"""

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_FIRST_S, _SLOW_EXTRA_S, _MAX_AVERAGE_S = 59.5, 900.0, 14_400.0
_YOUNG_S, _RESTORED_S, _LOSS_S = 300.0, 60.0, 9.5
_LEARN_K, _SHIFT_K = 20 / 100, 8 / 100
_LEAST_RISE_K = 20 / 10
_LOWEST, _HIGHEST = 85 / 100, 115 / 100


class RiseFactors:
    """`heat`, `model`: factors of R1 and R6, 0.85 to 1.15."""

    def __init__(self) -> None:
        self.heat = self.model = 1.0
        self._learned_s = self._loss_s = 0.0
        self._has_shifted = False

    @property
    def are_learned(self) -> bool:
        """Return whether the first minute has passed."""
        return self._learned_s > _FIRST_S

    @property
    def are_young(self) -> bool:
        """Return whether they were learned for a short time only."""
        return self._learned_s < _YOUNG_S

    def restore(self, heat: float, model: float) -> None:
        """Take over the factors from before a restart. The first minute is not repeated: what is
        false since the restart must not become right.
        """
        self.heat, self.model = _clamp(heat), _clamp(model)
        self._learned_s = _RESTORED_S

    def restart(self) -> None:
        """Begin the first minute again."""
        self._learned_s = 0.0

    def discard(self) -> None:
        """Forget the mean of a first minute that has not passed."""
        if not self.are_learned:
            self.heat = self.model = 1.0
            self._learned_s = 0.0

    def follow_loss(self, is_level_low: bool, dt: float) -> bool:
        """Count the time of the first minute in which coolant was lost. Return whether it begins
        again.
        """
        if is_level_low:
            self._loss_s += dt if 0.0 < self._learned_s <= _FIRST_S else 0.0
            return False
        had_loss, self._loss_s = self._loss_s > _LOSS_S, 0.0
        if had_loss:
            self.restart()
        return had_loss

    def learn(
        self, rise_k: float, q: float, model_k: float, residual_k: float, is_usual: bool, dt: float
    ) -> bool:
        """Learn from a rise, and its expectations by R1 and R6, K. `residual_k`: mean difference of
        the rise from that of R1. Return whether the first minute begins again.
        """
        if q < _LEAST_RISE_K or model_k < _LEAST_RISE_K:
            return False
        was_learned, shift_k = self.are_learned, abs(residual_k)
        time_s = self._learned_s = self._learned_s + dt
        if time_s > _FIRST_S:
            if not was_learned and shift_k > _SHIFT_K and not self._has_shifted:
                self._has_shifted = True
                self.restart()
                return True
            if not is_usual or shift_k >= _LEARN_K:
                return False
            time_s = time_s + _SLOW_EXTRA_S if time_s < _MAX_AVERAGE_S else _MAX_AVERAGE_S
        weight = dt / time_s
        self.heat = _clamp(self.heat * (1.0 + weight * (rise_k - q) / q))
        self.model = _clamp(self.model * (1.0 + weight * (rise_k - model_k) / model_k))
        return False


def _clamp(factor: float) -> float:
    return min(max(factor, _LOWEST), _HIGHEST)
