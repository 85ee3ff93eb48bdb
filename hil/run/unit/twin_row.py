# SPDX-License-Identifier: Apache-2.0
"""The row of a unit: a plant, and an emulated twin of each device of the configuration.

Does not open ports; see `hil.run.unit.twin_run`. A bus keeps its own speed and framing: RTU on
serial lines, Modbus TCP on connections. RTU and ASCII over other carriers run as an RTU line.
"""

from typing import Any

from drivers.ports.address import Address, modbus_framing, parse_address
from hil.devices.modbus.line import ModbusLine
from hil.devices.modbus.profile_twin import ProfileTwin, TwinRoles
from hil.devices.modbus.server import ModbusServer
from hil.devices.modbus.tcp import ModbusTcpHost
from hil.errors import BenchError
from hil.kernel.world import World
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant
from hil.run.unit.unit_file import UnitFile

_START_PCT = 70.0


class TwinBus:
    """One bus: its name, the address in virtual time, and the line or the host behind it."""

    def __init__(self, name: str, address: Address, twins: list[ModbusServer]) -> None:
        self.name = name
        self.is_tcp = modbus_framing(address.kind) == "tcp"
        self.baud, self.bits = 19_200, 11
        if self.is_tcp:
            self.text = f"tcp:{name}.virtual:502"
            self.host = ModbusTcpHost(twins)
            return
        if address.kind in ("serial", "uart"):
            self.baud, self.bits = address.baud, address.bits_per_char
        self.text = f"serial:/virtual/{name}?baud={self.baud}&parity={address.parity}"
        self.line = ModbusLine(twins)


class TwinRow:
    """The plant, the twins by device name, and the buses in the order of their names.

    `hosts`: the twin that answers for a device: its own, or that of the device it is a part of.
    """

    def __init__(self, world: World, unit: UnitFile) -> None:
        self.unit = unit
        control = unit.raw["control"]
        self.pump_names: list[str] = list(control.get("dp", {}).get("pumps", []))
        self.valve_name: str = control.get("supply", {}).get("valve", "")
        self.plant = Plant(world.random("plant"), self._parameters(control))
        self.twins: dict[str, ProfileTwin] = {}
        self.hosts: dict[str, ProfileTwin] = {}
        self.buses: list[TwinBus] = []
        for name in sorted(unit.raw["buses"]):
            twins = self._make_bus_twins(name)
            if twins:
                address = parse_address(unit.raw["buses"][name])
                self.buses.append(TwinBus(name, address, twins))

    def _parameters(self, control: dict[str, Any]) -> PlantParameters:
        pumps = max(1, len(self.pump_names))
        return PlantParameters(
            start_supply_c=float(control.get("supply", {}).get("setpoint_c", 32.0)),
            pumps=pumps,
            start_pump_pct=(_START_PCT,) + (0.0,) * (pumps - 1),
        )

    def _twin(self, device: dict[str, Any]) -> ProfileTwin:
        name, plant = device["name"], self.plant
        control = self.unit.raw["control"]
        roles = TwinRoles(
            valve=name == self.valve_name,
            pump=plant.pumps[self.pump_names.index(name)] if name in self.pump_names else None,
            cdu=any(control.get(loop, {}).get("cdu") == name for loop in ("supply", "dp")),
            cdu_pumps=plant.pumps,
        )
        raw = self.unit.raw_profiles[device["profile"]]
        try:
            twin = ProfileTwin(raw, device["unit"], plant, roles)
        except (KeyError, ValueError) as error:
            raise BenchError(f"{name} (profile {device['profile']}): {error}") from None
        self.twins[name] = twin
        self.hosts[name] = self.twins[device["part_of"]] if "part_of" in device else twin
        return twin

    def _make_bus_twins(self, bus: str) -> list[ModbusServer]:
        """Return the twins of a bus, one for each unit address."""
        servers: list[ModbusServer] = []
        for device in self.unit.raw["devices"]:
            if device["bus"] != bus:
                continue
            twin = self._twin(device)
            host = self.hosts[device["name"]]
            if host is twin:
                servers.append(twin)
            else:
                host.add_part(twin)
        return servers

    def config(self) -> dict[str, Any]:
        """Return the configuration for the twins."""
        config = dict(self.unit.raw)
        config["buses"] = {bus.name: bus.text for bus in self.buses}
        return config

    def unseen_points(self) -> list[str]:
        """Return the measured points that keep a constant value in the twins."""
        found = []
        for name, twin in self.twins.items():
            moving = {point for point, _ in twin.shown_points()}
            profile = self.unit.compiled[name]
            found += [
                f"{name}.{point.name}"
                for point in profile.points
                if point.limits is None and point.name not in moving
            ]
        return found
