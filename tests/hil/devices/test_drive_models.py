# SPDX-License-Identifier: Apache-2.0
"""Models of pump drives: Grundfos, Wilo, Danfoss, ABB ACS580."""

import pytest

from hil.devices.drives import danfoss_fc, grundfos_cim, wilo_booster
from hil.devices.drives.abb_acs580 import AbbAcs580
from hil.devices.drives.danfoss_fc import DanfossFc
from hil.devices.drives.grundfos_cim import GrundfosCim
from hil.devices.drives.wilo_booster import WiloBooster
from tests.hil.devices.model_rig import UNIT, plant, single_device_master
from tests.support.modbus_master import LineMaster

OVERCURRENT = 0x2310


def test_grundfos_accepts_setpoint_in_remote_only() -> None:
    hall = plant()
    pump = GrundfosCim(hall, 0, UNIT)
    master = single_device_master(pump)
    assert master.write(UNIT, grundfos_cim.CONTROL, 0) == 0
    assert master.write(UNIT, grundfos_cim.SETPOINT, 9_000) == 0, "confirmed"
    assert master.read(UNIT, grundfos_cim.SETPOINT) == [7_000], "without effect"
    master.advance(10.0)
    assert hall.pumps[0].speed_pct == pump.local_pct
    assert master.read(UNIT, grundfos_cim.STATUS, 1, 4)[0] & grundfos_cim.ACCESS == 0
    master.write(UNIT, grundfos_cim.CONTROL, grundfos_cim.REMOTE | grundfos_cim.ON)
    assert master.write(UNIT, grundfos_cim.SETPOINT, 9_000) == 0
    master.advance(10.0)
    assert master.read(UNIT, grundfos_cim.SETPOINT) == [9_000]
    assert master.read(UNIT, 302, 2, 4) == [9_000, 2_610]
    assert master.read(UNIT, grundfos_cim.STATUS, 1, 4) == [
        grundfos_cim.ACCESS | grundfos_cim.IS_ON
    ]
    assert master.write(UNIT, grundfos_cim.SETPOINT, 10_001) == 3
    master.write(UNIT, grundfos_cim.CONTROL_MODE, 77)
    assert master.read(UNIT, grundfos_cim.CONTROL_MODE) == [0], "an unknown mode has no effect"
    pump.local = True
    master.write(UNIT, grundfos_cim.SETPOINT, 2_000)
    assert master.read(UNIT, grundfos_cim.SETPOINT) == [9_000]
    master.advance(1.0)
    assert master.read(UNIT, grundfos_cim.STATUS, 1, 4)[0] & grundfos_cim.FORCED


def test_grundfos_setpoint_is_percentage_of_its_range() -> None:
    hall = plant()
    master = single_device_master(GrundfosCim(hall, 0, UNIT))
    assert master.read(UNIT, grundfos_cim.RANGE, 1, 4) == [400]
    master.write(UNIT, grundfos_cim.CONTROL_MODE, grundfos_cim.CONST_DP)
    master.write(UNIT, grundfos_cim.SETPOINT, 3_000)  # 30 % of 4 bar
    master.advance(60.0)
    hall.advance(master.now)
    assert hall.dp_kpa == pytest.approx(120.0, abs=3.0)
    assert master.read(UNIT, 338, 1, 4)[0] == pytest.approx(1_200, abs=30)


def test_grundfos_alarm_and_reset() -> None:
    hall = plant()
    pump = GrundfosCim(hall, 0, UNIT)
    master = single_device_master(pump)
    pump.raise_alarm(grundfos_cim.DRY_RUN)
    master.advance(10.0)
    assert hall.pumps[0].speed_pct == 0.0
    assert master.read(UNIT, grundfos_cim.ALARM, 1, 4) == [57]
    assert (
        master.read(UNIT, grundfos_cim.STATUS, 1, 4)[0]
        & (grundfos_cim.ALARMED | grundfos_cim.IS_ON)
        == grundfos_cim.ALARMED
    )
    pump.alarm_persists = True
    master.write(
        UNIT, grundfos_cim.CONTROL, grundfos_cim.REMOTE | grundfos_cim.ON | grundfos_cim.RESET
    )
    assert master.read(UNIT, grundfos_cim.ALARM, 1, 4) == [57]
    pump.alarm_persists = False
    master.write(
        UNIT, grundfos_cim.CONTROL, grundfos_cim.REMOTE | grundfos_cim.ON | grundfos_cim.RESET
    )
    assert master.read(UNIT, grundfos_cim.ALARM, 1, 4) == [57], "no rising bit"
    master.write(UNIT, grundfos_cim.CONTROL, grundfos_cim.REMOTE | grundfos_cim.ON)
    master.write(
        UNIT, grundfos_cim.CONTROL, grundfos_cim.REMOTE | grundfos_cim.ON | grundfos_cim.RESET
    )
    master.advance(10.0)
    assert master.read(UNIT, grundfos_cim.ALARM, 1, 4) == [0]
    assert hall.pumps[0].speed_pct == 70.0


def test_grundfos_module_lost_shows_no_values() -> None:
    pump = GrundfosCim(plant(), 0, UNIT)
    master = single_device_master(pump)
    kelvin = master.read(UNIT, 321, 1, 4)[0]
    assert kelvin == pytest.approx((32.0 + 273.15) * 100, abs=20)
    pump.module_lost = True
    master.advance(1.0)
    assert master.read(UNIT, 300, 4, 4) == [0xFFFF] * 4
    assert master.read(UNIT, grundfos_cim.ALARM, 1, 4) == [grundfos_cim.MODULE_LOST]


def test_wilo_holds_its_setpoint() -> None:
    hall = plant()
    master = single_device_master(WiloBooster(hall, (0, 1), UNIT))
    assert master.write(UNIT, wilo_booster.SETPOINT, 10) == 0
    master.advance(60.0)
    hall.advance(master.now)
    assert hall.dp_kpa == pytest.approx(100.0, abs=2.0)
    assert master.read(UNIT, wilo_booster.ACTUAL, 2) == [10, 10]
    master.write(UNIT, wilo_booster.DRIVES, 0)
    master.advance(10.0)
    assert [pump.speed_pct for pump in hall.pumps] == [0.0, 0.0]


def test_wilo_bus_command_timer() -> None:
    hall = plant()
    booster = WiloBooster(hall, (0, 1), UNIT, timer_us=20_000_000)
    master = single_device_master(booster)
    master.write(UNIT, wilo_booster.TIMER, wilo_booster.TIMER_SET)
    assert master.read(UNIT, wilo_booster.TIMER) == [wilo_booster.TIMER_ACTIVE]
    master.write(UNIT, wilo_booster.SETPOINT, 12)
    for _ in range(4):
        master.advance(15.0)
        master.write(UNIT, wilo_booster.SETPOINT, 12)
    assert master.read(UNIT, wilo_booster.TIMER) == [wilo_booster.TIMER_ACTIVE]
    master.advance(19.0)
    master.read(UNIT, wilo_booster.ACTUAL)
    master.advance(1.5)
    assert master.read(UNIT, wilo_booster.TIMER) == [wilo_booster.TIMER_RESET], (
        "a read does not restart the timer"
    )
    assert master.read(UNIT, wilo_booster.ACTIVE_SETPOINT) == [booster.panel_setpoint]
    master.advance(60.0)
    hall.advance(master.now)
    assert hall.dp_kpa == pytest.approx(80.0, abs=2.0)
    master.write(UNIT, wilo_booster.TIMER, wilo_booster.TIMER_MANUAL)
    assert master.write(UNIT, wilo_booster.SETPOINT, 5) == 0
    assert master.read(UNIT, wilo_booster.SETPOINT) == [12]


def test_wilo_faults() -> None:
    hall = plant()
    booster = WiloBooster(hall, (0, 1), UNIT)
    master = single_device_master(booster)
    booster.raise_fault(wilo_booster.SUPPLY)
    booster.raise_fault(wilo_booster.PUMP1_FAULT)
    assert master.read(UNIT, wilo_booster.FAULTS, 2) == [1 << 4, 1 << 5]
    master.advance(10.0)
    assert [pump.speed_pct for pump in hall.pumps] == [0.0, 0.0]
    booster.clear_fault(wilo_booster.SUPPLY)
    master.advance(10.0)
    assert hall.pumps[0].speed_pct == 0.0
    assert hall.pumps[1].speed_pct > 50.0
    booster.raise_fault(wilo_booster.SENSOR)
    assert master.read(UNIT, wilo_booster.ACTUAL) == [0x8000]


def test_danfoss_executes_valid_control_words_only() -> None:
    hall = plant()
    master = single_device_master(DanfossFc(hall, 0, UNIT, comm_timeout_us=0))
    assert master.read(UNIT, danfoss_fc.STATUS)[0] & (
        danfoss_fc.OPERATING | danfoss_fc.AT_REFERENCE | danfoss_fc.TRIP
    ) == (danfoss_fc.OPERATING | danfoss_fc.AT_REFERENCE)
    master.write(UNIT, danfoss_fc.REFERENCE, 0x2000)
    master.advance(5.0)
    assert master.read(UNIT, danfoss_fc.ACTUAL) == [0x2000]
    assert master.write(UNIT, danfoss_fc.CONTROL, 0x003C) == 0, (
        "confirmed without effect: bit 10 is 0"
    )
    master.advance(5.0)
    assert master.read(UNIT, danfoss_fc.ACTUAL) == [0x2000]
    master.write(UNIT, danfoss_fc.CONTROL, 0x043C)
    master.advance(1.0)
    assert 0 < master.read(UNIT, danfoss_fc.ACTUAL)[0] < 0x2000, "a ramp, not a step"
    master.advance(5.0)
    assert master.read(UNIT, danfoss_fc.ACTUAL) == [0]
    master.write(UNIT, danfoss_fc.CONTROL, 0x047F)
    master.advance(5.0)
    assert master.read(UNIT, danfoss_fc.ACTUAL) == [0x2000]
    assert master.read(UNIT, 16129) == [250]
    assert master.read_integer(UNIT, 16169, "i") == 1450
    master.write(UNIT, danfoss_fc.CONTROL, 0x0437)
    assert master.read(UNIT, danfoss_fc.STATUS)[0] & danfoss_fc.NOT_COASTING == 0
    assert master.read_bits(UNIT, 0, 16) == [bool(0x0437 >> i & 1) for i in range(16)]


def test_danfoss_trip_and_reset() -> None:
    hall = plant()
    drive = DanfossFc(hall, 0, UNIT, comm_timeout_us=0)
    master = single_device_master(drive)
    drive.trip(danfoss_fc.OVERCURRENT)
    master.advance(3.0)
    assert master.read(UNIT, danfoss_fc.STATUS)[0] & danfoss_fc.TRIP
    assert master.read_integer(UNIT, danfoss_fc.ALARM_WORD, "I") == 1 << 5
    master.write(UNIT, danfoss_fc.CONTROL, 0x047F)
    assert master.read(UNIT, danfoss_fc.STATUS)[0] & danfoss_fc.TRIP, (
        "a start does not reset the trip"
    )
    drive.trip_persists = True
    master.write(UNIT, danfoss_fc.CONTROL, 0x04FF)
    assert master.read(UNIT, danfoss_fc.STATUS)[0] & danfoss_fc.TRIP
    drive.trip_persists = False
    master.write(UNIT, danfoss_fc.CONTROL, 0x04FF)
    assert master.read(UNIT, danfoss_fc.STATUS)[0] & danfoss_fc.TRIP, "no rising bit"
    master.write(UNIT, danfoss_fc.CONTROL, 0x047F)
    master.write(UNIT, danfoss_fc.CONTROL, 0x04FF)
    master.advance(5.0)
    assert (
        master.read(UNIT, danfoss_fc.STATUS)[0] & (danfoss_fc.TRIP | danfoss_fc.OPERATING) == 0
    ), "it waits for a start"
    master.write(UNIT, danfoss_fc.CONTROL, 0x047F)
    master.advance(5.0)
    assert master.read(UNIT, danfoss_fc.ACTUAL)[0] == pytest.approx(0.7 * 0x4000, abs=1)


def test_danfoss_comm_timeout() -> None:
    hall = plant()
    drive = DanfossFc(hall, 0, UNIT, comm_timeout_us=10_000_000, safe_pct=55.0)
    master = single_device_master(drive)
    master.advance(9.0)
    master.read(UNIT, danfoss_fc.STATUS)
    master.advance(9.0)
    assert not drive.watchdog.expired
    master.advance(11.0)
    hall.advance(master.now)
    assert drive.watchdog.expired
    assert hall.pumps[0].speed_pct == 55.0
    assert master.read(UNIT, danfoss_fc.STATUS)[0] & danfoss_fc.WARNING == 0, (
        "the request ends the loss"
    )
    drive.trips_on_timeout = True
    master.advance(20.0)
    assert master.read(UNIT, danfoss_fc.STATUS)[0] & danfoss_fc.TRIP
    assert master.read_integer(UNIT, danfoss_fc.ALARM_WORD, "I") == 1 << 4
    drive.reboot(master.now)
    master.now += drive.boot_us
    assert master.read(UNIT, danfoss_fc.CONTROL) == [0x043C]
    assert master.read(UNIT, danfoss_fc.STATUS)[0] & (danfoss_fc.TRIP | danfoss_fc.WARNING) == 0
    master.advance(5.0)
    assert master.read(UNIT, danfoss_fc.ACTUAL) == [0]


def test_acs580_parameters_in_16_and_32_bits_low_word_first() -> None:
    drive = AbbAcs580(plant(), 0, UNIT, comm_timeout_us=0)
    master = single_device_master(drive)
    assert master.read(UNIT, 100) == [3_360]
    low, high = master.read(UNIT, 20_201, 2)
    assert (low, high) == (3_360, 0)
    drive.trip(0x2310)
    master.now = 3_000_000
    assert master.read(UNIT, 400) == [0x2310]
    drive.fault = 0x0001_2345
    drive._shown_steps = -1
    assert master.read(UNIT, 20_801, 2) == [0x2345, 1]
    assert master.read_exception(UNIT, 101) == 2
    assert master.read_identity(UNIT, 4, 4) == {4: b"ACS580"}


def test_acs580_waits_for_off1_after_power_cut() -> None:
    hall = plant()
    drive = AbbAcs580(hall, 0, UNIT, comm_timeout_us=0)
    master = single_device_master(drive)
    drive.reboot(0)
    assert master.read_exception(UNIT, 3) == -1
    master.now = drive.boot_us
    assert master.read(UNIT, 0, 2) == [0x047E, 0]
    master.advance(10.0)
    assert master.read(UNIT, 4) == [0]
    master.write(UNIT, 0, 0x047F, 10_000)
    master.advance(10.0)
    assert master.read(UNIT, 4) == [10_000]


def stopped_drive() -> tuple[AbbAcs580, LineMaster]:
    """Return a drive without power, and its master, 1 s after the start."""
    drive = AbbAcs580(plant(), 0, UNIT, comm_timeout_us=0)
    master = single_device_master(drive)
    master.advance(1.0)
    drive.cut_power()
    return drive, master


def test_acs580_without_power_does_not_trip() -> None:
    drive, master = stopped_drive()
    drive.trip(OVERCURRENT)
    assert (drive.fault, drive.inhibited) == (0, False)
    drive.restore_power(master.now)
    master.now += drive.boot_us
    assert master.read(UNIT, 3)[0] & 0b1001 == 0b0001, "ready, no trip"
    drive.trip(OVERCURRENT)
    assert master.read(UNIT, 3)[0] & 0b1001 == 0b1000


def test_acs580_without_power_does_not_restart_or_reply() -> None:
    drive, master = stopped_drive()
    drive.reboot(master.now)
    drive.inject("dead", True)
    drive.inject("dead", False)
    master.advance(60.0)
    assert master.read_exception(UNIT, 3) == -1
    drive.restore_power(master.now)
    assert master.read_exception(UNIT, 3) == -1
    master.now += drive.boot_us
    assert master.read(UNIT, 0) == [0x047E]


def test_acs580_has_power_when_no_cause_cuts_it() -> None:
    drive, master = stopped_drive()
    drive.cut_power("feeder")
    drive.cut_power("feeder")
    for cause, has_power in (("", False), ("other", False), ("feeder", True)):
        drive.restore_power(master.now, cause)
        assert drive.has_power is has_power, cause
    master.now += drive.boot_us
    assert master.read(UNIT, 0) == [0x047E]


def test_acs580_that_does_not_reply_trips_and_has_no_restart_when_the_mains_return() -> None:
    hall = plant()
    drive = AbbAcs580(hall, 0, UNIT, comm_timeout_us=0)
    drive.inject("dead", True)
    drive.restore_power(0)
    hall.advance(1_000_000)
    assert (drive.dead, hall.pumps[0].speed_pct) == (True, 70.0)
    drive.trip(OVERCURRENT)
    assert drive.fault == OVERCURRENT


def test_acs580_runs_after_a_restart_during_a_trip() -> None:
    drive = AbbAcs580(plant(), 0, UNIT, comm_timeout_us=0)
    master = single_device_master(drive)
    drive.trip(OVERCURRENT)
    drive.reboot(0)
    master.now = drive.boot_us
    assert master.read(UNIT, 3)[0] & 0b100_1001 == 0b1, "ready, no trip, no inhibition"
    master.write(UNIT, 0, 0x047F, 10_000)
    master.advance(10.0)
    assert master.read(UNIT, 4) == [10_000]
