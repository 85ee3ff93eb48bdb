# SPDX-License-Identifier: Apache-2.0
"""Energy accounting: counters and rates, figures, intervals, restore after a power cut."""

import json

from agent.core.errors import ConfigError
from agent.energy.account import (
    ELECTRICAL,
    FACILITY,
    IT,
    LOOP,
    REUSE,
    ROLES,
    WATER,
    Account,
    decode,
    scaled_ratio,
)
from agent.energy.counter import MeterReader
from drivers.device.device import Reading
from drivers.device.profile import DeviceProfile
from protocols.calendar import days_from_civil
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import CDU, AgentRig, config, profiles
from tests.portable.support.check import eq, raises

HOUR = 3600 * SECOND


def make_counter(unit="kW.h", denominator=100, rolls_at=0, most_w=100_000):
    raw = profiles()["meter"]
    raw["points"][0].update({"unit": unit, "scale": [1, denominator], "type": "u16", "max": 65535})
    return MeterReader(DeviceProfile(raw).points[0], rolls_at, most_w), Reading()


def add_reading(made, reading, raw, at):
    reading.raw, reading.read_at, reading.quality = raw, at, "good"
    return made.add_reading(reading, at)


def test_counter_difference_is_counted():
    made, reading = make_counter()
    eq(add_reading(made, reading, 5000, SECOND), 0)
    eq(add_reading(made, reading, 5003, 11 * SECOND), 30_000)  # 0.03 kWh in mWh
    eq(made.add_reading(reading, 12 * SECOND), 0)  # the same reading again
    reading.quality = "bad"
    reading.read_at = 13 * SECOND
    eq(made.add_reading(reading, 13 * SECOND), 0)


def test_rate_is_integrated_without_filling_gaps():
    made, reading = make_counter("W", 10)
    eq(add_reading(made, reading, 36_000, SECOND), 0)
    eq(add_reading(made, reading, 36_000, 2 * SECOND), 1000)  # 3600 W for a second: 1 Wh
    eq(add_reading(made, reading, 36_000, 100 * SECOND), 0)
    total = sum([add_reading(made, reading, 7, (100 + i) * SECOND) for i in range(1, 3601)])
    eq(total, 700)  # 0.7 W for an hour; no remainder is lost


def test_rollover_reset_and_jump_of_a_counter():
    made, reading = make_counter(rolls_at=600)
    add_reading(made, reading, 59_990, SECOND)
    eq((add_reading(made, reading, 5, 11 * SECOND), made.rollovers), (150_000, 1))
    eq((add_reading(made, reading, 2, 21 * SECOND), made.resets), (20_000, 1))
    eq((add_reading(made, reading, 50_000, 31 * SECOND), made.jumps), (0, 1))
    eq(add_reading(made, reading, 50_001, 41 * SECOND), 10_000)
    made, reading = make_counter()
    add_reading(made, reading, 59_990, SECOND)
    eq((add_reading(made, reading, 5, 11 * SECOND), made.rollovers, made.resets), (50_000, 0, 1))
    eq((add_reading(made, reading, 40_000, 21 * SECOND), made.jumps), (0, 1))


def test_a_meter_that_has_lost_counts_is_not_reset():
    """After a power cut a meter can show a little less. Its whole reading is not new."""
    made, reading = make_counter(most_w=100_000)
    made.last_raw = 60_000
    eq((add_reading(made, reading, 59_998, HOUR), made.resets, made.jumps), (0, 0, 1))
    eq(add_reading(made, reading, 60_001, HOUR + 10 * SECOND), 30_000)
    made, reading = make_counter()
    made.last_raw = 8
    eq((add_reading(made, reading, 4, HOUR), made.resets), (40_000, 1))


def test_no_reading_makes_an_account_negative():
    """A power below 0, or a counter that goes below 0: an account below 0 could not be restored."""
    for unit in ("W", "kW.h"):
        made, reading = make_counter(unit, 10)
        used = [add_reading(made, reading, raw, (1 + i) * SECOND) for i, raw in enumerate(NEGATIVE)]
        assert min(used) == 0, (unit, used)
        stored = Account(5)
        stored.used[IT] += sum(used)
        eq(decode(stored.encode()).used, stored.used)


NEGATIVE = (5, -500, -500, 100, -1, 0, -70_000, 3, -3)


def test_gap_over_a_restart_is_counted():
    made, reading = make_counter()
    made.last_raw = 5000
    eq(add_reading(made, reading, 6000, HOUR), 10_000_000)
    made, reading = make_counter(most_w=100)
    made.last_raw = 5000
    eq((add_reading(made, reading, 60_000, HOUR), made.jumps), (0, 1))


def make_account(**used):
    made = Account(1)
    for name, value in used.items():
        made.used[ROLES.index(name)] = value
    return made


def metered_roles(*roles):
    return [role in roles for role in range(8)]


def test_figures_against_manual_calculation():
    made = make_account(it=1_000_000, facility=1_120_000, loop=15_000, water=1_800, reuse=224_000)
    made.used[3] = 50_000
    figures = made.figures(metered_roles(IT, FACILITY, LOOP, 3, WATER, REUSE))
    eq(
        figures,
        [
            ("pue", 1120),
            ("loop_pue", 1015),
            ("wue", 1800),  # 1.8 L for 1 kWh
            ("erf", 200),
            ("electrical", 55),  # 1120 - 1000 - 15 - 50
            ("air", 50),
            ("loop", 15),
        ],
    )


def test_total_is_the_sum_without_a_facility_meter():
    made = make_account(it=1_000_000, loop=20_000)
    made.used[ELECTRICAL] = 40_000
    eq(made.figures(metered_roles(IT, LOOP, ELECTRICAL))[0], ("pue", 1060))
    eq(dict(made.figures(metered_roles(IT, LOOP, ELECTRICAL)))["wue"], None)
    eq(Account().figures(metered_roles(IT))[0], ("pue", None))


def test_ratios_are_rounded():
    eq([scaled_ratio(1, 3), scaled_ratio(2, 3), scaled_ratio(5, 0)], [333, 667, None])


def test_account_encodes_and_decodes():
    made = make_account(it=123, water=7)
    eq(decode(made.encode()).used, made.used)
    made.gap_s = 60
    eq((decode(made.encode()).used, decode(made.encode()).gap_s), (made.used, 60))
    for bad in ("", "1 2 3", made.encode() + " 1", made.encode().replace("123", "-1"), "x" * 9):
        eq(decode(bad), None)


STORE = 5


def make_models():
    made = profiles()
    meter = {"address": 5, "type": "u16", "function": 3, "scale": [1, 10], "unit": "kW.h"}
    meter.update({"name": "ITkWh", "min": 0, "max": 65535})
    made["cdu"]["points"].append(meter)
    made["cdu"]["points"].append(dict(meter, name="PumpWatts", address=6, unit="W"))
    made["cdu"]["blocks"][0]["count"] = 7
    return made


class EnergyRig(AgentRig):
    """The rig with energy accounting and a store with the records `kept`."""

    def __init__(self, kept=None, meters=None, **more):
        raw = config()
        raw["ledger"] = {
            "port": "store:/ledger",
            "save_s": 10,
            "meters": meters
            or [
                {"role": "it", "device": "cdu", "point": "ITkWh", "most_w": 2_000_000},
                {"role": "loop", "device": "cdu", "point": "PumpWatts"},
            ],
        }
        raw["ledger"].update(more)
        self.kept = {} if kept is None else kept
        AgentRig.__init__(self, raw, models=make_models())
        self.devices.registers[CDU] = [320, 400, 3000, 2000, 0, 1000, 10_000]

    def perform(self, port, op, data):
        if port != STORE or op in ("open", "close"):
            AgentRig.perform(self, port, op, data)
            return
        key, _, payload = data.partition(b"\0")
        if op == "write":
            self.kept[key] = payload
            self.schedule(1000, "event", port, "drained")
        elif op == "get":
            found = self.kept.get(key)
            self.schedule(1000, "receive", port, key + (b"" if found is None else b"\0" + found))

    @property
    def component(self):
        return self.agent.components[0]


def test_counts_are_stored_and_restored():
    rig = EnergyRig()
    rig.run(5)
    for i in range(20):
        rig.devices.registers[CDU][5] = 1000 + i
        rig.run(1)
    rig.run(2)
    eq(rig.component.total.used[IT], 19 * 100_000)
    loop = rig.component.total.used[LOOP]
    assert 6_000 < loop <= 7_500, loop  # 1 kW for 22 to 27 s, in mWh
    assert rig.component.saves >= 2
    kept = rig.kept
    again = EnergyRig(kept)
    again.devices.registers[CDU][5] = 1030
    again.run(5)
    eq(again.component.restore_result, "restored")
    eq(again.component.total.used[IT], 30 * 100_000)  # the counter covers the time without power
    values = again.component.values(again.now)
    eq(len(values), len(again.component.POINTS))
    shown = json.loads(again.state.split(b"\0", 1)[1])["ledger"]
    eq((shown["category"], shown["intervals"][0]["interval"]), (1, "interim"))


def start_with_utc(kept, utc):
    rig = EnergyRig(kept)
    begun = rig.now
    rig.agent.clock.utc = lambda now: utc + now - begun
    return rig


def test_time_without_a_meter_that_shows_a_rate_is_a_gap():
    """Of the meter, over midnight, and of the agent between two runs."""
    midnight = 1_798_761_600 * SECOND  # 2027-01-01T00:00:00Z
    rig = start_with_utc(None, midnight - 60 * SECOND)
    part = rig.component
    rig.run(5)
    rig.devices.silent.add(CDU)
    rig.run(100)
    rig.devices.silent.discard(CDU)
    rig.run(30)
    rig.run(15)
    gaps_s = [old.gap_s for old in part.months]
    eq(len(gaps_s), 1)
    assert 50 <= gaps_s[0] <= 58, gaps_s
    gap_s = part._gap_s
    assert 40 <= gap_s <= 75, gap_s
    again = start_with_utc(rig.kept, midnight + 2 * HOUR)
    again.run(10)
    part = again.component
    eq([old.gap_s for old in part.months], gaps_s)
    assert 7000 <= part._gap_s - gap_s <= 7200, part._gap_s
    again.run(60)
    assert part._gap_s - gap_s <= 7200, part._gap_s
    part.meters = part._rates = []
    assert b"covered" not in part._encode()


def test_damaged_record_is_ignored():
    for bad in (b"", b"\xff\xfe", b"ledger 1\n1 2 3\nend", b"ledger 2\n", b"ledger 1"):
        rig = EnergyRig({b"ledger.now": bad})
        rig.run(3)
        eq((rig.component.restore_result, rig.component.total.used[IT]), ("damaged", 0))


def test_silent_store_times_out():
    rig = EnergyRig()
    rig.absent.add(STORE)
    rig.run(30)
    rig.devices.registers[CDU][5] = 1001
    rig.run(3)
    eq(rig.component.total.used[IT], 100_000)


def test_day_month_and_year_intervals():
    rig = EnergyRig()
    rig.run(2)
    part = rig.component
    day = 1_798_675_200 * SECOND  # 2026-12-31T00:00:00Z
    part._roll_intervals(day + HOUR, rig.now)
    part.total.used[IT] = part.day.used[IT] = part.month.used[IT] = 77
    part._roll_intervals(day + 23 * HOUR, rig.now)
    eq(part.day.used[IT], 77)
    part._roll_intervals(day + 25 * HOUR, rig.now)  # a new day, month and year
    eq((part.day.used[IT], part.month.used[IT], part.total.used[IT]), (0, 0, 77))
    eq([old.used[IT] for old in part.months], [77])
    eq(part.twelve_months()[1], False)
    part._roll_intervals(day, rig.now)  # an earlier date starts no interval
    eq(len(part.months), 1)
    starts = [days_from_civil(2026, i + 1, 1) * 24 * HOUR + SECOND for i in range(12)]
    part.months = [Account(start, [i + 1] + [0] * 7) for i, start in enumerate(starts)]
    year, whole = part.twelve_months()
    eq((year.used[IT], year.start_us, whole), (78, starts[0], True))
    part.months = [Account(starts[0] - 24 * HOUR)] + part.months[:3] + part.months[4:]
    eq(len(part.months), 12)
    eq(part.twelve_months()[1], False)  # no account of April


def test_invalid_section_is_rejected():
    meters = [
        {"role": "loop", "device": "cdu", "point": "SupplyPressurekPa"},
        {"role": "water", "device": "cdu", "point": "ITkWh"},
        {"role": "loop", "device": "no", "point": "x"},
        {"role": "water", "device": "cdu", "point": "ITkWh"},
    ]
    text = str(raises(ConfigError, EnergyRig, None, meters))
    for part in ("role it", "meters[0].point", "meters[1].point", "meters[2].device", "meters[3]"):
        assert part in text, text
    assert "cdu.ITkWh counts twice for water" in text, text
