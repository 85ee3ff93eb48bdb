# SPDX-License-Identifier: Apache-2.0
"""Check of the actuators: position of the valve against its command, drives in local mode.

Does not watch the loop; see `agent.control.watch.valve_watch`. A valve that opens when its actuator
closes gets the opposite position from then on. A drive in local mode follows its own panel: it is
locked out, gets no writes, and another drive runs.
"""

from agent.control.actuator.valve import ValveSign
from agent.core.actuator import EXACT, LOCKOUT
from agent.core.alarm_record import DEGRADED, AlarmRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.actuator.arbiter import Arbiter
    from agent.control.actuator.pump import PumpActuator
    from agent.control.actuator.valve import ValveActuator
    from agent.control.law.exchanger import Exchanger
    from agent.core.alarm_record import Condition

VALVE_FEEDBACK = AlarmRecord(
    "valve_feedback", DEGRADED, "the valve is not where it was told to be", "", True
)
REVERSED_TEXT = "the valve opens when its actuator closes; it gets the opposite position"
HAND = AlarmRecord("hand", DEGRADED, "somebody has the drive in hand:", "device", True)
_REMOTE_BIT = "Remote"


class ActuatorCheck:
    """The checks of one unit. `settings`: the section `cooling` of the configuration."""

    def __init__(
        self, valve: "ValveActuator", arbiters: "dict[str, Arbiter]", settings: "dict[str, Any]"
    ) -> None:
        self._valve, self._arbiters = valve, arbiters
        self._limit_pct: float = settings["valve_apart_pct"]
        self._limit_s: float = settings["valve_apart_s"]
        self._deviation_s = 0.0
        self._sign = ValveSign()

    def check_valve(
        self, exchanger: "Exchanger | None", fws_flow_lpm: "float | None", dt: float
    ) -> "list[Condition]":
        """Compare the position of the valve with its command. `exchanger`: None without a model."""
        valve, conditions = self._valve, []
        if exchanger is not None and self._sign.step(valve.position(), fws_flow_lpm, exchanger, dt):
            valve.reverse()
        if valve.is_reversed:
            conditions.append((VALVE_FEEDBACK, "", REVERSED_TEXT))
        position, command_pct = valve.position(), valve.command_pct
        if position is None or command_pct is None:
            self._deviation_s = 0.0
            return conditions
        deviates = not -self._limit_pct < position - command_pct < self._limit_pct
        self._deviation_s = self._deviation_s + dt if deviates else 0.0
        if self._deviation_s >= self._limit_s and not valve.is_reversed:
            conditions.append((VALVE_FEEDBACK, "", VALVE_FEEDBACK.text))
        return conditions

    def check_drives(self, actuator: str, drives: "list[PumpActuator]") -> "list[Condition]":
        """Lock out the drives in local mode; all of them stop if no other one is left."""
        arbiter, conditions = self._arbiters[actuator], []
        for drive in drives:
            session = drive.session
            if not session.profile.has_bit(_REMOTE_BIT) or session.lost:
                continue
            bit = session.profile.bits[session.profile.bit_index(_REMOTE_BIT)]
            is_known = session.device.register_value(bit) is not None
            if is_known and not session.device.is_bit_on(_REMOTE_BIT):
                arbiter.lock_out(session.name)
                conditions.append((HAND, session.name, HAND.text + session.name))
        if len(arbiter.locked) == len(drives):
            arbiter.claim(LOCKOUT, "hand", EXACT, 0.0, "all drives in local mode")
        return conditions
