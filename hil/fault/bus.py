"""The words for what can be wrong on the field bus: slow, wrong, double and spoilt replies, others.

Not the faults themselves: those are attributes of the emulated slaves (`hil.devices.modbus.faults`)
and of the line. Words of the RPU are about the agent's sensor; words of pumps and of the valve are
about what it writes to.
"""

from operator import attrgetter
from typing import Any

from hil.bench.testbed import Row
from hil.bench.testbed_settings import LIMITS
from hil.devices.cooling.belimo_valve import FULL, SETPOINT
from hil.devices.modbus.other_master import OtherMaster
from hil.fault.base import Do, Undo, Word, held

_MILLISECOND = 1000
_STRANGER = 77  # a unit that is neither emulated nor the agent's
_NOISE = bytes.fromhex("00ff0c0300fe7f800c83") * 4  # with what looks like the RPU's replies in it
_FOR_EVER = -1


def _drive(name: str, off: Any, on: Any) -> tuple[Do, Undo]:
    """Set an attribute of the drive whose number is the value; set it back on all of them."""

    def do(row: Row, value: float) -> None:
        setattr(row.drives[int(value) - 1], name, on)

    def undo(row: Row) -> None:
        for drive in row.drives:
            setattr(drive, name, off)

    return do, undo


def _other_master(row: Row, value: float) -> None:
    other = OtherMaster(_STRANGER, period_us=int(value) * _MILLISECOND, begins_us=row.world.now)
    row.bus.others.append(other)


def _quiet(row: Row) -> None:
    row.bus.others.clear()


def _clamp(row: Row, most: int) -> None:
    row.valve.clamps = most < FULL
    row.valve.writable[SETPOINT] = (0, most)


def _reboot_drive(row: Row, value: float) -> None:
    row.drives[int(value) - 1].reboot(row.world.now)


def _no_value(row: Row, _: float) -> None:
    row.rpu.kill("supply_c")


_MS = (0.0, 5000.0)

BUS_EVENTS: dict[str, Word] = {
    "rpu_slow": Word(
        "the RPU's replies come value ms later; beyond the agent's patience they are late",
        *held(attrgetter("rpu"), "extra_delay_us", 0, lambda v: int(v) * _MILLISECOND),
        limits=_MS,
    ),
    "rpu_twice": Word(
        "the RPU says every reply twice", *held(attrgetter("rpu"), "twice", 0, lambda _: _FOR_EVER)
    ),
    "rpu_wrong_unit": Word(
        "the RPU answers under the unit id value",
        *held(attrgetter("rpu"), "reply_unit", None, int),
        limits=(1, 247),
    ),
    "rpu_noise": Word(
        "value bytes of noise come right before every reply of the RPU",
        *held(attrgetter("rpu"), "noise", b"", lambda v: _NOISE[: int(v)]),
        limits=(1, len(_NOISE)),
    ),
    "rpu_bad_crc": Word(
        "the RPU's next value replies have a wrong CRC",
        *held(attrgetter("rpu"), "corrupt", 0, int),
        limits=(1, 1000),
    ),
    "rpu_cut": Word(
        "the RPU's next value replies are cut short",
        *held(attrgetter("rpu"), "cut", 0, int),
        limits=(1, 1000),
    ),
    "rpu_busy": Word(
        "the RPU answers the next value requests with exception 06",
        *held(attrgetter("rpu"), "busy", 0, int),
        limits=(1, 100_000),
    ),
    "rpu_refuses": Word(
        "the RPU answers every request with the exception value",
        *held(attrgetter("rpu"), "refuse", 0, int),
        limits=(1, 255),
    ),
    "rpu_no_value": Word(
        "the RPU's supply sensor is broken: 0x7FFF and its alarm bit",
        _no_value,
        lambda row: row.rpu.heal("supply_c"),
    ),
    "rpu_reboot": Word("the RPU restarts", lambda row, _: row.rpu.reboot(row.world.now)),
    "valve_ignores_writes": Word(
        "the valve confirms writes and does nothing",
        *held(attrgetter("valve"), "ignore_writes"),
    ),
    "valve_delays_writes": Word(
        "what is written to the valve takes effect value ms later",
        *held(attrgetter("valve"), "write_delay_us", 0, lambda v: int(v) * _MILLISECOND),
        limits=_MS,
    ),
    "valve_clamps": Word(
        "the valve takes no value above value (0.01 %) and writes that instead",
        lambda row, value: _clamp(row, int(value)),
        lambda row: _clamp(row, FULL),
        limits=(0, FULL),
    ),
    "pump_dead": Word(
        "the drive of pump number value does not answer",
        *_drive("dead", False, True),
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "pump_ignores_writes": Word(
        "the drive of pump number value confirms writes and does nothing",
        *_drive("ignore_writes", False, True),
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "pump_reboot": Word(
        "the drive of pump number value restarts",
        _reboot_drive,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "bus_echo": Word(
        "the adapter hears itself: every request comes back first",
        *held(attrgetter("bus"), "echo"),
    ),
    "other_master": Word(
        "another master asks another device every value ms, and does not listen",
        _other_master,
        _quiet,
        limits=(50, 60_000),
    ),
}
