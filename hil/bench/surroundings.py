# SPDX-License-Identifier: Apache-2.0
"""The optional devices of a row: humidity sensors, outdoor sensor, meters, fans; room and grid.

Does not contain CDU, valve and pumps; see `hil.bench.testbed`. The settings determine the devices
on the bus. So the rows of other scenarios do not change. The fans belong to a dry cooler of the
row. Names in the agent's configuration: `meter`, `meter_it`, `room1`, `room2` …, `outdoor`, `fan1`,
`fan2` …
"""

from typing import NamedTuple

from hil.bench.testbed_settings import TestbedSettings
from hil.devices.cooling.vaisala_hmd65 import NOISE_PCT, HumiditySensor
from hil.devices.drives.abb_ach580_fan import AbbAch580Fan
from hil.devices.modbus.server import ModbusServer
from hil.devices.power.abb_meter import AbbMeter
from hil.kernel.world import World
from hil.plant.air.cooler import Air
from hil.plant.fan_bank import FanBank
from hil.plant.plant import Plant
from hil.plant.power.grid import Grid
from hil.plant.room import Room

METER_UNIT, FIRST_ROOM_UNIT, OUTDOOR_UNIT, FIRST_FAN_UNIT = 41, 51, 59, 61
_WET_BULB_DIFF_K = 8.0
_OUTDOOR_HUMIDITY_PCT = 40.0
ROLLOVER_KWH = 1235
"""Rollover of the meters' counters in scenarios that ask for it; they start at 1234.6 kWh."""
METER_NAMES = ("meter", "meter_it")
"""The meter at the feed of the row (on the grid), and the meter behind the UPS."""


class BusDevice(NamedTuple):
    """A device as the agent's configuration names it."""

    name: str
    unit: int
    profile: str


class Surroundings:
    """Room, grid and outdoor air, and the devices that measure or use them.

    `load_wave_us`: time between two steps of a wave of the IT load; 0: no wave.
    """

    def __init__(self, world: World, plant: Plant, settings: TestbedSettings) -> None:
        self.room = Room(settings.room_c, settings.room_humidity_pct)
        self.grid = Grid()
        self.load_wave_us = 0
        self.humidity_sensors = [
            HumiditySensor(
                plant, self.room, FIRST_ROOM_UNIT + i, world.random(f"room{i + 1}"), NOISE_PCT
            )
            for i in range(settings.humidity_sensors)
        ]
        self.outdoor_air = Room(settings.outdoor_c, _OUTDOOR_HUMIDITY_PCT)
        self.outdoor_sensors = [
            HumiditySensor(plant, self.outdoor_air, OUTDOOR_UNIT, world.random("outdoor"))
            for _ in range(settings.outdoor_sensors)
        ]
        self.fan_bank = FanBank(plant.parameters, settings.fans) if settings.fans else None
        if self.fan_bank is not None:
            plant.attach_facility(self.fan_bank)
            self.fan_bank.set_air(Air(settings.outdoor_c, settings.outdoor_c - _WET_BULB_DIFF_K))
        self.fans = [
            AbbAch580Fan(plant, self.fan_bank, i, FIRST_FAN_UNIT + i)
            for i in range(settings.fans)
            if self.fan_bank is not None
        ]
        feeds = (_FeedPower(plant, self.grid), lambda: 1000.0 * plant.it_kw)
        self.meters = [
            AbbMeter(plant, METER_UNIT + i, world.random(METER_NAMES[i]), feeds[i])
            for i in range(settings.meters)
        ]
        for meter in self.meters[:1]:
            meter.mains.connect_grid(self.grid.state)

    def set_load_wave(self, half_us: int) -> None:
        """Set the time between two steps of a wave of the IT load, us; 0: no wave."""
        self.load_wave_us = half_us

    def list_servers(self) -> list[ModbusServer]:
        """Return the Modbus servers on the bus, without CDU, valve and pumps."""
        return [*self.meters, *self.humidity_sensors, *self.outdoor_sensors, *self.fans]

    def devices(self) -> list[BusDevice]:
        """Return the devices as the agent's configuration names them."""
        entries = [
            BusDevice(METER_NAMES[i], METER_UNIT + i, "abb_meter")
            for i, _ in enumerate(self.meters)
        ]
        for i, _ in enumerate(self.humidity_sensors):
            entries.append(BusDevice(f"room{i + 1}", FIRST_ROOM_UNIT + i, "vaisala_hmd65"))
        if self.outdoor_sensors:
            entries.append(BusDevice("outdoor", OUTDOOR_UNIT, "vaisala_hmd65"))
        for i, _ in enumerate(self.fans):
            entries.append(BusDevice(f"fan{i + 1}", FIRST_FAN_UNIT + i, "abb_acs580"))
        return entries

    def set_outdoor_c(self, celsius: float) -> None:
        """Set the temperature of the outdoor air, °C, for the sensor and the cooler."""
        self.outdoor_air.set_temperature(celsius)
        if self.fan_bank is not None:
            self.fan_bank.set_air(Air(celsius, celsius - _WET_BULB_DIFF_K))


class _FeedPower:
    """Power at the feed of the row, W: IT and pumps; 0 without a supply."""

    def __init__(self, plant: Plant, grid: Grid) -> None:
        self._plant = plant
        self._grid = grid

    def __call__(self) -> float:
        if not self._grid.supplied:
            return 0.0
        return 1000.0 * self._plant.it_kw + self._plant.pump_electric_w
