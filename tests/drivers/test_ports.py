# SPDX-License-Identifier: Apache-2.0
"""The ports of CPython one by one, shared port code, and the board's UART with a model."""

import fcntl
import os
import ssl
import sys
import threading
import time
import types
from pathlib import Path

import pytest
import serial

from agent.runtime import cpython, cpython_port_check
from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.address_text import KINDS, OPTIONS
from drivers.ports.base import EIO, MAX_BACKLOG, SERIAL_REASONS, translate_error
from drivers.ports.cpython import serial as cpython_serial
from drivers.ports.cpython import store as cpython_store
from drivers.ports.cpython import tcp
from drivers.ports.micropython import uart as micropython_uart
from drivers.ports.micropython.pem import extract_der
from drivers.ports.store_request import MAX_PENDING, StoreQueue, split_record
from tests.support.runtime_rig import TIMEOUT_S, CertificateAuthority, open_pty
from tests.support.toy_agent import ToyAgent


def no_wake() -> None:
    """A wake callback without effect."""


# --- Preflight ------------------------------------------------------------------------------------


def run_preflight(*addresses: str) -> tuple[list[str], list[str]]:
    warnings: list[str] = []
    return cpython.check_addresses(addresses, warnings.append), warnings


def test_preflight_of_good_and_absent_ports(tmp_path: Path) -> None:
    with open_pty() as line:
        problems, warnings = run_preflight(
            f"serial:{line.path}", f"serial:{tmp_path}/none", f"store:{tmp_path}/none", "tcp:h:1"
        )
        assert problems == []
        assert [warning.split(": ")[1] for warning in warnings] == [
            "no such port",
            "no such folder",
        ]
        fcntl.flock(line.slave, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_each_kind_has_a_check_before_the_start() -> None:
    assert set(cpython_port_check._CHECKS) == set(OPTIONS) == set(KINDS)
    assert set(cpython.OPENERS) == set(KINDS) - {"uart"}  # only a board has UARTs


def test_preflight_reports_each_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"no certificate")
    with open_pty() as line, open_pty() as busy:
        fcntl.flock(busy.slave, fcntl.LOCK_EX)
        wrong = {
            f"serial:{line.path}": "",
            f"serial:{file}": "not a serial port",
            f"serial:{busy.path}": "busy",
            f"serial:{line.path}?baud=300": "named twice",
            f"ascii:{line.path}?baud=300": "named twice",
            "serial:/dev/x?baud=1": "baud is '1'",
            f"store:{file}": "not a folder",
            "uart:1": "UARTs are for boards",
            f"tls:h:1?ca={file}": "not a PEM file",
            f"tls:h:1?ca={tmp_path}/none": "No such file",
            "nonsense": "begins with none of",
        }
        problems, warnings = run_preflight(*wrong)
        assert warnings == []
        assert len(problems) == 10
        for problem, part in zip(problems, list(wrong.values())[1:], strict=True):
            assert part in problem
            assert "\n" not in problem


def test_preflight_of_certificates(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    certificate, key = authority.issue("unit")
    _, other_key = authority.issue("other")
    ca = f"tls:h:1?ca={authority.ca}"
    assert run_preflight(f"{ca}&cert={certificate}&key={key}") == ([], [])
    problems, _ = run_preflight(f"{ca}&cert={certificate}&key={other_key}")
    assert f"{other_key}: not the key of {certificate}" in problems[0]


def test_preflight_never_asks_for_a_password(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    certificate, key = authority.issue("unit")
    locked = tmp_path / "locked.key"
    authority.run("ec", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked)
    problems, _ = run_preflight(f"tls:h:1?ca={authority.ca}&cert={certificate}&key={locked}")
    assert "the key has a passphrase" in problems[0]


# --- Serial ---------------------------------------------------------------------------------------


def test_dropped_baud_rate_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_pty() as line:
        # A driver that does not support the rate keeps another one without an error.
        real = vars(serial.SerialBase)["baudrate"]
        fixed_rate = property(real.fget, lambda self, _rate: real.fset(self, 19200))
        monkeypatch.setattr(serial.Serial, "baudrate", fixed_rate)
        with pytest.raises(PortError, match="baud rate refused"):
            cpython_serial.open_port(parse_address(f"serial:{line.path}?baud=115200"), no_wake)
        fcntl.flock(line.slave, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_serial_read_does_not_block() -> None:
    with open_pty() as line:
        port = cpython_serial.open_port(parse_address(f"serial:{line.path}"), no_wake)
        assert port.read() == b""
        line.write(b"x" * 3000)
        reads = [port.read() for _ in range(4)]
        assert [len(data or b"") for data in reads] == [1024, 1024, 952, 0]
        line.close()
        assert port.read() is None
        port.close()


def test_open_port_leaks_no_descriptor(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with open_pty() as line:
        before = len(os.listdir("/proc/self/fd"))
        for address in (f"serial:{file}", f"serial:{line.path}?rs485=1", f"serial:{tmp_path}/none"):
            with pytest.raises(PortError):
                cpython_serial.open_port(parse_address(address), no_wake)
        cpython_serial.open_port(parse_address(f"serial:{line.path}"), no_wake).close()
        assert len(os.listdir("/proc/self/fd")) == before


def test_reason_texts_have_three_parts() -> None:
    address = parse_address("serial:/dev/ttyUSB0?baud=300")
    assert str(translate_error(address, PermissionError(13, "x"), SERIAL_REASONS)) == (
        "serial:/dev/ttyUSB0: permission: add the user to group dialout (or fix the device's mode)"
    )
    assert "disconnected" in str(translate_error(address, OSError(EIO, "x"), SERIAL_REASONS))
    assert "the system says: [Errno 7] odd" in str(translate_error(address, OSError(7, "odd"), {}))


# --- Store ----------------------------------------------------------------------------------------


def test_store_reads_what_it_wrote(tmp_path: Path) -> None:
    store = cpython_store.Store(parse_address(f"store:{tmp_path}"))
    assert store.read("config") is None
    store.write("config", b"one")
    store.write("config", b"two\0three")
    assert store.read("config") == b"two\0three"
    assert os.listdir(tmp_path) == ["config"]
    with pytest.raises(PortError, match="plain file name"):
        store.read("../secret")


def test_store_read_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(cpython_store.MAX_READ + 1))
    with pytest.raises(PortError, match="longer than"):
        cpython_store.Store(parse_address(f"store:{tmp_path}")).read("big")


def test_failed_write_keeps_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = cpython_store.Store(parse_address(f"store:{tmp_path}"))
    store.write("key", b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PortError, match="disk full: make room"):
        store.write("key", b"new")
    assert store.read("key") == b"old"
    assert os.listdir(tmp_path) == ["key"]


def test_slow_flash_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the flash is blocked, a record replaces one of its key; the queue stays bounded."""
    go_on = threading.Event()
    real = os.fsync

    def slow(descriptor: int) -> None:
        go_on.wait(TIMEOUT_S)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    woken = threading.Event()
    port = cpython_store.open_port(parse_address(f"store:{tmp_path}"), woken.set)
    for count in range(1000):
        assert port.write(b"status\0%d" % count) == len(b"status\0%d" % count)
    assert not port.is_drained()
    with pytest.raises(PortError, match="too slow"):
        port.write(b"other\0" + bytes(MAX_BACKLOG))
    go_on.set()
    assert woken.wait(TIMEOUT_S)
    assert port.is_drained()
    assert (tmp_path / "status").read_bytes() == b"999"
    port.close()


def test_store_queue_keeps_newest_of_each_key() -> None:
    pending = StoreQueue(parse_address("store:/x"))
    for record in (b"a\x001", b"b\x002", b"a\x003"):
        pending.add("write", record)
    taken = [pending.take(), pending.take(), pending.take()]
    assert taken == [("write", "a", b"3"), ("write", "b", b"2"), None]
    for _ in range(10):  # the limit counts pending bytes, not written bytes
        pending.add("write", b"a\0" + bytes(MAX_BACKLOG - 10))
        pending.take()


def test_store_queue_keeps_order_per_key() -> None:
    pending = StoreQueue(parse_address("store:/x"))
    requests = (
        ("append", b"a\x001"),
        ("append", b"a\x002"),  # joins the first
        ("append", b"b\x003"),
        ("append", b"a\x004"),  # does not overtake b
        ("write", b"a\x005"),  # does not replace appended data
        ("append", b"a\x006"),
        ("get", b"a"),
        ("write", b"a\x007"),
        ("delete", b"a"),
        ("write", b"a\x008"),
        ("list", b""),
    )
    for op, data in requests:
        pending.add(op, data)
    taken = []
    while (request := pending.take()) is not None:
        taken.append(request)
    assert taken == [
        ("append", "a", b"12"),
        ("append", "b", b"3"),
        ("append", "a", b"4"),
        ("write", "a", b"56"),
        ("get", "a", b""),
        ("write", "a", b"7"),
        ("delete", "a", b""),
        ("write", "a", b"8"),
        ("list", "", b""),
    ]


def test_store_queue_is_bounded_in_requests() -> None:
    pending = StoreQueue(parse_address("store:/x"))
    for _ in range(MAX_PENDING):
        pending.add("get", b"a")
    with pytest.raises(PortError, match="too slow"):
        pending.add("get", b"a")


@pytest.mark.parametrize("record", [b"", b"key", b"\0x", b"a/b\0x", b".a\0x", b"\xe4\0x"])
def test_invalid_records(record: bytes) -> None:
    with pytest.raises(PortError):
        split_record(parse_address("store:/x"), record)


# --- TLS ------------------------------------------------------------------------------------------


def test_tls_context_verifies_peer() -> None:
    context = tcp.make_context(parse_address("tls:broker.example:8883"))
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_pem_is_decoded(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    pem = authority.ca.read_text(encoding="utf-8")
    der = ssl.PEM_cert_to_DER_cert(pem)
    assert extract_der(der) == [der]
    assert extract_der((pem + "\nnoise\n" + pem).encode()) == [der, der]
    assert extract_der(b"no certificate") == []
    assert extract_der(b"") == []


def test_damaged_pem_is_an_error() -> None:
    with pytest.raises(ValueError, match=r".+"):
        extract_der(b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n")
    with pytest.raises(ValueError, match=r".+"):
        extract_der(b"-----BEGIN ")


# --- A board's UART -------------------------------------------------------------------------------


class UartModel:
    """The part of machine.UART that the port uses."""

    def __init__(self, number: int) -> None:
        if number > 1:
            raise ValueError("UART(2) does not exist")
        self.settings: dict[str, object] = {}
        self.incoming = b""
        self.outgoing = b""
        self.open = True

    def init(self, **settings: object) -> None:
        if settings["baudrate"] == 4000000:
            raise ValueError("baudrate")
        self.settings = settings

    def any(self) -> int:
        return len(self.incoming)

    def read(self, size: int) -> bytes | None:
        data, self.incoming = self.incoming[:size], self.incoming[size:]
        return data or None

    def write(self, data: bytes) -> int | None:
        self.outgoing += data[:5]
        return len(data[:5]) or None

    def deinit(self) -> None:
        self.open = False


def test_uart(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = types.SimpleNamespace(ticks_us=lambda: 0, ticks_diff=lambda one, other: one - other)
    monkeypatch.setattr(micropython_uart, "time", ticks)
    monkeypatch.setitem(sys.modules, "machine", types.SimpleNamespace(UART=UartModel))
    port = micropython_uart.open_port(parse_address("uart:1?baud=19200&parity=E"), no_wake)
    uart = port.pollable
    assert isinstance(uart, UartModel)
    assert uart.settings["baudrate"] == 19200
    assert uart.settings["parity"] == 0
    assert uart.settings["timeout"] == 0
    assert port.read() == b""
    uart.incoming = b"x" * 1500
    assert [len(port.read() or b"") for _ in range(3)] == [1024, 476, 0]
    assert port.write(b"hello world") == 5
    port.set_options("parity=O")
    assert uart.settings.get("parity") == 1
    with pytest.raises(PortError, match="baud rate refused"):
        port.set_options("baud=4000000")
    port.close()
    assert not uart.open


class DirectionPin:
    OUT = 1

    def __init__(self, number: int, mode: int = 0, value: int = 0) -> None:
        self.number, self.levels = number, [value]

    def value(self, level: int) -> None:
        self.levels.append(level)


def test_direction_pin_of_a_board(monkeypatch: pytest.MonkeyPatch) -> None:
    class IdleUart(UartModel):
        IRQ_TXIDLE = 32

        def __init__(self, number: int, **pins: object) -> None:
            UartModel.__init__(self, number)
            self.pins = pins

        def irq(self, handler: object, trigger: int, hard: bool) -> None:
            self.handler = handler

        def txdone(self) -> bool:
            return True

    description = {1: {"tx": 4, "rx": 5, "direction": 6, "capacity": 288, "tx_buffer": 256}}
    machine = types.SimpleNamespace(UART=IdleUart, Pin=DirectionPin)
    ticks = types.SimpleNamespace(ticks_us=lambda: 0, ticks_diff=lambda one, other: one - other)
    monkeypatch.setattr(micropython_uart, "time", ticks)
    monkeypatch.setitem(sys.modules, "machine", machine)
    monkeypatch.setitem(sys.modules, "_board_data", types.SimpleNamespace(UARTS=description))
    port = micropython_uart.open_port(parse_address("uart:1?baud=19200&rs485=1"), no_wake)
    uart = port.pollable
    assert isinstance(uart, IdleUart)
    assert uart.settings["txbuf"] == 256
    assert [uart.pins[name].number for name in ("tx", "rx")] == [4, 5]  # type: ignore[attr-defined]
    port.write(b"hello")
    assert port._direction.levels == [0, 1]
    uart.handler(uart)  # type: ignore[operator]
    port.close()
    assert port._direction.levels == [0, 1, 0, 0]
    with pytest.raises(PortError, match="direction pin"):
        micropython_uart.open_port(parse_address("uart:0?rs485=1"), no_wake)


def test_missing_uart(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PortError, match="this machine has no UARTs"):
        micropython_uart.open_port(parse_address("uart:1"), no_wake)
    monkeypatch.setitem(sys.modules, "machine", types.SimpleNamespace(UART=UartModel))
    with pytest.raises(PortError, match="no such port"):
        micropython_uart.open_port(parse_address("uart:2"), no_wake)


# --- The runtime in this process ------------------------------------------------------------------


def test_wake_from_another_thread() -> None:
    output: list[str] = []
    lines: list[str] = []
    with open_pty() as line:
        toy = ToyAgent([f"serial:{line.path}"], 0, output.append)
        codes: list[int] = []
        thread = threading.Thread(
            target=lambda: codes.append(cpython.run(toy, lambda: toy.quit, out=lines.append))
        )
        thread.start()
        end = time.monotonic() + TIMEOUT_S
        while not output and time.monotonic() < end:
            time.sleep(0.005)
        line.write(b"!quit")
        thread.join(TIMEOUT_S)
        toy.quit = True
        assert codes == [0]
        assert "event 0 opened" in output
        assert len(lines) == 1


def test_poller_wake_after_close() -> None:
    poller = cpython.SelectPoller()
    timer = threading.Timer(0.05, poller.wake)
    timer.start()
    begun = time.monotonic()
    assert poller.wait(poller.clock() + int(TIMEOUT_S * 1e6)) == []
    assert time.monotonic() - begun < TIMEOUT_S
    timer.join()
    for _ in range(100_000):
        poller.wake()  # a full pipe is not an error
    poller.close()
    poller.wake()


def test_a_ca_without_key_usage_is_named_with_its_remedy() -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_message = "CA cert does not include key usage extension"
    port = types.SimpleNamespace(address=parse_address("tls:host:802"))
    failure = tcp.TcpPort._tls_failure(port, error)  # type: ignore[arg-type]
    assert str(failure).endswith(
        "extension: make the certificate of ca again, with keyUsage keyCertSign"
    )
