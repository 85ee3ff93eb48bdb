# SPDX-License-Identifier: Apache-2.0
"""The emulated 9602 against other people's clients, and against a script from the reference only.

The clients are adafruit_rockblock and pyiridium9602. The script is a table of commands and the
answers that the ISU AT Command Reference (MAN0009) states.
"""

import re
from typing import Any

import adafruit_rockblock
import pytest
from pyiridium9602 import pyiridium

from tests.oracle.satcom.virtual_uart import VirtualUart

OK, ERROR = r"\r\nOK\r\n", r"\r\nERROR\r\n"

SCRIPT = [
    ("AT", OK),
    ("at", OK),
    ("aT", ERROR),
    ("AT+NONSENSE", ERROR),
    ("NONSENSE", ERROR),
    ("ATE0", OK),
    ("ATE2", ERROR),
    ("AT&K0", OK),
    ("AT&D0", OK),
    ("AT&F0", OK),
    ("ATI0", r"\r\n2400\r\n" + OK),
    ("ATI4", r"\r\nIRIDIUM\r\n" + OK),
    ("ATI8", ERROR),
    ("AT+CGMI", r"\r\nIridium\r\n" + OK),
    ("AT+GMM", r"\r\nIRIDIUM 9600 Family SBD Transceiver\r\n" + OK),
    ("AT+CGMM", r"\r\nIRIDIUM 9600 Family SBD Transceiver\r\n" + OK),
    ("AT+CGMR", r"\r\nCall Processor Version: (.|\r|\n)*BOOT Version: .*\r\n" + OK),
    ("AT+CGSN", r"\r\n\d{15}\r\n" + OK),
    ("AT+GSN", r"\r\n\d{15}\r\n" + OK),
    ("AT+CSQ", r"\r\n\+CSQ:[0-5]\r\n" + OK),
    ("AT+CSQF", r"\r\n\+CSQF:[0-5]\r\n" + OK),
    ("AT+CSQ=?", r"\r\n\+CSQ:\(0-5\)\r\n" + OK),
    ("AT+CIER?", r"\r\n\+CIER:0,0,0\r\n" + OK),
    ("AT+CIER=2", ERROR),
    ("AT+CIER=1,0,1", OK),
    ("AT+CIER?", r"\r\n\+CIER:1,0,1\r\n" + OK),
    ("AT+CIER=0", OK),
    ("AT+CRIS", r"\r\n\+CRIS:000,000\r\n" + OK),
    ("AT+CRISX", r"\r\n\+CRISX:000,000,[0-9a-f]{8}\r\n" + OK),
    ("AT+CULK?", r"\r\n\+CULK:0\r\n" + OK),
    ("AT+IPR?", r"\r\n\+IPR:6\r\n" + OK),
    ("AT-MSSTM", r"\r\n-MSSTM: [0-9a-f]{8}\r\n" + OK),
    ("AT-MSGEO", r"\r\n-MSGEO: -?\d+,-?\d+,-?\d+,[0-9a-f]{8}\r\n" + OK),
    ("AT-MSGEOS", r"\r\n-MSGEOS: .*,75000,75000,75000,[0-9a-f]{8}\r\n" + OK),
    ("AT+CCLK", r"\r\n\+CCLK:\d\d/\d\d/\d\d,\d\d:\d\d:\d\d\r\n" + OK),
    ("AT+SBDMTA?", r"\r\n\+SBDMTA:1\r\n" + OK),
    ("AT+SBDMTA=?", r"\r\n\+SBDMTA:\(0-1\)\r\n" + OK),
    ("AT+SBDMTA=2", ERROR),
    ("AT+SBDAREG=1", OK),
    ("AT+SBDAREG?", r"\r\n\+SBDAREG:1\r\n" + OK),
    ("AT+SBDREG?", r"\r\n\+SBDREG:1\r\n" + OK),
    ("AT+SBDGW", r"\r\n\+SBDGW:EMSS\r\n" + OK),
    ("AT+SBDS", r"\r\n\+SBDS: 0, 0, 0, -1\r\n" + OK),
    ("AT+SBDSX", r"\r\n\+SBDSX: 0, 0, 0, -1, 0, 0\r\n" + OK),
    ("AT+SBDD", ERROR),
    ("AT+SBDD3", ERROR),
    ("AT+SBDWB=0", r"\r\n3\r\n" + OK),
    ("AT+SBDWB=341", r"\r\n3\r\n" + OK),
    ("AT+SBDWB=x", ERROR),
    ("AT+SBDWT=hello", OK),
    ("AT+SBDWT=" + "x" * 121, ERROR),
    ("AT+SBDTC", r"\r\nSBDTC: Outbound SBD Copied to Inbound SBD: size = 5\r\n" + OK),
    ("AT+SBDRT", r"\r\n\+SBDRT:\r\nhello" + OK),
    ("AT+SBDRB", "\x00\x05hello\x02\x14" + OK),
    ("AT+SBDS", r"\r\n\+SBDS: 1, 0, 1, 0\r\n" + OK),
    ("AT+SBDD1", r"\r\n0\r\n" + OK),
    ("AT+SBDRB", "\x00\x00\x00\x00" + OK),
    ("AT+SBDC", r"\r\n0\r\n" + OK),
    ("AT+SBDD2", r"\r\n0\r\n" + OK),
    ("AT+SBDIX=123", ERROR),
    ("ATS2?", r"\r\n043\r\n" + OK),
    ("ATS3?", r"\r\n013\r\n" + OK),
    ("ATS5?", r"\r\n008\r\n" + OK),
    ("ATS23?", r"\r\n000\r\n" + OK),
    ("ATS23=5", OK),
    ("ATS23?", r"\r\n005\r\n" + OK),
    ("AT&V", r"\r\nACTIVE PROFILE:(.|\r|\n)*" + OK),
    ("AT%R", r"\r\nREG DEC HEX(.|\r|\n)*" + OK),
    ("AT+CGSN;+CSQF", r"\r\n\d{15}\r\n\r\n\+CSQF:5\r\n" + OK),
    ("AT&K0+CSQF", r"\r\n\+CSQF:5\r\n" + OK),
    ("AT+CSQF;+NONSENSE", r"\r\n\+CSQF:5\r\n" + ERROR),
    ("ATV0", r"0\r"),
    ("AT+NONSENSE", r"4\r"),
    ("ATV1", OK),
    ("ATQ1", r""),
    ("AT", r""),
    ("ATQ0", OK),
    ("AT+GEMON", r"\r\n\+GEMON:\d+\r\n" + OK),
    ("AT*R0", OK),
    ("AT+CSQF", r"\r\n\+CSQF:0\r\n" + OK),
    ("AT-MSSTM", r"\r\n-MSSTM: no network service\r\n" + OK),
    ("AT*R1", OK),
]


@pytest.fixture
def uart() -> VirtualUart:
    return VirtualUart("sbd")


def test_script_from_reference(uart: VirtualUart) -> None:
    echo = True
    failed = []
    for command, expected in SCRIPT:
        echo_after = {"ATE0": False, "AT&F0": True}.get(command, echo)
        answer = uart.ask(command)
        want = (re.escape(command + "\r") if echo else "") + expected
        if not re.fullmatch(want, answer):
            failed.append((command, answer))
        echo = echo_after
    assert failed == []


def test_session_of_script(uart: VirtualUart) -> None:
    uart.ask("ATE0")
    assert uart.ask("AT+SBDWB=5") == "\r\nREADY\r\n"
    uart.reset_input_buffer()
    uart.write(b"hello\x02\x14")
    uart.run(0.3)
    assert uart.received == b"\r\n0\r\n\r\nOK\r\n"
    assert uart.ask("AT+SBDIX", 20) == "\r\n+SBDIX: 0, 0, 0, 0, 0, 0\r\n\r\nOK\r\n"
    assert uart.ask("AT+SBDS").startswith("\r\n+SBDS: 1, 1, 0, -1")  # the buffer stays
    uart.gateway.queue_downlink(uart.device.serial, b"down")
    for _, data in uart.device.send_ring_alert():
        uart.line.inject(data)
    uart.run(0.1)
    assert uart.ask("AT+CRIS") == "\r\n+CRIS:000,001\r\n\r\nOK\r\n"
    assert uart.ask("AT+SBDIXA=5212.483,-00007.350", 20).startswith("\r\n+SBDIX: 0, 1, 1, 1, 4, 0")
    assert uart.ask("AT+SBDRT") == "\r\n+SBDRT:\r\ndown\r\nOK\r\n"
    assert uart.ask("AT+SBDI", 20) == "\r\n+SBDI:1, 2, 0, 0, 0, 0\r\n\r\nOK\r\n"
    assert [message.content for message in uart.gateway.messages] == [b"hello"] * 3
    assert re.fullmatch(r"\r\n\+SBDREG:2,0\r\n\r\nOK\r\n", uart.ask("AT+SBDREG", 20))
    assert "+SBDREG:2,36" in uart.ask("AT+SBDREG", 20)  # three minutes must pass
    assert "+SBDDET:0,0" in uart.ask("AT+SBDDET", 20)
    assert "+SBDREG:0" in uart.ask("AT+SBDREG?")


def test_transfers_of_script(uart: VirtualUart) -> None:
    uart.ask("ATE0")
    uart.ask("AT+SBDWB=2")
    uart.write(b"ab\x00\x00")
    uart.run(0.3)
    assert b"\r\n2\r\n\r\nOK\r\n" in uart.received
    uart.ask("AT+SBDWB=2")
    uart.run(58)
    assert b"1" not in uart.received
    uart.run(3)
    assert uart.received.endswith(b"\r\n1\r\n\r\nOK\r\n")
    assert uart.ask("AT+SBDWT") == "\r\nREADY\r\n"
    assert uart.ask("a text, AT+SBDD2") == "\r\n0\r\n\r\nOK\r\n"
    assert uart.ask("AT+SBDTC").endswith("size = 16\r\n\r\nOK\r\n")
    uart.ask("AT+CSQF")
    uart.reset_input_buffer()
    uart.write(b"A/")
    uart.run(0.3)
    assert uart.received == b"\r\n+CSQF:5\r\n\r\nOK\r\n"


def test_longest_lines_of_script(uart: VirtualUart) -> None:
    """A body has 128 characters at most, AT not counted; a text 120, with all its spaces."""
    uart.ask("ATE0")
    for text in ("y" * 119, "y" * 120, " a;b  ", "y" * 118 + "  "):
        assert uart.ask("AT+SBDWT=" + text) == "\r\nOK\r\n"
        assert uart.ask("AT+SBDRT") == "\r\n+SBDRT:\r\n\r\nOK\r\n"
        assert f"size = {len(text)}\r" in uart.ask("AT+SBDTC")
        assert uart.ask("AT+SBDRT") == f"\r\n+SBDRT:\r\n{text}\r\nOK\r\n"
        uart.ask("AT+SBDD2")
    assert uart.ask("AT+CSQF" + ";" * 124) == "\r\nERROR\r\n"  # 129
    for body in ("+CSQF" + ";" * 123, "+CSQF" + ";" * 122):
        assert uart.ask("AT" + body) == "\r\n+CSQF:5\r\n\r\nOK\r\n"


def test_settings_of_script_survive_a_restart(uart: VirtualUart) -> None:
    uart.ask("ATE0&W0")
    uart.device.reset(uart.world.now)
    uart.run(7)
    assert uart.ask("AT") == "\r\nOK\r\n"
    uart.ask("AT+SBDWT=x")
    uart.ask("AT+SBDIX", 20)
    uart.device.reset(uart.world.now)
    uart.run(7)
    assert uart.ask("AT+SBDS").startswith("\r\n+SBDS: 0, 1, 0, -1")


def test_adafruit_rockblock(uart: VirtualUart) -> None:
    modem = adafruit_rockblock.RockBlock(uart)
    assert modem.model == "IRIDIUM 9600 Family SBD Transceiver"
    assert modem.serial_number == uart.device.serial
    assert modem.signal_quality == 5
    assert len(modem.revision) == 7
    modem.ring_alert = False
    assert modem.ring_alert is False
    assert modem.ring_indication == ("000", "000", *modem.ring_indication[2:])
    x, y, z, _ = modem.geolocation
    assert (x, y, z) == pytest.approx((3284, 4744, 2716), abs=8)  # Dubai
    assert modem.system_time is not None
    modem.energy_monitor = 0
    assert modem.energy_monitor == 0
    modem.text_out = "hello"
    modem._transfer_buffer()
    assert modem.text_in == "hello"
    assert modem.data_in == b"hello"
    modem.data_in = None
    assert modem.status == (1, 0, 0, -1, 0, 0)
    uart.gateway.queue_downlink(uart.device.serial, b"from the ground")
    assert modem.satellite_transfer()[:3] == (0, 0, 1)
    assert modem.data_out is None
    assert modem.text_in == "from the ground"
    assert [message.content for message in uart.gateway.messages] == [b"hello"]
    assert modem.satellite_transfer("5212.483,-00007.350")[0] == 0


def test_pyiridium9602(uart: VirtualUart) -> None:
    uart.timeout = 0.01
    modem = pyiridium.IridiumCommunicator(uart)
    seen: list[tuple[Any, ...]] = []
    for name in (
        "system_time_updated", "serial_number_updated", "signal_quality_updated",
        "check_ring_updated", "message_received", "message_transferred",
        "message_transfer_failed", "message_receive_failed", "notification",
    ):  # fmt: skip
        setattr(modem.signal, name, lambda *values, name=name: seen.append((name, *values)))
    modem.silent_connect(uart)

    def run(command: str, *arguments: Any) -> None:
        getattr(modem, command)(*arguments)
        for _ in range(2_000):  # 20 s
            modem.check_io(modem.read_serial())

    for command in ("ping", "request_serial_number", "request_signal_quality", "check_ring"):
        run(command)
    run("request_system_time")
    run("clear_both_buffers")
    run("send_message", b"hello")
    uart.gateway.queue_downlink(uart.device.serial, b"OK\r\nREADY\r\n")
    run("queue_session")
    uart.gateway.queue_downlink(uart.device.serial, b"second")
    for _, data in uart.device.send_ring_alert():
        uart.line.inject(data)
    run("set_echo", False)
    run("check_ring")
    names = [event[0] for event in seen]
    assert names[:4] == [
        "serial_number_updated", "signal_quality_updated", "check_ring_updated",
        "system_time_updated",
    ]  # fmt: skip
    assert seen[0][1] == uart.device.serial
    assert seen[1][1] == 5
    assert seen[2][1:] == (0, 0)
    assert ("message_transferred", 0) in seen
    assert ("message_received", b"OK\r\nREADY\r\n") in seen
    assert ("message_received", b"second") in seen
    assert "notification" not in names
    assert "message_receive_failed" not in names
    assert [message.content for message in uart.gateway.messages][:1] == [b"hello"]
