# SPDX-License-Identifier: Apache-2.0
"""Clock state that survives a restart, and the checks of the stored values."""

import json

from agent.clock.estimate.holdover import Holdover
from agent.clock.estimate.temperature_model import TempcoModel
from agent.clock.persistence import KEY, TIME_STORE, TimePersistence, TimeRecord
from agent.clock.utc_clock import UtcClock
from agent.core.json_writer import write
from agent.port_numbers import FIRST_BUS, RECEIVER
from drivers.gnss.fix_rules import RELEASE_UTC_US
from protocols.calendar import utc_from_civil
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import AgentRig, config, epoch
from tests.portable.support.check import eq, raises
from tests.portable.support.reference_time import (
    UTC,
    ClockRig,
    NoiseSource,
    ReferenceFix,
    synced_leap_clock,
)

LONG = (
    "test_holdover_uses_learned_tempco",
    "test_one_false_future_date_does_not_block_later_dates",
)


STORE = FIRST_BUS + 1


class PersistenceRig(AgentRig):
    """An agent with the component `timekeeping` and a store that keeps its records."""

    def __init__(self, records=None, late=False, raw=None, **section):
        self.records = {} if records is None else records
        self.requests = []
        self.hold = late
        raw = config() if raw is None else raw
        raw["timekeeping"] = dict(section, port="store:/var/lib/y")
        AgentRig.__init__(self, raw)

    def perform(self, port, op, data):
        if port != STORE or op in ("open", "close"):
            AgentRig.perform(self, port, op, data)
            return
        self.requests.append((op, data))
        key, _, payload = data.partition(b"\0")
        if op == "write":
            self.records[key] = payload
        elif op == "get" and not self.hold:
            self.reply()

    def reply(self):
        found = self.records.get(KEY.encode())
        reply = KEY.encode() + (b"" if found is None else b"\0" + found)
        self.schedule(1000, "receive", STORE, reply)

    def receive(self, seconds, first=3600, date="251126"):
        for second in range(first, first + seconds):
            time = "%02d%02d%02d" % (second // 3600, second // 60 % 60, second % 60)
            self.deliver("receive", RECEIVER, epoch(time, date))
            self.run(1)


def record(**changed):
    """Return a stored record."""
    fields = {
        "version": 1,
        "utc_us": UTC,
        "mono_us": 5 * SECOND,
        "floor_us": UTC,
        "leap_s": 18,
        "rate_ppt": 4_000_000,
    }
    fields.update({"skew_ppt": 1000, "tempco_ppt": 300_000, "centi_c": 2500})
    fields.update(changed)
    return json.dumps(fields).encode()


def test_empty_store_is_read_once_then_written():
    rig = PersistenceRig(save_s=60)
    rig.run(3.05)
    eq(rig.requests, [("get", KEY.encode())])
    rig.receive(200)
    eq(len(rig.requests), 1)  # only when the leap seconds are known
    rig.agent.clock.leap.uncertain = False
    rig.receive(62, 3800)
    eq([op for op, _ in rig.requests], ["get", "write", "write"])
    stored = json.loads(rig.records[KEY.encode()])
    clock_utc = rig.agent.clock.utc(stored["mono_us"])
    eq(clock_utc // SECOND, stored["utc_us"] // SECOND)
    eq((stored["version"], stored["leap_s"], stored["tempco_ppt"]), (1, 18, None))
    assert abs(stored["rate_ppt"]) < 1000
    assert '"timekeeping":{"found":false' in rig.state.decode()


def test_uncertainty_of_a_stored_rate():
    """Five times the stored one, 55 K of another temperature, and 100 ppb of ageing."""
    for tempco_ppb, skew_ppt, skew_ppb in ((200, 1_001, 11_105), (13, 401, 2 + 715 + 100)):
        raw = config()
        raw["receiver"]["ppm_per_c"] = tempco_ppb / 1000
        rig = PersistenceRig({KEY.encode(): record(skew_ppt=skew_ppt)}, raw=raw)
        rig.run(3.05)
        eq(rig.agent.clock.rate_skew_ppb, skew_ppb)


def test_stored_min_utc_and_rate_are_used():
    rig = PersistenceRig({KEY.encode(): record()})
    rig.run(3.05)
    clock = rig.agent.clock
    eq((clock.min_utc_us, clock.rate_ppt), (UTC, 4_000_000))
    eq(clock.rate_skew_ppb, 50_000)  # at most the limit of the oscillator
    rig.receive(5, date="231126")  # a recording of the day before: UTC is the 24th
    eq((clock.utc(rig.now), clock.failed_checks), (None, ["floor"]))
    rig.receive(5)
    eq(clock.state(rig.now), "sync")
    eq(clock.flags(), ["leap_uncertain"])
    eq(rig.alarm_codes(), [])


def test_week_rollover_is_corrected_by_stored_min_utc():
    rig = PersistenceRig({KEY.encode(): record()})
    rig.run(3.05)
    rig.receive(5, date="110407")  # 25 November 2026 less 1024 weeks
    eq(
        rig.agent.clock.utc(rig.now) // (86_400 * SECOND),
        (UTC + 86_400 * SECOND) // (86_400 * SECOND),
    )


def test_utc_before_stored_min_utc_is_dropped():
    rig = PersistenceRig({KEY.encode(): record()}, late=True)
    rig.run(3.05)
    rig.receive(5, date="231126")
    eq(rig.agent.clock.state(rig.now), "sync")
    rig.reply()
    rig.run(1)
    eq(rig.agent.clock.utc(rig.now), None)
    assert "time_floor" in rig.alarm_codes()


def start_unit(records, date, seconds=70):
    """Start the unit once; its receiver knows the leap seconds already."""
    rig = PersistenceRig(records, save_s=60)
    rig.run(3.05)
    rig.agent.clock.leap.uncertain = False
    rig.receive(seconds, date=date)
    return rig


def kept_days(records, name):
    """Return the stored time in days after 1 November 2026."""
    stored = json.loads(records[KEY.encode()])
    return (stored[name] - utc_from_civil(2026, 11, 1)) // (86_400 * SECOND)


def test_one_false_future_date_does_not_block_later_dates():
    records = {}
    start_unit(records, "011126")
    eq((kept_days(records, "utc_us"), kept_days(records, "floor_us") < -30), (0, True))
    start_unit(records, "021126")
    eq((kept_days(records, "utc_us"), kept_days(records, "floor_us")), (1, 0))
    start_unit(records, "010140")  # a false date: 2040
    eq((kept_days(records, "utc_us") > 4000, kept_days(records, "floor_us")), (True, 1))
    eq(start_unit(records, "011126", 30).agent.clock.state(0), "free")  # a recording
    rig = start_unit(records, "031126")  # before the time that was stored last: suspect
    eq((rig.agent.clock.state(rig.now), rig.alarm_codes()), ("untrusted", ["time_floor"]))
    eq(kept_days(records, "utc_us") > 4000, True)
    rig.receive(1260, 3670, "031126")
    eq((rig.agent.clock.state(rig.now), rig.alarm_codes()), ("sync", []))
    eq((kept_days(records, "utc_us"), kept_days(records, "floor_us")), (2, 1))


def test_old_epochs_after_a_restart_are_suspect_until_another_source_agrees():
    # A receiver repeats epochs of an hour before the stored time; the monotonic clock is another.
    for stored_late in (False, True):
        old = UtcClock(50_000)
        kept = TimeRecord(record(utc_us=UTC + 3600 * SECOND, mono_us=9_000 * SECOND))
        if not stored_late:
            old.restore(kept, None)
        for i in range(60):
            old.add_fix(ReferenceFix(UTC + i * SECOND, (600 + i) * SECOND))
            if stored_late and i == 30:
                old.restore(kept, None, (600 + i) * SECOND)
        eq(old.state(660 * SECOND), "untrusted")
        eq(old.failed_checks, ["floor"])
        eq(old.cross_check(UTC + 60 * SECOND, 10_000, 660 * SECOND), True)
        for i in range(61, 65):
            old.add_fix(ReferenceFix(UTC + i * SECOND, (600 + i) * SECOND))
        eq((old.state(665 * SECOND), old.failed_checks), ("sync", []))


def test_epochs_after_the_stored_time_are_not_suspect():
    clock = UtcClock(50_000)
    clock.restore(TimeRecord(record(utc_us=UTC, mono_us=9_000 * SECOND)), None)
    for i in range(5):
        clock.add_fix(ReferenceFix(UTC + (2 + i) * SECOND, (600 + i) * SECOND))
    eq((clock.state(605 * SECOND), clock.failed_checks), ("sync", []))


def test_min_utc_rises_with_monotonic_clock_and_cross_check():
    records = {KEY.encode(): record(floor_us=None)}
    rig = start_unit(records, "251126")
    first = json.loads(records[KEY.encode()])["floor_us"]
    rig.receive(120, 3670, "251126")
    assert abs(json.loads(records[KEY.encode()])["floor_us"] - first - 120 * SECOND) <= SECOND
    eq(rig.agent.clock.cross_check(rig.agent.clock.utc(rig.now), SECOND, rig.now), True)
    rig.receive(61, 3790, "251126")
    stored = json.loads(records[KEY.encode()])
    assert 0 <= stored["utc_us"] - stored["floor_us"] <= 70 * SECOND
    eq((stored["leap_suspect"], stored["bound_us"] > 0), (0, True))


def test_operator_can_clear_min_utc():
    # two starts with a false date; in the second case the true date looks like a week rollover
    for years, state in ((3, "free"), (31, "sync")):
        records = {KEY.encode(): record(floor_us=UTC + years * 31_557_600 * SECOND)}
        clear_clock(start_unit(records, "251126", 30), records, state)


def clear_clock(rig, records, state):
    """Send the operator command that clears the clock."""
    eq(rig.agent.clock.state(rig.now), state)
    component = next(p for p in rig.agent.components if type(p).__name__ == "TimePersistence")
    eq(component.handle_command("dance", None, rig.now), None)
    eq(component.handle_command("clock_forgive", None, rig.now), "forgiven")
    rig.run(1)
    eq(rig.requests[-1], ("delete", KEY.encode()))
    rig.receive(70, 3630, "251126")
    eq((rig.agent.clock.state(rig.now), rig.alarm_codes()), ("sync", []))
    eq(json.loads(records[KEY.encode()])["utc_us"] // 10**14, UTC // 10**14)


def test_leap_seconds_are_known_if_monotonic_continued():
    same = UtcClock(50_000)
    same.time_record = TimeRecord(record(utc_us=UTC, mono_us=100 * SECOND))
    other = UtcClock(50_000)
    other.time_record = TimeRecord(record(utc_us=UTC, mono_us=90 * SECOND))
    for clock in (same, other):
        for i in range(3):
            clock.add_fix(ReferenceFix(UTC + (500 + i) * SECOND, (600 + i) * SECOND))
    eq((same.flags(), other.flags()), ([], ["leap_uncertain"]))


def test_a_record_of_hours_does_not_confirm_another_second():
    # Its clock can be 100 ppm off: after 10,000 s that is a second.
    for elapsed, wrong, flags in ((1500, 0, []), (10_000, 1, ["leap_uncertain"])):
        clock = UtcClock(50_000)
        clock.time_record = TimeRecord(record(utc_us=UTC, mono_us=100 * SECOND))
        for i in range(3):
            at = elapsed + i
            clock.add_fix(ReferenceFix(UTC + (at + wrong) * SECOND, (at + 100) * SECOND))
        eq((elapsed, clock.flags()), (elapsed, flags))


def test_bad_record_is_alarmed_and_ignored():
    for text in (
        b"",
        b"{",
        b"[]",
        b"\xff",
        record(version=2),
        record(utc_us=None),
        record(leap_s="18"),
        record(rate_ppt=1.5),
    ):
        raises(ValueError, TimeRecord, text)
    eq(str(raises(ValueError, TimeRecord, b"rubbish")), "no JSON")
    eq(str(raises(ValueError, TimeRecord, b"[]")), "not of this version")
    rig = PersistenceRig({KEY.encode(): b"rubbish"})
    rig.run(3)
    eq(rig.alarm_codes(), ["time_store"])
    eq(rig.agent.alarms.active[0].text, TIME_STORE.text + " no JSON")
    component = next(c for c in rig.agent.components if isinstance(c, TimePersistence))
    eq(json.loads(write(component.status(0)))["bad"], "no JSON")
    eq(rig.agent.clock.min_utc_us, RELEASE_UTC_US)


def test_temperature_sensor_is_read():
    rig = PersistenceRig(temperature="cdu.ReturnTemperatureCelsius")
    rig.run(3)
    eq(rig.agent.clock.holdover.current_temperature(rig.now), 4000)


def test_stored_rate_improves_first_holdover():
    errors = []
    for rate in (0, 20_000_000):
        clock = synced_leap_clock()
        if rate:
            clock.rate_ppt, clock.rate_skew_ppb = rate, 5_000
        bench = ClockRig(clock, 5, ppm=-20.0)
        bench.run(60, ticks=1)
        bench.outage = True
        bench.run(1000, ticks=1)
        errors.append((abs(bench.error_us), bench.bound_us))
        eq(bench.max_excess_us <= 0, True)
    assert errors[0][0] > 12_000
    assert errors[1][0] < 12_000
    assert errors[1][1] < errors[0][1]


def temperature_run(with_model, hours=12):
    """Train the model of a crystal of 0.8 ppm/K with pulses, then run 2 h of holdover."""
    clock = synced_leap_clock()
    if with_model:
        clock.holdover.use_model(TempcoModel(1_000))
    bench = ClockRig(clock, 6, ppm=5.0, tempco=0.8, pps_us=1.0)
    bench.sensor = True

    def swing(b):
        b.temp = 25 + 3 * abs((b.second % 7200) - 3600) / 3600

    bench.run(hours * 600, ticks=1, observe=swing)
    bench.outage = True
    bench.run(7200, ticks=1, observe=swing)
    return bench


def test_holdover_uses_learned_tempco():
    without, with_it = temperature_run(False), temperature_run(True)
    slope = with_it.clock.holdover.tempco_model.slope
    assert -860_000 < slope < -740_000, slope  # with a fast oscillator the offset falls
    assert abs(with_it.error_us) * 5 < abs(without.error_us), (with_it.error_us, without.error_us)
    eq((with_it.max_excess_us <= 0, without.max_excess_us <= 0), (True, True))


def test_tempco_needs_temperature_swing_above_noise():
    noise = NoiseSource(3)
    still, noisy = TempcoModel(1000), TempcoModel(1000)
    for i in range(200):
        still.add_pair(2500 + i % 3, 1_000_000 + i, i * 64 * SECOND)
        noisy.add_pair(2500 + 10 * (i % 30), int(noise.normal(1e8)), i * 64 * SECOND)
    eq((still.slope, noisy.slope), (None, None))


def test_silent_temperature_sensor_gives_no_correction():
    clock = synced_leap_clock()
    clock.holdover.use_model(TempcoModel(1_000))
    bench = ClockRig(clock, 7, pps_us=1.0)
    bench.sensor = True
    bench.run(200, ticks=1)
    clock.holdover.tempco_model.restore(1_000_000)
    now = bench.mono_ns // 1000
    clock.add_temperature(2600, now)
    warm = clock.pps.temp_drift_ns(now + 100 * SECOND) - clock.pps.temp_drift_ns(now)
    eq(warm, 100_000)  # 1 ppm for 100 s
    eq(clock.pps.temp_drift_ns(now + 400 * SECOND), 0)
    clock.add_temperature(2600, now + 400 * SECOND)  # the temperature in between is unknown
    eq((clock.pps.temp_drift_ns(now + 400 * SECOND), clock.holdover.gaps), (0, 1))


def test_change_of_rate_grows_with_temperature_and_time():
    holdover = Holdover(50_000, 1_000)
    holdover.add_temperature(2500, 0)
    minute, hour = 60 * SECOND, 3600 * SECOND
    eq(holdover.change_ppt(minute, 0), 150_000 + 120)  # the error of the sensor, and ageing
    eq(holdover.change_ppt(minute, 200), 2_150_000 + 120)
    eq(holdover.change_ppt(hour, 200), 2_500_000 + 7_200)
    eq(holdover.change_ppt(minute, None), 1_010_000 + 120)  # no sensor: a degree a minute
    eq(holdover.change_ppt(24 * hour, None), 55_000_000 + 172_800)
    holdover.add_temperature(2700, 60 * SECOND)
    eq(holdover.change_ppt(minute, 0), 2_150_000 + 120)  # the sensor can lag behind
    eq(Holdover(500, 1_000).change_ppt(hour, None), 1_000_000)  # twice the limit


def test_slewing_by_the_host_is_part_of_the_limit():
    holdover = Holdover(50_000, 1_000, 600_000)
    eq(holdover.limit_ppt, 650_000_000)
    eq(holdover.change_ppt(SECOND, 0), 1_200_000_000 + 150_002)
