# SPDX-License-Identifier: Apache-2.0
"""The IT loads of the row: BMCs with Redfish, a switched PDU, an optics gateway.

Does not model the power of a load; see `hil.devices.power.capped_load`. The load bank exists if the
settings name the section `throttle`. Then four loads draw the IT power of the row, each a fraction
of the rated power. A limit or a switch changes the heat in the plant after the response time of the
load:

    gpu1, gpu2   35 % each   service bmc1, EnvironmentMetrics   a limit acts after 0.3 s
    cpu1         20 %        service bmc2, the older Power      a limit acts after 2 s
    storage      10 %        outlet 2 of the PDU `pdu`          can only be switched

gpu1 stands in racks 1 and 2, gpu2 in racks 3 and 4, the others in all racks. The service of a GPU
load reports the hottest case of its racks.

Outlets 3 to 5 of the PDU feed gpu1, gpu2 and cpu1: the second way to switch them off.

PDU and optics gateway are on a second bus, `hall`, with Modbus TCP. So they do not load the serial
bus of the row.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from agent.port_numbers import FIRST_BUS
from hil.bench.optional_sections import section_names
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.modbus.tcp import ModbusTcpHost
from hil.devices.power.capped_load import CappedLoad, CappedLoadSchedule
from hil.devices.power.optics_gateway import OpticsGateway
from hil.devices.power.redfish_bmc import RedfishBmc
from hil.devices.power.switched_pdu import SwitchedPdu
from hil.io.endpoints import TcpEndpoint
from hil.kernel.tcp_device import TcpDevice
from hil.plant.plant import Plant
from hil.shells.virtual import VirtualShell

SECTION = "throttle"
PDU_UNIT, OPTICS_UNIT = 71, 72
LOGIN = ("coldloop", "bench-only")
LOAD_FRACTIONS = (("gpu1", 0.35), ("gpu2", 0.35), ("cpu1", 0.2), ("storage", 0.1))
_PRIORITIES = {"gpu1": 7, "gpu2": 5, "cpu1": 5, "storage": 2}
_RACKS = {"gpu1": (0, 1), "gpu2": (2, 3)}
"""Load: the racks that it has."""
_OUTLETS = {"storage": 2, "gpu1": 3, "gpu2": 4, "cpu1": 5}
_LAN_US = 500
_RATED_KW = 100.0
_ROOT = "/redfish/v1/"


class LoadBank:
    """The loads and their services. All loads at their rating draw 100 kW times `settings.size`."""

    def __init__(self, plant: Plant, settings: TestbedSettings, start_utc_s: int) -> None:
        size_kw = _RATED_KW * settings.size
        self.loads = [
            CappedLoad(
                name,
                1000.0 * size_kw * fraction,
                150.0 * size_kw * fraction,
                lag_s=0.5 if name.startswith("gpu") else 1.0,
                effect_us=2_000_000 if name == "cpu1" else 300_000,
                racks=_RACKS.get(name, ()),
            )
            for name, fraction in LOAD_FRACTIONS
        ]
        plant.attach_load(CappedLoadSchedule(settings.it_kw * settings.size, self.loads))
        gpus, cpu = self.loads[:2], self.loads[2:3]
        self.bmcs = {
            "bmc1": RedfishBmc(gpus, login=LOGIN),
            "bmc2": RedfishBmc(cpu, ("cpu1",)),
        }
        for load in gpus:
            self.bmcs["bmc1"].case_c[load.name] = partial(_read_case_c, plant, load.racks)
        spare = CappedLoad("spare", 0.0, 0.0)
        self.pdu = SwitchedPdu(PDU_UNIT, [spare, self.loads[3], *self.loads[:3]])
        self.optics = OpticsGateway(plant, OPTICS_UNIT)
        self.host = ModbusTcpHost([self.pdu, self.optics])
        self.fault_at_us: int | None = None
        """World time in µs of the fault from which `told_after_s` counts; None: no fault yet."""
        self.addresses = {name: f"tcp:{name}.virtual:80" for name in self.bmcs}
        self.addresses["hall"] = "tcp:hall.virtual:502"
        """Addresses of the services and of the second bus. In real time they are real ports."""
        self._section_settings = _write_settings(settings, start_utc_s)

    def mark_fault(self, now: int) -> None:
        """Start to measure the time to the first limit at world time `now`, µs."""
        self.fault_at_us = now

    def extend_config(self, config: dict[str, Any]) -> None:
        """Add second bus, its devices and the section `throttle` to the agent's configuration."""
        config["buses"]["hall"] = self.addresses["hall"]
        for name, unit, profile in (
            ("pdu", PDU_UNIT, "switched_pdu"),
            ("optics", OPTICS_UNIT, "optics_gateway"),
        ):
            device = {"name": name, "bus": "hall", "unit": unit, "profile": profile}
            config["devices"].append(device)
        config[SECTION] = {
            "ports": {name: self.addresses[name] for name in self.bmcs},
            "logins": [{"port": "bmc1", "username": LOGIN[0], "password": LOGIN[1]}],
            "loads": [self._write_load(load) for load in self.loads],
            "optics": [{"name": "module1", "device": "optics", "point": "Module1Celsius"}],
            **self._section_settings,
        }

    def leave_out_hall(self, config: dict[str, Any]) -> None:
        """Take the second bus out of a configuration: then the loads have no outlets."""
        del config["buses"]["hall"]
        config["devices"] = [d for d in config["devices"] if d["bus"] != "hall"]
        section = config[SECTION]
        del section["optics"]
        section["loads"] = [load for load in section["loads"] if "port" in load]
        for load in section["loads"]:
            del load["outlets"]

    def _write_load(self, load: CappedLoad) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": load.name,
            "class": load.name.rstrip("12"),
            "priority": _PRIORITIES[load.name],
            "max_w": int(load.rated_w),
            "min_w": int(0.3 * load.rated_w),
        }
        number = _OUTLETS[load.name]
        outlet = {"device": "pdu", "point": f"Outlet{number}On", "watts": f"Outlet{number}Watts"}
        entry["outlets"] = [outlet]
        if load.name == "storage":
            return entry
        is_older = load.name == "cpu1"
        entry["port"] = "bmc2" if is_older else "bmc1"
        entry["effect_ms"] = 3000 if is_older else 1000
        entry["schema"] = "power" if is_older else "environment"
        entry["path"] = (
            f"{_ROOT}Chassis/{load.name}/{'Power' if is_older else 'EnvironmentMetrics'}"
        )
        entry["system"] = f"{_ROOT}Systems/{load.name}"
        return entry

    def list_servers(self) -> dict[str, TcpDevice]:
        """Return the TCP devices by name: the host of the second bus, and the services."""
        return {"hall": self.host, **self.bmcs}

    def connect(self, shell: VirtualShell, config: dict[str, Any], first_free: int) -> None:
        """Connect the second bus and each service in virtual time.

        Ports of the services begin at `first_free`, after all other ports.
        """
        shell.endpoints[FIRST_BUS + 1] = TcpEndpoint(shell, FIRST_BUS + 1, self.host, _LAN_US)
        for i, name in enumerate(sorted(self.bmcs)):
            port = first_free + i
            shell.endpoints[port] = TcpEndpoint(shell, port, self.bmcs[name], _LAN_US)


def _read_case_c(plant: Plant, racks: tuple[int, ...]) -> float:
    """Return the hottest case of `racks`, °C."""
    return max(plant.rack_case_c[rack] for rack in racks)


def _write_settings(settings: TestbedSettings, start_utc_s: int) -> dict[str, Any]:
    """Write the settings of the section that depend on the testbed: schedule, slots, droop."""
    entries = [entry.split() for entry in settings.schedule.split(";") if entry.strip()]
    section: dict[str, Any] = {"profile_s": 60, "slots": 64, "slot": settings.slot}
    section["stagger_ms"] = settings.stagger_ms
    if settings.limits_store:
        section["port"] = "store:/virtual/throttle"
    section["schedule"] = [
        {"at_utc_s": start_utc_s + int(second_s), "action": action, "value": int(value)}
        for second_s, action, value in entries
    ]
    if settings.meters:
        section["droop"] = {"device": "meter", "point": "Frequency"}
    return section


def build_load_bank(plant: Plant, settings: TestbedSettings, start_utc_s: int) -> LoadBank | None:
    """Build the loads if the settings name the section; else give None."""
    return LoadBank(plant, settings, start_utc_s) if SECTION in section_names(settings) else None
