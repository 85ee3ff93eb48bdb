# SPDX-License-Identifier: Apache-2.0
"""Vendor sentences and logs against pynmeagps and pyunigps, which name the fields.

    Quectel   commands of the agent, replies and reports of the bench
    u-blox    PUBX,04 of the bench
    ST        commands and replies that pynmeagps knows
    Unicore   order of the fields of logs, and their CRC

Both libraries know no CASIC and Trimble commands, and no text commands of Unicore. gpsd 3.25 knows
none of them either. They are compared with published command files only
(`tests.drivers.gnss.test_receiver_setup`).
"""

from typing import Any

import pytest
from pynmeagps import GET, SET, VALCKSUM, VALMSGID, NMEAMessage, NMEAReader
from pyunigps.unihelpers import calc_crc
from pyunigps.unitypes_get import UNI_PAYLOADS_GET

from hil.devices.gnss.elements import BEIDOU
from protocols.nmea.sentences import parse
from protocols.nmea.unicore_log import parse_log
from protocols.nmea.vendor_sentences import VendorSentence
from tests.oracle.gnss.receiver_bench import KINDS, commands, receiver, run, send
from tests.oracle.gnss.test_ubx_by_pyubx2 import set_message

PAIR_TYPES = ("GGA", "GLL", "GSA", "GSV", "RMC", "VTG", "ZDA", "GRS", "GST")
"""Quectel LC29H protocol specification, PAIR062."""


def read(text: bytes, mode: int = GET) -> dict[str, Any]:
    """Return the fields of a sentence of a known type, as pynmeagps names them."""
    message = NMEAReader.parse(text, msgmode=mode, validate=VALCKSUM | VALMSGID)
    found = {k: v for k, v in message.__dict__.items() if not k.startswith("_")}
    return {"identity": message.identity, **found}


def test_quectel_commands_and_replies() -> None:
    device = receiver("quectel")
    asked = commands("quectel", ("BDS",), ("RMC", "GGA", "GST"), 200, 57_600, True, "", pulse_ms=20)
    found = [read(command, SET) for command in asked]
    systems = found[0]
    assert (systems["identity"], systems["status"]) == ("PQTMCFGCNST", "W")
    flags = ("gps", "glonass", "galileo", "beidou", "qzss", "navic")
    assert [systems[name] for name in flags] == [0, 0, 0, 1, 0, 0]
    rates = {PAIR_TYPES[one["type"]]: one["rate"] for one in found if one["identity"] == "PAIR062"}
    assert rates == {kind: int(kind in ("RMC", "GGA", "GST")) for kind in KINDS}
    by_name = {one["identity"]: one for one in found}
    assert by_name["PAIR050"]["time"] == 200
    assert by_name["PAIR864"]["baudrate"] == 57_600
    pulse = by_name["PQTMCFGPPS"]
    names = ("status", "ppsindex", "enable", "duration", "ppsmode", "polarity")
    assert [pulse[name] for name in names] == ["W", 1, 1, 20, 2, 1]
    assert "PQTMSAVEPAR" in by_name
    for command, sent in zip(asked, found, strict=True):
        reply = read(send(device, command))
        if sent["identity"].startswith("PAIR"):
            number = int(sent["identity"][4:])
            assert (reply["identity"], reply["commandid"]) == ("PAIR001", number)
            assert reply["result"] == 0, command
        else:
            assert (reply["identity"], reply["status"]) == (sent["identity"], "OK")
    assert (device.systems, device.period_us) == ([BEIDOU], 200_000)
    assert b"GST," in run(device)
    for start, name in (("hot", "PQTMHOT"), ("warm", "PQTMWARM"), ("cold", "PQTMCOLD")):
        (command,) = commands("quectel", (), (), 0, 0, False, start)
        assert read(command, SET)["identity"] == name


def test_quectel_reports() -> None:
    device = receiver("quectel")
    device.inject("antenna", "open")
    found = {}
    for text in run(device).splitlines(keepends=True):
        if text.startswith(b"$PQTM"):
            fields = read(text)
            found[fields["identity"]] = fields
    assert found["PQTMANTENNASTATUS"]["antennastatus"] == 2
    assert found["PQTMJAMMINGSTATUS"]["jammingstatus"] == 1
    assert found["PQTMEPE"]["msgver"] == 2


def test_ublox_time_sentence() -> None:
    device = receiver("ublox")
    send(device, set_message("CFG-MSG", msgClass=0xF1, msgID=0x04, rateUART1=1))
    text = b"".join(t for t in run(device, 2).splitlines(keepends=True) if t[:8] == b"$PUBX,04")
    found = read(text.splitlines(keepends=True)[-1])
    assert (found["leapSec"], found["utcWk"]) == ("18", "2446")
    assert (str(found["date"]), found["time"].second) == ("2026-11-24", 1)
    assert float(found["utcTow"]) == 2 * 86_400 + 6 * 3600 + 1


@pytest.mark.parametrize("start", ["hot", "warm", "cold"])
def test_st_commands(start: str) -> None:
    save, restart = commands("st", (), (), 0, 0, True, start)
    assert read(save, SET)["identity"] == "PSTMSAVEPAR"
    assert read(restart, SET)["identity"] == "PSTM" + start.upper()
    device = receiver("st")
    reply = send(device, commands("st", (), ("RMC", "GGA"))[0])
    assert read(reply)["identity"] == "PSTMSETPAROK"


def unicore_log(name: str, **values: int) -> VendorSentence:
    """Return what we read in a log whose fields have the order of pyunigps, 0 if not given."""
    names = list(UNI_PAYLOADS_GET[name])
    assert set(values) <= set(names)
    fields = ",".join(str(values.get(field, 0)) for field in names)
    text = f"{name}A,97,GPS,FINE,2379,372336000,0,0,18,20;{fields}".encode()
    crc = int.from_bytes(calc_crc(text), "little")
    notice = parse_log(b"#%s*%08x" % (text, crc))
    assert notice is not None, name
    return notice


def test_unicore_logs() -> None:
    assert unicore_log("GPSUTC", deltatls=18, deltatlsf=19).leap_s == 18
    for name in ("BDSUTC", "BD3UTC"):
        assert unicore_log(name, deltatls=4, deltatlsf=5).leap_s == 18
    bands = dict.fromkeys(UNI_PAYLOADS_GET["AGC"], -1)
    assert unicore_log("AGC", **(bands | {"ant1l1": 44, "ant1l2": 46, "ant2l1": 41})).gain == 41
    found = unicore_log("JAMSTATUS", cwratio=120, cwflag=2)
    assert (found.cw_level, found.jamming) == (120, "warning")
    found = unicore_log("FREQJAMSTATUS", l1cwratio=3, l1cwflag=1, l5cwratio=9, l5cwflag=3)
    assert (found.cw_level, found.jamming) == (9, "critical")


def test_agent_reads_sentences_of_pynmeagps() -> None:
    for fields, expected in (
        ({"antennastatus": 2, "msgver": 3}, "open"),
        ({"antennastatus": 3, "msgver": 3}, "short"),
        ({"antennastatus": 1, "msgver": 3}, "ok"),
    ):
        text = NMEAMessage("P", "QTMANTENNASTATUS", GET, **fields).serialize()
        notice, reason = parse(text.strip()[1:-3])
        assert isinstance(notice, VendorSentence), reason
        assert notice.antenna == expected
