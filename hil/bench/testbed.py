# SPDX-License-Identifier: Apache-2.0
"""One row of racks: the plant, the emulated devices, and the agent's configuration for them.

Does not open ports: `hil.run.virtual` and `hil.run.real_bench` connect the devices to endpoints or
real ports. They also supply the functions that cut the link and the power.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hil.bench import receiver_choice
from hil.bench.ground_station import MqttGround
from hil.bench.load_bank import build_load_bank
from hil.bench.load_bank_scale import scale_parameters
from hil.bench.optional_sections import section_names, write_sections
from hil.bench.surroundings import BusDevice, Surroundings
from hil.bench.testbed_satcom import SatcomTestbed
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.cooling.belimo_valve import BelimoValve
from hil.devices.cooling.rpu import Rpu
from hil.devices.drives.abb_acs580 import AbbAcs580
from hil.devices.modbus.line import ModbusLine
from hil.devices.mqtt.broker import Broker
from hil.io.endpoints import SerialEndpoint
from hil.io.store_endpoint import StoreEndpoint
from hil.kernel.run_history import RunHistory
from hil.kernel.world import World
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant

SITE_E7 = (252_048_000, 552_708_000)
"""Latitude and longitude of the emulated site (Dubai), 1e-7 degrees."""

RPU_UNIT, VALVE_UNIT, FIRST_DRIVE_UNIT = 12, 20, 31
BUS_BAUD = 19_200


@dataclass(frozen=True)
class LinkControl:
    """Functions that act on the link to the broker; a default does nothing.

    set_down     True: the link is down; False: it is up again
    set_silent   True: the link loses all data; False: it transmits again
    cut_after    the link loses all data after this number of bytes to the broker; None: cancel
    publish      the broker publishes a message: topic, payload, retain
    """

    set_down: Callable[[bool], None] = lambda _: None
    set_silent: Callable[[bool], None] = lambda _: None
    cut_after: Callable[[int | None], None] = lambda _: None
    publish: Callable[[str, bytes, bool], None] = lambda *_: None


@dataclass(frozen=True)
class SeveralControl:
    """Functions of a run with several controllers; a default does nothing.

    begin   a fault begins: its name; number of the controller or unit from 1, or its value
    end     this fault ends
    read    value of a measure: its name; number of the controller or unit, or 0; None: not known
    alarms  number of units with an active alarm of the code
    """

    begin: Callable[[str, float], None] = lambda *_: None
    end: Callable[[str, float], None] = lambda *_: None
    read: Callable[[str, int], float | None] = lambda *_: None
    alarms: Callable[[str], float | None] = lambda _: None


class Testbed:
    """The devices of a row in `world`, as `settings` describe them."""

    def __init__(self, world: World, settings: TestbedSettings) -> None:
        self.world = world
        self.settings = settings
        self.link = LinkControl()
        self.several = SeveralControl()
        self.history = RunHistory()
        self.active_faults: list[Any] = []
        self.set_power: Callable[[bool], None] = lambda _: None
        self.raise_in: Callable[[str, int], None] = lambda *_: None
        self.stores: dict[str, StoreEndpoint] = {}
        self.ground: MqttGround | None = None
        start_pct = (70.0,) + (0.0,) * (settings.pumps - 1)
        defaults = PlantParameters()
        self.plant = Plant(
            world.random("plant"),
            scale_parameters(
                PlantParameters(
                    supply_pipe_l=defaults.supply_pipe_l * settings.pipes,
                    return_pipe_l=defaults.return_pipe_l * settings.pipes,
                    fws_open_lpm=defaults.fws_open_lpm * settings.valve_size,
                    start_it_kw=settings.it_kw,
                    start_supply_c=settings.setpoint_c,
                    fws_c=settings.fws_c,
                    pumps=settings.pumps,
                    start_pump_pct=start_pct,
                ),
                settings.size,
            ),
        )
        self.load_bank = build_load_bank(self.plant, settings, world.utc(0) // 1_000_000)
        self.rpu = Rpu(self.plant, RPU_UNIT)
        self.valve = BelimoValve(self.plant, VALVE_UNIT)
        self.drives = [
            AbbAcs580(self.plant, i, FIRST_DRIVE_UNIT + i) for i in range(settings.pumps)
        ]
        self.surroundings = Surroundings(world, self.plant, settings)
        self.bus = ModbusLine(
            [self.rpu, self.valve, *self.drives, *self.surroundings.list_servers()]
        )
        self.receiver = receiver_choice.make_receiver(world, settings, SITE_E7)
        self.utc_at: Callable[[int], int] = receiver_choice.make_true_utc(world, self.receiver)
        self.further_receivers = receiver_choice.FurtherReceivers(world, settings, SITE_E7)
        self.broker = Broker()
        self.satcom: SatcomTestbed | None = None
        self.modem_port: SerialEndpoint | None = None
        if "modem" in section_names(settings):
            self.satcom = SatcomTestbed(world, settings, SITE_E7)

    def connect_link(self, link: LinkControl) -> None:
        """Set the functions that act on the link to the broker."""
        self.link = link

    def connect_several(self, several: SeveralControl) -> None:
        """Set the functions of a run with several controllers."""
        self.several = several

    def connect_power(self, set_power: Callable[[bool], None]) -> None:
        """Set the function that switches the power of the controller on (True) or off."""
        self.set_power = set_power

    def connect_injection(self, raise_in: Callable[[str, int], None]) -> None:
        """Set the function that makes a piece of the controller raise at a call number."""
        self.raise_in = raise_in

    def connect_ground(self, ground: MqttGround) -> None:
        """Set the ground that stores the log records."""
        self.ground = ground

    def connect_modem(self, port: SerialEndpoint) -> None:
        """Set the endpoint of the satellite modem, which faults can unplug."""
        self.modem_port = port

    def set_true_utc(self, utc_at: Callable[[int], int]) -> None:
        """Set the function that gives true UTC for a monotonic time of the agent, both µs."""
        self.utc_at = utc_at

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """Let the broker publish a message."""
        self.link.publish(topic, payload, retain)

    def config(self, receiver: str, bus: str, broker: str, state: str) -> dict[str, Any]:
        """Write the agent's configuration for this row; the arguments are addresses."""
        settings = self.settings
        pumps = [f"pump{i + 1}" for i in range(settings.pumps)]
        devices = [
            BusDevice("rpu", RPU_UNIT, "orv3_rpu"),
            BusDevice("valve", VALVE_UNIT, "belimo_valve"),
        ]
        devices += [
            BusDevice(name, FIRST_DRIVE_UNIT + i, "abb_acs580") for i, name in enumerate(pumps)
        ]
        devices += self.surroundings.devices()
        config: dict[str, Any] = {
            "version": 1,
            "site": "bench",
            "unit": "cdu1",
            "receiver": receiver_choice.write_section(settings, receiver),
            "buses": {"bus": bus},
            "broker": {"address": broker},
            "state": state,
            "devices": [
                {"name": name, "bus": "bus", "unit": unit, "profile": profile}
                for name, unit, profile in devices
            ],
            "control": {
                "supply": {"setpoint_c": settings.setpoint_c, "sensor": "rpu", "valve": "valve"},
                "dp": {"setpoint_kpa": settings.setpoint_kpa, "sensor": "rpu", "pumps": pumps},
            },
        }
        config.update(write_sections(settings))
        self.further_receivers.extend_config(config)
        if self.satcom is not None:
            config["receiver"].update(latitude=SITE_E7[0] / 1e7, longitude=SITE_E7[1] / 1e7)
        if self.load_bank is not None:
            self.load_bank.extend_config(config)
        return config
