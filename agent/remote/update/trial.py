"""A changed configuration on trial: it must keep the plant well, and operators must confirm it.

Two times run, both on the monotonic clock and both kept across a restart (the second by the record,
to within `_SAVE_INTERVAL_S`), so that neither needs UTC or a link:

    health window    a few minutes: no new alarm of the plant (a leak, dew), loops no worse than
                     before, nor flow, temperature difference, pump current and dew-point margin
    confirmation     hours, as the message says: operators confirm, or it is rolled back

Alarms of the link, the clock and ports do not count: a set-point is not to blame for them.
"""

from agent.remote.update.plant_check import PlantCheck
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import Context

_NOT_PLANT_CODES = ("port", "clock", "broker", "receiver", "link")
_SAVE_INTERVAL_S = 60
"""How often the time left is written down: a restart costs at most this much of it."""
_SETTLED_K = 1.5
_SETTLED_SHARE = 0.15
"""Errors of supply (K) and of differential pressure (share of the set-point) that are well."""

HEALTH, CONFIRM, PLANT_DEGRADED, NOT_CONFIRMED = "health", "confirm", "unwell", "not_confirmed"


class TrialMonitor:
    """Watches from `now` on. Times in seconds; `grace_s` is what a start may take.

    `alarms`: codes that were active before, and so do not speak against the trial.
    """

    def __init__(
        self,
        agent: "Context",
        confirm_s: int,
        alarms: "list[str]",
        now: int,
        health_s: int,
        grace_s: int,
    ) -> None:
        self._agent = agent
        self._check_from = now + grace_s * SECOND
        self._health_until = now + health_s * SECOND
        self._confirm_until = now + confirm_s * SECOND
        self._saved_s = confirm_s
        self._alarms = alarms
        self._initial_errors = self._loop_errors(now)
        self._initial_check = None if grace_s else PlantCheck(agent, now)
        self.phase = HEALTH
        self.reason = ""

    def step(self, now: int) -> str:
        """Look once; return "" to go on, or the word for which the trial has to end."""
        if self.phase == HEALTH and now >= self._check_from:
            if self._initial_check is None:
                self._initial_check = PlantCheck(self._agent, now)
            self.reason = self._new_alarm() or (
                self._degraded_sign(now) if now >= self._health_until else ""
            )
            if self.reason:
                return PLANT_DEGRADED
            if now >= self._health_until:
                self.phase = CONFIRM
        return NOT_CONFIRMED if now >= self._confirm_until else ""

    def _new_alarm(self) -> str:
        """Name what is wrong with the plant and was not before."""
        for code in self._agent.alarms.codes():
            if code not in self._alarms and code.split(":")[0] not in _NOT_PLANT_CODES:
                return code
        return "safe" if self._agent.supervisor.state in ("safe", "stopped") else ""

    def confirm_time_to_save(self, now: int) -> "int | None":
        """Give the seconds left when they should be written down, else None."""
        remaining_s = max(0, (self._confirm_until - now) // SECOND)
        if self._saved_s - remaining_s < _SAVE_INTERVAL_S:
            return None
        self._saved_s = remaining_s
        return remaining_s

    def _loop_errors(self, now: int) -> "tuple[float | None, float | None]":
        supply, dp = self._agent.supply_loop, self._agent.pressure_loop
        measured, kpa = supply.sensor.value(now), dp.sensor.value(now)
        return (
            None if measured is None else abs(measured - supply.setpoint),
            None if kpa is None else abs(kpa - dp.setpoint) / dp.setpoint,
        )

    def _degraded_sign(self, now: int) -> str:
        """Name the loop that is neither well nor better than it was."""
        limits = (("supply", _SETTLED_K), ("dp", _SETTLED_SHARE))
        for (name, tolerance), before, after in zip(
            limits, self._initial_errors, self._loop_errors(now)
        ):
            if after is None or (after > tolerance and (before is None or after >= before)):
                return name
        return (
            ""
            if self._initial_check is None
            else PlantCheck(self._agent, now).degraded(self._initial_check)
        )
