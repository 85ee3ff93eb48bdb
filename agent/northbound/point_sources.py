# SPDX-License-Identifier: Apache-2.0
"""Sources of the points of the unit: which sensor, drive or input gives the value of each key.

Does not write the record; see `agent.northbound.point_record`. The keys, units and scales are those
of the point table of the servers, deploy/northbound/points/points.toml; a test compares both.
A source is called with the time and returns (raw value or None, quality, age in ms or None).

A key has the source that `northbound.points` names. Otherwise it has the loop of the unit, or the
first device with a point of `_POINT_NAMES`. A key without a source is not in the record.
"""

from agent.control.law.dew_point import dew_point
from protocols.rounding import round_half_away
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.context import Context, SensorView, SessionView

    Value = tuple[int | None, str, int | None]
    Source = Callable[[int], Value]

GOOD, UNCERTAIN, BAD = "good", "uncertain", "bad"
MAX_PUMPS, MAX_FANS, MAX_LEAKS = 2, 8, 8
_FACTORS = (
    ("kW", "W", 1000, 1),
    ("kW.h", "W.h", 1000, 1),
    ("s", "h", 1, 3600),
    ("bar", "kPa", 100, 1),
    ("m3/h", "L/min", 1000, 60),
)
"""(unit of a device, unit of the table, numerator, denominator)."""

UNITS = {
    "supply_pressure": "kPa",
    "return_pressure": "kPa",
    "secondary_flow": "L/min",
    "dew_point": "Cel",
    "air_temperature": "Cel",
    "air_humidity": "%",
    "facility_supply_temperature": "Cel",
    "facility_return_temperature": "Cel",
    "facility_supply_pressure": "kPa",
    "facility_return_pressure": "kPa",
    "facility_flow": "L/min",
    "reservoir_level": "%",
    "filter_pressure": "kPa",
    "filter_hours": "h",
    "power": "W",
    "energy": "W.h",
    "it_power": "W",
}
"""Keys that a point of a device can give, with their units. `northbound.points` names others."""
WHOLE = ("W", "W.h", "h", "s", "1")
"""Units with whole raw values; the raw values of other units are thousandths."""
_POINT_NAMES = (
    ("secondary_flow", ("FlowLitersPerMinute",)),
    ("supply_pressure", ("SupplyPressurekPa",)),
    ("return_pressure", ("ReturnPressurekPa",)),
    ("facility_supply_temperature", ("PrimarySupplyTemperatureCelsius",)),
    ("facility_return_temperature", ("PrimaryReturnTemperatureCelsius",)),
    ("facility_flow", ("PrimaryFlowLitersPerMinute",)),
    ("facility_supply_pressure", ("PrimarySupplyPressurekPa",)),
    ("facility_return_pressure", ("PrimaryReturnPressurekPa",)),
    ("dew_point", ("DewPointCelsius",)),
    ("air_temperature", ("AmbientTemperatureCelsius", "AirInletTemperatureCelsius")),
    ("air_humidity", ("RelativeHumidityPercent", "HumidityPercent")),
    ("filter_pressure", ("FilterPressurekPa",)),
    ("reservoir_level", ("ReservoirLevelPercent", "FluidLevelPercent")),
)
"""Keys and the names of points in profiles that give them, in the order of preference."""


def factor(unit: "str | None", target_unit: str) -> "tuple[int, int] | None":
    """Return the factor from one unit to another; None: they do not fit."""
    if unit in (target_unit, None):
        return 1, 1
    for have, want, numerator, denominator in _FACTORS:
        if (have, want) == (unit, target_unit):
            return numerator, denominator
    return None


class PointSource:
    """A point of a device, in the unit of the table. A value older than `stale_us` is bad."""

    def __init__(self, session: "SessionView", point: str, unit: str, stale_us: int) -> None:
        self._session = session
        self._index = session.device.point_index(point)
        record = session.profile.points[self._index]
        numerator, denominator = factor(record.unit, unit) or (1, 1)
        self._numerator = record.numerator * numerator * (1 if unit in WHOLE else 1000)
        self._denominator = record.denominator * denominator
        self._stale_us = stale_us

    def __call__(self, now: int) -> "Value":
        """Return the value."""
        reading = self._session.device.readings[self._index]
        if reading.quality == "none":
            return None, BAD, None
        age = now - reading.read_at
        if reading.quality != "good" or age > self._stale_us:
            return None, BAD, age // MILLISECOND
        return (
            round_half_away(reading.raw * self._numerator / self._denominator),
            GOOD,
            age // MILLISECOND,
        )


def sensor_source(sensor: "SensorView") -> "Source":
    """Return the source of a sensor of a loop; the raw value is in thousandths."""
    age_of: Any = getattr(sensor, "age", None)

    def read(now: int) -> "Value":
        age = None if age_of is None else age_of(now)
        value = sensor.value(now)
        return (
            None if value is None else round_half_away(value * 1000),
            GOOD if value is not None else BAD,
            None if age is None else age // MILLISECOND,
        )

    return read


def value_source(read: "Callable[[], float | None]") -> "Source":
    """Return the source of a value that a loop has; the raw value is in thousandths."""

    def read_raw(_now: int) -> "Value":
        value = read()
        if value is None:
            return None, BAD, None
        return round_half_away(value * 1000), GOOD, None

    return read_raw


def aged_source(
    read: "Callable[[], float | None]", session: "SessionView", point: str, stale_us: int
) -> "Source":
    """Return the source of a value that an actuator has from `point`; it is bad when it is old.

    The device can still reply to other requests then.
    """
    index = session.device.point_index(point)

    def read_raw(now: int) -> "Value":
        value, age = read(), now - session.device.readings[index].read_at
        if value is None:
            return None, BAD, None
        if age > stale_us:
            return None, BAD, age // MILLISECOND
        return round_half_away(value * 1000), GOOD, age // MILLISECOND

    return read_raw


def running_source(speed: "Source") -> "Source":
    """Return the source of "runs": the drive reports a `speed` above 1 %."""

    def read(now: int) -> "Value":
        raw, quality, age = speed(now)
        return (None if raw is None else int(raw > 1000)), quality, age

    return read


def bit_source(session: "SessionView", bit: str) -> "Source":
    """Return the source of an input bit. It is bad while the device is lost, or before a reading.

    A bit that was not read yet is not off.
    """
    record = session.profile.bits[session.profile.bit_index(bit)]

    def read(now: int) -> "Value":
        age = (now - session.answered_at) // MILLISECOND
        if session.lost:
            return None, BAD, age
        if session.device.register_value(record) is None:
            return None, BAD, None
        return int(session.device.is_bit_on(bit)), GOOD, age

    return read


class Sources:
    """The sources of a unit by key, in the order of the record. Built once, at the start."""

    def __init__(self, agent: "Context", settings: "dict[str, Any]") -> None:
        self.by_key: dict[str, Source] = {}
        self.order: list[str] = []
        self._agent = agent
        self._stale_us: int = agent.config.stale_us
        self._sections = {name: raw for name, raw, _ in agent.config.components}
        self._add_named(settings.get("points", {}))
        self._add_loops()
        self._add_devices()
        self._add_humidity()
        self._add_leaks()
        self._add_margin()
        self._add_heat()

    def _add(self, key: str, source: "Source") -> None:
        if key not in self.by_key:
            self.by_key[key] = source
            self.order.append(key)

    def _add_named(self, points: "dict[str, str]") -> None:
        for key in sorted(points):
            device, _, point = points[key].partition(".")
            session = self._agent.fieldbus.session(device)
            self._add(key, PointSource(session, point, UNITS[key], self._stale_us))

    def _add_loops(self) -> None:
        agent = self._agent
        supply, pressure = agent.supply_loop, agent.pressure_loop
        if supply.config.sensor:
            self._add("supply_temperature", sensor_source(supply.sensor))
        returned: Any = getattr(agent, "return_sensor", None)
        if returned is not None:
            self._add("return_temperature", sensor_source(returned))
        if pressure.config.sensor:
            self._add("differential_pressure", sensor_source(pressure.sensor))
        if supply.config.is_driven:
            session = agent.fieldbus.session(supply.config.actuators[0])
            point = session.profile.valve["feedback"]
            position = aged_source(supply.valve.position, session, point, self._stale_us)
            self._add("valve_position", position)
            self._add("valve_command", value_source(lambda: supply.valve.command_pct))
        if supply.config.actuators:
            self._add("supply_setpoint", value_source(lambda: supply.setpoint))
        if pressure.config.actuators:
            self._add("pressure_setpoint", value_source(lambda: pressure.setpoint))
        if pressure.config.is_driven:
            for i, name in enumerate(pressure.config.actuators[:MAX_PUMPS]):
                self._add_pump(i, name)
        fans = self._sections.get("cooling", {}).get("fans", {}).get("drives", [])
        for i, name in enumerate(fans[:MAX_FANS]):
            self._add_fan(i, name)

    def _add_pump(self, i: int, name: str) -> None:
        pump, key = self._agent.pressure_loop.pumps[i], "pump%d" % (i + 1)
        session = self._agent.fieldbus.session(name)
        speed = aged_source(pump.speed, session, session.profile.pump["feedback"], self._stale_us)
        self._add(key + "_speed", speed)
        self._add(key + "_command", value_source(lambda: pump.command_pct))
        self._add(key + "_running", running_source(speed))
        for point in ("RunHours", "ServiceHours", "PumpServiceHours"):
            if session.profile.has_point(point):
                self._add(key + "_hours", PointSource(session, point, "h", self._stale_us))

    def _add_fan(self, i: int, name: str) -> None:
        session = self._agent.fieldbus.session(name)
        role: dict[str, Any] = session.profile.fan or session.profile.pump
        if "feedback" in role:
            source = PointSource(session, role["feedback"], "%", self._stale_us)
            self._add("fan%d_speed" % (i + 1), source)

    def _add_devices(self) -> None:
        """Find the other keys: first in the device of the supply sensor, then in all others."""
        agent = self._agent
        first = agent.supply_loop.config.sensor
        sessions = [s for s in agent.fieldbus.sessions if s.name == first]
        sessions += [s for s in agent.fieldbus.sessions if s.name != first]
        for key, names in _POINT_NAMES:
            for name in names:
                for session in sessions:
                    if session.profile.has_point(name):
                        self._add(key, PointSource(session, name, UNITS[key], self._stale_us))

    def _add_humidity(self) -> None:
        """Compute the dew point from the first humidity sensor of `cooling.dew`."""
        sensors = self._sections.get("cooling", {}).get("dew", {}).get("sensors", [])
        for name in sensors:
            session = self._agent.fieldbus.session(name)
            air = PointSource(session, "TemperatureCelsius", "Cel", self._stale_us)
            humidity = PointSource(session, "HumidityPercent", "%", self._stale_us)
            self._add("air_temperature", air)
            self._add("air_humidity", humidity)
            self._add("dew_point", _dew_source(air, humidity))

    def _add_leaks(self) -> None:
        inputs = self._sections.get("safety", {}).get("inputs", [])
        leaks = [entry for entry in inputs if entry["kind"][:4] == "leak"]
        for i, entry in enumerate(leaks[:MAX_LEAKS]):
            session = self._agent.fieldbus.session(entry["device"])
            self._add("leak%d" % (i + 1), bit_source(session, entry["bit"]))

    def _add_margin(self) -> None:
        dew, supply = self.by_key.get("dew_point"), self.by_key.get("supply_temperature")
        if dew is None or supply is None:
            return
        dew_read, supply_read = dew, supply

        def read(now: int) -> "Value":
            dew_raw, _, age = dew_read(now)
            supply_raw, _, _ = supply_read(now)
            if dew_raw is None or supply_raw is None:
                return None, BAD, age
            return supply_raw - dew_raw, GOOD, age

        self._add("dew_margin", read)

    def _add_heat(self) -> None:
        """Compute the heat of the coolant, if `throttle` does not measure it."""
        exchanger = self._sections.get("cooling", {}).get("exchanger")
        reads = [
            self.by_key.get(key)
            for key in ("secondary_flow", "supply_temperature", "return_temperature")
        ]
        if exchanger is not None and "throttle" not in self._sections and None not in reads:
            self._add("heat", _heat_source(reads, exchanger["tcs_j_lk"]))


def _heat_source(reads: "list[Any]", j_lk: float) -> "Source":
    """Return the source of flow times temperature difference times heat capacity, W.

    It is uncertain: the heat capacity is that of the configuration.
    """

    def read(now: int) -> "Value":
        (flow, _, age), (supply, _, _), (returned, _, _) = [source(now) for source in reads]
        if flow is None or supply is None or returned is None:
            return None, BAD, age
        watts = flow / 1000 / 60 * (returned - supply) / 1000 * j_lk
        return round_half_away(watts), UNCERTAIN, age

    return read


def _dew_source(air: "Source", humidity: "Source") -> "Source":
    """Return the source of the dew point of air with this temperature and humidity."""

    def read(now: int) -> "Value":
        air_raw, _, age = air(now)
        humidity_raw, _, _ = humidity(now)
        if air_raw is None or humidity_raw is None or humidity_raw <= 0:
            return None, BAD, age
        dew_c = dew_point(air_raw / 1000, humidity_raw / 1000)
        return round_half_away(dew_c * 1000), GOOD, age

    return read


def number_value(number: "int | bool | None") -> "Value":
    """Return the value of a number that is known at this time; None: it is not known."""
    return (None, BAD, None) if number is None else (int(number), GOOD, 0)


def word_value(word: "Any", words: "tuple[str, ...]") -> "Value":
    """Return the number of a word. It is not known if it is none of `words`, or the first one."""
    return number_value(words.index(word) if word in words[1:] else None)


def component_values(agent: "Context", start_us: int, now: int) -> "list[tuple[str, Value]]":
    """Return the keys that components and the clock give."""
    found: list[tuple[str, Value]] = []
    components: Any = getattr(agent, "components", [])
    for component in components:
        names = [point[0] for point in component.POINTS]
        if "throttle.HeatWatts" in names:
            try:
                values = component.values(now)
            except Exception as error:  # noqa: BLE001 - the guard handles it
                context: Any = agent
                context.guard.handle(component, error, now)
                continue
            for key, name in (
                ("heat", "throttle.HeatWatts"),
                ("headroom", "throttle.HeadroomWatts"),
                ("it_power", "throttle.LoadWatts"),
                ("load_limit", "throttle.LimitWatts"),
            ):
                raw = values[names.index(name)]
                quality = BAD if raw is None else GOOD
                if key == "it_power" and raw is not None:
                    measurement: Any = component
                    is_measured = measurement.measurement.is_load_measured(now)
                    quality = GOOD if is_measured else UNCERTAIN
                found.append((key, (raw, quality, None)))
    clock: Any = agent.clock
    bound = clock.bound_us(now)
    found.append(("clock_bound", (bound, BAD if bound is None else GOOD, None)))
    found.append(("uptime", ((now - start_us) // SECOND, GOOD, 0)))
    return found
