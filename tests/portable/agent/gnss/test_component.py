# SPDX-License-Identifier: Apache-2.0
"""Component `integrity`: checks of each epoch, alarms, and the effect on the clock."""

from agent.config.load import load
from agent.core.errors import ConfigError
from agent.port_numbers import RECEIVER
from protocols.nmea.binary_frames import ubx_checksum
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import AgentRig, config, profiles
from tests.portable.support.check import eq, raises
from tests.portable.support.nmeatext import gga, line, rmc

GPS, BDS = "GP", "GB"


def gsv_set(talker, first, strengths, signal="1"):
    """Return the GSV set of a constellation: four satellites in each sentence."""
    out = b""
    sentences = -(-len(strengths) // 4)
    for sentence in range(sentences):
        body = "%sGSV,%d,%d,%02d" % (talker, sentences, sentence + 1, len(strengths))
        for i, cn0 in enumerate(strengths[4 * sentence : 4 * sentence + 4]):
            number = first + 4 * sentence + i
            body += ",%02d,%02d,%03d,%s" % (number, 40, 100, "%02d" % cn0 if cn0 else "")
        out += line(body + "," + signal)
    return out


def gsa(system, numbers):
    """Return the GSA sentence of a constellation."""
    fields = ["%02d" % number for number in numbers] + [""] * (12 - len(numbers))
    return line("GNGSA,A,3,%s,1.2,0.6,1.0,%s" % (",".join(fields), system))


class IntegrityRig:
    """An agent with `integrity` and the sentences of its receiver for each second."""

    def __init__(self, **section):
        raw = config()
        raw["integrity"] = section
        raw["receiver"]["latency_ms"] = 0.001  # a bound below the limit of the alarm
        self.rig = AgentRig(raw)
        self.rig.run(2.06)
        self.component = self.rig.agent.components[0]
        self.second = 3600
        self.gps = [38, 41, 44, 47, 36, 45, 40, 49]
        self.bds = [37, 42, 46, 39, 48, 35, 43, 50]
        self.used = ([1, 2, 3, 4, 5, 6], [21, 22, 23, 24, 25, 26])
        self.text = b""
        self.is_silent = False

    def sentences(self, millis=0):
        second = self.second
        time = "%02d%02d%02d.%03d" % (second // 3600, second // 60 % 60, second % 60, millis)
        lists = gsa("1", self.used[0]) + gsa("4", self.used[1])
        lists += gsv_set(GPS, 1, self.gps) + gsv_set(BDS, 21, self.bds)
        return rmc(time) + gga(time) + lists + self.text

    def run(self, seconds, weaker=0):
        gps, bds = self.gps, self.bds
        self.gps = [max(0, c - weaker) for c in gps]
        self.bds = [max(0, c - weaker) for c in bds]
        for _ in range(seconds):
            if not self.is_silent:
                self.rig.deliver("receive", RECEIVER, self.sentences())
            self.second += 1
            self.rig.run(1)
        self.gps, self.bds = gps, bds

    def codes(self):
        return [c for c in self.rig.alarm_codes() if c.startswith(("gnss", "time"))]

    def state(self):
        return self.rig.agent.clock.state(self.rig.now)


def test_clean_signals_are_checked_every_second():
    roof = IntegrityRig()
    roof.run(150)
    eq((roof.codes(), roof.state()), ([], "sync"))
    assert roof.component.epochs >= 148
    eq(roof.component.detectors.active, [])


def test_one_or_two_of_ten_epochs_are_decoded():
    roof = IntegrityRig()
    roof.run(20)
    decoded, epoch = [], roof.component.constellation_check.add_epoch
    roof.component.constellation_check.add_epoch = lambda seen, now: (
        decoded.append(now),
        epoch(seen, now),
    )
    for tenth in range(100):
        roof.rig.deliver("receive", RECEIVER, roof.sentences(tenth % 10 * 100))
        roof.second += tenth % 10 == 9
        roof.rig.run(0.1)
    assert 10 <= len(decoded) <= 15, len(decoded)
    assert roof.component.epochs >= 100


def test_two_failed_checks_make_the_clock_untrusted():
    roof = IntegrityRig()
    roof.run(40)
    roof.run(4, weaker=12)
    eq((roof.codes(), roof.state()), (["gnss_drop"], "sync"))
    roof.text = line("GNTXT,01,01,01,ANTENNA OPEN")
    roof.run(4, weaker=12)
    eq(sorted(roof.codes()), ["gnss_antenna_open", "gnss_drop", "gnss_suspect"])
    eq(roof.state(), "untrusted")
    evidence = [e.check for e in roof.rig.agent.clock.evidence_log.entries]
    eq(sorted(evidence), ["antenna_open", "drop", "signals"])
    roof.text = line("GNTXT,01,01,01,ANTENNA OK")
    roof.run(40)
    eq((roof.codes(), roof.state()), ([], "sync"))


def test_uniform_cn0_is_detected_within_ten_epochs():
    roof = IntegrityRig()
    roof.run(40)
    roof.gps, roof.bds = [44, 45] * 4, [45, 44] * 4
    roof.run(10)
    assert "gnss_uniform" in roof.codes(), roof.codes()


def test_weak_or_excluded_constellation_is_detected():
    roof = IntegrityRig()
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


def test_incomplete_gsv_set_is_not_checked():
    roof = IntegrityRig()
    roof.run(40)
    sentences = roof.sentences
    roof.sentences = lambda: (
        sentences().split(b"$GPGSV")[0] + gsv_set(GPS, 1, [12] * 8)[:60] + b"\r\n"
    )
    roof.run(10)
    eq(roof.component.detectors.active, [])


def test_tx_epochs_are_marked_and_desense_is_reported():
    roof = IntegrityRig(desense_db=4)
    roof.run(40)
    coexistence = roof.rig.agent.service("coexistence")
    for _ in range(8):
        coexistence.announce_tx(roof.rig.now - 200_000, roof.rig.now + 200_000)
        roof.run(2, weaker=6)  # a C/N0 is the mean of the second before
        roof.run(1)
    eq(roof.codes(), ["gnss_desense"])
    eq(coexistence.tx_affected, 16)
    assert 580 <= coexistence.desense_centi_db() <= 620, coexistence.desense_centi_db()
    eq(roof.component.detectors.active, [])
    eq(roof.state(), "sync")


def test_silence_and_missing_fix_are_alarms():
    roof = IntegrityRig()
    roof.run(130)
    roof.is_silent = True
    roof.run(12)
    eq(roof.codes(), ["gnss_silent"])
    roof.is_silent = False
    roof.run(10)
    eq(roof.codes(), [])
    sentences = roof.sentences
    roof.sentences = lambda: sentences().replace(b",A,2512", b",V,2512")
    roof.run(14)
    eq(roof.codes(), [])  # wrong checksum: the sentence is dropped
    roof.sentences = lambda: rmc("020000.000", "V") + gga("020000.000", "0")
    roof.run(14)
    eq(roof.codes(), ["gnss_no_fix"])


def test_large_bound_is_an_alarm_after_startup():
    roof = IntegrityRig(bound_ms=10)  # uncertainty of latency and jitter
    roof.run(100)
    eq(roof.codes(), [])
    roof.run(30)
    eq(roof.codes(), ["time_bound"])


def test_status_has_its_values():
    roof = IntegrityRig()
    roof.run(50)
    text = roof.rig.state.decode()
    assert '"integrity":{"epochs":' in text
    assert '"antenna":null' in text
    assert '"votes":[]' in text


def test_temperature_source_must_exist():
    raw = config()
    raw["integrity"] = {"temperature": "cdu.ReturnTemperatureCelsius"}
    load(raw, profiles())
    for source, message in (("none.X", "no device is named none"), ("cdu.Y", "cdu reads no Y")):
        raw["integrity"] = {"temperature": source}
        assert message in str(raises(ConfigError, load, raw, profiles()))
    raw["integrity"] = {"temperature": "cdu.ReturnTemperatureCelsius"}
    rig = AgentRig(raw)
    rig.run(3)
    eq(rig.agent.components[0]._temperature(rig.now), 4000)
    eq(rig.agent.components[0].coexistence.earliest_tx(rig.now, SECOND), rig.now)


def test_receiver_reports_spoofing():
    roof = IntegrityRig()
    roof.run(20)
    spoofed = bytes.fromhex("b56201031000010000000300001000000000000000002831")
    roof.text = spoofed
    roof.run(5)
    eq(roof.codes(), ["gnss_spoofing"])
    roof.text = spoofed + line("GPTXT,01,01,02,ANTSTATUS=OPEN")
    roof.run(5)
    assert "gnss_suspect" in roof.codes()


def hardware_frame(gain):
    """Return UBX-MON-HW with a gain."""
    payload = bytes(18) + bytes((gain & 255, gain >> 8, 2, 1, 4)) + bytes(37)
    body = b"\x0a\x09\x3c\x00" + payload
    return b"\xb5\x62" + body + ubx_checksum(body).to_bytes(2, "little")


def test_fall_of_the_gain_is_seen():
    roof = IntegrityRig()
    roof.text = hardware_frame(4000)
    roof.run(40)
    eq(roof.codes(), [])
    roof.text = hardware_frame(3100)
    roof.run(5)
    eq(roof.codes(), [])
    roof.text = hardware_frame(2900)
    roof.run(5)
    eq(roof.codes(), ["gnss_gain"])
    eq(roof.rig.agent.components[0].gain_check.gain, 2900)


def test_leap_seconds_of_the_receiver_end_the_uncertainty():
    roof = IntegrityRig()
    leap = roof.rig.agent.clock.leap
    leap.uncertain = True
    roof.text = line("PUBX,04,,,,,18D,1930035,-2660.664,43")
    roof.run(30)
    eq(leap.uncertain, True)
    roof.text = line("PUBX,04,,,,,16,1930035,-2660.664,43")  # before 2017
    roof.run(30)
    eq(leap.uncertain, True)
    roof.text = line("PUBX,04,,,,,18,1930035,-2660.664,43")
    roof.run(9)
    eq(leap.uncertain, True)
    roof.run(4)
    eq((leap.uncertain, leap.leap_s), (False, 18))
