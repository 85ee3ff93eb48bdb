# SPDX-License-Identifier: Apache-2.0
"""Faults of the plant sensors, the humidity sensors, the outdoor sensor, and of the speed that a
drive shows.

Does not contain the faults themselves; see `hil.plant.fluid.sensor_fault` and the devices.
"""

from collections.abc import Callable

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.fault.base import FaultAction, FaultReset, FaultType, attribute_fault

_SENSOR_LIMITS = (1.0, float(LIMITS["humidity_sensors"][1]))


def _sensor_fault(
    sensor: str, name: str, to_value: Callable[[float], float]
) -> tuple[FaultAction, FaultReset]:
    """Make a fault of a plant sensor; its end clears all faults of the sensor."""

    def do(testbed: Testbed, value: float) -> None:
        testbed.plant.sensor_fault(sensor).inject(name, to_value(value))

    return do, lambda testbed: testbed.plant.sensor_fault(sensor).clear()


def _stuck_sensor_fault(sensor: str) -> tuple[FaultAction, FaultReset]:
    """Make a fault that holds a plant sensor at its present value."""

    def do(testbed: Testbed, _: float) -> None:
        testbed.plant.advance(testbed.world.now)
        value = float(getattr(testbed.plant, sensor))
        testbed.plant.sensor_fault(sensor).inject("stuck_value", value)

    return do, lambda testbed: testbed.plant.sensor_fault(sensor).clear()


def _set_humidity_error(testbed: Testbed, value: float) -> None:
    for sensor in testbed.surroundings.humidity_sensors[:1]:
        sensor.set_humidity_error(value)


def _set_temperature_error(testbed: Testbed, kelvin: float) -> None:
    for sensor in testbed.surroundings.humidity_sensors[:1]:
        sensor.set_temperature_error(kelvin)


def _silence_humidity(testbed: Testbed, value: float) -> None:
    for sensor in testbed.surroundings.humidity_sensors[int(value) - 1 : int(value)]:
        sensor.inject("dead", True)


def _unsilence_humidity(testbed: Testbed) -> None:
    for sensor in testbed.surroundings.humidity_sensors:
        sensor.inject("dead", False)


def _freeze_humidity(testbed: Testbed, value: float) -> None:
    for sensor in testbed.surroundings.humidity_sensors[int(value) - 1 : int(value)]:
        sensor.freeze()


def _release_humidity(testbed: Testbed) -> None:
    for sensor in testbed.surroundings.humidity_sensors:
        sensor.unfreeze()


def _set_outdoor_dead(testbed: Testbed, is_dead: bool) -> None:
    for sensor in testbed.surroundings.outdoor_sensors:
        sensor.inject("dead", is_dead)


SENSOR_EVENTS: dict[str, FaultType] = {
    "supply_offset": FaultType(
        "the supply sensor reads VALUE K too high",
        *_sensor_fault("supply_c", "offset", float),
        limits=(-20, 20),
    ),
    "supply_drift": FaultType(
        "the supply sensor drifts by VALUE K per hour",
        *_sensor_fault("supply_c", "drift_s", lambda v: v / 3600.0),
        limits=(-1000, 1000),
    ),
    "supply_noise": FaultType(
        "the supply sensor has additional noise of VALUE K (1 sigma)",
        *_sensor_fault("supply_c", "sigma", float),
        limits=(0, 10),
    ),
    "supply_stuck": FaultType(
        "the supply sensor is stuck at its value", *_stuck_sensor_fault("supply_c")
    ),
    "return_offset": FaultType(
        "the return sensor reads VALUE K too high",
        *_sensor_fault("return_c", "offset", float),
        limits=(-20, 20),
    ),
    "dp_offset": FaultType(
        "the supply pressure sensor, and with it dP, reads VALUE kPa too high",
        *_sensor_fault("supply_kpa", "offset", float),
        limits=(-200, 200),
    ),
    "dp_stuck": FaultType(
        "the supply pressure sensor is stuck at its value", *_stuck_sensor_fault("supply_kpa")
    ),
    "flow_stuck": FaultType(
        "the flow meter is stuck at its value", *_stuck_sensor_fault("flow_lpm")
    ),
    "humidity_dead": FaultType(
        "humidity sensor number VALUE does not reply",
        _silence_humidity,
        _unsilence_humidity,
        limits=_SENSOR_LIMITS,
    ),
    "humidity_stuck": FaultType(
        "humidity sensor number VALUE is stuck at its value",
        _freeze_humidity,
        _release_humidity,
        limits=_SENSOR_LIMITS,
    ),
    "outdoor_dead": FaultType(
        "the outdoor sensor does not reply",
        lambda testbed, _: _set_outdoor_dead(testbed, True),
        lambda testbed: _set_outdoor_dead(testbed, False),
    ),
    "humidity_error": FaultType(
        "the first humidity sensor reads VALUE % too high",
        _set_humidity_error,
        lambda testbed: _set_humidity_error(testbed, 0.0),
        limits=(-50, 50),
    ),
    "room_sensor_offset": FaultType(
        "the temperature of the first humidity sensor reads VALUE K too high",
        _set_temperature_error,
        lambda testbed: _set_temperature_error(testbed, 0.0),
        limits=(-20, 20),
    ),
    "drive_speed_register": FaultType(
        "the drive of pump 1 shows a speed of VALUE %",
        *attribute_fault(lambda testbed: testbed.drives[0], "shown_pct", None, float),
        limits=(0, 100),
    ),
}
"""All faults of this module."""
