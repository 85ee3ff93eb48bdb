# SPDX-License-Identifier: Apache-2.0
"""Supply temperature loop: the facility water valve controls the secondary supply temperature.

Has no model of the exchanger; see `agent.control.loop.supply_feedforward`. A PI controller on the
supply temperature: a temperature above the set-point opens the valve. Without a good reading, the
valve moves to its fail-safe position. When readings return, the loop continues from this position.

The valve gets the output of `arbiter`. While an exact claim wins (an interlock, an operating mode,
a proof test), the loop does not compute. While a bound limits its output, the loop continues from
the limited output, so it does not wind up.
"""

from agent.control.law.pi import PiController

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.actuator.arbiter import Arbiter
    from agent.control.actuator.valve import ValveActuator
    from agent.core.config_records import LoopConfig
    from agent.core.context import SensorView

_GENTLE_SHARE = 5 / 10


class SupplyLoop:
    """Controls the supply temperature to `config.setpoint`, °C, with `valve`.

    `in_wave`: a wave of the load swings the supply; see `agent.control.watch.load_wave`.
    """

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
        self.in_wave = False
        self.arbiter = arbiter
        self._tuning_changed = False
        self._is_gentle = False
        self._pi = PiController(
            config.gain, config.integral_s, config.min_pct, config.max_pct, config.rate_pct_per_s
        )

    def set_tuning(self, config: "LoopConfig") -> None:
        """Set the set-point and the other settings, with bumpless transfer."""
        self.config = config
        self.setpoint = config.setpoint
        self._set_pi_tuning()

    @property
    def target(self) -> float:
        """The end value of the set-point, °C."""
        return self.config.setpoint

    def set_care(self, is_gentle: bool, deadband_scale: float, stiction_pct: float) -> None:
        """Set how to move the valve, with bumpless transfer: in the gentle mode with half of the
        gain and twice the integral time. The other two are for a loop with a model.
        """
        if is_gentle != self._is_gentle:
            self._is_gentle = is_gentle
            self._set_pi_tuning()

    def _set_pi_tuning(self) -> None:
        config = self.config
        share = _GENTLE_SHARE if self._is_gentle else 1.0
        self._pi.set_tuning(
            share * config.gain,
            config.integral_s / share,
            config.min_pct,
            config.max_pct,
            config.rate_pct_per_s,
        )
        self._tuning_changed = True

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and request the valve position."""
        measured = self.sensor.value(now)
        if measured is None or self._is_claimed():
            self.at_fail_safe = True
            self._move(self.config.safe_pct)
            return
        error = self._error_k(measured)
        if self.at_fail_safe:
            self.at_fail_safe = False
            self._pi.track(self._present_output(), error)
        elif self._tuning_changed:
            self._pi.track(self._pi.output, error)
        self._tuning_changed = False
        output_pct = self._pi.step(error, dt)
        moved = self._move(output_pct)
        if moved is not None and moved != output_pct:
            self._pi.track(moved, error)

    def _error_k(self, measured: float) -> float:
        """Return the error of the supply, K."""
        return measured - self.setpoint

    def request_safe(self) -> None:
        """Request the safe opening, within the claims: `step` has raised an exception."""
        self.at_fail_safe = True
        self._move(self.config.safe_pct)

    def _is_claimed(self) -> bool:
        return self.arbiter is not None and self.arbiter.winner() is not None

    def _move(self, output_pct: float) -> "float | None":
        """Request the output of the arbiter from the valve and return it. None: no write."""
        output = output_pct if self.arbiter is None else self.arbiter.decide(output_pct).output
        if output is None:
            self.valve.withhold()
        else:
            self.valve.request(output)
        return output

    def _present_output(self) -> float:
        position = self.valve.position()
        return self.config.safe_pct if position is None else position
