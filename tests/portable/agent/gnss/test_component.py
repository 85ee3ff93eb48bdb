"""The part `integrity`: what each epoch says, its alarms, and what becomes of the time."""

from agent.agent import RECEIVER
from agent.config.load import load
from agent.core.errors import ConfigError
from agent.gnss.tx_coexistence import of
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import Rig, config, profiles
from tests.portable.support.check import eq, raises
from tests.portable.support.nmeatext import gga, line, rmc

HEAP = "512wK"
GPS, BDS = "GP", "GB"


def views(talker, first, strengths, signal="1"):
    """The GSV set of one system: four satellites a sentence."""
    out = b""
    parts = -(-len(strengths) // 4)
    for part in range(parts):
        body = "%sGSV,%d,%d,%02d" % (talker, parts, part + 1, len(strengths))
        for i, cn0 in enumerate(strengths[4 * part : 4 * part + 4]):
            number = first + 4 * part + i
            body += ",%02d,%02d,%03d,%s" % (number, 40, 100, "%02d" % cn0 if cn0 else "")
        out += line(body + "," + signal)
    return out


def used(system, numbers):
    """The GSA of one system."""
    places = ["%02d" % number for number in numbers] + [""] * (12 - len(numbers))
    return line("GNGSA,A,3,%s,1.2,0.6,1.0,%s" % (",".join(places), system))


class Roof:
    """An agent with `integrity`, and what its receiver says second by second."""

    def __init__(self, **section):
        raw = config()
        raw["integrity"] = section
        self.rig = Rig(raw)
        self.rig.run(2.06)
        self.watch = self.rig.agent.parts[0]
        self.second = 3600
        self.gps = [38, 41, 44, 47, 36, 45, 40, 49]
        self.bds = [37, 42, 46, 39, 48, 35, 43, 50]
        self.used = ([1, 2, 3, 4, 5, 6], [21, 22, 23, 24, 25, 26])
        self.text = b""
        self.mute = False

    def say(self, millis=0):
        second = self.second
        time = "%02d%02d%02d.%03d" % (second // 3600, second // 60 % 60, second % 60, millis)
        lists = used("1", self.used[0]) + used("4", self.used[1])
        lists += views(GPS, 1, self.gps) + views(BDS, 21, self.bds)
        return rmc(time) + gga(time) + lists + self.text

    def run(self, seconds, weaker=0):
        gps, bds = self.gps, self.bds
        self.gps = [max(0, c - weaker) for c in gps]
        self.bds = [max(0, c - weaker) for c in bds]
        for _ in range(seconds):
            if not self.mute:
                self.rig.give("receive", RECEIVER, self.say())
            self.second += 1
            self.rig.run(1)
        self.gps, self.bds = gps, bds

    def codes(self):
        return [c for c in self.rig.codes() if c.startswith(("gnss", "time"))]

    def state(self):
        return self.rig.agent.clock.state(self.rig.now)


def test_a_clean_sky_raises_nothing_and_is_looked_at_every_second():
    roof = Roof()
    roof.run(150)
    eq((roof.codes(), roof.state()), ([], "sync"))
    assert roof.watch.epochs >= 148
    eq(roof.watch.votes.raised, [])


def test_of_ten_epochs_a_second_one_or_two_are_looked_at():
    roof = Roof()
    roof.run(20)
    looked, epoch = [], roof.watch.systems.epoch
    roof.watch.systems.epoch = lambda seen, now: (looked.append(now), epoch(seen, now))
    for tenth in range(100):
        roof.rig.give("receive", RECEIVER, roof.say(tenth % 10 * 100))
        roof.second += tenth % 10 == 9
        roof.rig.run(0.1)
    assert 10 <= len(looked) <= 15, len(looked)
    assert roof.watch.epochs >= 100


def test_one_vote_is_an_alarm_two_stop_the_clock_and_it_recovers():
    roof = Roof()
    roof.run(40)
    roof.run(4, weaker=12)
    eq((roof.codes(), roof.state()), (["gnss_drop"], "sync"))
    roof.text = line("GNTXT,01,01,01,ANTENNA OPEN")
    roof.run(4, weaker=12)
    eq(sorted(roof.codes()), ["gnss_antenna_open", "gnss_drop", "gnss_suspect"])
    eq(roof.state(), "untrusted")
    evidence = [e.check for e in roof.rig.agent.clock.verdicts.evidence]
    eq(sorted(evidence), ["antenna_open", "drop", "signals"])
    roof.text = line("GNTXT,01,01,01,ANTENNA OK")
    roof.run(40)
    eq((roof.codes(), roof.state()), ([], "sync"))


def test_equal_power_is_seen_within_ten_epochs():
    roof = Roof()
    roof.run(40)
    roof.gps, roof.bds = [44, 45] * 4, [45, 44] * 4
    roof.run(10)
    assert "gnss_uniform" in roof.codes(), roof.codes()


def test_one_system_drowned_or_cast_out_contradicts_the_other():
    roof = Roof()
    roof.run(80)
    roof.gps = [c - 8 for c in roof.gps]
    roof.run(4)
    assert "gnss_constellations" in roof.codes()
    roof.gps = [c + 8 for c in roof.gps]
    roof.run(40)
    eq(roof.codes(), [])
    roof.used = ([], roof.used[1])
    roof.run(14)
    eq(roof.codes(), ["gnss_constellations"])


def test_an_incomplete_list_votes_on_nothing():
    roof = Roof()
    roof.run(40)
    say = roof.say
    roof.say = lambda: say().split(b"$GPGSV")[0] + views(GPS, 1, [12] * 8)[:60] + b"\r\n"
    roof.run(10)
    eq(roof.watch.votes.raised, [])


def test_transmissions_are_tagged_measured_and_told():
    roof = Roof(desense_db=4)
    roof.run(40)
    room = of(roof.rig.agent)
    for _ in range(8):
        room.announce(roof.rig.now - 200_000, roof.rig.now + 200_000)
        roof.run(2, weaker=6)  # what is told a second later is the mean of the one before
        roof.run(1)
    eq(roof.codes(), ["gnss_desense"])
    eq(room.tagged, 16)
    assert 580 <= room.harm() <= 620, room.harm()
    eq(roof.watch.votes.raised, [])
    eq(roof.state(), "sync")


def test_what_does_not_come_is_an_alarm():
    roof = Roof()
    roof.run(130)
    roof.mute = True
    roof.run(12)
    eq(roof.codes(), ["gnss_silent"])
    roof.mute = False
    roof.run(10)
    eq(roof.codes(), [])
    say = roof.say
    roof.say = lambda: say().replace(b",A,2512", b",V,2512")
    roof.run(14)
    eq(roof.codes(), [])  # its checksum is wrong: no sentence at all
    roof.say = lambda: rmc("020000.000", "V") + gga("020000.000", "0")
    roof.run(14)
    eq(roof.codes(), ["gnss_no_fix"])


def test_a_bound_that_is_too_large_is_an_alarm_after_a_while():
    roof = Roof(bound_ms=10)  # what latency may have wrong, and jitter
    roof.run(100)
    eq(roof.codes(), [])
    roof.run(30)
    eq(roof.codes(), ["time_bound"])


def test_its_status_has_the_figures():
    roof = Roof()
    roof.run(50)
    text = roof.rig.state.decode()
    assert '"integrity":{"epochs":' in text
    assert '"antenna":null' in text
    assert '"votes":[]' in text


def test_the_temperature_is_one_that_a_device_reads():
    raw = config()
    raw["integrity"] = {"temperature": "cdu.ReturnTemperatureCelsius"}
    load(raw, profiles())
    for source, words in (("none.X", "no device is named none"), ("cdu.Y", "cdu reads no Y")):
        raw["integrity"] = {"temperature": source}
        assert words in str(raises(ConfigError, load, raw, profiles()))
    raw["integrity"] = {"temperature": "cdu.ReturnTemperatureCelsius"}
    rig = Rig(raw)
    rig.run(3)
    eq(rig.agent.parts[0]._heat(rig.now), 4000)
    eq(rig.agent.parts[0].coexistence.clear(rig.now, SECOND), rig.now)
