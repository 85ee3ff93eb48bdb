# SPDX-License-Identifier: Apache-2.0
"""Faults of measured values in the registers of the RPU (the emulated CDU) and of the valve, which
measures the facility water: held values, an offset, a scale, a swap.

Does not change the sensors of the plant; see `hil.fault.sensor`. The device shows a wrong register
and sets no alarm bit. All humidity sensors can be held together. In the registers of the RPU a
value of 3276.7 or -3276.8 shows the sentinel 0x7FFF or 0x8000, and 6553.5 shows 0xFFFF.
"""

from collections.abc import Callable
from operator import attrgetter

from hil.bench.testbed import Testbed
from hil.devices.modbus.sensor_server import SensorServer
from hil.fault.base import FaultAction, FaultReset, FaultType, attribute_fault

_REGISTER_LIMITS = (-3276.8, 6553.5)  # tenths in 16 bits, signed or unsigned
_VALVE_LIMITS = (-327.68, 327.67)  # hundredths in 16 bits


def _faulty_register(
    sensor: str, begin: Callable[[SensorServer, str, float], None] = SensorServer.freeze_sensor
) -> tuple[FaultAction, FaultReset]:
    """Make a fault in the register of a sensor: a held value, or what `begin` does."""

    def device(testbed: Testbed) -> SensorServer:
        return testbed.rpu if sensor in testbed.rpu.sensor_names else testbed.valve

    return (
        lambda testbed, value: begin(device(testbed), sensor, value),
        lambda testbed: device(testbed).clear_fault(sensor),
    )


def _freeze_all_humidity(testbed: Testbed, _: float) -> None:
    for sensor in testbed.surroundings.humidity_sensors:
        sensor.freeze()


def _release_all_humidity(testbed: Testbed) -> None:
    for sensor in testbed.surroundings.humidity_sensors:
        sensor.unfreeze()


REGISTER_EVENTS: dict[str, FaultType] = {
    "supply_register": FaultType(
        "the RPU's register of the supply temperature shows VALUE °C",
        *_faulty_register("supply_c"),
        limits=_REGISTER_LIMITS,
    ),
    "return_register": FaultType(
        "the RPU's register of the return temperature shows VALUE °C",
        *_faulty_register("return_c"),
        limits=_REGISTER_LIMITS,
    ),
    "flow_register": FaultType(
        "the RPU's register of the flow shows VALUE L/min",
        *_faulty_register("flow_lpm"),
        limits=_REGISTER_LIMITS,
    ),
    "dp_register": FaultType(
        "the RPU's register of the supply pressure, and with it dP, shows VALUE kPa",
        *_faulty_register("supply_kpa"),
        limits=_REGISTER_LIMITS,
    ),
    "suction_register": FaultType(
        "the RPU's register of the return pressure, and with it dP, shows VALUE kPa",
        *_faulty_register("return_kpa"),
        limits=_REGISTER_LIMITS,
    ),
    "supply_scale": FaultType(
        "the RPU's register of the supply temperature shows the value of its sensor times VALUE",
        *_faulty_register("supply_c", SensorServer.scale_sensor),
        limits=(0.01, 100),
    ),
    "sensors_swapped": FaultType(
        "the supply sensor and the return sensor are connected to each other's input",
        *attribute_fault(attrgetter("rpu"), "temperatures_swapped"),
    ),
    "facility_flow_register": FaultType(
        "the valve's register of the facility flow shows VALUE L/min",
        *_faulty_register("fws_flow_lpm"),
        limits=(0, 3932),  # 16 bits in mL/s
    ),
    "facility_flow_scale": FaultType(
        "the valve's register of the facility flow shows the value of its sensor times VALUE",
        *_faulty_register("fws_flow_lpm", SensorServer.scale_sensor),
        limits=(0.01, 100),
    ),
    "facility_supply_register": FaultType(
        "the valve's register of the facility supply temperature shows VALUE °C",
        *_faulty_register("fws_c"),
        limits=_VALVE_LIMITS,
    ),
    "facility_return_register": FaultType(
        "the valve's register of the facility return temperature shows VALUE °C",
        *_faulty_register("fws_out_c"),
        limits=_VALVE_LIMITS,
    ),
    "facility_supply_offset": FaultType(
        "the valve's sensor of the facility supply temperature reads VALUE K too high",
        *_faulty_register("fws_c", SensorServer.offset_sensor),
        limits=(-20, 20),
    ),
    "facility_return_offset": FaultType(
        "the valve's sensor of the facility return temperature reads VALUE K too high",
        *_faulty_register("fws_out_c", SensorServer.offset_sensor),
        limits=(-20, 20),
    ),
    "facility_sensors_swapped": FaultType(
        "both temperature sensors of the facility water are connected to each other's input",
        *attribute_fault(attrgetter("valve"), "temperatures_swapped"),
    ),
    "valve_position_register": FaultType(
        "the valve's register of its position shows VALUE %",
        *_faulty_register("position_pct"),
        limits=(0, 100),
    ),
    "dew_frozen": FaultType(
        "all humidity sensors are stuck at their values",
        _freeze_all_humidity,
        _release_all_humidity,
    ),
}
"""All faults of this module."""
