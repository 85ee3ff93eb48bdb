# SPDX-License-Identifier: Apache-2.0
"""Start permissives: what the unit must have shown since its start before the loads get full power.

A part of the component `safety`. Does not watch the unit afterwards: what was shown once stays
shown, and the protection and the supervisor take over. It has no effect in the first `_START_US`.
Then all loads have their least power until everything is shown, unless all their devices are cool:
coolant flows, and at a cold site less heat could wet a supply that nothing controls.

    identity    sensors, valve and at least one pump are the devices of their profiles
    supply      a valid supply temperature
    pressure    a valid differential pressure, or a sufficient flow
    inputs      each input of an interlock was read
    flow        the flow is sufficient and no loss of flow is found

While a cause stops the pumps, the time does not run. Pumps and valve are not moved for a test.
"""

from agent.core.alarm_record import DEGRADED, AlarmRecord
from drivers.device.identity import MATCH
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.control_context import ControlContext
    from agent.core.alarm_record import Condition
    from agent.safety.protection import Protection

START_BLOCKED = AlarmRecord(
    "start_blocked", DEGRADED, "not shown since the start, the loads are limited: %s", "", True
)
_START_US = 20 * SECOND
_REASON = "start"


class StartPermit:
    """`missing`: names of what was not shown since the start; empty: all was."""

    def __init__(self, agent: "ControlContext", protection: "Protection") -> None:
        self.missing = ["identity", "supply", "pressure", "inputs", "flow"]
        self._agent, self._protection = agent, protection
        self._began: int | None = None

    def step(self, now: int, inputs_read: bool, is_stopping: bool) -> None:
        """Examine what is missing, and limit the loads. `is_stopping`: a cause stops the pumps."""
        if self._began is None or is_stopping:
            self._began = now
        shown = self._shown(now, inputs_read)
        self.missing = [name for name in self.missing if name not in shown]
        limits = self._protection.limits
        if limits is not None and self._is_late(now):
            limits.limit_all(_REASON)

    def _is_late(self, now: int) -> bool:
        began, limits = self._began, self._protection.limits
        if limits is not None and limits.devices_cool:
            return False
        return bool(self.missing) and began is not None and now - began >= _START_US

    def _shown(self, now: int, inputs_read: bool) -> "list[str]":
        agent, flow = self._agent, self._protection.flow
        sensors = (agent.config.supply.sensor, agent.config.pressure.sensor)
        devices = [agent.fieldbus.session(name).device for name in sensors]
        devices.append(agent.supply_loop.valve.session.device)
        pumps = [pump.session.device.identity == MATCH for pump in agent.pumps]
        found = []
        if False not in [device.identity == MATCH for device in devices] and True in pumps:
            found.append("identity")
        if agent.supply_loop.sensor.value(now) is not None:
            found.append("supply")
        is_flowing = flow.flow_low is False
        if is_flowing or agent.pressure_loop.sensor.value(now) is not None:
            found.append("pressure")
        if inputs_read:
            found.append("inputs")
        has_dp = (flow.flow_low is None or flow.outlier == "flow") and flow.dp_low is False
        if (is_flowing or has_dp) and not flow.is_lost:
            found.append("flow")
        return found

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return the condition while a missing permissive limits the loads."""
        if not self._is_late(now):
            return []
        return [(START_BLOCKED, "", START_BLOCKED.text % " ".join(self.missing))]
