# SPDX-License-Identifier: Apache-2.0
"""Manual control: operating modes and proof tests.

Does not replace the loops: a mode claims the actuators again in each cycle. Commands start them;
see `agent.control.operation.manual_commands`.

    mode    valve    pumps                    use
    off     closed   stopped                  no cooling
    fill    closed   30 %                     filling; dry-run protection of `safety` is active
    vent    closed   60 % and 20 % in turn    moves air to the vents
    drain   open     stopped                  draining
    hand    command  command                  tests
    auto    loop     loop                     normal operation

With the section `safety`, a mode first switches the loads off, then moves the pumps
(`agent.safety.stop_order`): with a closed valve or without flow, no heat leaves the row. `hand`
does so only to stop the pumps. A mode ends after its time, 1 to 240 minutes; then the mode is
`auto`.

The interlocks (`agent.safety.interlock`) have priority over a mode. `hand` ends when one of them
replaces its output of the valve or of the pumps, or raises that of the pumps: the same outputs
would only cause the next trip. An operator must command them again. `ended_by` is the cause. The
other modes stay: people may work at the unit.
"""

from agent.control.actuator.valve_check import VALVE_FEEDBACK
from agent.control.law.offset_calibration import OffsetCalibration
from agent.control.law.proof_test import ProofTests
from agent.core.actuator import EXACT, MANUAL, PROOF, PUMPS, VALVE
from agent.core.alarm_record import DEGRADED, AlarmRecord
from agent.core.config_records import to_thousandths
from agent.core.json_writer import JsonObject
from agent.telemetry.status import to_milli
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.control_context import ControlContext
    from agent.control.law.cooling import ControlReadings
    from agent.control.pump_group import PumpGroup
    from agent.core.alarm_record import Condition

MODE_HELD = AlarmRecord("mode", DEGRADED, "held by hand, %d s left", "mode", True)

_VENT_S = 20.0
LONGEST_MIN = 240
_MODES = ("hand", "off", "fill", "vent", "drain")


class ManualControl:
    """Operating modes and proof tests of one unit. `pump_group`: None without a group of pumps.

    `ended_by`: cause of the interlock that ended `hand`, until the next mode; else "".
    """

    def __init__(
        self,
        agent: "ControlContext",
        readings: "ControlReadings",
        pump_group: "PumpGroup | None",
    ) -> None:
        self.agent, self.readings, self.pump_group = agent, readings, pump_group
        self.proofs = ProofTests()
        self.calibration = OffsetCalibration()
        self.mode = "auto"
        self.ended_by = ""
        self.until = 0
        self._valve_pct = self._pump_pct = 0.0
        self._mode_s = 0.0

    def step(self, now: int, dt: float) -> None:
        """Make the claims of the operating mode and of the proof test; called once a cycle."""
        if self.mode != "auto":
            self._apply_mode(now, dt)
        if self.proofs.running:
            self._run_proof_test(now, dt)

    def calibrate(self, supply_c: "float | None", return_c: "float | None", dt: float) -> None:
        """Add readings without offsets, °C, to the calibration."""
        is_running = True in [(pump.speed() or 0.0) > 0 for pump in self.agent.pumps]
        self.calibration.add_reading(supply_c, return_c, self.readings.valve_pct, is_running, dt)

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return the operating mode as an active condition for the supervisor."""
        if self.mode == "auto":
            return []
        left_s = (self.until - now) // SECOND
        return [(MODE_HELD, self.mode, MODE_HELD.text % left_s)]

    def retain(self, now: int) -> "list[str]":
        """Return the mode with its remaining time in minutes, and its outputs in thousandths."""
        if self.mode == "auto":
            return []
        minutes = -((now - self.until) // (60 * SECOND))
        outputs = to_thousandths(self._valve_pct), to_thousandths(self._pump_pct)
        return ["mode %s %d %d %d" % ((self.mode, minutes) + outputs)]

    def restore(self, words: "list[str]", now: int) -> bool:
        """Continue the mode `words`: people may work at the unit. Its time does not pass while the
        power is off, because the clock may be wrong.
        """
        numbers = [int(word[:9]) for word in words[1:] if word.isdigit()]
        if len(words) != 4 or len(numbers) != 3 or self.mode != "auto":
            return False
        if words[0] not in _MODES or not 1 <= numbers[0] <= LONGEST_MIN:
            return False
        valve_pct, pump_pct = [min(number / 1000, 100.0) for number in numbers[1:]]
        self.begin_mode(words[0], numbers[0], (valve_pct, pump_pct), now)
        order = self.agent.service("stop_order")
        if order is not None and self._needs_stop(pump_pct):
            order.expect(now)
        return True

    def _needs_stop(self, pump_pct: float) -> bool:
        """Return whether the mode is allowed only without loads."""
        return self.mode != "hand" or pump_pct <= 0

    def _apply_mode(self, now: int, dt: float) -> None:
        """Claim the outputs of the operating mode. End the mode after its time."""
        arbiters, mode = self.agent.arbiters, self.mode
        override = arbiters[VALVE].override or arbiters[PUMPS].override
        if override and mode == "hand" and self._mode_s:
            self.ended_by = override.reason
        if now >= self.until or self.ended_by:
            self.mode = "auto"
            return
        self._mode_s += dt
        pump_pct = self._pump_pct
        if mode == "vent" and int(self._mode_s / _VENT_S) % 2:
            pump_pct = 20.0
        arbiters[VALVE].claim(MANUAL, "manual", EXACT, self._valve_pct, mode)
        order = self.agent.service("stop_order")
        is_free = order is None or not self._needs_stop(pump_pct)
        if is_free or order.may_stop(mode, now, 0, pump_pct):
            arbiters[PUMPS].claim(MANUAL, "manual", EXACT, pump_pct, mode)

    def _run_proof_test(self, now: int, dt: float) -> None:
        proofs, agent = self.proofs, self.agent
        if agent.supervisor.state != "normal" or self.mode != "auto":
            proofs.abort(now, VALVE_FEEDBACK.code in agent.alarms.codes())
            return
        target_pct = proofs.step_valve(agent.valve.position(), now, dt)
        if target_pct is not None:
            agent.arbiters[VALVE].claim(PROOF, "proof", EXACT, target_pct, "partial stroke")
        if proofs.running == "pumps" and self.pump_group is not None:
            lead = self.pump_group.pumps[self.pump_group.order[0]]
            kpa = self.readings.dp_kpa
            dp_fraction = None if kpa is None else kpa / self.pump_group.setpoint
            proofs.step_pumps(lead.speed(), dp_fraction, now, dt)

    def begin_mode(self, mode: str, minutes: int, outputs: "tuple[float, float]", now: int) -> None:
        """Start `mode` for `minutes`. `outputs`: valve and pumps, percent."""
        self.mode, self.until, self._mode_s = mode, now + minutes * 60 * SECOND, 0.0
        self.ended_by = ""
        self._valve_pct, self._pump_pct = outputs

    def end_mode(self) -> None:
        """Return to automatic control."""
        self.mode = "auto"

    def proof_status(self) -> "list[tuple[str, object]]":
        """Return the records of proof tests."""
        records = [
            JsonObject([("at_us", at), ("what", actuator), ("result", result), ("s", seconds)])
            for at, actuator, result, seconds in self.proofs.records
        ]
        return [("proofs", records)]

    def calibration_status(self) -> "list[tuple[str, object]]":
        """Return state and offsets of the calibration; empty if none was started."""
        calibration = self.calibration
        if calibration.state == "idle":
            return []
        fields: list[tuple[str, object]] = [
            ("state", calibration.state),
            ("supply_offset_milli_k", to_milli(calibration.supply_offset_k)),
            ("return_offset_milli_k", to_milli(calibration.return_offset_k)),
        ]
        return [("calibration", JsonObject(fields))]
