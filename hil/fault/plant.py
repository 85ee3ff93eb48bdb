"""The words for what can be wrong with coolant, water, air, power and sensors of the plant.

Not the physics: each word turns something that the plant (`hil.plant`) or a device offers. The
RPU, the valve's drive and the controller hang on the control supply, which is buffered: a grid
that fails takes the pumps' drives, and what is behind them, only.
"""

from collections.abc import Callable
from operator import attrgetter

from hil.bench.testbed import Row
from hil.bench.testbed_settings import LIMITS
from hil.devices.drives.abb_acs580 import Drive
from hil.fault.base import Do, Undo, Word, held
from hil.plant.plant import Plant
from hil.plant.power.grid import UNDERVOLTAGE

_SECOND = 1_000_000
_UNDERVOLTAGE_FAULT = 0x3220  # the drives' code: undervoltage of the DC link
_COAST_PCT_S = 50.0
_ESTOP = 1 << 8  # of the RPU's status alarms: E-stop
_WETS_AFTER_US = 5 * _SECOND
"""How long a leak runs before it has reached the pan's detector (assumed)."""
_WEATHER_K_MIN = 2.0
"""How fast facility water follows the outdoor air (assumed: a tank and the coolers' pipes)."""


def _plant(row: Row) -> Plant:
    """The plant, as of now."""
    row.plant.advance(row.world.now)
    return row.plant


def _false(sensor: str, name: str, on: Callable[[float], float]) -> tuple[Do, Undo]:
    """Make a sensor of the plant false, and honest again."""

    def do(row: Row, value: float) -> None:
        setattr(row.plant.falsify(sensor), name, on(value))

    return do, lambda row: row.plant.falsify(sensor).heal()


def _stuck(sensor: str) -> tuple[Do, Undo]:
    """Hold a sensor of the plant at what it shows."""

    def do(row: Row, _: float) -> None:
        row.plant.advance(row.world.now)
        row.plant.falsify(sensor).held = float(getattr(row.plant, sensor))

    return do, lambda row: row.plant.falsify(sensor).heal()


# Coolant.


def _leak(row: Row, lpm: float) -> None:
    row.plant.advance(row.world.now)
    row.plant.inventory.leak_lpm = lpm
    row.world.at(row.world.now + _WETS_AFTER_US, _wet, row)


def _wet(row: Row) -> None:
    if row.plant.inventory.leak_lpm > 0.0:
        row.rpu.leak("pan")


def _mend(row: Row) -> None:
    row.plant.advance(row.world.now)
    row.plant.inventory.leak_lpm = 0.0
    row.rpu.dry("pan")


def _air(row: Row, percent: float) -> None:
    row.plant.advance(row.world.now)
    row.plant.inventory.admit(percent)


def _estop(row: Row, pressed: bool) -> None:
    word = row.rpu.status_alarm
    row.rpu.status_alarm = word | _ESTOP if pressed else word & ~_ESTOP


# Water and weather.


def _weather(row: Row, kelvin: float) -> None:
    row.plant.advance(row.world.now)
    row.around.air_outside(row.around.outdoors.celsius + kelvin)
    row.plant.set_fws(row.plant.fws_target_c + kelvin, _WEATHER_K_MIN)


def _rejection_lost(row: Row, lost: bool) -> None:
    row.plant.advance(row.world.now)
    row.plant.rejection_lost = lost
    if row.around.bank is not None:
        row.around.bank.stopped = lost


def _rejection_back(row: Row) -> None:
    _rejection_lost(row, False)
    row.plant.set_fws(row.plant.fws_target_c, _WEATHER_K_MIN)


# Power.


def _outage(row: Row, _: float) -> None:
    row.around.grid.fail()
    row.plant.advance(row.world.now)
    for drive in _on_mains(row):
        _without_power(drive)


def _on_mains(row: Row) -> list[Drive]:
    return [*row.drives, *row.around.fans]


def _without_power(drive: Drive) -> None:
    drive.dead = True
    drive.running = False
    drive.shaft.command(0.0, _COAST_PCT_S)


def _power_back(row: Row) -> None:
    for drive in _on_mains(row):
        if drive.dead:
            drive.dead = False
            drive.reboot(row.world.now)


def _restored(row: Row) -> None:
    row.around.grid.restore()
    _power_back(row)


def _generator(row: Row, after_s: float) -> None:
    _outage(row, 0.0)
    row.world.at(row.world.now + int(after_s * _SECOND), _take_over, row)


def _take_over(row: Row) -> None:
    row.around.grid.start_generator()
    _power_back(row)


def _dip(row: Row, percent: float) -> None:
    row.around.grid.voltage = percent / 100.0
    if row.around.grid.voltage < UNDERVOLTAGE:
        row.plant.advance(row.world.now)
        for drive in _on_mains(row):
            if drive.running:
                drive.trip(_UNDERVOLTAGE_FAULT)


def _fan(value: float) -> slice:
    return slice(int(value) - 1, int(value))


def _fan_lost(row: Row, value: float) -> None:
    row.plant.advance(row.world.now)
    for drive in row.around.fans[_fan(value)]:
        _without_power(drive)


def _fans_back(row: Row) -> None:
    for drive in row.around.fans:
        if drive.dead:
            drive.dead = False
            drive.reboot(row.world.now)


def _fan_dead(row: Row, value: float) -> None:
    for drive in row.around.fans[_fan(value)]:
        drive.dead = True


def _fan_alive(row: Row) -> None:
    for drive in row.around.fans:
        drive.dead = False


def _fan_trip(row: Row, value: float) -> None:
    row.plant.advance(row.world.now)
    for drive in row.around.fans[_fan(value)]:
        drive.trip()


def _hertz(row: Row, hertz: float) -> None:
    row.around.grid.hertz = hertz


# Pumps and the air around.


def _seize(row: Row, value: float) -> None:
    row.plant.advance(row.world.now)
    row.plant.pumps[int(value) - 1].seized = True


def _free(row: Row) -> None:
    row.plant.advance(row.world.now)
    for pump in row.plant.pumps:
        pump.seized = False


def _nrv(row: Row, value: float) -> None:
    row.plant.advance(row.world.now)
    row.plant.stick_open(int(value) - 1, True)


def _nrv_shut(row: Row) -> None:
    row.plant.advance(row.world.now)
    for i in range(len(row.plant.pumps)):
        row.plant.stick_open(i, False)


def _room(name: str) -> Do:
    def do(row: Row, value: float) -> None:
        setattr(row.around.room, name, value)

    return do


def _humidity_error(row: Row, value: float) -> None:
    for sensor in row.around.humidity[:1]:
        sensor.humidity_error_pct = value
        sensor.touch()


def _humidity_dead(row: Row, value: float) -> None:
    for sensor in row.around.humidity[int(value) - 1 : int(value)]:
        sensor.dead = True


def _humidity_alive(row: Row) -> None:
    for sensor in row.around.humidity:
        sensor.dead = False


def _humidity_held(row: Row, value: float) -> None:
    for sensor in row.around.humidity[int(value) - 1 : int(value)]:
        sensor.hold()


def _humidity_free(row: Row) -> None:
    for sensor in row.around.humidity:
        sensor.free()


def _outdoor_dead(row: Row, dead: bool) -> None:
    for sensor in row.around.outdoor:
        sensor.dead = dead


def _valve(row: Row, stuck: bool) -> None:
    row.plant.advance(row.world.now)
    row.valve.stuck = stuck


def _stiction(row: Row, percent: float) -> None:
    row.plant.valve.deadband_pct = percent


_FAN_NUMBER = (1.0, float(LIMITS["fans"][1]))
_SENSOR_NUMBER = (1.0, float(LIMITS["humidity_sensors"][1]))

PLANT_EVENTS: dict[str, Word] = {
    "leak": Word(
        "value L/min of coolant leak into the pan; its detector is wet after 5 s",
        _leak,
        _mend,
        limits=(0.01, 100),
    ),
    "leak_detector": Word(
        "the pan's leak detector is wet, whatever the reason",
        lambda row, _: row.rpu.leak("pan"),
        lambda row: row.rpu.dry("pan"),
    ),
    "air_in_loop": Word("air takes the place of value % of the coolant", _air, limits=(0.1, 50)),
    "filter_clog": Word(
        "value % of the filter's free area is clogged",
        *held(_plant, "clogged", 0.0, lambda v: v / 100.0),
        limits=(0, 95),
    ),
    "reservoir_low": Word(
        "the reservoir's level switch reports low",
        *held(attrgetter("rpu"), "reservoir_low"),
    ),
    "emergency_stop": Word(
        "the RPU's emergency stop is pressed",
        lambda row, _: _estop(row, True),
        lambda row: _estop(row, False),
    ),
    "valve_stuck": Word(
        "the valve's actuator does not move",
        lambda row, _: _valve(row, True),
        lambda row: _valve(row, False),
    ),
    "valve_stiction": Word(
        "the valve does not start for less than value %",
        _stiction,
        lambda row: _stiction(row, row.plant.parameters.valve_deadband_pct),
        limits=(0, 20),
    ),
    "hx_fouling": Word(
        "the exchanger loses value % of its UA; below 0 it has more",
        *held(_plant, "fouling", 1.0, lambda v: 1.0 - v / 100.0),
        limits=(-50, 99),
    ),
    "fws_pressure": Word(
        "the facility water's pressure is value % of normal; 0: its pumps stand still",
        *held(_plant, "fws_pressure", 1.0, lambda v: v / 100.0),
        limits=(0, 200),
    ),
    "heat_rejection_lost": Word(
        "the coolers stop: facility water goes round and warms",
        lambda row, _: _rejection_lost(row, True),
        _rejection_back,
    ),
    "weather_step": Word(
        "the outdoor air warms by value K, facility water follows at 2 K/min",
        _weather,
        limits=(-20, 20),
    ),
    "supply_offset": Word(
        "the supply sensor reads value K too high",
        *_false("supply_c", "offset", float),
        limits=(-20, 20),
    ),
    "supply_drift": Word(
        "the supply sensor drifts by value K an hour",
        *_false("supply_c", "drift_s", lambda v: v / 3600.0),
        limits=(-1000, 1000),
    ),
    "supply_noise": Word(
        "the supply sensor has noise of value K more, one sigma",
        *_false("supply_c", "sigma", float),
        limits=(0, 10),
    ),
    "supply_stuck": Word("the supply sensor stays at what it shows", *_stuck("supply_c")),
    "return_offset": Word(
        "the return sensor reads value K too high",
        *_false("return_c", "offset", float),
        limits=(-20, 20),
    ),
    "dp_offset": Word(
        "the supply pressure sensor, and with it dP, reads value kPa too high",
        *_false("supply_kpa", "offset", float),
        limits=(-200, 200),
    ),
    "dp_stuck": Word("the supply pressure sensor stays at what it shows", *_stuck("supply_kpa")),
    "flow_stuck": Word("the flow meter stays at what it shows", *_stuck("flow_lpm")),
    "grid_outage": Word(
        "the mains fail: the pumps' drives lose their power; at the end they start up",
        _outage,
        _restored,
    ),
    "grid_generator": Word(
        "the mains fail and a generator takes over after value s; at the end the mains are back",
        _generator,
        _restored,
        limits=(1, 600),
    ),
    "grid_dip": Word(
        "the mains dip to value % of nominal; below 65 % running drives trip",
        _dip,
        lambda row: row.around.grid.restore(),
        limits=(1, 110),
    ),
    "grid_frequency": Word(
        "the grid's frequency is value Hz",
        _hertz,
        lambda row: row.around.grid.restore(),
        limits=(45, 65),
    ),
    "pump_seized": Word(
        "the shaft of pump number value is blocked",
        _seize,
        _free,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "pump_nrv_open": Word(
        "the non-return valve behind pump number value stays open",
        _nrv,
        _nrv_shut,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "room_temperature": Word("the room is at value °C", _room("celsius"), limits=LIMITS["room_c"]),
    "room_humidity": Word(
        "the room's relative humidity is value %",
        _room("humidity_pct"),
        limits=LIMITS["room_humidity_pct"],
    ),
    "humidity_dead": Word(
        "humidity sensor number value does not answer",
        _humidity_dead,
        _humidity_alive,
        limits=_SENSOR_NUMBER,
    ),
    "humidity_stuck": Word(
        "humidity sensor number value stays at what it reads",
        _humidity_held,
        _humidity_free,
        limits=_SENSOR_NUMBER,
    ),
    "outdoor_dead": Word(
        "the outdoor air's sensor does not answer",
        lambda row, _: _outdoor_dead(row, True),
        lambda row: _outdoor_dead(row, False),
    ),
    "outdoor_temperature": Word(
        "the air outside is at value °C, for its sensor and for the row's own cooler",
        lambda row, value: row.around.air_outside(value),
        limits=LIMITS["outdoor_c"],
    ),
    "fan_lost": Word(
        "fan number value loses its power: its drive says nothing, and it stands",
        _fan_lost,
        _fans_back,
        limits=_FAN_NUMBER,
    ),
    "fan_dead": Word(
        "the drive of fan number value does not answer; it goes to full speed by itself",
        _fan_dead,
        _fan_alive,
        limits=_FAN_NUMBER,
    ),
    "fan_trip": Word("the drive of fan number value trips", _fan_trip, limits=_FAN_NUMBER),
    "humidity_error": Word(
        "the first humidity sensor reads value % too high",
        _humidity_error,
        lambda row: _humidity_error(row, 0.0),
        limits=(-50, 50),
    ),
}
"""Every word here may stand in a scenario's `do`."""
