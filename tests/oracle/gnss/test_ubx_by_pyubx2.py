# SPDX-License-Identifier: Apache-2.0
"""UBX in both directions against pyubx2, which names the fields and keys of u-blox.

    agent      the commands that it sends; the reports that it reads
    bench      the commands that its receiver executes; the replies and reports that it sends

pyubx2 writes or reads the other side of each. It does not know what a receiver does; see
`tests.oracle.gnss.test_ubxtool`.
"""

from itertools import product
from typing import Any

import pytest
from pyubx2 import GET, SET, UBXMessage, UBXReader

from hil.devices.gnss.elements import BEIDOU, GALILEO, GLONASS, GPS
from hil.devices.gnss.timing import FIXED as FIXED_MODE
from hil.devices.gnss.timing import SURVEY as SURVEY_MODE
from hil.devices.gnss.ublox_reports import LEAP_S, stated_early_ps
from protocols.nmea.ubx_status import parse_frame
from protocols.nmea.vendor_sentences import VendorSentence
from tests.oracle.gnss.receiver_bench import (
    FIXED,
    KINDS,
    SECOND,
    START_US,
    SURVEY,
    SYSTEMS,
    commands,
    receiver,
    run,
    send,
)

CFG_GNSS_NAMES = {"GPS": "GPS", "BDS": "BeiDou", "GLO": "GLONASS", "GAL": "Galileo"}
GNSS_OF = {"GPS": GPS, "BDS": BEIDOU, "GLO": GLONASS, "GAL": GALILEO}
RAM = 1
UTC_WEEK_S, GPS_EPOCH_S = 604_800, 315_964_800


def read(frame: bytes, mode: int = SET) -> dict[str, Any]:
    """Return the fields of a frame, as pyubx2 names them, and its name (`identity`)."""
    message = UBXReader.parse(frame, msgmode=mode)
    assert message.serialize() == frame
    found = {k: v for k, v in message.__dict__.items() if not k.startswith("_")}
    return {"identity": message.identity, **found}


def keys(frame: bytes) -> dict[str, int]:
    """Return the keys of CFG-VALSET."""
    found = read(frame)
    assert (found["identity"], found["version"], found["ram"]) == ("CFG-VALSET", 0, 1)
    assert (found["bbr"], found["flash"]) == (0, 0)
    return {name: value for name, value in found.items() if name.startswith("CFG_")}


# Commands of the agent.


@pytest.mark.parametrize("systems", [("BDS",), ("GPS", "GAL"), SYSTEMS])
def test_systems(systems: tuple[str, ...]) -> None:
    (frame,) = commands("ublox", systems)
    assert keys(frame) == {f"CFG_SIGNAL_{name}_ENA": int(name in systems) for name in SYSTEMS}
    (frame,) = commands("ublox8", systems)
    found = read(frame)
    assert (found["identity"], found["msgVer"], found["numConfigBlocks"]) == ("CFG-GNSS", 0, 4)
    enabled = {CFG_GNSS_NAMES[name] for name in systems}
    reserved = 0
    for i in range(1, 5):
        name = UBXMessage("CFG", "CFG-GNSS", SET, payload=frame[6:-2])
        text = str(name).split(f"gnssId_0{i}=")[1].split(",")[0]
        assert found[f"enable_0{i}"] == (text in enabled), text
        assert found[f"sigCfMask_0{i}"] == 1
        assert found[f"resTrkCh_0{i}"] <= found[f"maxTrkCh_0{i}"]
        reserved += found[f"resTrkCh_0{i}"]
    assert reserved <= found["numTrkChUse"]


@pytest.mark.parametrize("kinds", [("RMC", "GGA"), ("RMC", "GGA", "GSV", "GST", "ZDA"), KINDS])
def test_sentences(kinds: tuple[str, ...]) -> None:
    (frame,) = commands("ublox", (), kinds)
    ports = ("UART1", "USB")
    assert keys(frame) == {
        f"CFG_MSGOUT_NMEA_ID_{kind}_{port}": int(kind in kinds)
        for kind, port in product(KINDS, ports)
    }
    seen = {}
    for frame in commands("ublox8", (), kinds):
        assert len(frame) == 8 + 3  # for the port in use
        message = UBXReader.parse(frame, msgmode=SET)
        name = str(message).split("msgID=")[1].split(",")[0]
        seen[name] = frame[-3]
        assert message.identity == "CFG-MSG"
    assert seen == {kind: int(kind in kinds) for kind in KINDS}


def test_rate_speed_save_and_starts() -> None:
    assert keys(commands("ublox", (), (), 200)[0]) == {"CFG_RATE_MEAS": 200}
    rate = read(commands("ublox8", (), (), 200)[0])
    assert (rate["identity"], rate["measRate"], rate["navRate"]) == ("CFG-RATE", 200, 1)
    assert rate["timeRef"] == 0  # UTC
    assert keys(commands("ublox", (), (), 0, 38_400)[0]) == {"CFG_UART1_BAUDRATE": 38_400}
    for vendor in ("ublox", "ublox8"):
        (save,) = commands(vendor, (), (), 0, 0, True)
        found = read(save)
        assert found["identity"] == "CFG-CFG"
        assert (found["clearMask"], found["loadMask"]) == (bytes(4), bytes(4))
        assert (found["devBBR"], found["devFlash"], found["devEEPROM"]) == (1, 1, 1)
        for start, erased in (("hot", set()), ("warm", {"eph"}), ("cold", None)):
            found = read(commands(vendor, (), (), 0, 0, False, start)[0])
            parts = ("eph", "alm", "health", "klob", "pos", "clkd", "osc", "utc", "rtc", "aop")
            assert (found["identity"], found["resetMode"]) == ("CFG-RST", 2)
            assert {part for part in parts if found[part]} == (
                set(parts) if erased is None else erased
            )


def test_speed_keeps_both_protocols() -> None:
    """The replies to commands and UBX-TIM-TP are UBX: a port without it sends neither."""
    found = read(commands("ublox8", (), (), 0, 57_600)[0])
    assert (found["identity"], found["portID"], found["baudRate"]) == ("CFG-PRT", 1, 57_600)
    assert (found["charLen"], found["parity"], found["nStopBits"]) == (3, 4, 0)  # 8N1
    assert (found["inUBX"], found["inNMEA"], found["outUBX"], found["outNMEA"]) == (1, 1, 1, 1)
    device = receiver("ublox")
    for command in commands("ublox8", (), (), 0, 57_600, pulse_ms=100):
        assert [name for name, *_ in answers(send(device, command))] == ["ACK-ACK"]
    assert "TIM-TP" in reports(device)


def test_pulse() -> None:
    pulse, report = commands("ublox", pulse_ms=20)
    assert keys(pulse) == {
        "CFG_TP_PULSE_DEF": 0,
        "CFG_TP_PULSE_LENGTH_DEF": 1,
        "CFG_TP_ANT_CABLEDELAY": 0,
        "CFG_TP_PERIOD_TP1": 1_000_000,
        "CFG_TP_PERIOD_LOCK_TP1": 1_000_000,
        "CFG_TP_LEN_TP1": 0,
        "CFG_TP_LEN_LOCK_TP1": 20_000,
        "CFG_TP_TP1_ENA": 1,
        "CFG_TP_SYNC_GNSS_TP1": 1,
        "CFG_TP_USE_LOCKED_TP1": 1,
        "CFG_TP_ALIGN_TO_TOW_TP1": 1,
        "CFG_TP_POL_TP1": 1,
        "CFG_TP_TIMEGRID_TP1": 0,
    }
    assert keys(report) == {
        "CFG_UART1OUTPROT_UBX": 1,
        "CFG_MSGOUT_UBX_TIM_TP_UART1": 1,
        "CFG_MSGOUT_UBX_TIM_TP_USB": 1,
    }
    pulse, report = commands("ublox8", pulse_ms=20)
    found = read(pulse)
    assert (found["identity"], found["tpIdx"], found["antCableDelay"]) == ("CFG-TP5", 0, 0)
    assert (found["freqPeriod"], found["freqPeriodLock"]) == (1_000_000, 1_000_000)
    assert (found["pulseLenRatio"], found["pulseLenRatioLock"]) == (0, 20_000)
    on = ("active", "lockGnssFreq", "lockedOtherSet", "isLength", "alignToTow", "polarity")
    assert [found[name] for name in on] == [1] * len(on)
    assert (found["isFreq"], found["gridUtcGnss"]) == (0, 0)
    assert "msgID=TIM-TP" in str(UBXReader.parse(report, msgmode=SET))


def test_position() -> None:
    (frame,) = commands("ublox", fixed=FIXED)
    assert keys(frame) == {
        "CFG_TMODE_MODE": 2,
        "CFG_TMODE_POS_TYPE": 1,
        "CFG_TMODE_LAT": -335_000_000,
        "CFG_TMODE_LON": 552_000_001,
        "CFG_TMODE_HEIGHT": -1234,
        "CFG_TMODE_LAT_HP": 0,
        "CFG_TMODE_LON_HP": 0,
        "CFG_TMODE_HEIGHT_HP": 0,
        "CFG_TMODE_FIXED_POS_ACC": 5_000,
    }
    (frame,) = commands("ublox", survey=SURVEY)
    assert keys(frame) == {
        "CFG_TMODE_MODE": 1,
        "CFG_TMODE_SVIN_MIN_DUR": 3600,
        "CFG_TMODE_SVIN_ACC_LIMIT": 20_000,
    }
    for frame, mode, unit in zip(
        commands("ublox8", fixed=FIXED), ("timeMode", "rcvrMode"), (1, 10), strict=True
    ):
        found = read(frame)
        assert (found[mode], found["lla"], found["fixedPosAcc"]) == (2, 1, 500 * unit)
        place = (found["ecefXOrLat"], found["ecefYOrLon"], found["ecefZOrAlt"])
        assert place == (-335_000_000, 552_000_001, -1234)
    for frame, mode, unit in zip(
        commands("ublox8", survey=SURVEY), ("timeMode", "rcvrMode"), (1, 10), strict=True
    ):
        found = read(frame)
        assert (found[mode], found["svinMinDur"], found["svinAccLimit"]) == (1, 3600, 2000 * unit)


# Commands of pyubx2 to the receiver of the bench.


def answers(reply: bytes) -> list[tuple[str, int, int]]:
    """Return the acknowledgements in the replies: name, class and id of the command."""
    found = []
    while reply:
        size = int.from_bytes(reply[4:6], "little") + 8
        fields = read(reply[:size], GET)
        found.append((fields["identity"], fields["clsID"], fields["msgID"]))
        reply = reply[size:]
    return found


def set_message(name: str, **fields: Any) -> bytes:
    frame: bytes = UBXMessage("CFG", name, SET, **fields).serialize()
    return frame


def test_receiver_executes_messages() -> None:
    device = receiver("ublox")
    device.timing.is_timing_product = True
    frame = set_message("CFG-RATE", measRate=250, navRate=1, timeRef=0)
    assert answers(send(device, frame)) == [("ACK-ACK", 0x06, 0x08)]
    assert device.period_us == 250_000
    frame = set_message("CFG-MSG", msgClass=0xF0, msgID=0x05, rateUART1=0)
    assert answers(send(device, frame)) == [("ACK-ACK", 0x06, 0x01)]
    assert device.rate_divisors["VTG"] == 0
    frame = set_message(
        "CFG-GNSS", numTrkChUse=32, numConfigBlocks=2,
        gnssId_01=0, resTrkCh_01=8, maxTrkCh_01=16, enable_01=0, sigCfMask_01=1,
        gnssId_02=3, resTrkCh_02=8, maxTrkCh_02=16, enable_02=1, sigCfMask_02=1,
    )  # fmt: skip
    assert answers(send(device, frame)) == [("ACK-ACK", 0x06, 0x3E)]
    assert set(device.systems) == {BEIDOU, GLONASS, GALILEO}
    frame = set_message(
        "CFG-TP5", tpIdx=0, version=1, antCableDelay=33, freqPeriod=1_000_000,
        freqPeriodLock=1_000_000, pulseLenRatioLock=50_000, active=1, lockGnssFreq=1,
        lockedOtherSet=1, isLength=1, alignToTow=1, polarity=0, gridUtcGnss=1,
    )  # fmt: skip
    assert answers(send(device, frame)) == [("ACK-ACK", 0x06, 0x31)]
    timing = device.timing
    assert (timing.pulse_us, timing.cable_ns) == (50_000, 33)
    assert (timing.rising, timing.utc_grid) == (False, False)
    frame = set_message("CFG-TMODE2", timeMode=1, svinMinDur=900, svinAccLimit=3000)
    assert answers(send(device, frame)) == [("ACK-ACK", 0x06, 0x3D)]
    assert (timing.mode, timing.seconds, timing.accuracy_mm) == (SURVEY_MODE, 900, 3000)
    frame = set_message(
        "CFG-TMODE3", version=0, rcvrMode=2, lla=1, ecefXOrLat=-12, ecefYOrLon=34, ecefZOrAlt=-56,
        fixedPosAcc=70,
    )  # fmt: skip
    assert answers(send(device, frame)) == [("ACK-ACK", 0x06, 0x71)]
    assert (timing.mode, timing.position, timing.accuracy_mm) == (FIXED_MODE, (-12, 34, -56), 7)
    frame = set_message("CFG-RST", resetMode=2)
    assert send(device, frame) == b""  # the receiver does not acknowledge it
    assert device.ignored == 0


def test_receiver_executes_keys() -> None:
    device = receiver("ublox")
    device.timing.is_timing_product = True
    for pairs in (
        [("CFG_RATE_MEAS", 200), ("CFG_MSGOUT_NMEA_ID_GLL_UART1", 0)],
        [("CFG_SIGNAL_GPS_ENA", 0), ("CFG_SIGNAL_GAL_ENA", 0), ("CFG_SIGNAL_GLO_ENA", 0)],
        [
            ("CFG_TP_TP1_ENA", 1), ("CFG_TP_LEN_LOCK_TP1", 30_000), ("CFG_TP_ANT_CABLEDELAY", -7),
            ("CFG_TP_POL_TP1", 0), ("CFG_TP_TIMEGRID_TP1", 1),
        ],
        [
            ("CFG_TMODE_MODE", 2), ("CFG_TMODE_POS_TYPE", 1), ("CFG_TMODE_LAT", -1),
            ("CFG_TMODE_LON", 2), ("CFG_TMODE_HEIGHT", -3), ("CFG_TMODE_FIXED_POS_ACC", 90),
        ],
    ):  # fmt: skip
        frame = UBXMessage.config_set(RAM, 0, pairs).serialize()
        assert answers(send(device, frame)) == [("ACK-ACK", 0x06, 0x8A)]
    timing = device.timing
    assert (device.period_us, device.systems) == (200_000, [BEIDOU])
    assert device.rate_divisors["GLL"] == 0
    assert (timing.pulse_us, timing.cable_ns, timing.rising) == (30_000, -7, False)
    assert timing.utc_grid is False
    assert (timing.mode, timing.position, timing.accuracy_mm) == (FIXED_MODE, (-1, 2, -3), 9)
    frame = UBXMessage.config_set(RAM, 0, [("CFG_NAVSPG_DYNMODEL", 2)]).serialize()
    assert answers(send(device, frame)) == [("ACK-NAK", 0x06, 0x8A)]


def test_receiver_sends_no_ubx_on_a_port_without_it() -> None:
    device = receiver("ublox")
    port = {"portID": 1, "charLen": 3, "parity": 4, "baudRate": 115_200, "inUBX": 1, "inNMEA": 1}
    assert answers(send(device, set_message("CFG-PRT", **port, outUBX=1, outNMEA=1))) == [
        ("ACK-ACK", 0x06, 0x00)
    ]
    ask = UBXMessage("CFG", "CFG-MSG", SET, msgClass=0x0D, msgID=0x01, rateUART1=1).serialize()
    send(device, ask)
    assert b"\xb5\x62\x0d\x01" in run(device)
    assert send(device, set_message("CFG-PRT", **port, outUBX=0, outNMEA=1)) == b""
    assert b"\xb5\x62" not in run(device)
    frame = UBXMessage.config_set(RAM, 0, [("CFG_UART1OUTPROT_UBX", 1)]).serialize()
    assert answers(send(device, frame)) == [("ACK-ACK", 0x06, 0x8A)]
    assert b"\xb5\x62\x0d\x01" in run(device)


# Reports of the receiver of the bench.


def reports(device: Any) -> dict[str, dict[str, Any]]:
    """Return the frames of an epoch by name; the last one of each."""
    data, found = run(device), {}
    while (at := data.find(b"\xb5\x62")) >= 0:
        size = int.from_bytes(data[at + 4 : at + 6], "little") + 8
        fields = read(data[at : at + size], GET)
        found[fields["identity"]] = fields
        data = data[at + size :]
    return found


def test_reports_of_the_receiver() -> None:
    device = receiver("ublox")
    for kind, number in ((0x01, 0x26), (0x01, 0x03), (0x0A, 0x09), (0x0D, 0x01)):
        ask = UBXMessage("CFG", "CFG-MSG", SET, msgClass=kind, msgID=number, rateUART1=1)
        assert answers(send(device, ask.serialize())) == [("ACK-ACK", 0x06, 0x01)]
    device.inject("spoofing", "critical")
    device.inject("antenna", "short")
    for _ in range(3):
        run(device)
    found = reports(device)
    assert set(found) == {"NAV-TIMELS", "NAV-STATUS", "MON-HW", "TIM-TP"}
    leap = found["NAV-TIMELS"]
    assert (leap["currLs"], leap["srcOfCurrLs"], leap["validCurrLs"]) == (LEAP_S, 2, 1)
    assert found["NAV-STATUS"]["spoofDetState"] == 3
    assert (found["MON-HW"]["aStatus"], found["MON-HW"]["jammingState"]) == (3, 1)
    pulse = found["TIM-TP"]
    second = device.time(device.deadline()) // SECOND  # the epoch after it begins with the pulse
    early_ps = {second + i: stated_early_ps(second + i) for i in (-1, 0, 1)}
    assert pulse["qErr"] in early_ps.values()
    assert (pulse["towMS"] % 1000, pulse["towSubMS"]) == (0, 0)
    stated_s = GPS_EPOCH_S + pulse["week"] * UTC_WEEK_S + pulse["towMS"] // 1000
    assert stated_s - LEAP_S * (1 - pulse["timeBase"]) in early_ps
    assert stated_s > START_US // SECOND


# Frames of pyubx2 to the agent.


def statement(kind: str, name: str, **fields: Any) -> VendorSentence:
    found = parse_frame(UBXMessage(kind, name, GET, **fields).serialize())
    assert found is not None
    return found


def test_agent_reads_leap_seconds_and_pulses() -> None:
    for source in range(9):
        found = statement(
            "NAV", "NAV-TIMELS", version=0, srcOfCurrLs=source, currLs=18, validCurrLs=1
        )
        assert (found.leap_s, found.leap_known) == (18, source in (2, 3, 4, 5, 8))
    assert statement("NAV", "NAV-TIMELS", version=0, currLs=18, validCurrLs=0).leap_s is None
    pulse = {"towMS": 7_000, "timeBase": 1, "utc": 1}
    assert statement("TIM", "TIM-TP", **pulse, qErr=-4_600).pulse == (7, -5)
    for change in ({"timeBase": 0}, {"utc": 0}, {"qErrInvalid": 1}, {"towMS": 7_001}):
        frame = UBXMessage("TIM", "TIM-TP", GET, **{**pulse, "qErr": 1, **change}).serialize()
        assert parse_frame(frame) is None, change


def test_agent_reads_interference_and_antenna() -> None:
    words = (None, "ok", "warning", "critical")
    for level, word in enumerate(words):
        assert statement("NAV", "NAV-STATUS", spoofDetState=level).spoofing == word
        hardware = statement("MON", "MON-HW", jammingState=level, aStatus=4, agcCnt=4321, jamInd=77)
        assert (hardware.jamming, hardware.antenna) == (word, "open")
        assert (hardware.gain, hardware.cw_level) == (4321, 77)
        bands = statement(
            "MON", "MON-RF", version=0, nBlocks=2, jammingState_01=level, antStatus_01=2,
            agcCnt_01=5000, jamInd_01=3, jammingState_02=1, agcCnt_02=4000, jamInd_02=9,
        )  # fmt: skip
        assert bands.jamming == ("ok" if level == 0 else word)
        assert (bands.antenna, bands.gain, bands.cw_level) == ("ok", 4000, 9)


def test_agent_reads_signatures() -> None:
    """pyubx2 knows the layout of version 2 of SEC-OSNMA."""
    assert statement("NAV", "NAV-PVT", nmaFixStatus=1).authenticated is True
    assert parse_frame(UBXMessage("NAV", "NAV-PVT", GET, authTime=1).serialize()) is None
    for key, satellites, expected in ((1, 5, True), (2, 5, False), (1, 0, None)):
        groups = {f"authStatus_{i:02}": 1 for i in range(1, satellites + 1)}
        fields = {"teslaKeyAuthStatus": key, "authSVs": satellites, **groups}
        found = statement("SEC", "SEC-OSNMA", version=2, osnmaEnabled=1, **fields)
        assert found.authenticated is expected, key
        frame = UBXMessage("SEC", "SEC-OSNMA", GET, version=2, **fields).serialize()
        assert parse_frame(frame) is None


def test_agent_reads_replies() -> None:
    for name, accepted in (("ACK-ACK", True), ("ACK-NAK", False)):
        found = statement("ACK", name, clsID=0x06, msgID=0x71)
        assert found.reply == (b"\x06\x71", accepted)
