# SPDX-License-Identifier: Apache-2.0
"""One device of each shipped model: eight on one RS-485 line, four behind one TCP host.

Does not contain the devices that the agent controls; see `hil.bench.testbed`. The fleet has its own
plants. Therefore a scan, read or write here does not change the row. The name of each device is the
name of its profile.
"""

from collections.abc import Callable
from typing import NamedTuple

from hil.devices.cooling.belimo_valve import BelimoValve
from hil.devices.cooling.kenmec_ls80a import KenmecLs80a
from hil.devices.cooling.liebert_dcd import LiebertDcd
from hil.devices.cooling.rpu import Rpu
from hil.devices.drives.abb_acs580 import AbbAcs580
from hil.devices.drives.danfoss_fc import DanfossFc
from hil.devices.drives.grundfos_cim import GrundfosCim
from hil.devices.drives.wilo_booster import WiloBooster
from hil.devices.modbus.line import ModbusLine
from hil.devices.modbus.server import ModbusServer
from hil.devices.modbus.tcp import ModbusTcpHost
from hil.devices.power.abb_meter import AbbMeter
from hil.devices.power.eastron_sdm630 import Sdm630
from hil.devices.power.schneider_iem3000 import Iem3000
from hil.devices.power.sunspec_203 import SunSpec203
from hil.kernel.world import World
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant

_PUMPS_PCT = (60.0, 40.0, 40.0, 30.0, 30.0)
ACS580_PUMP, FC_PUMP, GRUNDFOS_PUMP, WILO_PUMPS = 0, 1, 2, (3, 4)

LINE_UNITS = {
    "orv3_rpu": 12,
    "belimo_valve": 20,
    "abb_acs580": 31,
    "danfoss_fc": 32,
    "grundfos_cim": 33,
    "wilo_booster": 34,
    "eastron_sdm630": 41,
    "schneider_iem3000": 42,
}
"""Name -> unit id on the serial line."""

TCP_UNITS = {"kenmec_ls80a": 100, "liebert_dcd": 51, "sunspec_203": 1, "abb_meter": 43}
"""Name -> unit id behind the TCP host."""


class DeviceFleet:
    """The devices by name. `line` and `host` connect them; `plants` are the plants behind them."""

    def __init__(self, world: World) -> None:
        hall_plant = Plant(
            world.random("fleet/hall"),
            PlantParameters(pumps=len(_PUMPS_PCT), start_pump_pct=_PUMPS_PCT),
        )
        cdu_plant = Plant(world.random("fleet/cdu"))
        self.plants = (hall_plant, cdu_plant)
        self.devices: dict[str, ModbusServer] = {
            "orv3_rpu": Rpu(hall_plant, LINE_UNITS["orv3_rpu"]),
            "belimo_valve": BelimoValve(hall_plant, LINE_UNITS["belimo_valve"]),
            "abb_acs580": AbbAcs580(hall_plant, ACS580_PUMP, LINE_UNITS["abb_acs580"]),
            "danfoss_fc": DanfossFc(hall_plant, FC_PUMP, LINE_UNITS["danfoss_fc"]),
            "grundfos_cim": GrundfosCim(hall_plant, GRUNDFOS_PUMP, LINE_UNITS["grundfos_cim"]),
            "wilo_booster": WiloBooster(hall_plant, WILO_PUMPS, LINE_UNITS["wilo_booster"]),
            "kenmec_ls80a": KenmecLs80a(cdu_plant, TCP_UNITS["kenmec_ls80a"]),
            "liebert_dcd": LiebertDcd(hall_plant, TCP_UNITS["liebert_dcd"]),
            **_make_meters(world, hall_plant),
        }
        self.line = ModbusLine([self.devices[name] for name in LINE_UNITS])
        self.host = ModbusTcpHost([self.devices[name] for name in TCP_UNITS])

    def advance(self, now: int) -> None:
        """Advance the plants to `now` (µs), also if no request comes."""
        for plant in self.plants:
            plant.advance(now)


class _FleetMeter(NamedTuple):
    """A meter of the fleet: its class, and the function that gives its load in W."""

    make_meter: Callable[..., ModbusServer]
    load_w: Callable[[], float]


def _make_meters(world: World, hall_plant: Plant) -> dict[str, ModbusServer]:
    """Make meters for the pumps, all racks, one rack, and racks plus pumps."""

    def pumps_w() -> float:
        return hall_plant.pump_electric_w

    def racks_w() -> float:
        return 1000.0 * hall_plant.it_kw

    meters = {
        "eastron_sdm630": _FleetMeter(Sdm630, pumps_w),
        "schneider_iem3000": _FleetMeter(Iem3000, lambda: racks_w() / hall_plant.parameters.racks),
        "sunspec_203": _FleetMeter(SunSpec203, racks_w),
        "abb_meter": _FleetMeter(AbbMeter, lambda: racks_w() + pumps_w()),
    }
    units = {**LINE_UNITS, **TCP_UNITS}
    return {
        name: meter.make_meter(
            hall_plant, unit=units[name], rng=world.random(f"fleet/{name}"), load_w=meter.load_w
        )
        for name, meter in meters.items()
    }
