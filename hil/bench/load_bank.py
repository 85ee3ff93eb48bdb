"""The row's loads as the throttle meets them: machines behind Redfish, a power strip, optics.

Only there when the setting asks for the part `throttle`. The row's IT power is then drawn by four
loads, each a share of the row's size, and what limits or switches one of them changes the plant's
heat with the machine's own response time:

    gpu1, gpu2   35 % each   service bmc1, EnvironmentMetrics   a limit acts after 0.3 s
    cpu1         20 %        service bmc2, the older Power      a limit acts after 2 s
    storage      10 %        outlet 2 of the strip `pdu`        can only be switched

Strip and optics are on a second bus, Modbus TCP, so that the row's line has no more to carry.
"""

from __future__ import annotations

from typing import Any

from agent.agent import FIRST_BUS
from hil.bench.optional_sections import names
from hil.bench.testbed_settings import Setting
from hil.devices.modbus.tcp import ModbusTcp
from hil.devices.power.capped_load import CappedLoad, CappedLoads
from hil.devices.power.optics_gateway import OpticsGateway
from hil.devices.power.redfish_bmc import RedfishBmc
from hil.devices.power.switched_pdu import SwitchedPdu
from hil.io.endpoints import TcpEnd
from hil.kernel.tcp_device import TcpDevice
from hil.plant.plant import Plant
from hil.shells.virtual import VirtualShell

PART = "throttle"
PDU_UNIT, OPTICS_UNIT = 71, 72
LOGIN = ("coldloop", "bench-only")
SHARES = (("gpu1", 0.35), ("gpu2", 0.35), ("cpu1", 0.2), ("storage", 0.1))
_PRIORITIES = {"gpu1": 7, "gpu2": 5, "cpu1": 5, "storage": 2}
_LAN_US = 500
_ROW_KW = 100.0
_ROOT = "/redfish/v1/"


class LoadBank:
    """The machines; all of them at their rating draw what the row's size is."""

    def __init__(self, plant: Plant, setting: Setting, start_utc_s: int) -> None:
        size_kw = _ROW_KW * setting.size
        self.loads = [
            CappedLoad(
                name,
                1000.0 * size_kw * share,
                150.0 * size_kw * share,
                lag_s=0.5 if name.startswith("gpu") else 1.0,
                effect_us=2_000_000 if name == "cpu1" else 300_000,
            )
            for name, share in SHARES
        ]
        plant.load = CappedLoads(setting.it_kw * setting.size, self.loads)
        gpus, cpu, storage = self.loads[:2], self.loads[2:3], self.loads[3]
        self.bmcs = {
            "bmc1": RedfishBmc(gpus, login=LOGIN),
            "bmc2": RedfishBmc(cpu, ("cpu1",)),
        }
        spare = CappedLoad("spare", 0.0, 0.0)
        self.pdu = SwitchedPdu(PDU_UNIT, [spare, storage])
        self.optics = OpticsGateway(plant, OPTICS_UNIT)
        self.host = ModbusTcp([self.pdu, self.optics])
        self.marked_at: int | None = None
        """When the fault happened from which the time to the first limit is counted."""
        self.addresses = {name: f"tcp:{name}.virtual:80" for name in self.bmcs}
        self.addresses["hall"] = "tcp:hall.virtual:502"
        """Where the agent finds services and second bus; real ports take their places."""
        self._more = _settings(setting, start_utc_s)

    def extend(self, config: dict[str, Any]) -> None:
        """Add bus, devices and section to the agent's configuration."""
        config["buses"]["hall"] = self.addresses["hall"]
        for name, unit, profile in (
            ("pdu", PDU_UNIT, "switched_pdu"),
            ("optics", OPTICS_UNIT, "optics_gateway"),
        ):
            device = {"name": name, "bus": "hall", "unit": unit, "profile": profile}
            config["devices"].append(device)
        config[PART] = {
            "ports": {name: self.addresses[name] for name in self.bmcs},
            "logins": [{"port": "bmc1", "username": LOGIN[0], "password": LOGIN[1]}],
            "loads": [self._load(load) for load in self.loads],
            "optics": [{"name": "module1", "device": "optics", "point": "Module1Celsius"}],
            **self._more,
        }

    def _load(self, load: CappedLoad) -> dict[str, Any]:
        raw: dict[str, Any] = {
            "name": load.name,
            "class": load.name.rstrip("12"),
            "priority": _PRIORITIES[load.name],
            "max_w": int(load.rated_w),
            "min_w": int(0.3 * load.rated_w),
        }
        if load.name == "storage":
            raw["outlets"] = [{"device": "pdu", "point": "Outlet2On"}]
            return raw
        older = load.name == "cpu1"
        raw["port"] = "bmc2" if older else "bmc1"
        raw["schema"] = "power" if older else "environment"
        raw["path"] = f"{_ROOT}Chassis/{load.name}/{'Power' if older else 'EnvironmentMetrics'}"
        raw["system"] = f"{_ROOT}Systems/{load.name}"
        return raw

    def servers(self) -> dict[str, TcpDevice]:
        """The far ends by name: the second bus' host and the services."""
        return {"hall": self.host, **self.bmcs}

    def join(self, shell: VirtualShell, config: dict[str, Any], first_free: int) -> None:
        """Give the second bus and each service its far end; services come after all other ports."""
        shell.ends[FIRST_BUS + 1] = TcpEnd(shell, FIRST_BUS + 1, self.host, _LAN_US)
        for i, name in enumerate(sorted(self.bmcs)):
            port = first_free + i
            shell.ends[port] = TcpEnd(shell, port, self.bmcs[name], _LAN_US)


def _settings(setting: Setting, start_utc_s: int) -> dict[str, Any]:
    """What the row's setting says of the section."""
    entries = [entry.split() for entry in setting.schedule.split(";") if entry.strip()]
    more: dict[str, Any] = {"profile_s": 60, "slots": 64, "slot": setting.slot}
    more["stagger_ms"] = setting.stagger_ms
    more["schedule"] = [
        {"at_utc_s": start_utc_s + int(second), "action": action, "value": int(value)}
        for second, action, value in entries
    ]
    if setting.meters:
        more["droop"] = {"device": "meter", "point": "Frequency"}
    return more


def bank(plant: Plant, setting: Setting, start_utc_s: int) -> LoadBank | None:
    """Build the loads, if the setting asks for them."""
    return LoadBank(plant, setting, start_utc_s) if PART in names(setting) else None
