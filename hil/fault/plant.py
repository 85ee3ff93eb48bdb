"""Faults of coolant, water, air, power and sensors of the plant.

Does not contain the physics; see `hil.plant`. Each fault sets an attribute of the plant or of a
device. The RPU, the valve actuator and the controller have a buffered control supply. So a grid
failure stops only the drives and the loads behind them.
"""

from collections.abc import Callable
from operator import attrgetter

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.devices.drives.abb_acs580 import Drive
from hil.fault.base import FaultAction, FaultReset, FaultType, attribute_fault
from hil.plant.plant import Plant
from hil.plant.power.grid import UNDERVOLTAGE

_SECOND = 1_000_000
_UNDERVOLTAGE_FAULT = 0x3220  # fault code of the drive: undervoltage of the DC link
_DETECTOR_DELAY_US = 5 * _SECOND
"""Time until a leak reaches the detector in the pan (assumed)."""
_WEATHER_K_MIN = 2.0
"""Rate at which facility water follows the outdoor air (assumed: a tank and the coolers' pipes)."""


def _advanced_plant(testbed: Testbed) -> Plant:
    """Advance the plant to the present time, and give it."""
    testbed.plant.advance(testbed.world.now)
    return testbed.plant


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


# Coolant


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


# Water and weather


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


# Power


def _fail_grid(testbed: Testbed, _: float) -> None:
    testbed.surroundings.grid.fail()
    testbed.plant.advance(testbed.world.now)
    for drive in _mains_drives(testbed):
        drive.cut_power()


def _mains_drives(testbed: Testbed) -> list[Drive]:
    return [*testbed.drives, *testbed.surroundings.fans]


def _restore_drive_power(testbed: Testbed) -> None:
    for drive in _mains_drives(testbed):
        drive.restore_power(testbed.world.now)


def _restore_grid(testbed: Testbed) -> None:
    testbed.surroundings.grid.restore()
    _restore_drive_power(testbed)


def _schedule_generator(testbed: Testbed, delay_s: float) -> None:
    _fail_grid(testbed, 0.0)
    testbed.world.schedule(testbed.world.now + int(delay_s * _SECOND), _start_generator, testbed)


def _start_generator(testbed: Testbed) -> None:
    testbed.surroundings.grid.start_generator()
    _restore_drive_power(testbed)


def _dip_grid(testbed: Testbed, percent: float) -> None:
    testbed.surroundings.grid.set_voltage(percent / 100.0)
    if testbed.surroundings.grid.voltage < UNDERVOLTAGE:
        testbed.plant.advance(testbed.world.now)
        for drive in _mains_drives(testbed):
            if drive.running:
                drive.trip(_UNDERVOLTAGE_FAULT)


def _fan_slice(value: float) -> slice:
    return slice(int(value) - 1, int(value))


def _cut_fan_power(testbed: Testbed, value: float) -> None:
    testbed.plant.advance(testbed.world.now)
    for drive in testbed.surroundings.fans[_fan_slice(value)]:
        drive.cut_power()


def _restore_fan_power(testbed: Testbed) -> None:
    for drive in testbed.surroundings.fans:
        drive.restore_power(testbed.world.now)


def _silence_fan(testbed: Testbed, value: float) -> None:
    for drive in testbed.surroundings.fans[_fan_slice(value)]:
        drive.inject("dead", True)


def _unsilence_fans(testbed: Testbed) -> None:
    for drive in testbed.surroundings.fans:
        drive.inject("dead", False)


def _trip_fan(testbed: Testbed, value: float) -> None:
    testbed.plant.advance(testbed.world.now)
    for drive in testbed.surroundings.fans[_fan_slice(value)]:
        drive.trip()


def _set_frequency(testbed: Testbed, hertz: float) -> None:
    testbed.surroundings.grid.set_frequency(hertz)


# Pumps, room and sensors


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


def _set_humidity_error(testbed: Testbed, value: float) -> None:
    for sensor in testbed.surroundings.humidity_sensors[:1]:
        sensor.set_humidity_error(value)


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


def _set_valve_stuck(testbed: Testbed, is_stuck: bool) -> None:
    testbed.plant.advance(testbed.world.now)
    testbed.valve.set_stuck(is_stuck)


def _set_stiction(testbed: Testbed, percent: float) -> None:
    testbed.plant.valve.set_deadband(percent)


_FAN_LIMITS = (1.0, float(LIMITS["fans"][1]))
_SENSOR_LIMITS = (1.0, float(LIMITS["humidity_sensors"][1]))

PLANT_EVENTS: dict[str, FaultType] = {
    "leak": FaultType(
        "value L/min of coolant leak into the pan; the leak detector reports it after 5 s",
        _start_leak,
        _stop_leak,
        limits=(0.01, 100),
    ),
    "leak_detector": FaultType(
        "the leak detector in the pan reports a leak",
        lambda testbed, _: testbed.rpu.set_leak("pan"),
        lambda testbed: testbed.rpu.clear_leak("pan"),
    ),
    "air_in_loop": FaultType("air replaces value % of the coolant", _admit_air, limits=(0.1, 50)),
    "filter_clog": FaultType(
        "value % of the free area of the filter is clogged",
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
        "stiction: the valve does not follow steps below value %",
        _set_stiction,
        lambda testbed: _set_stiction(testbed, testbed.plant.parameters.valve_deadband_pct),
        limits=(0, 20),
    ),
    "hx_fouling": FaultType(
        "the heat exchanger loses value % of its UA; a negative value adds to it",
        lambda testbed, value: _advanced_plant(testbed).set_fouling(1.0 - value / 100.0),
        lambda testbed: _advanced_plant(testbed).set_fouling(1.0),
        limits=(-50, 99),
    ),
    "fws_pressure": FaultType(
        "the pressure of the facility water is value % of normal; 0: its pumps stop",
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
        "the outdoor air warms by value K; the facility water follows at 2 K/min",
        _step_weather,
        limits=(-20, 20),
    ),
    "supply_offset": FaultType(
        "the supply sensor reads value K too high",
        *_sensor_fault("supply_c", "offset", float),
        limits=(-20, 20),
    ),
    "supply_drift": FaultType(
        "the supply sensor drifts by value K per hour",
        *_sensor_fault("supply_c", "drift_s", lambda v: v / 3600.0),
        limits=(-1000, 1000),
    ),
    "supply_noise": FaultType(
        "the supply sensor has additional noise of value K (1 sigma)",
        *_sensor_fault("supply_c", "sigma", float),
        limits=(0, 10),
    ),
    "supply_stuck": FaultType(
        "the supply sensor is stuck at its value", *_stuck_sensor_fault("supply_c")
    ),
    "return_offset": FaultType(
        "the return sensor reads value K too high",
        *_sensor_fault("return_c", "offset", float),
        limits=(-20, 20),
    ),
    "dp_offset": FaultType(
        "the supply pressure sensor, and with it dP, reads value kPa too high",
        *_sensor_fault("supply_kpa", "offset", float),
        limits=(-200, 200),
    ),
    "dp_stuck": FaultType(
        "the supply pressure sensor is stuck at its value", *_stuck_sensor_fault("supply_kpa")
    ),
    "flow_stuck": FaultType(
        "the flow meter is stuck at its value", *_stuck_sensor_fault("flow_lpm")
    ),
    "grid_outage": FaultType(
        "the mains fail: the drives lose their power; at the end they restart",
        _fail_grid,
        _restore_grid,
    ),
    "grid_generator": FaultType(
        "the mains fail; a generator supplies after value s; at the end the mains return",
        _schedule_generator,
        _restore_grid,
        limits=(1, 600),
    ),
    "grid_dip": FaultType(
        "the mains voltage dips to value % of nominal; below 65 % running drives trip",
        _dip_grid,
        lambda testbed: testbed.surroundings.grid.restore(),
        limits=(1, 110),
    ),
    "grid_frequency": FaultType(
        "the grid frequency is value Hz",
        _set_frequency,
        lambda testbed: testbed.surroundings.grid.restore(),
        limits=(45, 65),
    ),
    "pump_seized": FaultType(
        "the shaft of pump number value is blocked",
        _seize_pump,
        _release_pumps,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "pump_nrv_open": FaultType(
        "the check valve of pump number value stays open",
        _open_nrv,
        _close_nrvs,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "room_temperature": FaultType(
        "the room temperature is value °C",
        lambda testbed, value: testbed.surroundings.room.set_temperature(value),
        limits=LIMITS["room_c"],
    ),
    "room_humidity": FaultType(
        "the relative humidity of the room is value %",
        lambda testbed, value: testbed.surroundings.room.set_humidity(value),
        limits=LIMITS["room_humidity_pct"],
    ),
    "humidity_dead": FaultType(
        "humidity sensor number value does not reply",
        _silence_humidity,
        _unsilence_humidity,
        limits=_SENSOR_LIMITS,
    ),
    "humidity_stuck": FaultType(
        "humidity sensor number value is stuck at its value",
        _freeze_humidity,
        _release_humidity,
        limits=_SENSOR_LIMITS,
    ),
    "outdoor_dead": FaultType(
        "the outdoor sensor does not reply",
        lambda testbed, _: _set_outdoor_dead(testbed, True),
        lambda testbed: _set_outdoor_dead(testbed, False),
    ),
    "outdoor_temperature": FaultType(
        "the outdoor air is at value °C, for the outdoor sensor and the cooler of the row",
        lambda testbed, value: testbed.surroundings.set_outdoor_c(value),
        limits=LIMITS["outdoor_c"],
    ),
    "fan_lost": FaultType(
        "fan number value loses its power: it stops, and its drive does not reply",
        _cut_fan_power,
        _restore_fan_power,
        limits=_FAN_LIMITS,
    ),
    "fan_dead": FaultType(
        "the drive of fan number value does not reply and goes to full speed",
        _silence_fan,
        _unsilence_fans,
        limits=_FAN_LIMITS,
    ),
    "fan_trip": FaultType("the drive of fan number value trips", _trip_fan, limits=_FAN_LIMITS),
    "humidity_error": FaultType(
        "the first humidity sensor reads value % too high",
        _set_humidity_error,
        lambda testbed: _set_humidity_error(testbed, 0.0),
        limits=(-50, 50),
    ),
}
"""Name -> fault or event, for `do` in a scenario."""
