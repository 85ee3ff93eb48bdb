# SPDX-License-Identifier: Apache-2.0
"""The demo: its record, an external broker, and the display on a terminal."""

import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hil.commands import demo
from hil.demo import Demo
from hil.run.real_bench import RealBench
from tests.oracle.test_mqtt_broker import run_mosquitto
from tests.support.cli_tools import (
    COLDLOOP,
    TIMEOUT_S,
    check_one_line,
    interrupt,
    running_command,
    wait_for_exit,
    wait_until,
)
from tests.support.programs import PATH, free_port, require_program
from tests.support.repository import ROOT

SECONDS = "12"
BUSY_MACHINE = f"other programs used this machine (load 1000.0 on {os.cpu_count()} CPUs)"
QUIET_MACHINE = f"load 0.1 on {os.cpu_count()} CPUs"
GOOD: dict[str, Any] = {
    "verdict": "pass",
    "ticks": 600,
    "missed_ticks": 0,
    "load": 0.1,
    "bench_late_ms": 3,
    "utc_error_ms": 3.2,
    "supply_c": 32.0,
    "worst_supply_c": 33.5,
    "setpoint_c": 32.0,
    "modbus": {"transactions": 300, "errors": 0},
    "telemetry": {"published": 60, "acknowledged": 59},
}


class Terminal:
    """The demo on a pseudo-terminal of 80 columns; `text` is its whole output."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*COLDLOOP, "demo"], cwd=ROOT, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self.text = ""

    def read(self) -> str:
        """Read the new output; give the whole output."""
        while select.select([self._master], [], [], 0.0)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the other end is closed
                break
            self.text += data.decode()
        return self.text

    def pages(self) -> list[str]:
        """Return the complete pages so far."""
        return self.read().split("\x1b[H\x1b[2J")[1:-1]

    def close(self) -> None:
        self.process.terminate()
        os.close(self._master)
        self.process.wait(TIMEOUT_S)


class DemoSet:
    """Four demos at the same time, and a subscriber to the telemetry of the second one."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        def start(*words: str) -> "subprocess.Popen[str]":
            return stack.enter_context(running_command("demo", *words))

        self.with_own_broker = start("--seconds", SECONDS, "--json")
        self.terminal = Terminal()
        stack.callback(self.terminal.close)
        self.lines = start("--seconds", "9")
        self.without_broker = start(
            "--seconds", "6", "--broker", f"127.0.0.1:{free_port()}", "--json"
        )
        self.subscriber: subprocess.Popen[str] | None = None
        # the test that needs it reports that it is missing
        with contextlib.suppress(pytest.skip.Exception):
            self._start_subscriber(stack, folder, require_program("mosquitto_sub"))

    def _start_subscriber(self, stack: ExitStack, folder: Path, program: str) -> None:
        port = stack.enter_context(run_mosquitto(folder, "allow_anonymous true"))
        arguments = (
            program,
            "-p",
            str(port),
            "-t",
            "coldloop/v1/#",
            "-q",
            "1",
            "-F",
            "%r %q %t %p",
        )
        self.port = port
        self.subscriber = stack.enter_context(running_command(*arguments))
        self.with_mosquitto = stack.enter_context(
            running_command("demo", "--seconds", SECONDS, "--json", "--broker", f"127.0.0.1:{port}")
        )


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSet]:
    with ExitStack() as stack:
        yield DemoSet(stack, tmp_path_factory.mktemp("demo"))


def finish_demo(process: "subprocess.Popen[str]", *words: str) -> tuple[int, str, str]:
    """Return code, output and errors of a demo. A failed one runs once more, alone.

    At the start of the tests a machine can stand still for seconds. A fault of the demo is seen in
    the second run, too.
    """
    code, out, err = wait_for_exit(process)
    if code != 0:
        with running_command("demo", *words) as again:
            code, out, err = wait_for_exit(again)
    return code, out, err


def check_record(out: str) -> dict[str, Any]:
    """The record has exactly the documented keys, with values of the right types."""
    record: dict[str, Any] = json.loads(check_one_line(out))
    assert list(record) == list(GOOD)
    for key in ("modbus", "telemetry"):
        assert list(record[key]) == list(GOOD[key])
        assert {type(value) for value in record[key].values()} == {int}
    for key in ("ticks", "missed_ticks", "bench_late_ms"):
        assert type(record[key]) is int
    for key in ("supply_c", "worst_supply_c", "setpoint_c"):
        assert type(record[key]) is float
    return record


def late_ticks() -> int:
    """Return the ticks that the demos may miss: none, but a few on a machine with other work.

    The demos have no priority in time, and four with their servers run side by side. Other
    processes of pytest are such work; the mean load follows only after a minute.
    """
    is_shared = "PYTEST_XDIST_WORKER" in os.environ
    return 3 if is_shared or os.getloadavg()[0] > 2 * (os.cpu_count() or 1) else 0


def check_good(code: int, record: dict[str, Any]) -> None:
    missed = record["missed_ticks"]
    assert missed <= late_ticks(), record
    assert (code, record["verdict"]) == ((0, "pass") if not missed else (1, "fail")), record
    assert 80 <= record["ticks"] <= 130
    assert 0 <= record["utc_error_ms"] <= 50
    assert 30 < record["supply_c"] <= record["worst_supply_c"] < 34
    assert record["setpoint_c"] == 32.0
    assert record["modbus"]["transactions"] >= 40
    assert 5 <= record["telemetry"]["acknowledged"] <= record["telemetry"]["published"] <= 13


def test_missing_broker_fails_demo_but_not_cooling(demos: DemoSet) -> None:
    code, out, err = wait_for_exit(demos.without_broker)
    record = check_record(out)
    assert (code, err, record["verdict"]) == (1, "", "fail")
    assert record["telemetry"] == {"published": 0, "acknowledged": 0}
    assert record["missed_ticks"] <= late_ticks()
    assert record["modbus"]["errors"] == 0
    assert record["supply_c"] < 34


def test_lines_and_verdict_without_terminal(demos: DemoSet) -> None:
    code, out, err = finish_demo(demos.lines, "--seconds", "9")
    late = ("FAIL  a tick was missed", "FAIL  the UTC error was above 50 ms or unknown")
    was_late = late_ticks() > 0 and any(text in out for text in late)
    assert (code, err) == (int(was_late), ""), out
    page, *site, empty, verdict = out.splitlines()
    lines = [site.pop() for text in tuple(site) if text.startswith(" ")]
    snmp = ["snmp"] if shutil.which("snmpd", path=PATH) else []
    assert [text.split()[0] for text in site] == [
        *("panel", "redfish", "metrics", "modbus", "bacnet", *snmp, "login"),
    ]
    assert re.fullmatch(r"page  http://127\.0\.0\.1:\d+/", page)
    assert len(lines) == 1 or (not lines and late_ticks()), out  # none: the agent started late
    for line in lines:
        assert re.match(
            r"   5 s  (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z sync|-- free)  "
            r"load  50\.0 kW  supply (3\d\.\d|--) C ",
            line,
        )  # values can come later on a busy machine; the records have them
        assert line.endswith("alarms none")
    assert empty == ""
    assert was_late or verdict == "PASS  all within limits"


def test_record_has_verdict_pass(demos: DemoSet) -> None:
    code, out, err = finish_demo(demos.with_own_broker, "--seconds", SECONDS, "--json")
    assert err == ""
    check_good(code, check_record(out))


def test_external_broker_receives_state_and_telemetry(demos: DemoSet) -> None:
    require_program("mosquitto")
    subscribe = require_program("mosquitto_sub")
    code, out, err = wait_for_exit(demos.with_mosquitto)
    assert err == ""
    record = check_record(out)
    check_good(code, record)
    assert demos.subscriber is not None
    demos.subscriber.terminate()
    messages = [line.split(" ", 3) for line in wait_for_exit(demos.subscriber)[1].splitlines()]
    base = "coldloop/v1/bench/cdu1/"
    assert {(topic, qos) for _, qos, topic, _ in messages} == {
        (base + "state", "1"),
        (base + "tele", "1"),
    }
    rows = [json.loads(payload) for _, _, topic, payload in messages if topic == base + "tele"]
    assert len(rows) >= record["telemetry"]["acknowledged"]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    births = [json.loads(payload) for _, _, topic, payload in messages if topic == base + "state"]
    assert births[0]["online"] is True
    check_rows(rows, births[0]["points"])
    # Later subscribers get the retained messages; an agent that ends publishes that it is offline.
    process = subprocess.run(
        [
            subscribe,
            "-p",
            str(demos.port),
            "-t",
            base + "state",
            "-C",
            "1",
            "-F",
            "%r %p",
            "-W",
            "5",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    retained, payload = process.stdout.split(" ", 1)
    assert retained == "1"
    assert json.loads(payload)["online"] is False


def check_rows(rows: list[dict[str, Any]], points: list[list[Any]]) -> None:
    """The rows match the retained description; values are in SI units after scaling."""
    assert all(len(row["v"]) == len(points) for row in rows)
    last = rows[-1]
    assert (last["clock"], last["state"]) == ("sync", "normal")
    assert abs(last["t"] / 1e6 - time.time()) < 2 * TIMEOUT_S
    values = {
        name: raw * num / den
        for (name, _unit, num, den), raw in zip(points, last["v"], strict=True)
        if raw is not None
    }
    units = {name: unit for name, unit, _, _ in points}
    assert units["rpu.SupplyTemperatureCelsius"] == "Cel"
    assert 30 < values["rpu.SupplyTemperatureCelsius"] < 34
    assert 30 < values["rpu.ReturnTemperatureCelsius"] < 40
    assert 50 < values["rpu.FlowLitersPerMinute"] < 300


def test_terminal_shows_page_until_ctrl_c(demos: DemoSet) -> None:
    terminal = demos.terminal

    def has_time() -> list[str] | None:
        """Return the pages. On a busy machine UTC comes late, and a device can be lost."""
        pages = terminal.pages()
        is_good = "sync, within" in pages[-1] and "state NORMAL" in pages[-1] if pages else False
        return pages if len(pages) >= 8 and is_good else None

    pages = wait_until("eight pages, and UTC", has_time)
    for text in (
        "coldloop demo   ",
        "state NORMAL   stop: Ctrl-C",
        "UTC        20",
        "sync, within ",
        "supply       3",
        "set-point 32.0 C",
        "return       ",  # 37 C, or 42 C after the step of the load
        "dP         ",
        "valve      ",
        "pump 1     ",
        "pump 2     ",
        "ticks      ",
        "modbus     ",
        "telemetry  ",
        "alarms     " if late_ticks() else "alarms     none",
    ):
        assert text in pages[-1], (text, pages[-1])
    # UTC may come after the step: the page before it tells when the load steps.
    assert "load         50.0 kW   steps to 100 kW in " in pages[0], pages[0]
    assert max(len(line) for line in pages[-1].splitlines()) <= 80
    seconds = [int(re.search(r"coldloop demo   (\d+) s", page)[1]) for page in pages]  # type: ignore[index]
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
    terminal.process.send_signal(signal.SIGINT)
    code, text = terminal.process.wait(TIMEOUT_S), terminal.read()
    causes = ("FAIL  a tick was missed", "FAIL  the bus had an error", "above its limit")
    was_late = any(cause in text for cause in causes) and late_ticks() > 0
    assert code == int(was_late), text
    assert was_late or text.endswith("\r\nPASS  all within limits\r\n")


def test_seconds_count_from_first_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent that needs longer to start than the demo lasts, as on a busy machine."""
    monkeypatch.setattr("hil.demo.stop_on_signals", lambda _bench: None)
    status, asked = RealBench.status, [0]

    def status_after_start(bench: RealBench) -> dict[str, Any] | None:
        asked[0] += 1
        return status(bench) if asked[0] > 6 else None

    monkeypatch.setattr(RealBench, "status", status_after_start)
    code = Demo(5, None, as_json=True).run()
    record = check_record(capsys.readouterr().out)
    assert (code, record["verdict"]) in {(0, "pass"), (1, "fail")}
    assert record["ticks"] >= 90  # of 6 s before the start and 5 s after it, 10 a second


def test_early_interrupt_ends_in_order() -> None:
    """Ctrl-C before the first status: a verdict or one line, no traceback, no process left."""
    with running_command("demo", "--json", start_new_session=True) as process:
        wait_until("there is an agent", lambda: children(process.pid))
        child_pids = children(process.pid)
        code, out, err = interrupt(process)
    assert code in {2, 130}
    assert "Traceback" not in out + err
    check_one_line(out or err)
    for child in child_pids:
        assert not Path("/proc", child).exists()


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seconds", "4"), "--seconds: 4 is outside 5 to 86400"),
        (("--seconds", "x"), "invalid int value: 'x'"),
        (("--broker", "nonsense"), "--broker: "),
        (("--broker", "h:70000"), "--broker: "),
        (("--frobnicate",), "unrecognized arguments: --frobnicate"),
    ],
)
def test_wrong_arguments_print_one_line_and_exit_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        demo(list(arguments))
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert check_one_line(err).startswith("coldloop demo: ")
    assert message in err


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({}, None),
        ({"ticks": 0}, f"a tick was missed: {QUIET_MACHINE}"),
        ({"missed_ticks": 1}, f"a tick was missed: {QUIET_MACHINE}"),
        (
            {"missed_ticks": 1, "load": 1e3},
            f"a tick was missed: {BUSY_MACHINE}",
        ),
        ({"modbus": {"transactions": 300, "errors": 1}}, "the bus had an error"),
        (
            {"modbus": {"transactions": 300, "errors": 1}, "bench_late_ms": 850, "load": 1e3},
            f"the bus had an error: the emulated devices were 850 ms late; {BUSY_MACHINE}",
        ),
        ({"modbus": {"transactions": 0, "errors": 0}}, "the bus had an error"),
        ({"worst_supply_c": 40.01}, "the supply temperature was above its limit"),
        ({"worst_supply_c": 40.0}, None),
        ({"telemetry": {"published": 10, "acknowledged": 9}}, None),
        (
            {"telemetry": {"published": 10, "acknowledged": 8}},
            "less than 90 % of the telemetry was confirmed by the broker",
        ),
        ({"telemetry": {"published": 5, "acknowledged": 4}}, None),  # one row is in transit
        (
            {"telemetry": {"published": 5, "acknowledged": 3}},
            "less than 90 % of the telemetry was confirmed by the broker",
        ),
        (
            {"telemetry": {"published": 1, "acknowledged": 0}},
            "less than 90 % of the telemetry was confirmed by the broker",
        ),
        (
            {"telemetry": {"published": 60, "acknowledged": 53}},
            "less than 90 % of the telemetry was confirmed by the broker",
        ),
        (
            {"telemetry": {"published": 0, "acknowledged": 0}},
            "less than 90 % of the telemetry was confirmed by the broker",
        ),
        ({"utc_error_ms": 50.1}, "the UTC error was above 50 ms or unknown"),
        ({"utc_error_ms": None}, "the UTC error was above 50 ms or unknown"),
    ],
)
def test_verdict_is_pass_only_within_every_limit(
    change: dict[str, Any], failure: "str | None"
) -> None:
    assert Demo.list_failures({**GOOD, **change}) == ([] if failure is None else [failure])
