"""What is wrong, and what state that puts the unit in.

Not what puts outputs on their safe values: each loop does that itself at the moment its reading is
not good, so that it needs no second opinion. Here the causes are named, raised as alarms, and
weighed into one state for people and for the ground: normal, degraded (it cools, but something is
missing), safe (the supply temperature is not under control: declared safe outputs are asked for),
stopped (it does not cool, on purpose: see `agent.safety.interlock`).

The table below is the whole policy: code, state, and what a person reads. Optional parts see more:
those in `sources` are asked for their causes each time.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.control.pressure_loop import PressureLoop
    from agent.control.supply_loop import SupplyLoop
    from agent.core.alarm_list import AlarmList
    from agent.core.config_records import Config
    from agent.fieldbus.device_session import Station
    from agent.fieldbus.fieldbus import Fieldbus

    class Source(Protocol):
        """Who else knows of causes."""

        def causes(self, now: int) -> "list[tuple[str, int, str]]":
            """Name what is wrong now: (code, state it puts the unit in, what a person reads)."""
            ...


STATES = ("normal", "degraded", "safe", "stopped")
_NORMAL, _DEGRADED, _SAFE = NORMAL, DEGRADED, SAFE = 0, 1, 2
STOPPED = 3

_GRACE = 5 * SECOND
"""After a start nothing has been read yet: the outputs are safe, but that is no alarm."""

CAUSES = (
    ("bus_lost", _SAFE, "no device answers on bus"),
    ("supply_sensor", _SAFE, "supply temperature is not known; valve at its safe opening"),
    ("dp_sensor", _DEGRADED, "differential pressure is not known; pumps at their safe speed"),
    ("device_lost", _DEGRADED, "no answer from"),
    ("pump_trip", _DEGRADED, "drive has tripped:"),
    ("write_refused", _SAFE, "does not take what is written:"),
    ("identity", _SAFE, "is another model than its profile's, nothing is written to it:"),
    ("bus_overload", _DEGRADED, "cannot keep up with its polls: bus"),
    ("device_alarm", _DEGRADED, "reports"),
    ("supply_high", _DEGRADED, "supply temperature is above its limit"),
)
"""The causes in the order they are checked."""
_UNIT = [""]
"""What a cause that concerns the whole unit is found to name."""


class Supervisor:
    """Weighs the causes once a tick. `state` is one of `STATES`."""

    def __init__(
        self,
        config: "Config",
        fieldbus: "Fieldbus",
        supply: "SupplyLoop",
        pressure: "PressureLoop",
        alarms: "AlarmList",
    ) -> None:
        self.state = "safe"
        self.config = config
        self._fieldbus = fieldbus
        self._supply = supply
        self._pressure = pressure
        self._alarms = alarms
        self._started: int | None = None
        self._found: list[list[str]] = []
        self.sources: list[Source] = []
        self._others: list[str] = []

    def watch(self, supply: "SupplyLoop", pressure: "PressureLoop") -> None:
        """Look at other loops from now on."""
        self._supply, self._pressure = supply, pressure

    def step(self, now: int) -> None:
        """Look at everything, raise and clear alarms, set the state."""
        if self._started is None:
            self._started = now
        found = self._look(now)
        worst = _NORMAL
        for (_, level, _), names in zip(CAUSES, found):
            if names:
                worst = max(worst, level)
        if self.sources:
            worst = max(worst, self._ask_others(now))
        self.state = STATES[worst]
        if now - self._started < _GRACE or found == self._found:
            return
        self._found = found
        for (code, _, text), names in zip(CAUSES, found):
            self._report(code, text, names, now)

    def _ask_others(self, now: int) -> int:
        """Raise what the sources know, clear what they know no more; the worst state of it."""
        worst = _NORMAL
        codes = []
        for source in self.sources:
            for code, level, text in source.causes(now):
                worst = max(worst, level)
                codes.append(code)
                self._alarms.set(code, True, text, now)
        for code in self._others:
            if code not in codes:
                self._alarms.set(code, False, "", now)
        self._others = codes
        return worst

    def _look(self, now: int) -> "list[list[str]]":
        """Name what is wrong, a list for each cause, empty when nothing is."""
        supply, pressure, stations = self._supply, self._pressure, self._fieldbus.stations
        measured = supply.sensor.value(now)
        lost = [s for s in stations if s.lost]
        return [
            self._fieldbus.lost_buses() if lost else [],
            _UNIT if measured is None else [],
            _UNIT if pressure.sensor.value(now) is None else [],
            [s.name for s in lost],
            [p.station.name for p in pressure.pumps if p.tripped()],
            [s.name for s in stations if s.stubborn],
            [s.name for s in stations if s.stranger],
            self._fieldbus.overloaded_buses(),
            _device_alarms(stations),
            _UNIT if measured is not None and measured > self.config.supply_max_c else [],
        ]

    def _report(self, code: str, text: str, names: "list[str]", now: int) -> None:
        """Raise one alarm for each name, and clear the ones whose name is gone."""
        codes = [code + ":" + name if name else code for name in names]
        for active in self._alarms.codes():
            if active.split(":")[0] == code and active not in codes:
                self._alarms.set(active, False, "", now)
        for full, name in zip(codes, names):
            self._alarms.set(full, True, text + " " + name if name else text, now)


def _device_alarms(stations: "list[Station]") -> "list[str]":
    found = []
    for station in stations:
        if not station.lost:
            found.extend([station.name + "." + name for name in station.device.alarm_bits()])
    return found
