# SPDX-License-Identifier: Apache-2.0
"""Trial of a changed configuration: the plant must stay healthy, and operators must confirm.

Does not change the configuration; see `agent.remote.manager`.

Two times run on the monotonic clock and survive a restart (the second in the record, to within
`_SAVE_INTERVAL_S`). So neither needs UTC or a link:

    health window    some minutes, three times as long for a change of the tuning: control errors,
                     flow, temperature difference, pump current and dew-point margin are not worse
    confirmation     hours, as in the message: operators confirm, or the trial is rolled back

Over the whole time of a changed configuration: no new alarm of the plant (leak, dew point), no
output that oscillates or travels more than before (`agent.remote.update.output_oscillation`). Only
alarms whose record has `ends_trial` count. A port that cannot be used does not count, because a
set-point does not cause it. After the health window of a software update, operators decide: an
alarm of that time rarely comes from the software, and a rollback restarts the controller.
"""

from agent.remote.update.output_oscillation import OutputOscillation
from agent.remote.update.plant_check import PlantValues
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.context import Context

_SAVE_INTERVAL_S = 60
"""Interval of saving the remaining time: a restart loses at most this much."""
_SETTLED_K = 1.5
_SETTLED_SHARE = 0.15
"""Control errors that count as healthy: supply in K, differential pressure as a fraction of the
set-point."""

HEALTH, CONFIRM = "health", "confirm"
"""Phases of a trial."""
PLANT_DEGRADED, NOT_CONFIRMED = "unwell", "not_confirmed"
"""Reasons to end a trial, as they are on the wire."""


class TrialMonitor:
    """Monitors a trial from `now` on. Times in s; `start_s`: duration of a start.

    `alarms`: codes that were active before and do not count. `oscillation_before`: the
    outputs before the trial, None after a restart. `until_end`: the plant also counts after the
    health window.
    """

    def __init__(
        self,
        agent: "Context",
        confirm_s: int,
        alarms: "list[str]",
        now: int,
        health_s: int,
        start_s: int,
        oscillation_before: "OutputOscillation | None" = None,
        until_end: bool = True,
    ) -> None:
        self._agent = agent
        self._check_from = now + start_s * SECOND
        self._health_until = now + health_s * SECOND
        self._confirm_until = now + confirm_s * SECOND
        self._saved_remaining_s = confirm_s
        self._alarms_before = alarms
        self._initial_errors = self._loop_errors(now)
        self._initial_values = None if start_s else PlantValues(agent, now)
        self._oscillation, self._oscillation_before = OutputOscillation(), oscillation_before
        self._until_end = until_end
        self.phase = HEALTH
        self.reason = ""

    def guarded_step(self, now: int) -> str:
        """Do `step`. An exception ends the trial: nothing would check its plant any more."""
        try:
            return self.step(now)
        except Exception as error:  # noqa: BLE001 - whatever fails, the trial ends
            self.reason = type(error).__name__
            return PLANT_DEGRADED

    def step(self, now: int) -> str:
        """Check once. Return "" to continue, or the reason to end the trial."""
        if now >= self._check_from and (self.phase == HEALTH or self._until_end):
            if self._initial_values is None:
                self._initial_values = PlantValues(self._agent, now)
            self._oscillation.tick(self._agent, now)
            self.reason = self._new_problem() or self._oscillation.find_degraded(
                self._oscillation_before
            )
            is_health_over = self.phase == HEALTH and now >= self._health_until
            if is_health_over and not self.reason:
                self.reason = self._find_unhealthy(now)
            if self.reason:
                return PLANT_DEGRADED
            if is_health_over:
                self.phase = CONFIRM
        return NOT_CONFIRMED if now >= self._confirm_until else ""

    def _new_problem(self) -> str:
        """Return the code of a new alarm of the plant, "safe" for a unit state that stops the
        plant, or an empty text.
        """
        for alarm in self._agent.alarms.active:
            if alarm.code not in self._alarms_before and alarm.record.ends_trial:
                return alarm.code
        return "safe" if self._agent.supervisor.state in ("safe", "stopped") else ""

    def confirm_time_to_save(self, now: int) -> "int | None":
        """Return the remaining time in s if it must be saved now, otherwise None."""
        remaining_s = max(0, (self._confirm_until - now) // SECOND)
        if self._saved_remaining_s - remaining_s < _SAVE_INTERVAL_S:
            return None
        self._saved_remaining_s = remaining_s
        return remaining_s

    def _loop_errors(self, now: int) -> "tuple[float | None, float | None]":
        supply, dp = self._agent.supply_loop, self._agent.pressure_loop
        supply_c, dp_kpa = supply.sensor.value(now), dp.sensor.value(now)
        return (
            None if supply_c is None else abs(supply_c - supply.setpoint),
            None if dp_kpa is None or not dp.setpoint else abs(dp_kpa - dp.setpoint) / dp.setpoint,
        )

    def _find_unhealthy(self, now: int) -> str:
        """Return the loop that is neither healthy nor better than before, a value of the plant
        that is worse, or an empty text.
        """
        limits = (("supply", _SETTLED_K), ("dp", _SETTLED_SHARE))
        loops: tuple[Any, Any] = self._agent.supply_loop, self._agent.pressure_loop
        for (name, tolerance), before, after, loop in zip(
            limits, self._initial_errors, self._loop_errors(now), loops
        ):
            if not loop.config.actuators:
                continue  # only monitored: there is no set-point
            if after is None or (after > tolerance and (before is None or after >= before)):
                return name
        return (
            ""
            if self._initial_values is None
            else PlantValues(self._agent, now).find_degraded(self._initial_values)
        )
