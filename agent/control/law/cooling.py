"""The cooling of a row as one object: readings in, outputs out, no bytes.

Not the room on the bus (that is `agent.control.component`, which reads sensors and asks actuators through
it) and not what is safe. It joins the laws: the valve holds the supply (`agent.control.law.feedforward`),
the pumps hold dP, flow or temperature difference (`flowlaw`), the fans give the valve its middle
back (`fans`), the dew point lifts the set-point (`dew`), the optimiser moves it (`optimum`).

    readings.supply_c = …; cooling.step(readings, now, dt); … = cooling.valve_pct

A reading that is not known is None; what cannot be held without it keeps its output, and
`blind` says so: whoever asks the actuators puts them on their safe values.
"""

from agent.control.law.exchanger import Exchanger
from agent.control.law.feedforward import Steer
from agent.control.law.pump_flow import DELTA_T, DP, FlowLaw
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.law.dew_point import Dew
    from agent.control.law.fan import Fans
    from agent.control.law.optimizer import Optimum

_SETPOINT_K_S = 1 / 50
_SETPOINT_PCT_S = 1 / 5
_FANS_S = 9.5  # seconds end between two steps: see docs/project/decisions.md, thresholds
_WET_K = 1.0
_LEARN_CALM_K = 29 / 100


class Readings:
    """What is measured, each None when it is not known: °C, L/min, kPa, %, kW, W."""

    def __init__(self) -> None:
        self.supply_c: float | None = None
        self.return_c: float | None = None
        self.facility_c: float | None = None
        self.flow_lpm: float | None = None
        self.dp_kpa: float | None = None
        self.valve_pct: float | None = None
        self.pump_pct: float | None = None
        self.facility_lpm: float | None = None
        self.air_c: float | None = None
        self.wet_air_c: float | None = None
        self.load_kw: float | None = None
        self.pump_w: float | None = None


class Cooling:
    """The laws of one unit. `settings` has the sections

    `exchanger` (see there), `supply` {setpoint_c, low_c, high_c, min_pct, max_pct, rate_pct_per_s,
    lag_s}, `pumps` {mode, setpoint, min_pct, max_pct, rate_pct_per_s}, and, each may be absent,
    `dew` (see `Dew`), `fans` {min_pct, max_pct, middle_pct, rate_pct_per_s, wet_above_c},
    `optimum` (see `Optimum`; besides `every_s`, `design_kw`).

    Outputs: `valve_pct`, `pump_pct`, `fan_pct`, `wet` (water on the pads or in the tower).
    `floor_c` is the dew point's, `setpoint_c` what is held now.
    """

    def __init__(self, settings: "dict[str, Any]") -> None:
        self.settings = settings
        supply, pumps = settings["supply"], settings["pumps"]
        self.exchanger = Exchanger(settings["exchanger"])
        self.steer = Steer(
            self.exchanger,
            supply["min_pct"],
            supply["max_pct"],
            supply["rate_pct_per_s"],
            supply["lag_s"],
        )
        self.flowlaw = FlowLaw(pumps["min_pct"], pumps["max_pct"], pumps["rate_pct_per_s"])
        self.flowlaw.hold(pumps["mode"])
        self.dew: Dew | None = None
        self.wanted_c: float = supply["setpoint_c"]
        self.wanted_flow: float = pumps["setpoint"]
        self.setpoint_c = self.wanted_c
        self.floor_c: float | None = None
        self.valve_pct = self.pump_pct = self.fan_pct = 0.0
        self.wet = False
        self.blind = False
        self.optimum: Optimum | None = None
        self.fans: Fans | None = None
        self._fans_due = 0.0
        self._search_at = 0
        self.proposed_pct: float | None = None
        self._add(settings)

    def _add(self, settings: "dict[str, Any]") -> None:
        """Add what is asked for; code that is not costs a board no heap."""
        if "dew" in settings:
            from agent.control.law.dew_point import Dew  # noqa: PLC0415 - as said

            self.dew = Dew(settings["dew"])
        if "fans" in settings:
            from agent.control.law.fan import Fans  # noqa: PLC0415 - as said

            fans = settings["fans"]
            self.fans = Fans(fans["min_pct"], fans["max_pct"], fans["rate_pct_per_s"])
            self._middle_pct: float = fans["middle_pct"]
        if "optimum" in settings:
            from agent.control.law.optimizer import Optimum  # noqa: PLC0415 - as said

            model = settings["optimum"]
            self.optimum = Optimum(model, self.exchanger, model["design_kw"])

    def track(self, valve_pct: float, pump_pct: float, fan_pct: float = 0.0) -> None:
        """Take over from what the actuators do, without a bump."""
        self.valve_pct, self.pump_pct = valve_pct, pump_pct
        self.steer.track(valve_pct)
        self.flowlaw.track(pump_pct)
        self.take_fans(fan_pct)

    def humidity(self, i: int, air_c: "float | None", rh_pct: "float | None", now: int) -> None:
        """Take a reading of humidity sensor `i`."""
        if self.dew is not None:
            self.dew.read(i, air_c, rh_pct, now)

    def step(self, readings: Readings, now: int, dt: float) -> None:
        """Advance by `dt` seconds to `now`, monotonic microseconds."""
        self.propose(readings, now)
        self.aim(now, dt)
        self.hold_supply(readings, dt)
        self.hold_flow(readings, dt)
        self.turn_fans(readings, dt)

    def propose(self, readings: Readings, now: int) -> None:
        """Let the optimiser move what is wanted, when it is time: `wanted_c`, `proposed_pct`."""
        if self.optimum is not None and now >= self._search_at:
            self._search(readings, now)

    def aim(self, now: int, dt: float) -> None:
        """Move the set-point towards what is wanted, no lower than the dew point's floor."""
        wanted = self.wanted_c
        supply = self.settings["supply"]
        if self.dew is not None:
            self.floor_c = self.dew.floor(now, dt)
            if wanted < self.floor_c:
                wanted = self.floor_c
        if wanted > supply["high_c"]:  # heat outranks condensation
            wanted = supply["high_c"]
        most = _SETPOINT_K_S * dt
        gap = wanted - self.setpoint_c
        self.setpoint_c += most if gap > most else -most if gap < -most else gap

    def hold_supply(self, readings: Readings, dt: float) -> None:
        """Step the valve's law alone."""
        supply, back, facility = readings.supply_c, readings.return_c, readings.facility_c
        flow = readings.flow_lpm
        self.blind = supply is None or back is None or facility is None or flow is None
        if supply is None or back is None or facility is None or flow is None:
            self.steer.track(self.valve_pct)
            return
        position = readings.valve_pct
        if readings.facility_lpm is not None and position is not None:
            self.steer.see_facility_flow(readings.facility_lpm, position, dt)
        self.valve_pct = self.steer.step(
            self.setpoint_c, supply, back, facility, flow, position, dt
        )

    def hold_flow(self, readings: Readings, dt: float) -> None:
        """Step the pumps' law alone."""
        law = self.flowlaw
        target = self.proposed_pct
        if target is not None:
            most = _SETPOINT_PCT_S * dt
            gap = target - law.output
            self.pump_pct = law.output + (most if gap > most else -most if gap < -most else gap)
            law.track(self.pump_pct)
            return
        measured = readings.dp_kpa if law.mode == DP else readings.flow_lpm
        if law.mode == DELTA_T:
            back, supply = readings.return_c, readings.supply_c
            measured = None if back is None or supply is None else back - supply
        if measured is None:
            law.track(self.pump_pct)
            return
        self.pump_pct = law.step(self.wanted_flow, measured, dt)

    def take_fans(self, fan_pct: float) -> None:
        """Take over from what the fans do."""
        self.fan_pct = fan_pct
        if self.fans is not None:
            self.fans.track(fan_pct)

    def turn_fans(self, readings: Readings, dt: float) -> None:
        """Step the law of the fans and the water on the pads, every ten seconds: they are slow."""
        fans = self.fans
        self._fans_due += dt
        if fans is None or self._fans_due < _FANS_S:
            return
        dt, self._fans_due = self._fans_due, 0.0
        back, facility = readings.return_c, readings.facility_c
        if back is not None and facility is not None:
            share = self.exchanger.share(self._middle_pct)
            wanted = back - (back - self.setpoint_c) / (share if share > 0.05 else 0.05)
            self.fan_pct = fans.step(facility - wanted, dt)
        above: float | None = self.settings["fans"].get("wet_above_c")
        if above is not None and readings.air_c is not None:
            limit = above - _WET_K if self.wet else above
            self.wet = readings.air_c > limit

    def _search(self, readings: Readings, now: int) -> None:
        """Let the optimiser propose, when it knows enough."""
        optimum, supply = self.optimum, self.settings["supply"]
        if optimum is None:
            return
        self._search_at = now + int(self.settings["optimum"]["every_s"]) * SECOND
        self._learn(readings)
        air = readings.air_c
        if self.wet and readings.wet_air_c is not None:
            air = readings.wet_air_c
        load = readings.load_kw
        if load is None:
            load = self._heat_kw(readings)
        if air is None or load is None:
            self.wanted_c, self.proposed_pct = supply["setpoint_c"], None
            return
        floor = supply["low_c"]
        if self.floor_c is not None and self.floor_c > floor:
            floor = self.floor_c
        best = optimum.search(load, air, floor, supply["high_c"])
        self.wanted_c, self.proposed_pct = best.supply_c, best.pump_pct
        if self.fans is not None:
            self.fans.expect(best.fan_pct)
            if best.middle_pct:
                self._middle_pct = best.middle_pct

    def _heat_kw(self, readings: Readings) -> "float | None":
        supply, back, flow = readings.supply_c, readings.return_c, readings.flow_lpm
        if supply is None or back is None or flow is None:
            return None
        return self.exchanger.tcs_capacity(flow) * (back - supply) / 1000.0

    def _learn(self, readings: Readings) -> None:
        """Compare the models with what is seen, when the supply is where it should be."""
        optimum, supply = self.optimum, readings.supply_c
        if optimum is None or supply is None:
            return
        if readings.pump_w is not None and readings.pump_pct is not None:
            optimum.learn_pumps(readings.pump_w, readings.pump_pct)
        heat, facility, valve = self._heat_kw(readings), readings.facility_c, readings.valve_pct
        calm = -_LEARN_CALM_K < supply - self.setpoint_c < _LEARN_CALM_K
        if heat is None or facility is None or valve is None or not calm or valve < 10.0:
            return
        air = readings.wet_air_c if self.wet else readings.air_c
        if air is None or self.fan_pct < 1.0:
            return
        flow = readings.facility_lpm
        c = self.exchanger.capacity(self.exchanger.flow_at(valve) if flow is None else flow)
        optimum.learn_cooler(1000.0 * heat, facility + 1000.0 * heat / c, air, self.fan_pct, valve)
