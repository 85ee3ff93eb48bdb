# SPDX-License-Identifier: Apache-2.0
"""Faults of the mains and of the fan drives.

Does not contain the grid; see `hil.plant.power.grid`. The RPU, the valve actuator and the
controller have a buffered control supply. So a grid failure stops only the drives and the loads
behind them.
"""

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.devices.drives.abb_acs580 import AbbAcs580
from hil.fault.base import FaultType
from hil.plant.power.grid import GENERATOR_OUTAGE, OUTAGE, UNDERVOLTAGE

_SECOND = 1_000_000
_GRID, _FEEDER = "grid", "feeder"
"""Causes of a drive without power: the mains of the site, or its own feeder."""
_FAN_LIMITS = (1.0, float(LIMITS["fans"][1]))


def _fail_grid(testbed: Testbed, cause: str) -> None:
    testbed.surroundings.grid.fail(cause)
    testbed.plant.advance(testbed.world.now)
    for drive in _mains_drives(testbed):
        drive.cut_power(_GRID)


def _mains_drives(testbed: Testbed) -> list[AbbAcs580]:
    return [*testbed.drives, *testbed.surroundings.fans]


def _supply_drives(testbed: Testbed) -> None:
    """Give the drives the power of the grid, if it has any, and its voltage."""
    grid = testbed.surroundings.grid
    testbed.plant.advance(testbed.world.now)
    for drive in _mains_drives(testbed):
        if grid.supplied:
            drive.restore_power(testbed.world.now, _GRID)
        drive.set_undervoltage(0.0 < grid.voltage < UNDERVOLTAGE)


def _restore_grid(testbed: Testbed, cause: str) -> None:
    testbed.surroundings.grid.restore(cause)
    _supply_drives(testbed)


def _schedule_generator(testbed: Testbed, delay_s: float) -> None:
    _fail_grid(testbed, GENERATOR_OUTAGE)
    testbed.world.schedule(testbed.world.now + int(delay_s * _SECOND), _start_generator, testbed)


def _start_generator(testbed: Testbed) -> None:
    testbed.surroundings.grid.start_generator()
    _supply_drives(testbed)


def _dip_grid(testbed: Testbed, percent: float) -> None:
    testbed.surroundings.grid.set_voltage(percent / 100.0)
    _supply_drives(testbed)


def _set_frequency(testbed: Testbed, hertz: float) -> None:
    testbed.surroundings.grid.set_frequency(hertz)


def _slice_of_fan(value: float) -> slice:
    return slice(int(value) - 1, int(value))


def _cut_fan_power(testbed: Testbed, value: float) -> None:
    testbed.plant.advance(testbed.world.now)
    for drive in testbed.surroundings.fans[_slice_of_fan(value)]:
        drive.cut_power(_FEEDER)


def _restore_fan_power(testbed: Testbed) -> None:
    for drive in testbed.surroundings.fans:
        drive.restore_power(testbed.world.now, _FEEDER)


def _stop_fan_replies(testbed: Testbed, value: float) -> None:
    for drive in testbed.surroundings.fans[_slice_of_fan(value)]:
        drive.inject("dead", True)


def _resume_fan_replies(testbed: Testbed) -> None:
    for drive in testbed.surroundings.fans:
        drive.inject("dead", False)


def _trip_fan(testbed: Testbed, value: float) -> None:
    testbed.plant.advance(testbed.world.now)
    for drive in testbed.surroundings.fans[_slice_of_fan(value)]:
        drive.trip()


POWER_EVENTS: dict[str, FaultType] = {
    "grid_outage": FaultType(
        "the mains fail: the drives lose their power; at the end they restart",
        lambda testbed, _: _fail_grid(testbed, OUTAGE),
        lambda testbed: _restore_grid(testbed, OUTAGE),
    ),
    "grid_generator": FaultType(
        "the mains fail; a generator supplies after VALUE s; at the end the mains return",
        _schedule_generator,
        lambda testbed: _restore_grid(testbed, GENERATOR_OUTAGE),
        limits=(1, 600),
    ),
    "grid_dip": FaultType(
        "the mains voltage dips to VALUE % of nominal; below 65 % drives trip and take no reset",
        _dip_grid,
        lambda testbed: _dip_grid(testbed, 100.0),
        limits=(1, 110),
    ),
    "grid_frequency": FaultType(
        "the grid frequency is VALUE Hz",
        _set_frequency,
        lambda testbed: testbed.surroundings.grid.set_frequency(50.0),
        limits=(45, 65),
    ),
    "fan_lost": FaultType(
        "fan number VALUE loses its power: it stops, and its drive does not reply",
        _cut_fan_power,
        _restore_fan_power,
        limits=_FAN_LIMITS,
    ),
    "fan_dead": FaultType(
        "the drive of fan number VALUE does not reply and goes to full speed",
        _stop_fan_replies,
        _resume_fan_replies,
        limits=_FAN_LIMITS,
    ),
    "fan_trip": FaultType("the drive of fan number VALUE trips", _trip_fan, limits=_FAN_LIMITS),
}
"""All faults of this module."""
