# SPDX-License-Identifier: Apache-2.0
"""Both runtimes over pseudo-terminals: a toy agent in its own process, on each interpreter."""

import fcntl
import signal
import termios
from pathlib import Path

import pytest

from tests.support.runtime_rig import INTERPRETERS, open_pty, run_toy
from tests.support.toy_agent import LAST_BYTES, pattern

pytestmark = pytest.mark.parametrize("interpreter", INTERPRETERS)


def test_echo_and_end_in_order(interpreter: str, tmp_path: Path) -> None:
    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, f"serial:{line.path}?baud=19200") as agent,
    ):
        agent.expect("event 0 opened")
        line.write(b"\x00\x01\xffhello")
        assert line.read(8) == b"\x00\x01\xffhello"
        line.write(b"!quit")
        assert line.read(len(LAST_BYTES)) == LAST_BYTES
        agent.expect("end 0")
        assert agent.process.wait(10) == 0


def test_two_ports_do_not_mix(interpreter: str, tmp_path: Path) -> None:
    with (
        open_pty() as one,
        open_pty() as two,
        run_toy(interpreter, tmp_path, f"serial:{one.path}", f"serial:{two.path}") as agent,
    ):
        agent.expect_all("event 0 opened", "event 1 opened")
        one.write(b"first")
        two.write(b"second")
        assert two.read(6) == b"second"
        assert one.read(5) == b"first"


def test_settings_reach_the_line(interpreter: str, tmp_path: Path) -> None:
    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, f"serial:{line.path}?baud=57600&stop=2") as agent,
    ):
        agent.expect("event 0 opened")
        settings = termios.tcgetattr(line.slave)
        assert settings[5] == termios.B57600
        assert settings[2] & termios.CSTOPB
        line.write(b"!set baud=1200")
        agent.expect("data 0 14")
        line.write(b"x")
        line.read(1)
        assert termios.tcgetattr(line.slave)[5] == termios.B1200


def test_parity_on_a_pty_is_no_error(interpreter: str, tmp_path: Path) -> None:
    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, f"serial:{line.path}?parity=E") as agent,
    ):
        agent.expect("event 0 opened")
        line.write(b"!set parity=O")
        agent.expect("data 0 13")
        line.write(b"x")
        assert line.read(1) == b"x"
        assert agent.errors().count("\n") == 1


def test_wrong_set_fails_the_port(interpreter: str, tmp_path: Path) -> None:
    with open_pty() as line, run_toy(interpreter, tmp_path, f"serial:{line.path}") as agent:
        agent.expect("event 0 opened")
        line.write(b"!set baud=12345")
        agent.expect("event 0 failed")
        agent.expect("event 0 opened")
        assert "baud is '12345', not one of 300, " in agent.errors()


def test_slow_reader_gets_every_byte(interpreter: str, tmp_path: Path) -> None:
    with open_pty() as line, run_toy(interpreter, tmp_path, f"serial:{line.path}") as agent:
        agent.expect("event 0 opened")
        line.write(b"!more 60000")
        assert line.read(60000, chunk=3000, pause_s=0.002) == pattern(60000)
        agent.expect("event 0 drained")


def test_backlog_is_bounded(interpreter: str, tmp_path: Path) -> None:
    with open_pty() as line, run_toy(interpreter, tmp_path, f"serial:{line.path}") as agent:
        agent.expect("event 0 opened")
        line.write(b"!more 200000")
        agent.expect("event 0 failed")
        assert "the peer accepts no data (65536 bytes wait)" in agent.errors()
        agent.expect("event 0 opened")


def test_long_input_comes_in_small_chunks(interpreter: str, tmp_path: Path) -> None:
    text = pattern(20000)
    with open_pty() as line, run_toy(interpreter, tmp_path, f"serial:{line.path}") as agent:
        agent.expect("event 0 opened")
        back = b""
        for at in range(0, len(text), 2000):
            line.write(text[at : at + 2000])
            back += line.read(2000)
        assert back == text
        assert all(int(words.split()[2]) <= 1024 for words in agent.lines if words[:4] == "data")


def test_hang_up_is_closed_then_retried(interpreter: str, tmp_path: Path) -> None:
    path = tmp_path / "line"
    with open_pty() as first, open_pty() as second:
        path.symlink_to(first.path)
        with run_toy(interpreter, tmp_path, f"serial:{path}") as agent:
            agent.expect("event 0 opened")
            path.unlink()
            first.close()
            agent.expect("event 0 closed")
            agent.expect("event 0 failed")
            path.symlink_to(second.path)
            agent.expect("event 0 opened")
            assert "closed by the peer" in agent.errors()


def test_close_releases_the_port(interpreter: str, tmp_path: Path) -> None:
    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, "--tick", "50000", f"serial:{line.path}") as agent,
    ):
        agent.expect("event 0 opened")
        line.write(b"!close")
        agent.expect("data 0 6")
        agent.expect(f"tick {sum('tick' in text for text in agent.lines) + 2}")
        fcntl.flock(line.slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert "event 0 closed" not in agent.lines


def test_missing_port_is_reported_once(interpreter: str, tmp_path: Path) -> None:
    path = tmp_path / "ttyUSB9"
    with open_pty() as line, run_toy(interpreter, tmp_path, f"serial:{path}") as agent:
        for _ in range(6):
            agent.expect("event 0 failed")
        assert agent.errors().count("\n") == 1
        assert f"port 0: failed: serial:{path}: no such port: is it plugged in" in agent.errors()
        path.symlink_to(line.path)
        agent.expect("event 0 opened")


def test_busy_port(interpreter: str, tmp_path: Path) -> None:
    with open_pty() as line:
        fcntl.flock(line.slave, fcntl.LOCK_EX)
        with run_toy(interpreter, tmp_path, f"serial:{line.path}") as agent:
            agent.expect("event 0 failed")
            assert "busy: in use by another program" in agent.errors()
            fcntl.flock(line.slave, fcntl.LOCK_UN)
            agent.expect("event 0 opened")


def test_two_agents_on_one_port(interpreter: str, tmp_path: Path) -> None:
    address = "serial:%s"
    other = tmp_path / "other"
    other.mkdir()
    with open_pty() as line, run_toy("cpython", other, address % line.path) as first:
        first.expect("event 0 opened")
        with run_toy(interpreter, tmp_path, address % line.path) as second:
            second.expect("event 0 failed")
            assert "busy" in second.errors()
            first.stop()
            second.expect("event 0 opened")


@pytest.mark.parametrize("kind", ["file", "folder", "null"])
def test_not_a_serial_port(interpreter: str, tmp_path: Path, kind: str) -> None:
    path = {"file": tmp_path / "file", "folder": tmp_path, "null": Path("/dev/null")}[kind]
    if kind == "file":
        path.write_bytes(b"")
    with run_toy(interpreter, tmp_path, f"serial:{path}") as agent:
        agent.expect("event 0 failed")
        assert f"serial:{path}: not a serial port: name a tty such as" in agent.errors()


def test_rs485_is_rejected_without_support(interpreter: str, tmp_path: Path) -> None:
    with open_pty() as line, run_toy(interpreter, tmp_path, f"serial:{line.path}?rs485=1") as agent:
        agent.expect("event 0 failed")
        assert "rs485=1" in agent.errors()
        assert "direction" in agent.errors()


def test_invalid_address_fails_the_port(interpreter: str, tmp_path: Path) -> None:
    with run_toy(interpreter, tmp_path, "serial:/dev/ttyS0?baud=1", "uart:1") as agent:
        agent.expect("event 0 failed")
        agent.expect("event 1 failed")
        assert "baud is '1', not one of" in agent.errors()
        assert "port 1: failed: uart:1: this" in agent.errors()


def test_deadlines_are_kept_in_order(interpreter: str, tmp_path: Path) -> None:
    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, "--tick", "20000", f"serial:{line.path}") as agent,
    ):
        agent.expect("tick 20")
        ticks = [text for text in agent.lines if text[:4] == "tick"]
        assert ticks == [f"tick {count}" for count in range(1, 21)]


def test_interrupt_ends_the_run_in_order(interpreter: str, tmp_path: Path) -> None:
    with open_pty() as line, run_toy(interpreter, tmp_path, f"serial:{line.path}") as agent:
        agent.expect("event 0 opened")
        agent.process.send_signal(signal.SIGINT)
        agent.expect(f"end {int(signal.SIGINT)}")
        assert agent.process.wait(10) == 0
        fcntl.flock(line.slave, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_terminate(interpreter: str, tmp_path: Path) -> None:
    with open_pty() as line, run_toy(interpreter, tmp_path, f"serial:{line.path}") as agent:
        agent.expect("event 0 opened")
        agent.process.send_signal(signal.SIGTERM)
        agent.expect(f"end {int(signal.SIGTERM)}")
        assert agent.process.wait(10) == 0
