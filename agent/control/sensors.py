"""What the part `cooling` sees: its sensors, what is doubted of them, and the readings of a cycle.

The supply's sensor of the agent is replaced by one that gives what is left after all doubt
(`agent.control.law.sensor_check`): its spare, or nothing. Not what is done about it: what is found wrong goes
to the supervisor as causes.
"""

from agent.control.law.sensor_check import Balance, Doubt
from agent.fieldbus.sensor import Sensor, optional, value_of
from agent.safety.supervisor import DEGRADED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.control.law.cooling import Readings
    from agent.control.law.exchanger import Exchanger

    Cause = tuple[str, int, str]

_SUPPLY, _RETURN, _FLOW = (
    "SupplyTemperatureCelsius",
    "ReturnTemperatureCelsius",
    "FlowLitersPerMinute",
)
_COLD, _WARM = "PrimarySupplyTemperatureCelsius", "PrimaryReturnTemperatureCelsius"
_FACILITY_FLOW = "PrimaryFlowLitersPerMinute"
_AIR, _HUMIDITY = "TemperatureCelsius", "HumidityPercent"
_RATE_K_S, _APART_K = 2.0, 15 / 10


class Sensing:
    """Fills `readings`; `settings` is the section `cooling`."""

    def __init__(self, agent: "Agent", settings: "dict[str, Any]", readings: "Readings") -> None:
        config = agent.config
        stale = config.stale_us
        unit = agent.fieldbus.station(config.supply.sensor)
        facility = agent.fieldbus.station(settings["facility"])
        self._agent, self._settings, self._readings = agent, settings, readings
        self._return = optional(unit, _RETURN, stale)
        self._flow = optional(unit, _FLOW, stale)
        self._cold = optional(facility, _COLD, stale)
        self._warm = optional(facility, _WARM, stale)
        self._facility_flow = optional(facility, _FACILITY_FLOW, stale)
        self._spare: Sensor | None = None
        if "spare_supply" in settings:
            self._spare = Sensor(agent.fieldbus.station(settings["spare_supply"]), _SUPPLY, stale)
        self.rooms: list[tuple[Sensor, Sensor]] = []
        for name in settings.get("dew", {}).get("sensors", []):
            room = agent.fieldbus.station(name)
            self.rooms.append((Sensor(room, _AIR, stale), Sensor(room, _HUMIDITY, stale)))
        self.outdoor: Sensor | None = None
        if "optimum" in settings:
            self.outdoor = Sensor(agent.fieldbus.station(settings["optimum"]["air"]), _AIR, stale)
        self.doubt = Doubt(_RATE_K_S, _APART_K)
        self.balance = Balance(settings["balance_pct"]) if settings["balance_pct"] else None
        self._believed = Believed(agent.supply.sensor)
        agent.supply.sensor = self._believed  # type: ignore[assignment]  # the same shape

    def raw(self, now: int) -> "tuple[float | None, float | None]":
        """Give supply and return as they were read."""
        return self._believed.raw.value(now), value_of(self._return, now)

    def read(self, exchanger: "Exchanger | None", now: int, dt: float) -> "list[Cause]":
        """Take the readings of a cycle; give what is wrong with them."""
        seen, settings, agent = self._readings, self._settings, self._agent
        supply, back = self.raw(now)
        seen.return_c = None if back is None else back + settings["return_offset_k"]
        if supply is not None:
            supply += settings["supply_offset_k"]
        seen.supply_c = self.doubt.judge(supply, value_of(self._spare, now), back, dt)
        self._believed.now, self._believed.held = now, seen.supply_c
        seen.flow_lpm = value_of(self._flow, now)
        seen.dp_kpa = agent.pressure.sensor.value(now)
        seen.facility_c = value_of(self._cold, now)
        seen.facility_lpm = value_of(self._facility_flow, now)
        seen.valve_pct = agent.supply.valve.position()
        return self._wrong() + self._unbalanced(exchanger, now, dt)

    def _wrong(self) -> "list[Cause]":
        doubt = self.doubt
        return [
            (code, DEGRADED, text)
            for wrong, code, text in (
                (doubt.jumped, "sensor_rate", "supply temperature moved faster than it can"),
                (doubt.stuck, "sensor_stuck", "supply temperature stands while the return moves"),
                (doubt.apart, "sensor_apart", "supply temperature and its spare differ"),
            )
            if wrong
        ]

    def _unbalanced(self, exchanger: "Exchanger | None", now: int, dt: float) -> "list[Cause]":
        """Hold the heat of both sides against each other, where all of it is measured."""
        balance, seen = self.balance, self._readings
        warm = value_of(self._warm, now)
        cold, lpm, flow = seen.facility_c, seen.facility_lpm, seen.flow_lpm
        supply, back = seen.supply_c, seen.return_c
        if balance is None or exchanger is None or None in (warm, cold, lpm, flow, supply, back):
            return []
        into = exchanger.tcs_capacity(flow or 0.0) * ((back or 0.0) - (supply or 0.0))
        out = exchanger.capacity(lpm or 0.0) * ((warm or 0.0) - (cold or 0.0))
        balance.judge(into, out, dt)
        if not balance.off:
            return []
        return [("heat_balance", DEGRADED, "heat on both sides differs: a sensor is off")]


class Believed:
    """The supply's sensor as the loops see it: what is left of it after all doubt."""

    def __init__(self, raw: Sensor) -> None:
        self.raw = raw
        self.name = raw.name
        self.source = raw.source
        self.now = -1
        self.held: float | None = None

    def quality(self, now: int) -> str:
        """Say good, bad, stale or none; what is doubted is bad."""
        quality = self.raw.quality(now)
        if self.value(now) is not None:
            return "good"
        return "bad" if quality == "good" else quality

    def value(self, now: int) -> "float | None":
        """Give the value of this cycle, or None when it is not good."""
        return self.held if now == self.now else self.raw.value(now)

    def age(self, now: int) -> "int | None":
        """Microseconds since it was last read, or None."""
        return self.raw.age(now)
