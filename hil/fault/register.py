# SPDX-License-Identifier: Apache-2.0
"""Faults of measured values in the registers of the RPU (the emulated CDU): held values,
a scale, a swap.

Does not change the sensors of the plant; see `hil.fault.sensor`. The RPU shows a wrong register and
sets no alarm bit. All humidity sensors can be held together. A value of 3276.7 or -3276.8 shows the
sentinel 0x7FFF or 0x8000 in the register, and 6553.5 shows 0xFFFF.
"""

from operator import attrgetter

from hil.bench.testbed import Testbed
from hil.fault.base import FaultAction, FaultReset, FaultType, attribute_fault

_REGISTER_LIMITS = (-3276.8, 6553.5)  # tenths in 16 bits, signed or unsigned


def _held_register(sensor: str) -> tuple[FaultAction, FaultReset]:
    """Make a fault that shows a fixed value in the register of a sensor."""
    return (
        lambda testbed, value: testbed.rpu.freeze_sensor(sensor, value),
        lambda testbed: testbed.rpu.clear_fault(sensor),
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
        *_held_register("supply_c"),
        limits=_REGISTER_LIMITS,
    ),
    "return_register": FaultType(
        "the RPU's register of the return temperature shows VALUE °C",
        *_held_register("return_c"),
        limits=_REGISTER_LIMITS,
    ),
    "flow_register": FaultType(
        "the RPU's register of the flow shows VALUE L/min",
        *_held_register("flow_lpm"),
        limits=_REGISTER_LIMITS,
    ),
    "dp_register": FaultType(
        "the RPU's register of the supply pressure, and with it dP, shows VALUE kPa",
        *_held_register("supply_kpa"),
        limits=_REGISTER_LIMITS,
    ),
    "suction_register": FaultType(
        "the RPU's register of the return pressure, and with it dP, shows VALUE kPa",
        *_held_register("return_kpa"),
        limits=_REGISTER_LIMITS,
    ),
    "supply_scale": FaultType(
        "the RPU's register of the supply temperature shows the value of its sensor times VALUE",
        lambda testbed, value: testbed.rpu.scale_sensor("supply_c", value),
        lambda testbed: testbed.rpu.clear_fault("supply_c"),
        limits=(0.01, 100),
    ),
    "sensors_swapped": FaultType(
        "the supply sensor and the return sensor are connected to each other's input",
        *attribute_fault(attrgetter("rpu"), "temperatures_swapped"),
    ),
    "dew_frozen": FaultType(
        "all humidity sensors are stuck at their values",
        _freeze_all_humidity,
        _release_all_humidity,
    ),
}
"""All faults of this module."""
