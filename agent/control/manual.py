# SPDX-License-Identifier: Apache-2.0
"""Manual control: operating modes, proof tests, lead pump and control mode of the pumps.

Does not replace the loops: a mode claims the actuators again in each cycle.

    mode    valve    pumps                    use
    off     closed   stopped                  no cooling
    fill    closed   30 %                     filling; dry-run protection of `safety` is active
    vent    closed   60 % and 20 % in turn    moves air to the vents
    drain   open     stopped                  draining
    hand    command  command                  tests
    auto    loop     loop                     normal operation

With the section `safety`, a mode first switches the loads off, then stops the pumps
(`agent.safety.stop_order`). A mode ends after its time, 1 to 240 minutes; then the mode is `auto`.
The interlocks (`agent.safety.interlock`) have priority over a mode. `hand` ends when `overheat`
takes the valve: the same outputs would only make the row too hot again.
"""

from agent.control.law.offset_calibration import OffsetCalibration
from agent.control.law.proof_test import ProofTests
from agent.control.law.pump_flow import DELTA_T, DP, FLOW
from agent.core.actuator import EXACT, MANUAL, PROOF, PUMPS, VALVE
from agent.core.alarm_record import DEGRADED, AlarmRecord
from agent.core.config_records import to_thousandths
from agent.core.errors import CommandError
from agent.core.json_writer import JsonObject
from agent.telemetry.status import to_milli
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.control.law.cooling import ControlReadings
    from agent.control.pump_group import PumpGroup
    from agent.core.alarm_record import Condition

MODE_HELD = AlarmRecord("mode", DEGRADED, "held by hand, %d s left", "mode", True)

_ENDS_HAND = "overheat"
_VENT_S = 20.0
_LONGEST_MIN = 240

OPERATING_MODES = (
    ("off", 0.0, 0.0),
    ("fill", 0.0, 30.0),
    ("vent", 0.0, 60.0),
    ("drain", 100.0, 0.0),
)
"""(operating mode, valve and pumps in percent). `hand` has its own values, `auto` has none."""
_MODES = ("hand",) + tuple([mode for mode, _, _ in OPERATING_MODES])


class ManualControl:
    """Operating modes and proof tests of one unit. `pump_group`: None without a group of pumps."""

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
        running = [pump for pump in self.agent.pumps if (pump.speed() or 0.0) > 0]
        self.calibration.add_reading(
            supply_c, return_c, self.readings.valve_pct, len(running) > 0, dt
        )

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
        if len(words) != 4 or self.mode != "auto" or [w for w in words[1:] if not w.isdigit()]:
            return False
        minutes = int(words[1][:9])
        if words[0] not in _MODES or not 1 <= minutes <= _LONGEST_MIN:
            return False
        self.mode, self.until, self._mode_s = words[0], now + minutes * 60 * SECOND, 0.0
        self._valve_pct = min(int(words[2][:9]) / 1000, 100.0)
        self._pump_pct = min(int(words[3][:9]) / 1000, 100.0)
        return True

    def _apply_mode(self, now: int, dt: float) -> None:
        """Claim the outputs of the operating mode. End the mode after its time."""
        taken = self.agent.arbiters[VALVE].decision
        is_overridden = taken is not None and taken.reason == _ENDS_HAND and self.mode == "hand"
        if now >= self.until or is_overridden:
            self.mode = "auto"
            return
        self._mode_s += dt
        pump_pct = self._pump_pct
        if self.mode == "vent" and int(self._mode_s / _VENT_S) % 2:
            pump_pct = 20.0
        arbiters, mode = self.agent.arbiters, self.mode
        arbiters[VALVE].claim(MANUAL, "manual", EXACT, self._valve_pct, mode)
        order = self.agent.service("stop_order")
        if pump_pct > 0 or order is None or order.may_stop(mode, now):
            arbiters[PUMPS].claim(MANUAL, "manual", EXACT, pump_pct, mode)

    def _run_proof_test(self, now: int, dt: float) -> None:
        proofs, agent = self.proofs, self.agent
        if agent.supervisor.state != "normal" or self.mode != "auto":
            proofs.abort(now)
            return
        target_pct = proofs.step_valve(agent.valve.position(), now, dt)
        if target_pct is not None:
            agent.arbiters[VALVE].claim(PROOF, "proof", EXACT, target_pct, "partial stroke")
        if proofs.running == "pumps" and self.pump_group is not None:
            lead = self.pump_group.pumps[self.pump_group.order[0]]
            kpa = self.readings.dp_kpa
            dp_fraction = None if kpa is None else kpa / self.pump_group.setpoint
            proofs.step_pumps(lead.speed(), dp_fraction, now, dt)

    def handle_command(self, name: str, arguments: "Any", now: int) -> "str | None":
        """Execute `override`, `release`, `rotate`, `hold`, `proof` or `calibrate`."""
        if name == "override":
            return self.override(
                str(arguments.get("mode", "hand")),
                arguments.get("minutes", 10),
                arguments.get("valve_pct"),
                arguments.get("pump_pct"),
                now,
            )
        if name == "release":
            self.mode = "auto"
            return "automatic"
        if name == "rotate":
            return self.rotate()
        if name == "hold":
            return self.set_pump_mode(
                str(arguments.get("mode", DP)), arguments.get("setpoint_milli")
            )
        if name == "proof":
            return self.start_proof_test(str(arguments.get("what", "valve")))
        if name == "calibrate":
            self.calibration.begin()
            return "averages over a steady minute; see the status"
        return None

    def override(
        self, mode: str, minutes: int, valve_pct: "int | None", pump_pct: "int | None", now: int
    ) -> str:
        """Start an operating mode for 1 to 240 `minutes`. Raises `CommandError`."""
        if type(minutes) is not int or not 1 <= minutes <= _LONGEST_MIN:
            raise CommandError("minutes: 1 to %d" % _LONGEST_MIN)
        outputs = [(valve, pumps) for name, valve, pumps in OPERATING_MODES if name == mode]
        if mode == "hand":
            for percent in (valve_pct, pump_pct):
                if type(percent) is not int or not 0 <= percent <= 100:
                    raise CommandError("hand needs valve_pct and pump_pct, 0 to 100")
            outputs = [(float(valve_pct or 0), float(pump_pct or 0))]
        if not outputs:
            raise CommandError(
                "mode: one of hand " + " ".join([name for name, _, _ in OPERATING_MODES])
            )
        self._valve_pct, self._pump_pct = outputs[0]
        self.mode, self.until, self._mode_s = mode, now + 60 * minutes * SECOND, 0.0
        return "%s for %d min" % (mode, minutes)

    def rotate(self) -> str:
        """Change the lead pump. Raises `CommandError` if no other pump is available."""
        lead = "" if self.pump_group is None else self.pump_group.rotate()
        if not lead:
            raise CommandError("no other pump is available")
        return "lead is " + lead

    def set_pump_mode(self, mode: str, setpoint_milli: "int | None") -> str:
        """Set the control mode of the pumps: `dp`, `flow` (L/min) or `delta_t` (K), until a
        restart. Without `setpoint_milli` (thousandths) the present value is the set-point. Raises
        `CommandError`.
        """
        pump_group, readings = self.pump_group, self.readings
        if pump_group is None or mode not in (DP, FLOW, DELTA_T):
            raise CommandError("mode: dp, flow or delta_t, and a pair of pumps")
        value = None
        if mode != DP:
            low, high = (1, 20_000) if mode == FLOW else (2, 30)
            value = readings.flow_lpm
            if mode == DELTA_T:
                known = readings.return_c is not None and readings.supply_c is not None
                value = (readings.return_c or 0.0) - (readings.supply_c or 0.0) if known else None
            if setpoint_milli is not None:
                value = setpoint_milli / 1000 if type(setpoint_milli) is int else None
            if value is None or not low <= value <= high:
                raise CommandError("setpoint_milli: %d to %d thousand" % (low, high))
        pump_group.set_mode(mode, value)
        return "pumps hold " + mode

    def start_proof_test(self, what: str) -> str:
        """Start a proof test, `valve` or `pumps`. Raises `CommandError`."""
        if self.proofs.running:
            raise CommandError("a proof of %s runs" % self.proofs.running)
        if self.agent.supervisor.state != "normal":
            raise CommandError("only while the state is normal")
        if what == "valve":
            position = self.agent.valve.position()
            if position is None:
                raise CommandError("the valve's position is not known")
            self.proofs.begin_valve(position)
        elif what == "pumps":
            self.rotate()
            self.proofs.begin_pumps()
        else:
            raise CommandError("what: valve or pumps")
        return "proof of %s begun" % what

    def proof_status(self) -> "list[tuple[str, object]]":
        """Return the records of proof tests."""
        records = [
            JsonObject([("at_us", at), ("what", what), ("result", result), ("s", seconds)])
            for at, what, result, seconds in self.proofs.records
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
