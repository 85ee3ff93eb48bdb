# SPDX-License-Identifier: Apache-2.0
"""Faults of coolant, facility water, weather, valve, pumps and room.

Does not contain the physics; see `hil.plant`. Faults of power and of sensors are in
`hil.fault.process.power` and `hil.fault.sensor`.
"""

from operator import attrgetter

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.fault.base import FaultType, attribute_fault
from hil.plant.plant import Plant

_SECOND = 1_000_000
_DETECTOR_DELAY_US = 5 * _SECOND
"""Time until a leak reaches the detector in the pan (assumed)."""
_WEATHER_K_MIN = 2.0
"""Rate at which facility water follows the outdoor air (assumed: a tank and the coolers' pipes)."""

_WAVE_KW = (30.0, 100.0)
"""Low and high power of a load wave, as in the training of AI models."""


def _advanced_plant(testbed: Testbed) -> Plant:
    """Advance the plant to the present time, and give it."""
    testbed.plant.advance(testbed.world.now)
    return testbed.plant


def _start_leak(testbed: Testbed, lpm: float) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.plant.inventory.set_leak(lpm)
    testbed.world.schedule(testbed.world.now + _DETECTOR_DELAY_US, _trip_leak_detector, testbed)


def _trip_leak_detector(testbed: Testbed) -> None:
    if testbed.plant.inventory.leak_lpm > 0.0:
        testbed.rpu.set_leak("pan")


def _stop_leak(testbed: Testbed) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.plant.inventory.set_leak(0.0)
    testbed.rpu.clear_leak("pan")


def _admit_air(testbed: Testbed, percent: float) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.plant.inventory.admit_air(percent)


def _step_weather(testbed: Testbed, kelvin: float) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.surroundings.set_outdoor_c(testbed.surroundings.outdoor_air.celsius + kelvin)
    testbed.plant.set_fws(testbed.plant.fws_target_c + kelvin, _WEATHER_K_MIN)


def _set_rejection_lost(testbed: Testbed, is_lost: bool) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.plant.set_rejection_lost(is_lost)
    if testbed.surroundings.fan_bank is not None:
        testbed.surroundings.fan_bank.set_stopped(is_lost)


def _restore_rejection(testbed: Testbed) -> None:
    _set_rejection_lost(testbed, False)
    testbed.plant.set_fws(testbed.plant.fws_target_c, _WEATHER_K_MIN)


def _start_load_wave(testbed: Testbed, half_s: float) -> None:
    testbed.surroundings.set_load_wave(int(half_s * _SECOND))
    _step_load(testbed, True)


def _step_load(testbed: Testbed, is_high: bool) -> None:
    """Step the load of the wave, and schedule the next step."""
    half_us = testbed.surroundings.load_wave_us
    if not half_us:
        return
    testbed.plant.advance(testbed.world.now)
    testbed.plant.set_load(_WAVE_KW[is_high] * testbed.settings.size)
    testbed.world.schedule(testbed.world.now + half_us, _step_load, testbed, not is_high)


def _stop_load_wave(testbed: Testbed) -> None:
    testbed.surroundings.set_load_wave(0)


def _seize_pump(testbed: Testbed, value: float) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.plant.pumps[int(value) - 1].set_seized(True)


def _release_pumps(testbed: Testbed) -> None:
    testbed.plant.advance(testbed.world.now)
    for pump in testbed.plant.pumps:
        pump.set_seized(False)


def _open_nrv(testbed: Testbed, value: float) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.plant.stick_open(int(value) - 1, True)


def _close_nrvs(testbed: Testbed) -> None:
    testbed.plant.advance(testbed.world.now)
    for i in range(len(testbed.plant.pumps)):
        testbed.plant.stick_open(i, False)


def _set_valve_stuck(testbed: Testbed, is_stuck: bool) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.valve.set_stuck(is_stuck)


def _set_stiction(testbed: Testbed, percent: float) -> None:
    testbed.plant.valve.set_deadband(percent)


PLANT_EVENTS: dict[str, FaultType] = {
    "leak": FaultType(
        "VALUE L/min of coolant leak into the pan; the leak detector reports it after 5 s",
        _start_leak,
        _stop_leak,
        limits=(0.01, 100),
    ),
    "leak_detector": FaultType(
        "the leak detector in the pan reports a leak",
        lambda testbed, _: testbed.rpu.set_leak("pan"),
        lambda testbed: testbed.rpu.clear_leak("pan"),
    ),
    "air_in_loop": FaultType("air replaces VALUE % of the coolant", _admit_air, limits=(0.1, 50)),
    "filter_clog": FaultType(
        "VALUE % of the free area of the filter is clogged",
        lambda testbed, value: _advanced_plant(testbed).set_clogging(value / 100.0),
        lambda testbed: _advanced_plant(testbed).set_clogging(0.0),
        limits=(0, 95),
    ),
    "reservoir_low": FaultType(
        "the level switch of the reservoir reports low",
        *attribute_fault(attrgetter("rpu"), "reservoir_low"),
    ),
    "emergency_stop": FaultType(
        "the emergency stop of the RPU is pressed",
        lambda testbed, _: testbed.rpu.set_estop(True),
        lambda testbed: testbed.rpu.set_estop(False),
    ),
    "valve_stuck": FaultType(
        "the valve actuator does not move",
        lambda testbed, _: _set_valve_stuck(testbed, True),
        lambda testbed: _set_valve_stuck(testbed, False),
    ),
    "valve_stiction": FaultType(
        "stiction: the valve does not follow steps below VALUE %",
        _set_stiction,
        lambda testbed: _set_stiction(testbed, testbed.plant.parameters.valve_deadband_pct),
        limits=(0, 20),
    ),
    "load_wave": FaultType(
        "the IT load is 100 and 30 kW in turn, each for VALUE s",
        _start_load_wave,
        _stop_load_wave,
        limits=(2, 600),
    ),
    "hx_fouling": FaultType(
        "the heat exchanger loses VALUE % of its UA; a negative VALUE adds to it",
        lambda testbed, value: _advanced_plant(testbed).set_fouling(1.0 - value / 100.0),
        lambda testbed: _advanced_plant(testbed).set_fouling(1.0),
        limits=(-50, 99),
    ),
    "fws_pressure": FaultType(
        "the pressure of the facility water is VALUE % of normal; 0: its pumps stop",
        lambda testbed, value: _advanced_plant(testbed).set_fws_pressure(value / 100.0),
        lambda testbed: _advanced_plant(testbed).set_fws_pressure(1.0),
        limits=(0, 200),
    ),
    "heat_rejection_lost": FaultType(
        "the coolers stop; the facility water circulates and warms",
        lambda testbed, _: _set_rejection_lost(testbed, True),
        _restore_rejection,
    ),
    "weather_step": FaultType(
        "the outdoor air warms by VALUE K; the facility water follows at 2 K/min",
        _step_weather,
        limits=(-20, 20),
    ),
    "pump_seized": FaultType(
        "the shaft of pump number VALUE is blocked",
        _seize_pump,
        _release_pumps,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "pump_nrv_open": FaultType(
        "the check valve of pump number VALUE stays open",
        _open_nrv,
        _close_nrvs,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "room_temperature": FaultType(
        "the room temperature is VALUE °C",
        lambda testbed, value: testbed.surroundings.room.set_temperature(value),
        limits=LIMITS["room_c"],
    ),
    "room_humidity": FaultType(
        "the relative humidity of the room is VALUE %",
        lambda testbed, value: testbed.surroundings.room.set_humidity(value),
        limits=LIMITS["room_humidity_pct"],
    ),
    "outdoor_temperature": FaultType(
        "the outdoor air is at VALUE °C, for the outdoor sensor and the cooler of the row",
        lambda testbed, value: testbed.surroundings.set_outdoor_c(value),
        limits=LIMITS["outdoor_c"],
    ),
}
"""All faults and events of this module."""
