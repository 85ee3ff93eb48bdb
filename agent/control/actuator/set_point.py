# SPDX-License-Identifier: Apache-2.0
"""Loops without actuators: the set-point of a CDU that controls itself, or only monitoring.

Does not compute an output. A CDU that controls itself has a control loop of its own. The agent
writes the set-point, verifies it by the polls, and writes it again if the CDU shows another one
(`agent.fieldbus.write_cycle`). Thus the set-point survives a restart of the CDU. Without a link,
the CDU continues at its last set-point. Without `cdu` in the configuration nothing is written.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.config_records import LoopConfig
    from agent.core.context import FieldbusView, SensorView


class NoSensor:
    """The sensor of a value that the unit does not measure."""

    def quality(self, now: int) -> str:
        """Return "none"."""
        return "none"

    def value(self, now: int) -> "float | None":
        """Return None."""
        return None

    def age(self, now: int) -> "int | None":
        """Return None."""
        return None


class NoValve:
    """The valve of a unit whose agent controls no valve."""

    command_pct: "float | None" = None
    is_limited = False

    def position(self) -> "float | None":
        """Return None."""
        return None


NO_VALVE = NoValve()


class SetPointLoop:
    """One of the two loops: writes `config.setpoint` to the CDU of `config`, if it has one.

    `role`: the key of the role `cdu` in the profile: "supply" (°C) or "dp" (kPa).
    """

    def __init__(
        self, config: "LoopConfig", sensor: "SensorView", fieldbus: "FieldbusView", role: str
    ) -> None:
        self.config = config
        self.sensor = sensor
        self.setpoint = config.setpoint
        self.valve = NO_VALVE
        self.pumps: list[Any] = []
        self.arbiter = None
        self.at_fail_safe = self.in_wave = self.lag_running = False
        self._is_optimised = False
        self._session = None
        self._point = 0
        if config.actuators:
            self._session = fieldbus.claim_outputs(config.actuators[0])
            self._point = self._session.device.point_index(self._session.profile.cdu[role])

    @property
    def target(self) -> float:
        """The end value of the set-point, °C or kPa."""
        return self.config.setpoint

    def set_tuning(self, config: "LoopConfig") -> None:
        """Set the set-point, if no optimiser moves it; the CDU has its own tuning."""
        self.config = config
        if not self._is_optimised:
            self.setpoint = config.setpoint

    def set_setpoint(self, setpoint: float) -> None:
        """Set the set-point; from now on only this moves it."""
        self.setpoint = setpoint
        self._is_optimised = True

    def set_care(self, is_gentle: bool, deadband_scale: float, stiction_pct: float) -> None:
        """Do nothing: the CDU moves its own valve."""

    def step(self, now: int, dt: float) -> None:
        """Request the set-point from the CDU, within the ramp of its profile."""
        if self._session is not None:
            _, count = self._session.ramp_limited(self._point, self.setpoint)
            self._session.request_outputs([(self._point, count)])

    def request_safe(self) -> None:
        """Do nothing: the CDU continues at its last set-point."""
