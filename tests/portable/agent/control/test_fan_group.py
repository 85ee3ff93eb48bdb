# SPDX-License-Identifier: Apache-2.0
"""Fans of the row cooler on a bus: equal speeds, compensation, full speed without inputs."""

from agent.core.errors import ConfigError
from tests.portable.agent.control.test_component import (
    COLD,
    REMOTE,
    ROOM1,
    ROOM2,
    TRIP,
    RoomRig,
    make_models,
)
from tests.portable.support.agent_rig import CDU, RETURN, RUN, SUPPLY, VALVE, config
from tests.portable.support.check import eq, raises
from tests.portable.support.cooling_settings import EXCHANGER

LONG = ("test_fans_start_bumpless_and_run_at_one_speed",)


FAN1, FAN2 = 7, 8
POSITION = 1


class FanRig(RoomRig):
    """The rig of the cooling component with two fans that turn at 40 %."""

    def process_outbox(self):
        for unit in (FAN1, FAN2):
            self.devices.registers.setdefault(unit, [RUN, 8000, REMOTE, 8000])
        RoomRig.process_outbox(self)

    def references(self):
        """Return the reference of both drives, in hundredths of a percent."""
        return [self.devices.registers[unit][1] // 2 for unit in (FAN1, FAN2)]


def make_config(**fans):
    raw = config()
    for name, unit in (("fan1", FAN1), ("fan2", FAN2)):
        raw["devices"].append({"name": name, "bus": "bus", "unit": unit, "profile": "drive"})
    section = {"drives": ["fan1", "fan2"]}
    section.update(fans)
    raw["cooling"] = {"facility": "valve", "exchanger": dict(EXCHANGER), "fans": section}
    return raw


def start_dew_rig(silent=(), air=2500, humidity=5000):
    """Return a rig with a dew point that is far below the supply, or another one."""
    raw = make_config(rate_pct_per_s=1)
    for name, unit in (("room1", ROOM1), ("room2", ROOM2)):
        raw["devices"].append({"name": name, "bus": "bus", "unit": unit, "profile": "room"})
    raw["cooling"]["dew"] = {"sensors": ["room1", "room2"]}
    rig = FanRig(raw, (), make_models())
    rig.devices.silent.update(silent)
    rig.run(1)
    set_dew(rig, air, humidity)
    rig.run(7)
    return rig


def set_dew(rig, air, humidity):
    """Set both rooms: hundredths of °C and of % RH."""
    for unit in (ROOM1, ROOM2):
        rig.set(unit, 0, air)
        rig.set(unit, 1, humidity)


def start_rig(rate=1):
    rig = FanRig(make_config(rate_pct_per_s=rate), (), make_models())
    rig.run(8)
    return rig


def test_fans_start_bumpless_and_run_at_one_speed():
    rig = start_rig()
    eq((rig.alarm_codes(), rig.references()), ([], [4000, 4000]))
    rig.set(VALVE, COLD, 3100)  # warmer than the mid-range position of the valve needs
    rig.run(60)
    one, other = rig.references()
    assert one == other > 4500, (one, other)
    rig.set(VALVE, COLD, 1500)
    rig.run(120)
    eq(rig.references(), [1000, 1000])


def test_lost_fan_is_compensated_by_the_other():
    rig = start_rig(rate=0.05)
    rig.devices.silent.add(FAN1)
    rig.run(10)
    eq(rig.alarm_codes(), ["device_lost:fan1"])
    assert 7500 < rig.references()[1] <= 8000, rig.references()
    rig.devices.silent.discard(FAN1)
    rig.run(6)
    one, other = rig.references()
    eq((one, rig.alarm_codes()), (other, []))


def test_tripped_fan_is_stopped_and_raises_alarm():
    rig = start_rig(rate=0.05)
    rig.set(FAN2, 2, REMOTE | TRIP)
    rig.run(8)
    eq("fan_trip:fan2" in rig.alarm_codes(), True)
    eq(rig.references()[1], 0)
    assert rig.references()[0] > 7500, rig.references()


def test_missing_inputs_give_full_speed_and_a_slow_return():
    rig = start_rig()
    rig.devices.silent.add(VALVE)
    rig.run(15)
    eq(rig.references(), [10_000, 10_000])
    eq("fans_blind" in rig.alarm_codes(), True)
    rig.devices.silent.discard(VALVE)
    rig.run(15)
    eq("fans_blind" in rig.alarm_codes(), False)
    assert 8000 < rig.references()[0] <= 10_000, rig.references()


def test_near_the_dew_point_fans_at_full_speed_slow_down_and_control_the_supply():
    """The valve is silent and stands open: colder facility water would wet the row."""
    rig = start_dew_rig()
    rig.devices.silent.add(VALVE)
    rig.run(15)
    eq(rig.references(), [10_000, 10_000])
    set_dew(rig, 3500, 8400)  # dew point 31.9 °C, the supply is at 32.0 °C
    rig.run(10)
    eq(rig.references(), [1000, 1000])
    eq(("dew" in rig.alarm_codes(), "fans_blind" in rig.alarm_codes()), (True, True))
    rig.run(60)
    eq(rig.references(), [1000, 1000])
    for supply in range(321, 400):  # warmer than the set-point: the fans control the supply
        rig.set(CDU, SUPPLY, supply)
        rig.set(CDU, RETURN, supply + 80)
        rig.run(2)
    rig.run(30)
    assert 2000 < rig.references()[0] <= 10_000, rig.references()
    rig.set(CDU, SUPPLY, 2000)  # both are out of range: the supply is not known
    rig.set(CDU, RETURN, 2000)
    rig.run(30)
    eq(rig.references(), [10_000, 10_000])


def test_near_the_dew_point_fans_start_at_their_least_speed_without_inputs():
    rig = start_dew_rig(silent=(VALVE,), air=3500, humidity=8400)
    rig.run(10)
    eq(rig.references(), [1000, 1000])


def test_far_from_the_dew_point_unknown_water_gives_full_speed_until_the_supply_is_cold():
    rig = start_dew_rig()
    rig.devices.silent.add(VALVE)
    for supply in range(319, 299, -1):
        rig.set(CDU, SUPPLY, supply)
        rig.run(1)
    eq(rig.references(), [10_000, 10_000])
    for supply in range(299, 280, -1):
        rig.set(CDU, SUPPLY, supply)
        rig.run(1)
    eq(rig.references(), [1000, 1000])
    eq("fans_blind" in rig.alarm_codes(), True)
    for supply in range(281, 340):
        rig.set(CDU, SUPPLY, supply)
        rig.set(CDU, RETURN, supply + 80)
        rig.run(2)
    assert rig.references()[0] > 2000, rig.references()


def test_unknown_water_is_cold_if_a_nearly_shut_valve_does_not_hold_the_set_point():
    for supply, is_full in ((319, False), (322, True)):
        rig = start_dew_rig()
        rig.set(VALVE, COLD, 15000)  # out of range; the position is known
        rig.devices.ignoring.add(VALVE)
        rig.set(VALVE, POSITION, 500)
        rig.set(CDU, SUPPLY, supply)
        rig.set(CDU, RETURN, supply + 5)
        rig.run(15)
        eq((supply, rig.references()[0] == 10_000), (supply, is_full))


def test_without_its_sensor_the_row_shows_the_facility_water():
    rig = start_rig()
    rig.set(VALVE, COLD, 15000)  # out of range; the position is known
    rig.run(15)
    eq("fans_blind" in rig.alarm_codes(), False)
    assert max(rig.references()) < 10_000, rig.references()


def test_one_missing_reading_changes_nothing():
    rig = start_rig()
    rig.set(CDU, RETURN, 9999)  # out of range for two cycles
    rig.run(2)
    rig.set(CDU, RETURN, 400)
    rig.run(3)
    assert rig.references()[0] < 4500, rig.references()


def test_invalid_fan_drives_are_rejected():
    def errors(change):
        raw = make_config()
        change(raw)
        return str(raises(ConfigError, lambda: FanRig(raw, (), make_models())))

    for change, error in (
        (lambda r: r["cooling"]["fans"].update(drives=["lead"]), "is one of control.dp.pumps"),
        (lambda r: r["cooling"]["fans"].update(drives=["gone"]), "no device is named gone"),
        (lambda r: r["cooling"]["fans"].update(drives=["cdu"]), "cdu (profile cdu) is not a drive"),
        (lambda r: r["cooling"]["fans"].update(drives=["fan1", "fan1"]), "fan1 is named twice"),
        (lambda r: r["cooling"]["fans"].update(min_pct=60, max_pct=60), "is not below max_pct"),
        (lambda r: r["cooling"].pop("exchanger"), "cooling.fans: needs cooling.exchanger too"),
    ):
        assert error in errors(change), (error, errors(change))
