"""The dP loop: lead and lag, safe speed without a reading, and no pump stopped without a reason."""

from agent.control.pressure_loop import PressureLoop
from agent.control.pump import Pump
from agent.fieldbus.sensor import pressure_sensor
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import RUN, STOP, Bench, config
from tests.portable.support.check import eq

TRIP = 8


class Loop:
    def __init__(self, pumps=2):
        raw = config()
        raw["control"]["dp"]["pumps"] = ["lead", "lag"][:pumps]
        self.bench = bench = Bench(raw)
        self.names = raw["control"]["dp"]["pumps"]
        made = [Pump(bench.station(name)) for name in self.names]
        sensor = pressure_sensor(bench.station("cdu"), 5 * SECOND)
        self.loop = PressureLoop(bench.config.pressure, sensor, made)
        self.dp(1000)
        self.drive("lead", RUN, 8000)
        self.drive("lag", STOP, 0)

    def dp(self, tenths):
        self.bench.read("cdu", 320, 400, 2000 + tenths, 2000, 0)

    def drive(self, name, word, raw, status=0):
        self.bench.read(name, word, raw, status, raw if word == RUN else 0)

    def obey(self):
        """The drives do what was asked."""
        for name in self.names:
            wanted = self.bench.wanted(name)
            if wanted and not self.bench.station(name).lost:
                self.drive(name, wanted["ControlWord"], wanted["SpeedControlPercent"])

    def step(self, tenths=1000, obey=True):
        self.bench.now += SECOND
        self.dp(tenths)
        self.loop.step(self.bench.now, 1.0)
        asked = self.speeds()
        if obey:
            self.obey()
        return asked

    def speeds(self):
        """Percent asked of each pump; 0 is a stop."""
        found = []
        for name in self.names:
            wanted = self.bench.wanted(name)
            run = wanted.get("ControlWord") == RUN
            found.append(wanted["SpeedControlPercent"] / 200 if run else 0)
        return found

    def lose(self, name):
        for _ in range(4):
            self.bench.silence(name)
        assert self.bench.station(name).lost


def test_it_takes_over_where_the_pumps_run():
    made = Loop()
    eq(made.step(), [40.0, 0])
    both = Loop()
    both.drive("lag", RUN, 8000)
    eq(both.step(), [40.0, 40.0])  # a restart of the agent stops no pump


def test_too_little_asks_for_more_within_the_rate():
    made = Loop()
    made.step()
    low = [made.step(800)[0] for _ in range(4)]
    assert 40 < low[0] < low[1] < low[2], low
    assert max([b - a for a, b in zip([40] + low, low)]) <= 5.0 + 0.01
    for _ in range(60):
        high = made.step(1500)
    eq(high, [25.0, 0])


def test_without_a_reading_every_pump_runs_at_the_safe_speed():
    made = Loop()
    made.step()
    eq((made.step(16001), made.loop.safe), ([80.0, 80.0], True))
    made = Loop()
    made.step()
    made.bench.now += 6 * SECOND
    made.loop.step(made.bench.now, 1.0)
    eq((made.speeds(), made.loop.safe), ([80.0, 80.0], True))


def test_when_readings_return_as_many_pumps_go_on_as_were_running():
    made = Loop()
    made.step()
    made.step(16001)
    eq(made.step(), [80.0, 80.0])
    assert not made.loop.safe


def test_what_was_counted_before_a_loss_does_not_count_after_it():
    made = Loop(1)
    for _ in range(20):
        made.step(500)  # at its limit; with 9 more seconds it would ask for help
    made.loop.helping, made.loop._since = False, made.bench.now - 8 * SECOND
    made.step(16001)
    made.drive("lead", RUN, 20000)
    eq(made.step(500), [100.0])
    assert not made.loop.helping


def test_lag_takes_over_when_lead_trips_and_gives_back():
    made = Loop()
    made.step()
    made.drive("lead", RUN, 0, TRIP)
    asked = made.step(obey=False)
    eq(asked[0], 0)
    assert asked[1] >= 25, asked
    made.drive("lead", STOP, 0)
    made.drive("lag", RUN, 8000)
    asked = made.step()
    assert asked[0] >= 25, asked
    eq(asked[1], 0)


def test_lag_takes_over_when_lead_is_lost():
    made = Loop()
    made.step()
    made.lose("lead")
    asked = made.step(obey=False)
    eq(asked[0], 0)
    assert asked[1] >= 25, asked


def test_when_neither_answers_both_are_asked():
    made = Loop()
    made.step()
    made.lose("lead")
    made.lose("lag")
    asked = made.step(obey=False)
    assert asked[0] == asked[1] >= 25, asked
    made.bench.bus.event("opened", made.bench.now)  # what waited is gone
    for station in made.bench.fieldbus.stations:
        station._writing = station._overtaken = False
    made.step(500, obey=False)
    for job in made.bench.bus._urgent:
        eq(job.pdu[6:8], b"\x04\x7f")  # no stop in between, which a pump may hear


def test_lag_helps_after_ten_seconds_at_the_limit_and_rests_again():
    made = Loop()
    seconds = 0
    while made.step(500)[0] < 100:
        seconds += 1
        assert seconds < 60
    alone = 0
    while made.step(500)[1] == 0:
        alone += 1
        assert alone < 60
    eq(alone, 9)  # and the second that saw it first
    eq(made.speeds(), [100.0, 100.0])
    below = 0
    while made.step(1100 if below < 20 else 1000)[1] > 0:
        eq(made.speeds()[1], made.speeds()[0])
        below = below + 1 if made.speeds()[0] < 55 else 0
        assert below < 300
    eq(below, 120)


def test_a_dip_does_not_bring_the_help():
    made = Loop()
    for _ in range(20):
        made.step(500)
    made.loop.helping, made.loop._since = False, None
    for _ in range(4):
        for _ in range(8):
            made.step(500)
        for _ in range(4):
            made.step(1600)
    assert not made.loop.helping


def test_one_pump_alone():
    made = Loop(1)
    eq(made.step(), [40.0])
    for _ in range(40):
        asked = made.step(500)
    eq(asked, [100.0])
    eq(made.step(16001), [80.0])
    made.drive("lead", RUN, 0, TRIP)
    assert made.step(obey=False)[0] > 0  # there is no other
