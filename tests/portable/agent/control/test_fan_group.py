"""The fans of the row's cooler on a bus: alike, for each other, and at full speed when in doubt."""

from agent.core.errors import ConfigError
from tests.portable.agent.control.test_component import COLD, REMOTE, TRIP, Rooms, models
from tests.portable.support.agent_rig import CDU, RETURN, RUN, VALVE, config
from tests.portable.support.check import eq, raises
from tests.portable.support.cooling_settings import EXCHANGER

HEAP = "512wK"
FAN1, FAN2 = 7, 8


class Windy(Rooms):
    """The rig of the part `cooling` with two fans that turn at 40 %."""

    def carry_out(self):
        for unit in (FAN1, FAN2):
            self.slaves.registers.setdefault(unit, [RUN, 8000, REMOTE, 8000])
        Rooms.carry_out(self)

    def asked(self):
        """What both drives hold as their reference, in hundredths of a percent."""
        return [self.slaves.registers[unit][1] // 2 for unit in (FAN1, FAN2)]


def made(**fans):
    raw = config()
    for name, unit in (("fan1", FAN1), ("fan2", FAN2)):
        raw["devices"].append({"name": name, "bus": "bus", "unit": unit, "profile": "drive"})
    section = {"drives": ["fan1", "fan2"]}
    section.update(fans)
    raw["cooling"] = {"facility": "valve", "exchanger": dict(EXCHANGER), "fans": section}
    return raw


def running(rate=1):
    rig = Windy(made(rate_pct_per_s=rate), (), models())
    rig.run(8)
    return rig


def test_they_take_over_without_a_step_and_turn_alike():
    rig = running()
    eq((rig.codes(), rig.asked()), ([], [4000, 4000]))
    rig.set(VALVE, COLD, 3100)  # warmer than the valve's middle wants
    rig.run(60)
    one, other = rig.asked()
    assert one == other > 4500, (one, other)
    rig.set(VALVE, COLD, 1500)
    rig.run(120)
    eq(rig.asked(), [1000, 1000])


def test_one_that_is_lost_leaves_its_air_to_the_other():
    rig = running(rate=0.05)
    rig.slaves.silent.add(FAN1)
    rig.run(10)
    eq(rig.codes(), ["device_lost:fan1"])
    assert 7500 < rig.asked()[1] <= 8000, rig.asked()
    rig.slaves.silent.discard(FAN1)
    rig.run(6)
    one, other = rig.asked()
    eq((one, rig.codes()), (other, []))


def test_one_that_has_tripped_is_told_to_stop_and_named():
    rig = running(rate=0.05)
    rig.set(FAN2, 2, REMOTE | TRIP)
    rig.run(8)
    eq("fan_trip:fan2" in rig.codes(), True)
    eq(rig.asked()[1], 0)
    assert rig.asked()[0] > 7500, rig.asked()


def test_blind_they_go_to_full_speed_and_come_back_slowly():
    rig = running()
    rig.slaves.silent.add(VALVE)
    rig.run(15)
    eq(rig.asked(), [10_000, 10_000])
    eq("fans_blind" in rig.codes(), True)
    rig.slaves.silent.discard(VALVE)
    rig.run(15)
    eq("fans_blind" in rig.codes(), False)
    assert 8000 < rig.asked()[0] <= 10_000, rig.asked()


def test_one_lost_reading_is_no_doubt():
    rig = running()
    rig.set(CDU, RETURN, 9999)  # out of range for two cycles
    rig.run(2)
    rig.set(CDU, RETURN, 400)
    rig.run(3)
    assert rig.asked()[0] < 4500, rig.asked()


def test_what_is_no_fan_is_told():
    def errors(change):
        raw = made()
        change(raw)
        return str(raises(ConfigError, lambda: Windy(raw, (), models())))

    for change, told in (
        (lambda r: r["cooling"]["fans"].update(drives=["lead"]), "is one of control.dp.pumps"),
        (lambda r: r["cooling"]["fans"].update(drives=["gone"]), "no device is named gone"),
        (lambda r: r["cooling"]["fans"].update(drives=["cdu"]), "cdu (profile cdu) is no drive"),
        (lambda r: r["cooling"]["fans"].update(drives=["fan1", "fan1"]), "fan1 is named twice"),
        (lambda r: r["cooling"]["fans"].update(min_pct=60, max_pct=60), "is not below max_pct"),
        (lambda r: r["cooling"].pop("exchanger"), "cooling.fans: needs cooling.exchanger too"),
    ):
        assert told in errors(change), (told, errors(change))
