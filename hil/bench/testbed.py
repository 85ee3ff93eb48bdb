"""A row to control: the plant, its emulated devices, and the agent's configuration for them.

Not the ports: whoever builds a row joins its devices to far ends in virtual time
(`hil.run.virtual`) or to real ports (`hil.run.real_bench`), and says how the link to the broker is cut.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hil.bench import receiver_choice
from hil.bench.load_bank import bank
from hil.bench.load_bank_scale import scaled
from hil.bench.optional_sections import names, sections
from hil.bench.surroundings import Surroundings
from hil.bench.testbed_satcom import Satellite
from hil.bench.testbed_settings import Setting
from hil.devices.cooling.belimo_valve import Valve
from hil.devices.cooling.rpu import Rpu
from hil.devices.drives.abb_acs580 import Drive
from hil.devices.modbus.line import ModbusLine
from hil.devices.mqtt.broker import Broker
from hil.io.store_endpoint import StoreEnd
from hil.kernel.world import World
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant

if TYPE_CHECKING:
    from hil.bench.ground_station import Ground

SITE_E7 = (252_048_000, 552_708_000)
"""Latitude and longitude of the emulated site in 1e-7 degrees: Dubai."""

RPU_UNIT, VALVE_UNIT, FIRST_DRIVE_UNIT = 12, 20, 31
BUS_BAUD = 19_200


class Row:
    """The devices of a row in `world`, as `setting` wants them."""

    def __init__(self, world: World, setting: Setting) -> None:
        self.world = world
        self.setting = setting
        self.set_link_down: Callable[[bool], None] = lambda _: None
        self.set_link_silent: Callable[[bool], None] = lambda _: None
        self.cut_link_after: Callable[[int | None], None] = lambda _: None
        self.publish: Callable[[str, bytes, bool], None] = lambda *_: None
        self.set_power: Callable[[bool], None] = lambda _: None
        self.stores: dict[str, StoreEnd] = {}
        self.ground: Ground | None = None
        start_pct = (70.0,) + (0.0,) * (setting.pumps - 1)
        usual = PlantParameters()
        self.plant = Plant(
            world.random("plant"),
            scaled(
                PlantParameters(
                    supply_pipe_l=usual.supply_pipe_l * setting.pipes,
                    return_pipe_l=usual.return_pipe_l * setting.pipes,
                    start_it_kw=setting.it_kw,
                    start_supply_c=setting.setpoint_c,
                    fws_c=setting.fws_c,
                    pumps=setting.pumps,
                    start_pump_pct=start_pct,
                ),
                setting.size,
            ),
        )
        self.bank = bank(self.plant, setting, world.utc(0) // 1_000_000)
        self.rpu = Rpu(self.plant, RPU_UNIT)
        self.valve = Valve(self.plant, VALVE_UNIT)
        self.drives = [Drive(self.plant, i, FIRST_DRIVE_UNIT + i) for i in range(setting.pumps)]
        self.around = Surroundings(world, self.plant, setting)
        self.bus = ModbusLine([self.rpu, self.valve, *self.drives, *self.around.slaves()])
        self.receiver = receiver_choice.make(world, setting, SITE_E7)
        self.utc_at: Callable[[int], int] = receiver_choice.truth(world, self.receiver)
        self.broker = Broker()
        self.satellite: Satellite | None = None
        self.modem_port: Any = None
        if "modem" in names(setting):
            self.satellite = Satellite(world, setting, SITE_E7)

    def config(self, receiver: str, bus: str, broker: str, state: str) -> dict[str, Any]:
        """Write the configuration of the agent that controls this row through four ports."""
        setting = self.setting
        pumps = [f"pump{i + 1}" for i in range(setting.pumps)]
        devices = [("rpu", RPU_UNIT, "orv3_rpu"), ("valve", VALVE_UNIT, "belimo_valve")]
        devices += [(name, FIRST_DRIVE_UNIT + i, "abb_acs580") for i, name in enumerate(pumps)]
        devices += self.around.devices()
        config: dict[str, Any] = {
            "version": 1,
            "site": "bench",
            "unit": "cdu1",
            "receiver": receiver_choice.section(setting, receiver),
            "buses": {"bus": bus},
            "broker": {"address": broker},
            "state": state,
            "devices": [
                {"name": name, "bus": "bus", "unit": unit, "profile": profile}
                for name, unit, profile in devices
            ],
            "control": {
                "supply": {"setpoint_c": setting.setpoint_c, "sensor": "rpu", "valve": "valve"},
                "dp": {"setpoint_kpa": setting.setpoint_kpa, "sensor": "rpu", "pumps": pumps},
            },
        }
        config.update(sections(setting))
        if self.satellite is not None:
            config["receiver"].update(latitude=SITE_E7[0] / 1e7, longitude=SITE_E7[1] / 1e7)
        if self.bank is not None:
            self.bank.extend(config)
        return config
