"""From the section `throttle` of the configuration to loads, services, sensors.

What `agent.power.schema` has checked is taken as right here.
"""

from agent.power.frequency_droop import Droop
from agent.power.load import Load
from agent.power.load_class import LoadClass, find
from agent.power.optics_monitor import Optics
from drivers.redfish import Redfish, Target
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.fieldbus.device_session import Station


class Reading:
    """One point of one device as thousandths of its unit, while it is good and fresh."""

    def __init__(self, station: "Station", point: str, stale_us: int) -> None:
        index = station.device.index(point)
        self._reading = station.device.readings[index]
        self._point = station.profile.points[index]
        self._stale_us = stale_us

    def milli(self, now: int) -> "int | None":
        """Give the value, or None; whole numbers only, the same on every interpreter."""
        reading = self._reading
        if reading.quality != "good" or now - reading.at > self._stale_us:
            return None
        return reading.raw * self._point.num * 1000 // self._point.den


def reading(agent: "Agent", where: "dict[str, Any] | None") -> "Reading | None":
    """Find the point that {"device", "point"} names, if it is configured."""
    if where is None:
        return None
    station = agent.fieldbus.station(where["device"])
    index = station.device.index(where["point"])
    stale = agent.config.stale_us
    if station.profile.points[index].poll == "slow":
        stale += station.profile.periods[1]
    return Reading(station, where["point"], stale)


def classes(settings: "dict[str, Any]") -> "list[LoadClass]":
    """The site's own classes."""
    return [
        LoadClass(
            own["name"],
            own["case_limit_c"],
            own["rise_k"],
            tuple([(point["supply_c"], point["pct"]) for point in own["curve"]]),
        )
        for own in settings["classes"]
    ]


def loads(agent: "Agent", settings: "dict[str, Any]") -> "list[Load]":
    """Every load, in the order of the configuration."""
    own = classes(settings)
    out = []
    for raw in settings["loads"]:
        kind = find(raw["class"], own)
        if kind is None:
            continue
        load = Load(raw["name"], kind, raw["priority"], raw["min_w"], raw["max_w"])
        for outlet in raw["outlets"]:
            station = agent.fieldbus.station(outlet["device"])
            load.outlets.append((station, station.device.index(outlet["point"])))
        out.append(load)
    return out


def services(settings: "dict[str, Any]", made: "list[Load]") -> "list[Redfish]":
    """The Redfish services in the order of their ports' names, joined to their loads."""
    out = []
    ports = settings.get("ports", {})
    for name in sorted(ports):
        mine = [
            (raw, load) for raw, load in zip(settings["loads"], made) if raw.get("port") == name
        ]
        targets = [
            Target(
                raw["path"],
                raw["schema"],
                raw["effect_ms"] * MILLISECOND,
                raw["deferred"] == 1,
                raw.get("system", ""),
            )
            for raw, _ in mine
        ]
        login, session = None, True
        for entry in settings["logins"]:
            if entry["port"] == name:
                login = (entry["username"], entry["password"])
                session = entry["by"] == "session"
        service = Redfish(_host(ports[name]), targets, login, session)
        for index, (_, load) in enumerate(mine):
            load.service, load.index = service, index
        out.append(service)
    return out


def _host(address: str) -> str:
    """HOST:PORT of an address, without its kind and its options."""
    return address.partition("?")[0].partition(":")[2]


def optics(agent: "Agent", settings: "dict[str, Any]", made: "list[Load]") -> "list[Optics]":
    """The optical modules that are watched."""
    out = []
    for raw in settings["optics"]:
        sensor = reading(agent, raw)
        shed = [load for load in made if load.name == raw.get("load")]
        if sensor is not None:
            warm, hot = 1000 * raw["warn_c"], 1000 * raw["hot_c"]
            out.append(Optics(raw["name"], sensor, warm, hot, shed[0] if shed else None))
    return out


def droop(settings: "dict[str, Any]") -> "Droop | None":
    """The droop with the grid's frequency, if it is configured."""
    raw = settings.get("droop")
    if raw is None:
        return None
    return Droop(1000 * raw["nominal_hz"], raw["deadband_mhz"], raw["full_mhz"], raw["least_pct"])


def stations(load: "Load") -> "list[Station]":
    """The power strips that a load hangs on, each once."""
    out: list[Station] = []
    for station, _ in load.outlets:
        if station not in out:
            out.append(station)
    return out
