# SPDX-License-Identifier: Apache-2.0
"""The IT loads of a unit: emulated Redfish services that follow the limits of the agent.

Does not emulate outlets: a load that can only be switched is part of the row without a limit. Each
load with a port gets a service behind this port, at the chassis that its path names. Its rated
power is the `max_w` of the configuration. The plant is that of a row of 100 kW, so the heat of all
loads is scaled to it. Loads whose path is none of the two schemas have no twin.
"""

import re
from typing import Any

from hil.devices.power.capped_load import CappedLoad, CappedLoadSchedule
from hil.devices.power.redfish_bmc import RedfishBmc
from hil.plant.plant import Plant

SECTION = "throttle"
_PATH = re.compile(r"/redfish/v1/Chassis/([^/]+)/(EnvironmentMetrics|Power)")
_PLANT_KW, _DEMAND = 100.0, 0.9
_IDLE = 0.15


class TwinLoads:
    """The services of a unit by the names of their ports; `limited`: loads below their rating."""

    def __init__(self, section: dict[str, Any], plant: Plant) -> None:
        self._section = section
        by_port: dict[str, list[tuple[CappedLoad, bool]]] = {}
        loads: list[CappedLoad] = []
        for raw in section["loads"]:
            found = _PATH.fullmatch(raw.get("path", ""))
            name = found[1] if found is not None else raw["name"]
            load = CappedLoad(name, raw["max_w"], _IDLE * raw["max_w"])
            loads.append(load)
            if found is not None and "port" in raw:
                by_port.setdefault(raw["port"], []).append((load, found[2] == "Power"))
        self.services: dict[str, RedfishBmc] = {}
        for port, entries in by_port.items():
            older = tuple(load.name for load, is_older in entries if is_older)
            bmc = RedfishBmc([load for load, _ in entries], older, _login(section, port), 0.0)
            self.services[port] = bmc
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


def limited_loads(unit: dict[str, Any]) -> list[str]:
    """Return the loads of a configuration that have a twin with a limit."""
    loads = unit.get(SECTION, {}).get("loads", [])
    return [raw["name"] for raw in loads if "port" in raw and _PATH.fullmatch(raw.get("path", ""))]


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
