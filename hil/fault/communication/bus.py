# SPDX-License-Identifier: Apache-2.0
"""Faults of the field bus: late, wrong, duplicate and damaged replies, writes without effect.

Does not contain the faults themselves; they are attributes of the emulated servers
(`hil.devices.modbus.faults`) and of the line. Faults of the RPU affect the sensors of the agent.
Faults of pumps and valve affect its writes.
"""

from operator import attrgetter
from typing import Any

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.devices.cooling.belimo_valve import FULL_SCALE
from hil.devices.modbus.other_master import OtherMaster
from hil.fault.base import FaultAction, FaultReset, FaultType, attribute_fault

_MILLISECOND = 1000
_OTHER_UNIT = 77  # no device of the bench has this unit id
# contains bytes that look like a reply of the RPU
_NOISE = bytes.fromhex("00ff0c0300fe7f800c83") * 4
_UNLIMITED = -1


def _drive_fault(name: str, reset_value: Any, fault_value: Any) -> tuple[FaultAction, FaultReset]:
    """Make a fault of the drive whose number is the value; its end resets all drives."""

    def do(testbed: Testbed, value: float) -> None:
        testbed.drives[int(value) - 1].inject(name, fault_value)

    def undo(testbed: Testbed) -> None:
        for drive in testbed.drives:
            drive.inject(name, reset_value)

    return do, undo


def _start_other_master(testbed: Testbed, value: float) -> None:
    master = OtherMaster(
        _OTHER_UNIT, period_us=int(value) * _MILLISECOND, start_us=testbed.world.now
    )
    testbed.bus.other_devices.append(master)


def _stop_other_master(testbed: Testbed) -> None:
    devices = testbed.bus.other_devices
    devices[:] = [device for device in devices if not isinstance(device, OtherMaster)]


def _reboot_drive(testbed: Testbed, value: float) -> None:
    testbed.drives[int(value) - 1].reboot(testbed.world.now)


def _break_supply_sensor(testbed: Testbed, _: float) -> None:
    testbed.rpu.break_sensor("supply_c")


_DELAY_LIMITS_MS = (0.0, 5000.0)

BUS_EVENTS: dict[str, FaultType] = {
    "rpu_slow": FaultType(
        "the RPU replies VALUE ms later; beyond the agent's timeout the replies are late",
        *attribute_fault(attrgetter("rpu"), "extra_delay_us", 0, lambda v: int(v) * _MILLISECOND),
        limits=_DELAY_LIMITS_MS,
    ),
    "rpu_twice": FaultType(
        "the RPU sends every reply twice",
        *attribute_fault(attrgetter("rpu"), "duplicated_replies", 0, lambda _: _UNLIMITED),
    ),
    "rpu_wrong_unit": FaultType(
        "the RPU replies with the unit id VALUE",
        *attribute_fault(attrgetter("rpu"), "reply_unit", None, int),
        limits=(1, 247),
    ),
    "rpu_noise": FaultType(
        "VALUE bytes of noise come immediately before every reply of the RPU",
        *attribute_fault(attrgetter("rpu"), "noise", b"", lambda v: _NOISE[: int(v)]),
        limits=(1, len(_NOISE)),
    ),
    "rpu_bad_crc": FaultType(
        "the next VALUE replies of the RPU have a wrong CRC",
        *attribute_fault(attrgetter("rpu"), "corrupted_replies", 0, int),
        limits=(1, 1000),
    ),
    "rpu_cut": FaultType(
        "the next VALUE replies of the RPU are truncated",
        *attribute_fault(attrgetter("rpu"), "truncated_replies", 0, int),
        limits=(1, 1000),
    ),
    "rpu_busy": FaultType(
        "the RPU replies to the next VALUE requests with exception 06",
        *attribute_fault(attrgetter("rpu"), "busy", 0, int),
        limits=(1, 100_000),
    ),
    "rpu_refuses": FaultType(
        "the RPU replies to every request with the exception VALUE",
        *attribute_fault(attrgetter("rpu"), "exception_code", 0, int),
        limits=(1, 255),
    ),
    "rpu_no_value": FaultType(
        "the supply sensor of the RPU fails: value 0x7FFF, alarm bit set",
        _break_supply_sensor,
        lambda testbed: testbed.rpu.clear_fault("supply_c"),
    ),
    "rpu_reboot": FaultType(
        "the RPU restarts", lambda testbed, _: testbed.rpu.reboot(testbed.world.now)
    ),
    "valve_ignores_writes": FaultType(
        "the valve confirms writes without an effect",
        *attribute_fault(attrgetter("valve"), "ignore_writes"),
    ),
    "valve_delays_writes": FaultType(
        "a write to the valve takes effect VALUE ms later",
        *attribute_fault(attrgetter("valve"), "write_delay_us", 0, lambda v: int(v) * _MILLISECOND),
        limits=_DELAY_LIMITS_MS,
    ),
    "valve_clamps": FaultType(
        "the valve limits written values to VALUE (0.01 %)",
        lambda testbed, value: testbed.valve.clamp(int(value)),
        lambda testbed: testbed.valve.clamp(FULL_SCALE),
        limits=(0, FULL_SCALE),
    ),
    "pump_dead": FaultType(
        "the drive of pump number VALUE does not reply",
        *_drive_fault("dead", False, True),
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "pump_ignores_writes": FaultType(
        "the drive of pump number VALUE confirms writes without an effect",
        *_drive_fault("ignore_writes", False, True),
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "pump_reboot": FaultType(
        "the drive of pump number VALUE restarts",
        _reboot_drive,
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "bus_echo": FaultType(
        "the adapter echoes every request",
        *attribute_fault(attrgetter("bus"), "echo"),
    ),
    "other_master": FaultType(
        "a second master sends a request to another device every VALUE ms",
        _start_other_master,
        _stop_other_master,
        limits=(50, 60_000),
    ),
}
