"""What is kept of time over a restart, and what of it is believed."""

import json

from agent.agent import FIRST_BUS, RECEIVER
from agent.clock.holdover import Holdover, Warmth
from agent.clock.persistence import KEY, Memory
from agent.clock.temperature_model import Thermal
from agent.clock.utc_clock import Clock
from protocols.calendar import utc_from_civil
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import Rig, config, epoch
from tests.portable.support.check import eq, raises
from tests.portable.support.reference_time import UTC, Bench, Chance, TrueFix, known

HEAP = "512wK"
STORE = FIRST_BUS + 1


class Kept(Rig):
    """An agent with the part `timekeeping` and a store that remembers."""

    def __init__(self, records=None, late=False, **section):
        self.records = {} if records is None else records
        self.asked = []
        self.hold = late
        raw = config()
        raw["timekeeping"] = dict(section, port="store:/var/lib/y")
        Rig.__init__(self, raw)

    def act(self, port, op, data):
        if port != STORE or op in ("open", "close"):
            Rig.act(self, port, op, data)
            return
        self.asked.append((op, data))
        key, _, payload = data.partition(b"\0")
        if op == "write":
            self.records[key] = payload
        elif op == "get" and not self.hold:
            self.answer()

    def answer(self):
        found = self.records.get(KEY.encode())
        reply = KEY.encode() + (b"" if found is None else b"\0" + found)
        self.later(1000, "receive", STORE, reply)

    def receive(self, seconds, first=3600, date="251126"):
        for second in range(first, first + seconds):
            time = "%02d%02d%02d" % (second // 3600, second // 60 % 60, second % 60)
            self.give("receive", RECEIVER, epoch(time, date))
            self.run(1)


def record(**changed):
    """A record as it is kept."""
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


def test_nothing_kept_is_asked_for_once_and_then_written_in_time():
    rig = Kept(save_s=60)
    rig.run(3.05)
    eq(rig.asked, [("get", KEY.encode())])
    rig.receive(200)
    eq(len(rig.asked), 1)  # only when the leap seconds are known
    rig.agent.clock.leap.uncertain = False
    rig.receive(62, 3800)
    eq([op for op, _ in rig.asked], ["get", "write", "write"])
    kept = json.loads(rig.records[KEY.encode()])
    said = rig.agent.clock.utc(kept["mono_us"])
    eq(said // SECOND, kept["utc_us"] // SECOND)
    eq((kept["version"], kept["leap_s"], kept["tempco_ppt"]), (1, 18, None))
    assert abs(kept["rate_ppt"]) < 1000
    assert '"timekeeping":{"found":false' in rig.state.decode()


def test_what_was_kept_is_the_floor_and_the_rate():
    rig = Kept({KEY.encode(): record()})
    rig.run(3.05)
    clock = rig.agent.clock
    eq((clock.floor_us, clock.rate_ppt), (UTC, 4_000_000))
    assert clock.rate_skew_ppb == 5 + 5000 + 100
    rig.receive(5, date="231126")  # yesterday's recording: UTC is the 24th
    eq((clock.utc(rig.now), clock.doubts), (None, ["floor"]))
    rig.receive(5)
    eq(clock.state(rig.now), "sync")
    eq(clock.flags(), ["leap_uncertain"])
    eq(rig.codes(), [])


def test_a_date_1024_weeks_early_is_put_right_by_the_floor():
    rig = Kept({KEY.encode(): record()})
    rig.run(3.05)
    rig.receive(5, date="110407")  # 25 November 2026 less 1024 weeks
    eq(
        rig.agent.clock.utc(rig.now) // (86_400 * SECOND),
        (UTC + 86_400 * SECOND) // (86_400 * SECOND),
    )


def test_a_label_older_than_what_was_kept_is_taken_back():
    rig = Kept({KEY.encode(): record()}, late=True)
    rig.run(3.05)
    rig.receive(5, date="231126")
    eq(rig.agent.clock.state(rig.now), "sync")
    rig.answer()
    rig.run(1)
    eq(rig.agent.clock.utc(rig.now), None)
    assert "time_floor" in rig.codes()


def start(records, date, seconds=70):
    """One start of the unit, whose receiver knows its leap seconds already."""
    rig = Kept(records, save_s=60)
    rig.run(3.05)
    rig.agent.clock.leap.uncertain = False
    rig.receive(seconds, date=date)
    return rig


def kept_days(records, name):
    """A time that was kept, days after 1 November 2026."""
    kept = json.loads(records[KEY.encode()])
    return (kept[name] - utc_from_civil(2026, 11, 1)) // (86_400 * SECOND)


def test_a_liar_of_one_start_does_not_shut_the_truth_out():
    records = {}
    start(records, "011126")
    eq((kept_days(records, "utc_us"), kept_days(records, "floor_us") < -365), (0, True))
    start(records, "021126")
    eq((kept_days(records, "utc_us"), kept_days(records, "floor_us")), (1, 0))
    start(records, "010140")  # a liar: 2040
    eq((kept_days(records, "utc_us") > 4000, kept_days(records, "floor_us")), (True, 1))
    eq(start(records, "011126", 30).agent.clock.state(0), "free")  # a recording
    rig = start(records, "031126")
    eq((rig.agent.clock.state(rig.now), rig.codes()), ("sync", []))
    eq((kept_days(records, "utc_us"), kept_days(records, "floor_us")), (2, 1))


def test_the_floor_rises_with_the_monotonic_clock_and_with_a_witness_that_agrees():
    records = {KEY.encode(): record(floor_us=None)}
    rig = start(records, "251126")
    first = json.loads(records[KEY.encode()])["floor_us"]
    rig.receive(120, 3670, "251126")
    assert abs(json.loads(records[KEY.encode()])["floor_us"] - first - 120 * SECOND) <= SECOND
    eq(rig.agent.clock.witness(rig.agent.clock.utc(rig.now), SECOND, rig.now), True)
    rig.receive(61, 3790, "251126")
    kept = json.loads(records[KEY.encode()])
    assert 0 <= kept["utc_us"] - kept["floor_us"] <= 70 * SECOND


def test_a_person_may_take_a_floor_back():
    # a liar's, of two starts; in the second case the truth looks like a rolled over date
    for years, state in ((3, "free"), (31, "sync")):
        records = {KEY.encode(): record(floor_us=UTC + years * 31_557_600 * SECOND)}
        forgiven(start(records, "251126", 30), records, state)


def forgiven(rig, records, state):
    """Let a person forgive the clock."""
    eq(rig.agent.clock.state(rig.now), state)
    part = next(p for p in rig.agent.parts if type(p).__name__ == "Keeping")
    eq(part.order("dance", None, rig.now), None)
    eq(part.order("clock_forgive", None, rig.now), "forgiven")
    rig.run(1)
    eq(rig.asked[-1], ("delete", KEY.encode()))
    rig.receive(70, 3630, "251126")
    eq((rig.agent.clock.state(rig.now), rig.codes()), ("sync", []))
    eq(json.loads(records[KEY.encode()])["utc_us"] // 10**14, UTC // 10**14)


def test_leap_seconds_are_known_when_the_monotonic_clock_went_on():
    same = Clock(50_000)
    same.memory = Memory(record(utc_us=UTC, mono_us=100 * SECOND))
    other = Clock(50_000)
    other.memory = Memory(record(utc_us=UTC, mono_us=90 * SECOND))
    for clock in (same, other):
        for i in range(3):
            clock.sample(TrueFix(UTC + (500 + i) * SECOND, (600 + i) * SECOND))
    eq((same.flags(), other.flags()), ([], ["leap_uncertain"]))


def test_a_bad_record_is_an_alarm_and_not_believed():
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
        raises(ValueError, Memory, text)
    rig = Kept({KEY.encode(): b"rubbish"})
    rig.run(3)
    eq(rig.codes(), ["time_store"])
    eq(rig.agent.clock.floor_us, 0)


def test_the_oscillators_temperature_reaches_the_clock():
    rig = Kept(temperature="cdu.ReturnTemperatureCelsius")
    rig.run(3)
    eq(rig.agent.clock.holdover.sensed(rig.now), 4000)


def test_a_known_rate_makes_the_first_holdover_short_of_learning_better():
    errors = []
    for rate in (0, 20_000_000):
        clock = known()
        if rate:
            clock.rate_ppt, clock.rate_skew_ppb = rate, 5_000
        bench = Bench(clock, 5, ppm=-20.0)
        bench.run(60, ticks=1)
        bench.outage = True
        bench.run(1000, ticks=1)
        errors.append((abs(bench.error_us), bench.bound_us))
        eq(bench.worst <= 0, True)
    assert errors[0][0] > 15_000
    assert errors[1][0] < 12_000
    assert errors[1][1] < errors[0][1]


def warmed(thermal, hours=12):
    """A crystal of 0.8 ppm a degree learned from pulses over a swing, then 2 h of holdover."""
    clock = known()
    if thermal:
        clock.holdover.thermal = Thermal(1_000)
    bench = Bench(clock, 6, ppm=5.0, tempco=0.8, pps_us=1.0)
    bench.sensor = True

    def swing(b):
        b.temp = 25 + 3 * abs((b.second % 7200) - 3600) / 3600

    bench.run(hours * 600, ticks=1, watch=swing)
    bench.outage = True
    bench.run(7200, ticks=1, watch=swing)
    return bench


def test_holdover_follows_the_temperature_once_a_degree_is_known():
    without, with_it = warmed(False), warmed(True)
    slope = with_it.clock.holdover.thermal.slope
    assert -860_000 < slope < -740_000, slope  # a fast oscillator makes the offset fall
    assert abs(with_it.error_us) * 5 < abs(without.error_us), (with_it.error_us, without.error_us)
    eq((with_it.worst <= 0, without.worst <= 0), (True, True))


def test_a_slope_is_not_believed_without_a_swing_or_out_of_noise():
    chance = Chance(3)
    still, noisy = Thermal(1000), Thermal(1000)
    for i in range(200):
        still.pair(2500 + i % 3, 1_000_000 + i, i * 64 * SECOND)
        noisy.pair(2500 + 10 * (i % 30), int(chance.normal(1e8)), i * 64 * SECOND)
    eq((still.slope, noisy.slope), (None, None))


def test_a_sensor_that_falls_silent_bends_nothing():
    holdover = Holdover(50_000, 1_000)
    holdover.thermal = Thermal(1_000)
    holdover.thermal.slope = 1_000_000
    holdover.temperature(2500, 0)
    learned = Warmth(0, holdover.heat(0), 2500, 0)
    holdover.temperature(2600, 0)
    eq(holdover.bend_ns(learned, 100 * SECOND), 100_000)  # 1 ppm for 100 s
    eq(holdover.bend_ns(learned, 400 * SECOND), 0)
    eq(holdover.bend_ns(Warmth(0, 0, None, 0), 100 * SECOND), 0)
    holdover.temperature(2600, 400 * SECOND)  # it is back, but nobody knows what was between
    eq((holdover.bend_ns(learned, 400 * SECOND), holdover.breaks), (0, 1))


def allowance(*hours):
    """What may have been added, us, after hours of these hundredths of a degree."""
    holdover = Holdover(50_000, 1_000)
    holdover.temperature(2500, 0)
    second = 0
    for centi in hours:
        holdover.temperature(centi, second * SECOND)
        for _ in range(36):
            second += 100
            holdover.temperature(centi, second * SECOND)
    return holdover.drift_ns(Warmth(0, 0, 2500, 0), second * SECOND) // 1000


def test_a_warm_hour_stays_in_the_allowance_until_a_cold_one_takes_it_back():
    own = 1_800  # half a degree for an hour: what the sensor may not see
    eq(allowance(2600), 3_600 + own)
    eq(allowance(2600, 2500), 3_600 + 2 * own)
    eq(allowance(2600, 2400), 2 * own)
    eq(allowance(2500, 2500, 2500), 3 * own)
