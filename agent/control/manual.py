"""What people ask of the cooling: operating modes, proof tests, the lead, what pumps hold.

    mode    valve   pumps                    for
    off     shut    stopped                  nothing cools
    fill    shut    30 %                     filling, with the dry-run guard of `safety`
    vent    shut    60 and 20 %, by turns    driving air to the vents
    drain   open    stopped                  emptying
    hand    as told as told                  trials
    auto    the loops

A mode holds the actuators for a time, then it is automatic again; safety (`agent.safety.interlock`)
outranks it. Not the loops: a force is asked for anew each cycle.
"""

from agent.control.law.offset_calibration import Calibration
from agent.control.law.proof_test import Proofs
from agent.control.law.pump_flow import DELTA_T, DP, FLOW
from agent.core.errors import OrderError
from agent.core.json_writer import Object
from agent.safety.supervisor import DEGRADED
from agent.telemetry.status import milli
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.control.law.cooling import Readings
    from agent.control.pump_group import Pumping

_VENT_S = 20.0
_LONGEST_MIN = 240

MODES = (
    ("off", 0.0, 0.0),
    ("fill", 0.0, 30.0),
    ("vent", 0.0, 60.0),
    ("drain", 100.0, 0.0),
)
"""Operating mode, valve, pumps, percent; `hand` brings its own, `auto` has none."""


class ByHand:
    """Modes and proofs of one unit; `pumping` is None without a pair of pumps."""

    def __init__(self, agent: "Agent", readings: "Readings", pumping: "Pumping | None") -> None:
        self.agent, self.readings, self.pumping = agent, readings, pumping
        self.proofs = Proofs()
        self.calibration = Calibration()
        self.mode = "auto"
        self.until = 0
        self._valve = self._pumps = 0.0
        self._mode_s = 0.0

    def step(self, now: int, dt: float) -> None:
        """Ask for what a mode or a proof holds, once a cycle."""
        if self.mode != "auto":
            self._hold(now, dt)
        if self.proofs.running:
            self._prove(now, dt)

    def calibrate(self, supply: "float | None", back: "float | None", dt: float) -> None:
        """Let the calibration see raw readings."""
        turning = [p for p in self.agent.pressure.pumps if (p.speed() or 0.0) > 0]
        self.calibration.take(supply, back, self.readings.valve_pct, len(turning) > 0, dt)

    def causes(self, now: int) -> "list[tuple[str, int, str]]":
        """Name the mode, for the supervisor."""
        if self.mode == "auto":
            return []
        left = (self.until - now) // SECOND
        return [("mode:" + self.mode, DEGRADED, "held by hand, %d s left" % left)]

    def _hold(self, now: int, dt: float) -> None:
        """What the operating mode asks of the actuators."""
        if now >= self.until:
            self.mode = "auto"
            return
        self._mode_s += dt
        pumps = self._pumps
        if self.mode == "vent" and int(self._mode_s / _VENT_S) % 2:
            pumps = 20.0
        self.agent.supply.forced = self._valve
        self.agent.pressure.forced = pumps

    def _prove(self, now: int, dt: float) -> None:
        proofs, agent = self.proofs, self.agent
        if agent.supervisor.state != "normal" or self.mode != "auto":
            proofs.break_off(now)
            return
        goal = proofs.valve(agent.supply.valve.position(), now, dt)
        if goal is not None:
            agent.supply.forced = goal
        if proofs.running == "pumps" and self.pumping is not None:
            lead = self.pumping.pumps[self.pumping.order[0]]
            kpa = self.readings.dp_kpa
            part = None if kpa is None else kpa / self.pumping.setpoint
            proofs.pumps(lead.speed(), part, now, dt)

    def order(self, name: str, arguments: "Any", now: int) -> "str | None":
        """Do `override`, `release`, `rotate`, `hold`, `proof` and `calibrate`."""
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
            return self.hold(str(arguments.get("mode", DP)), arguments.get("setpoint_milli"))
        if name == "proof":
            return self.proof(str(arguments.get("what", "valve")))
        if name == "calibrate":
            self.calibration.begin()
            return "averages over a steady minute; see the status"
        return None

    def override(
        self, mode: str, minutes: int, valve_pct: "int | None", pump_pct: "int | None", now: int
    ) -> str:
        """Hold an operating mode for so many minutes. Raises `OrderError`."""
        if type(minutes) is not int or not 1 <= minutes <= _LONGEST_MIN:
            raise OrderError("minutes: 1 to %d" % _LONGEST_MIN)
        held = [(valve, pumps) for named, valve, pumps in MODES if named == mode]
        if mode == "hand":
            for percent in (valve_pct, pump_pct):
                if type(percent) is not int or not 0 <= percent <= 100:
                    raise OrderError("hand needs valve_pct and pump_pct, 0 to 100")
            held = [(float(valve_pct or 0), float(pump_pct or 0))]
        if not held:
            raise OrderError("mode: one of hand " + " ".join([named for named, _, _ in MODES]))
        self._valve, self._pumps = held[0]
        self.mode, self.until, self._mode_s = mode, now + 60 * minutes * SECOND, 0.0
        return "%s for %d min" % (mode, minutes)

    def rotate(self) -> str:
        """Change the lead pump. Raises `OrderError` when there is no other."""
        lead = "" if self.pumping is None else self.pumping.rotate()
        if not lead:
            raise OrderError("no other pump is available")
        return "lead is " + lead

    def hold(self, mode: str, milli: "int | None") -> str:
        """Let the pumps hold `dp`, `flow` (L/min) or `delta_t` (K), until a restart; without a
        set-point (thousandths) what is there now. Raises `OrderError`.
        """
        pumping, seen = self.pumping, self.readings
        if pumping is None or mode not in (DP, FLOW, DELTA_T):
            raise OrderError("mode: dp, flow or delta_t, and a pair of pumps")
        if mode != DP:
            key, low, high = ("setpoint_lpm", 1, 20_000) if mode == FLOW else ("setpoint_k", 2, 30)
            value = seen.flow_lpm
            if mode == DELTA_T:
                known = seen.return_c is not None and seen.supply_c is not None
                value = (seen.return_c or 0.0) - (seen.supply_c or 0.0) if known else None
            if milli is not None:
                value = milli / 1000 if type(milli) is int else None
            if value is None or not low <= value <= high:
                raise OrderError("setpoint_milli: %d to %d thousand" % (low, high))
            pumping.settings[key] = value
        pumping.hold(mode)
        return "pumps hold " + mode

    def proof(self, what: str) -> str:
        """Begin a proof test, `valve` or `pumps`. Raises `OrderError`."""
        if self.proofs.running:
            raise OrderError("a proof of %s runs" % self.proofs.running)
        if self.agent.supervisor.state != "normal":
            raise OrderError("only while the state is normal")
        if what == "valve":
            position = self.agent.supply.valve.position()
            if position is None:
                raise OrderError("the valve's position is not known")
            self.proofs.begin_valve(position)
        elif what == "pumps":
            self.rotate()
            self.proofs.begin_pumps()
        else:
            raise OrderError("what: valve or pumps")
        return "proof of %s begun" % what

    def shown(self) -> "list[tuple[str, object]]":
        """Show what was proven."""
        records = [
            Object([("at_us", at), ("what", what), ("result", result), ("s", seconds)])
            for at, what, result, seconds in self.proofs.records
        ]
        return [("proofs", records)]

    def calibrated(self) -> "list[tuple[str, object]]":
        """Show what a calibration found, when there was one."""
        made = self.calibration
        if made.state == "idle":
            return []
        found: list[tuple[str, object]] = [
            ("state", made.state),
            ("supply_offset_milli_k", milli(made.supply_k)),
            ("return_offset_milli_k", milli(made.return_k)),
        ]
        return [("calibration", Object(found))]
