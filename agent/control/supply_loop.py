# SPDX-License-Identifier: Apache-2.0
"""Supply temperature loop: the facility water valve controls the secondary supply temperature.

Has no model of the exchanger; see `agent.control.supply_feedforward`. A PI controller on the supply
temperature: a temperature above the set-point opens the valve. Without a good reading, the valve
moves to its fail-safe position. When readings return, the loop continues from this position. While
`arbiter` has a winner (an interlock, a proof test, an operating mode), the valve moves to its
output.
"""

from agent.control.law.pi import PiController

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.arbiter import Arbiter
    from agent.control.valve import ValveActuator
    from agent.core.config_records import LoopConfig
    from agent.core.context import SensorView


class SupplyLoop:
    """Controls the supply temperature to `config.setpoint`, °C, with `valve`."""

    def __init__(
        self,
        config: "LoopConfig",
        sensor: "SensorView",
        valve: "ValveActuator",
        arbiter: "Arbiter | None" = None,
    ) -> None:
        self.config = config
        self.sensor = sensor
        self.valve = valve
        self.setpoint = config.setpoint
        self.at_fail_safe = True
        self.arbiter = arbiter
        self._tuning_changed = False
        self._pi = PiController(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )

    def set_tuning(self, config: "LoopConfig") -> None:
        """Set the set-point and the other settings, with bumpless transfer."""
        self.config = config
        self.setpoint = config.setpoint
        self._pi.set_tuning(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )
        self._tuning_changed = True

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and request the valve position."""
        measured = self.sensor.value(now)
        claim = None if self.arbiter is None else self.arbiter.winner()
        if measured is None or claim is not None:
            self.at_fail_safe = True
            self.valve.request(self.config.safe_pct if claim is None else claim.output)
            return
        error = measured - self.setpoint
        if self.at_fail_safe:
            self.at_fail_safe = False
            self._pi.track(self._present_output(), error)
        elif self._tuning_changed:
            self._pi.track(self._pi.output, error)
        self._tuning_changed = False
        self.valve.request(self._pi.step(error, dt))

    def _present_output(self) -> float:
        position = self.valve.position()
        return self.config.safe_pct if position is None else position
