# SPDX-License-Identifier: Apache-2.0
"""ubxtool and gpsdecode of gpsd: they read the agent's commands, and the reports of the bench.

ubxtool also configures the emulated receiver over a pseudo-terminal, as a person does. Its text of
MON-HW takes the jamming state from another field, and that of TIM-TP has another bit for the
quantisation error; for these see `tests.oracle.gnss.test_ubx_by_pyubx2`.
"""

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hil.bench.receiver_choice import connect_line, make_receiver
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.gnss.elements import GPS
from hil.devices.gnss.receiver import GnssReceiver
from hil.devices.gnss.timing import SURVEY as SURVEY_MODE
from hil.io.real_ports import PtyPort
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell
from tests.oracle.gnss.receiver_bench import FIXED, KINDS, SITE_E7, SURVEY, commands, receiver, run
from tests.oracle.gnss.receiver_bench import send as send_to
from tests.oracle.gnss.test_ubx_by_pyubx2 import set_message
from tests.support.cli_tools import TIMEOUT_S
from tests.support.programs import require_program

REPORTS = ((0x01, 0x26), (0x01, 0x03), (0x0A, 0x09), (0x0D, 0x01), (0xF1, 0x04))


def ubxtool_text(data: bytes, folder: Path) -> str:
    """Return what ubxtool prints about some bytes, with single blanks."""
    file = folder / "data.ubx"
    file.write_bytes(data)
    done = subprocess.run(
        [require_program("ubxtool"), "-r", "-f", str(file), "-v", "2", "-w", "20"],
        capture_output=True,
        text=True,
        check=False,
    )
    return re.sub(r"\s+", " ", done.stdout)


def test_ubxtool_reads_keys(tmp_path: Path) -> None:
    frames = [
        *commands("ublox", ("BDS", "GPS"), KINDS[:4], 200, 57_600, True, "warm", pulse_ms=20),
        *commands("ublox", fixed=FIXED),
        *commands("ublox", survey=SURVEY),
    ]
    text = ubxtool_text(b"".join(frames), tmp_path)
    assert text.count("UBX-CFG-") == len(frames)
    assert text.count("layers (ram)") == len(frames) - 2
    wanted = {
        "CFG-SIGNAL-BDS_ENA": 1, "CFG-SIGNAL-GPS_ENA": 1, "CFG-SIGNAL-GLO_ENA": 0,
        "CFG-SIGNAL-GAL_ENA": 0, "CFG-RATE-MEAS": 200, "CFG-UART1-BAUDRATE": 57_600,
        "CFG-TP-PULSE_DEF": 0, "CFG-TP-PULSE_LENGTH_DEF": 1, "CFG-TP-ANT_CABLEDELAY": 0,
        "CFG-TP-PERIOD_LOCK_TP1": 1_000_000, "CFG-TP-LEN_TP1": 0, "CFG-TP-LEN_LOCK_TP1": 20_000,
        "CFG-TP-TP1_ENA": 1, "CFG-TP-SYNC_GNSS_TP1": 1, "CFG-TP-USE_LOCKED_TP1": 1,
        "CFG-TP-ALIGN_TO_TOW_TP1": 1, "CFG-TP-POL_TP1": 1, "CFG-TP-TIMEGRID_TP1": 0,
        "CFG-UART1OUTPROT-UBX": 1, "CFG-MSGOUT-UBX_TIM_TP_UART1": 1,
        "CFG-TMODE-POS_TYPE": 1, "CFG-TMODE-LAT": -335_000_000, "CFG-TMODE-LON": 552_000_001,
        "CFG-TMODE-HEIGHT": -1234, "CFG-TMODE-FIXED_POS_ACC": 5_000,
        "CFG-TMODE-SVIN_MIN_DUR": 3600, "CFG-TMODE-SVIN_ACC_LIMIT": 20_000,
    }  # fmt: skip
    for kind in KINDS:
        wanted[f"CFG-MSGOUT-NMEA_ID_{kind}_UART1"] = int(kind in KINDS[:4])
    found = {name: int(value) for name, value in re.findall(r"item (\S+)/0x\w+ val (-?\d+)", text)}
    assert {name: found.get(name) for name in wanted} == wanted
    assert "CFG-TMODE-MODE/0x20030001 val 2" in text
    assert "CFG-TMODE-MODE/0x20030001 val 1" in text


def test_ubxtool_reads_messages(tmp_path: Path) -> None:
    frames = [
        *commands("ublox8", ("BDS", "GPS"), KINDS[:4], 200, 57_600, True, "warm", pulse_ms=20),
        *commands("ublox8", fixed=FIXED),
        *commands("ublox8", survey=SURVEY),
    ]
    text = ubxtool_text(b"".join(frames), tmp_path)
    assert text.count("UBX-CFG-") == len(frames)
    for kind, number in (("GPS L1C/A", 1), ("BeiDou B1I", 1), ("GLONASS L1", 0), ("Galileo E1", 0)):
        assert (f"{kind} enabled" in text) == bool(number), kind
    for i, kind in enumerate(KINDS):
        assert re.search(rf"Class xf0 \(NMEA\) ID x\w+ \({kind}\) Rate {int(i < 4)}", text), kind
    for statement in (
        "Class x0d (TIM) ID x01 (TP) Rate 1",
        "measRate 200 navRate 1 timeRef 0 (UTC)",
        "PortID 1 (UART1)",
        "mode 0x8d0 baudRate 57600",
        "inProtoMask (UBX NMEA) outProtoMask (UBX NMEA)",
        "pulseLenRatio 0 pulseLenRatioLock 20000",
        "(Active lockGnssFreq lockedOtherSet isLength alignToTow RisingEdge) gridToGps (UTC)",
        "timeMode 2 reserved1 0 usage 0x1 ecefXOrLat -335000000 ecefYOrLon 552000001",
        "ecefZOrAlt -1234 fixedPosAcc 500",
        "version 0 reserved1 0 flags x102 ecefXOrLat -335000000",
        "fixedPosAcc 0 svinMinDur 3600 svinAccLimit 2000 timeMode (Survey In)",
        "svinMinDur 3600 svinAccLimit 20000",
        "saveMask: 0x1f1f",
        "resetMode (Software reset (GNSS only)) navBbrMask (Warm Start)",
    ):
        assert statement in text, statement


def reporting_receiver() -> GnssReceiver:
    """Return a receiver that sends all of its reports."""
    device = receiver("ublox")
    for kind, number in REPORTS:
        send_to(device, set_message("CFG-MSG", msgClass=kind, msgID=number, rateUART1=1))
    return device


def test_ubxtool_reads_reports(tmp_path: Path) -> None:
    device = reporting_receiver()
    device.inject("antenna", "short")
    device.inject("spoofing", "warning")
    text = ubxtool_text(run(device, 3), tmp_path)
    assert "currLs 18" in text
    assert "srcOfCurrLs (GPS) srcOfLsChange (GPS) valid (validCurrLs)" in text
    assert "gpsfix (None) flags (WKNSET TOWSET)" in text  # without its antenna
    assert "spoofDetState Indicated" in text
    assert "aStatus (Short) aPower (On)" in text
    assert re.search(r"agcCnt 4800 .* jamInd 8 ", text)
    assert "timeBase is GNSS, UTC available" in text
    weeks = {int(ms) // 1000 for ms in re.findall(r"iTOW (\d+)", text)}
    pulses = {int(ms) // 1000 for ms in re.findall(r"towMS (\d+)", text)}
    assert {pulse - 1 for pulse in pulses} == weeks  # the report is of the next pulse
    device = reporting_receiver()
    text = ubxtool_text(run(device, 3), tmp_path)
    assert "gpsfix (3D) flags (GPSfixOK WKNSET TOWSET)" in text


def gpsdecode(stream: bytes) -> list[dict[str, Any]]:
    done = subprocess.run(
        [require_program("gpsdecode")], input=stream, capture_output=True, timeout=60, check=True
    )
    return [json.loads(text) for text in done.stdout.splitlines()]


def test_gpsdecode_reads_reports() -> None:
    device = reporting_receiver()
    fixes = [report for report in gpsdecode(run(device, 12)) if report["class"] == "TPV"]
    assert fixes[-1]["leapseconds"] == 18
    assert {fix["mode"] for fix in fixes[-8:]} == {3}
    assert not [fix for fix in fixes if fix.get("time", "2026-11-24T06") < "2026-11-24T06"]


class PtyReceiver:
    """A u-blox receiver on a pseudo-terminal, run by a thread."""

    def __init__(self) -> None:
        self.world = World(1, time.time_ns() // 1000)
        self.shell = RealTimeShell(self.world)
        setting = TestbedSettings(receiver_dialect="ublox")
        device = make_receiver(self.world, setting, SITE_E7)
        assert isinstance(device, GnssReceiver)
        self.device = device
        device.timing.is_timing_product = True
        self.port = PtyPort(self.shell)
        self.port.line = connect_line(
            self.world, device, setting, self.port.to_agent, 0, lambda: None
        )
        self.thread = threading.Thread(target=self.shell.run)
        self.thread.start()

    def configure(self, *options: str, replies: tuple[str, ...]) -> None:
        """Run ubxtool with options until it has read all replies."""
        argv = [require_program("ubxtool"), "-f", self.port.path, "-v", "2", "-w", "2"]
        end = time.monotonic() + TIMEOUT_S
        while True:
            done = subprocess.run([*argv, *options], capture_output=True, text=True, check=False)
            text = re.sub(r"\s+", " ", done.stdout)
            if all(reply in text for reply in replies):
                return
            assert time.monotonic() < end, text

    def close(self) -> None:
        self.shell.stop()
        self.thread.join()
        self.port.close()
        self.shell.close()


@pytest.fixture
def pty_receiver() -> Iterator[PtyReceiver]:
    created = PtyReceiver()
    yield created
    created.close()


@pytest.mark.realtime
def test_ubxtool_configures_the_receiver(pty_receiver: PtyReceiver) -> None:
    device = pty_receiver.device
    accepted = "ACK to Class x06 (CFG) ID x"
    pty_receiver.configure(
        "-P", "27.3", "-z", "CFG-RATE-MEAS,500", "-z", "CFG-MSGOUT-NMEA_ID_VTG_UART1,0",
        "-z", "CFG-TMODE-MODE,1", replies=(accepted + "8a (VALSET)",),
    )  # fmt: skip
    assert (device.period_us, device.rate_divisors["VTG"]) == (500_000, 0)
    assert device.timing.mode == SURVEY_MODE
    pty_receiver.configure("-P", "18", "-d", "GPS", replies=(accepted + "3e (GNSS)",))
    assert GPS not in device.systems
    pty_receiver.configure("-P", "18", "-e", "TP", replies=(accepted + "01 (MSG)", "UBX-TIM-TP:"))
    pty_receiver.configure("-P", "22", "-p", "MODEL,2", replies=("UBX-ACK-NAK:",))
    pty_receiver.configure("-P", "18", "-S", "38400", replies=(accepted + "00 (PRT)",))
    assert device.baud(pty_receiver.world.now) == 38_400
    assert device.sends_ubx
    assert device.ignored == 0
