# SPDX-License-Identifier: Apache-2.0
"""The IT loads of a unit: emulated Redfish services that follow the limits of the agent.

Does not emulate outlets: a load that can only be switched is part of the row without a limit. Each
load with a port gets a service behind this port, at the chassis that its path names. Its rated
power is the `max_w` of the configuration. Loads of one chassis are one service resource with one
limit. The plant is that of a row of 100 kW, so the heat of all
loads is scaled to it. Loads whose path is none of the two schemas have no twin.
"""

import re
from typing import Any, NamedTuple

from agent.power.build import load_classes
from agent.power.load_class import find_class
from hil.devices.power.capped_load import CappedLoad, CappedLoadSchedule
from hil.devices.power.redfish_bmc import RedfishBmc
from hil.plant.plant import Plant

SECTION = "throttle"
_PATH = re.compile(r"/redfish/v1/Chassis/([^/]+)/(EnvironmentMetrics|Power)")
_PLANT_KW, _DEMAND = 100.0, 0.9
_IDLE = 0.15
_WATER_C = 45, 61
"""Range of the facility water of a test, °C; the last one is excluded."""
_PERMILLE, _DEADBAND_PCT = 900, 5.0


class TwinLoads:
    """The services of a unit by the names of their ports; `limited`: loads below their rating."""

    def __init__(self, section: dict[str, Any], plant: Plant) -> None:
        self._section = section
        by_port: dict[str, list[tuple[CappedLoad, set[str]]]] = {}
        loads: list[CappedLoad] = []
        for (port, name), raws in _by_chassis(section).items():
            rated_w = max(raw["max_w"] for raw in raws)
            load = CappedLoad(name, rated_w, _IDLE * rated_w)
            loads.append(load)
            schemas = {found[2] for found in map(_match, raws) if found is not None}
            if schemas and port:
                by_port.setdefault(port, []).append((load, schemas))
        self.services: dict[str, RedfishBmc] = {}
        for port, entries in by_port.items():
            older = tuple(load.name for load, schemas in entries if schemas == {"Power"})
            both = tuple(load.name for load, schemas in entries if len(schemas) > 1)
            served = [load for load, _ in entries]
            self.services[port] = RedfishBmc(served, older, _login(section, port), 0.0, both)
        plant.attach_load(_ScaledSchedule(loads))

    def extend(self, config: dict[str, Any]) -> None:
        """Add the section to the configuration for the twins."""
        section = {**self._section, "ports": dict.fromkeys(self._section["ports"], "")}
        section["ports"] = {name: f"tcp:{name}.virtual:80" for name in section["ports"]}
        section.pop("schedule", None)
        if "port" in section:
            section["port"] = f"store:/virtual/{SECTION}"
        config[SECTION] = section

    def limited(self) -> float:
        """Return the number of loads whose service has a limit below the rating."""
        return float(
            sum(
                bmc.limits_w[load.name] < int(load.rated_w)
                for bmc in self.services.values()
                for load in bmc.loads.values()
            )
        )

    def limit_pct(self) -> float:
        """Return the lowest limit of a load, % of its rating."""
        return min(
            100.0 * bmc.limits_w[load.name] / load.rated_w
            for bmc in self.services.values()
            for load in bmc.loads.values()
        )


class LimitTest(NamedTuple):
    """A test of the limits that fits the configuration, or no test if `loads` is empty.

    `loads`: names of the loads that it must limit. `water_c`: facility water at which the class of
    each of them permits at most 90 %. `chassis`: number of their services' limits. `pct`: highest
    value of the lowest limit, % of the rating: a load is not limited below its `min_w`.
    `is_free_c`: up to this supply temperature no class limits.
    """

    loads: tuple[str, ...]
    water_c: float
    chassis: int
    pct: float
    is_free_c: float


def plan_limits(section: dict[str, Any]) -> LimitTest:
    """Return the test of the limits of the section `throttle`."""
    site = load_classes({"classes": section.get("classes", [])})
    found, water_c, free_c, pct = [], float(_WATER_C[0]), float(_WATER_C[1]), 100.0
    for raw in section.get("loads", []):
        load_class = find_class(raw["class"], site)
        if load_class is None or "port" not in raw or not _match(raw):
            continue
        at_c = next((c for c in range(*_WATER_C) if load_class.power_permille(c) <= _PERMILLE), 0)
        if not at_c or raw["min_w"] >= raw["max_w"]:
            continue  # no limit can be tested
        found.append(raw)
        water_c, free_c = max(water_c, at_c + 1.0), min(free_c, load_class.derating_start_c())
        pct = min(pct, max(_PERMILLE / 10 + _DEADBAND_PCT, 100.0 * raw["min_w"] / raw["max_w"]))
    chassis = len(_by_chassis({"loads": found}))
    return LimitTest(tuple(raw["name"] for raw in found), water_c, chassis, pct, free_c)


def _match(raw: dict[str, Any]) -> re.Match[str] | None:
    return _PATH.fullmatch(raw.get("path", ""))


def _by_chassis(section: dict[str, Any]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the loads by port and chassis; a load without a twin is alone under its name."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for raw in section["loads"]:
        match = _match(raw)
        has_twin = match is not None and "port" in raw
        key = (raw["port"], match[1]) if match is not None and has_twin else ("", raw["name"])
        found.setdefault(key, []).append(raw)
    return found


def _login(section: dict[str, Any], port: str) -> tuple[str, str] | None:
    for login in section.get("logins", []):
        if login["port"] == port:
            return login["username"], login["password"]
    return None


class _ScaledSchedule(CappedLoadSchedule):
    """The power of all loads, scaled to the row of the plant."""

    __slots__ = ("_scale",)

    def __init__(self, loads: list[CappedLoad]) -> None:
        rated_kw = sum(load.rated_w for load in loads) / 1000.0
        self._scale = _PLANT_KW / rated_kw
        super().__init__(_DEMAND * rated_kw, loads)

    def power_kw(self, now: int) -> float:
        """Return the heat in the plant at `now`, kW."""
        return super().power_kw(now) * self._scale
