# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus` write, raw, read and scan with peers that lose, repeat or refuse."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.commands import modbus
from drivers.tools.lib import open_port
from tests.drivers.modbus.scripted_peer import (
    CLOSE,
    RESET,
    Script,
    ScriptedPeer,
    Step,
    exception,
)
from tests.support import cli_tools
from tests.support.repository import ROOT

WITH_HUP = """
import runpy, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.argv[0] = "coldloop.py"
runpy.run_path("coldloop.py", run_name="__main__")
"""
"""The command with the usual action of SIGHUP: tests that run under `nohup` ignore it."""

Serve = Callable[[Script], ScriptedPeer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    found: list[ScriptedPeer] = []

    def start(script: Script) -> ScriptedPeer:
        found.append(ScriptedPeer(script))
        return found[-1]

    yield start
    for peer in found:
        peer.close()


def good(_request: bytes, _number: int) -> list[Step] | None:
    return None


def run(*words: object) -> int:
    return modbus([str(word) for word in words])


# Writes.


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 10, 11])
def test_a_refused_repeat_of_an_executed_write_is_read_back(
    code: int, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reply to the first attempt is lost."""

    def script(request: bytes, number: int) -> list[Step] | None:
        if request[0] != 6:
            return None
        if number == 1:
            peer.good_reply(request)
            return []
        return exception(request, code)

    peer = serve(script)
    assert run("write", peer.address, 1, 7, 1234, "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "done"


def test_a_refused_repeat_without_a_readback_is_unknown(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(request: bytes, number: int) -> list[Step] | None:
        if request[0] == 6:
            return exception(request, 3) if number > 1 else []
        return exception(request, 2)

    assert run("write", serve(script).address, 1, 7, 1234, "--yes", "--json") == 1
    assert json.loads(capsys.readouterr().out)["state"] == "unknown"


@pytest.mark.parametrize(("codes", "state"), [((3,), "refused"), ((6, 6, 3), "refused")])
def test_a_refused_first_attempt_is_refused(
    codes: tuple[int, ...], state: str, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(request: bytes, number: int) -> list[Step] | None:
        return exception(request, codes[number - 1]) if request[0] == 6 else None

    assert run("write", serve(script).address, 1, 7, 1234, "--yes", "--json") == 1
    assert json.loads(capsys.readouterr().out)["state"] == state


def test_a_write_that_was_accepted_before_it_was_refused_is_read_back(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exception 5 to the first attempt: the device executes it."""

    def script(request: bytes, number: int) -> list[Step] | None:
        if request[0] != 6:
            return None
        peer.good_reply(request)
        return exception(request, 5 if number == 1 else 3)

    peer = serve(script)
    assert run("write", peer.address, 1, 7, 1234, "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "done"


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_mask_write_is_compared_in_its_own_bits(
    is_lost: bool, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other bits are a counter."""

    def script(request: bytes, _number: int) -> list[Step] | None:
        if request[0] == 22 and is_lost:
            return [request]
        if request[0] == 3:
            peer.registers[7] = peer.registers.get(7, 0) + 0x100
        return None

    peer = serve(script)
    words = ("write", peer.address, 1, 7, "0xFFFE:0x0001", "--function", 22, "--yes")
    assert run(*words) == (1 if is_lost else 0)
    shown = capsys.readouterr().out
    assert "bits 0x0001 = 0x0001" in shown
    assert ("NOT as written" in shown) == is_lost


# Raw requests.

ONCE = ["08 00 01 00 00", "15 07 06 00 04 00 07 00 01 12 34", "64 01 02", "06 00 01 00 05"]


@pytest.mark.parametrize("request_", ONCE)
@pytest.mark.parametrize("end", [RESET, CLOSE, "busy", "silent"])
def test_a_request_that_can_change_the_device_goes_out_once(
    end: str, request_: str, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    function = int(request_[:2], 16)

    def script(request: bytes, _number: int) -> list[Step] | None:
        if request[0] == 3:
            return None
        return {"busy": exception(request, 6), "silent": []}.get(end, [end])

    peer = serve(script)
    assert run("raw", peer.address, 1, request_, "--yes") == 1
    assert peer.count(function) == 1
    text = "exception 6" if end == "busy" else "the device can have executed it"
    assert text in capsys.readouterr().err


def test_a_raw_read_is_repeated_on_a_new_connection(serve: Serve) -> None:
    def script(request: bytes, number: int) -> list[Step] | None:
        return [CLOSE] if number == 1 else None

    peer = serve(script)
    assert run("read", peer.address, 1, 5) == 0


@pytest.mark.parametrize(
    ("request_", "reply", "code"),
    [
        ("08 00 0b 00 00", "08 00 0b 00 05", 0),  # a counter
        ("08 00 02 00 00", "08 00 02 12 34", 0),
        ("08 00 00 12 34", "08 00 00 12 35", 1),  # "return query data" has the same data
        ("08 00 0b 00 00", "08 00 0c 00 05", 1),
        ("02 00 00 00 03", "02 01 ff", 0),  # with pad bits
        ("0f 00 00 00 08 01 ff", "0f 00 00 00 09", 1),
        ("43 00", "c3 55", 1),
    ],
)
def test_raw_shows_the_bytes_of_the_reply(
    request_: str, reply: str, code: int, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = bytes.fromhex(request_)
    peer = serve(lambda request, _: [bytes.fromhex(reply)] if request == asked else None)
    assert run("raw", peer.address, 1, request_, "--yes") == code
    assert f"reply    {reply}  " in capsys.readouterr().out


def test_raw_ends_with_a_line_after_an_interrupt(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = open_port.OpenPort.write

    def interrupt(port: open_port.OpenPort, data: bytes) -> None:
        write(port, data)
        if data[7] == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(open_port.OpenPort, "write", interrupt)
    assert run("raw", serve(good).address, 1, "06 00 01 00 05", "--yes") == 130
    shown = capsys.readouterr().err
    assert "unknown: interrupted after the request was sent" in shown


# Reads.


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["INT", "TERM", "HUP"],
)
@pytest.mark.parametrize("command", ["read", "poll"])
def test_an_interrupt_before_any_value_is_not_good(
    command: str, number: signal.Signals, code: int, serve: Serve
) -> None:
    peer = serve(lambda _request, _number: [])
    rest = ["1", "7"] if command == "read" else ["--unit", "1", "--profile", "belimo_valve"]
    words = [sys.executable, "-c", WITH_HUP, "modbus", command, peer.address, *rest]
    process = subprocess.Popen([*words, "--timeout-ms", "8000"], cwd=ROOT)
    try:
        cli_tools.wait_until("it asks", lambda: bool(peer.requests))
        process.send_signal(number)
        assert process.wait(20) == code
    finally:
        process.kill()
        process.wait()


def test_a_text_of_a_device_is_no_formula(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    peer = serve(good)
    text = b"=1+2\x1b[2J\r\n"
    peer.registers.update({i: word for i, (word,) in enumerate(struct.iter_unpack(">H", text))})
    words = ("read", peer.address, 1, 0, len(text) // 2, "--type", "text", "--csv")
    assert run(*words) == 0
    (row,) = capsys.readouterr().out.splitlines()[1:]
    assert row.split(",")[1].startswith("'=1+2")
    assert row.isprintable()


def test_csv_and_json_together_are_wrong_use(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("read", serve(good).address, 1, 0, "--csv", "--json") == 2
    assert "choose one" in capsys.readouterr().err


# What came instead of a reply.


class OtherNumber(ScriptedPeer):
    """Gives its replies the transaction number 0."""

    def frame(self, number: int, unit: int, reply: bytes) -> bytes:
        return super().frame(0, unit, reply)


class LongHeader(ScriptedPeer):
    """Announces more bytes than follow."""

    def frame(self, number: int, unit: int, reply: bytes) -> bytes:
        return struct.pack(">HHHB", number, 0, 40, unit) + reply


class LateReply(ScriptedPeer):
    """Gives its replies the number of the request before."""

    def frame(self, number: int, unit: int, reply: bytes) -> bytes:
        return super().frame(number - 1, unit, reply)


@pytest.mark.parametrize(
    ("kind", "evidence"),
    [
        (OtherNumber, "with another transaction number"),
        (LongHeader, "bytes of a reply came, and not the rest"),
        (LateReply, "after the time-out"),
    ],
)
def test_evidence_on_tcp(
    kind: type[ScriptedPeer], evidence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = kind(good)
    words = ("--timeout-ms", 50)
    assert run("read", peer.address, 1, 5, "--every", 10, "--rounds", 2, *words) == 1
    assert evidence in capsys.readouterr().err
    assert run("scan", peer.address, "--units", "1-2", "--no-identify", *words) == 1
    assert "hint: instead of a reply, " in capsys.readouterr().out
    peer.close()


@pytest.fixture(params=[b"SSH-2.0-OpenSSH_9.9\r\n", b""], ids=["ssh", "http"])
def other_program(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve another protocol: it begins, or answers each request."""
    listener = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                with connection, suppress(OSError):
                    connection.sendall(request.param)
                    while connection.recv(300):
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    threading.Thread(target=listen, daemon=True).start()
    yield f"tcp:127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.mark.parametrize("words", [("scan", "--units", "1-3"), ("read", "1", "0")])
def test_another_program_on_the_port(
    words: tuple[str, ...], other_program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *rest = words
    assert run(command, other_program, *rest) in (1, 2)
    shown = "".join(capsys.readouterr())
    assert "this port answers with something that is not Modbus TCP" in shown
    assert "baud" not in shown
    assert "lost: lost" not in shown


def test_a_port_that_is_silent_to_tls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_port, "CONNECT_TIMEOUT", 300_000)
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-subj", "/CN=x", "-keyout", "key.pem", "-out", "ca.pem"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert run("read", f"tls:127.0.0.1:{port}?ca={tmp_path}/ca.pem", 1, 0) == 2
    assert "connected, but no TLS handshake" in capsys.readouterr().err
