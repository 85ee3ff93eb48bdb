# SPDX-License-Identifier: Apache-2.0
"""Captures: replay on both interpreters, and detection of one changed byte."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from agent.port_numbers import FIRST_BUS, RECEIVER
from hil.bench.testbed_settings import several_setting
from hil.commands import hil
from hil.io.register_trace import ReplayedRegisters, find_difference, register_writes
from hil.record.record import RECORD_FILE, read
from hil.run.capture import CapturePlayer, compare_outputs, load, parse
from hil.run.recorded import DUTS
from tests.hil.digests.shared_runs import shipped_models
from tests.support.cli_tools import SHORT, scenario_file
from tests.support.modbus_master import with_crc
from tests.support.programs import require_program
from tests.support.repository import ROOT

STORED_CAPTURES = sorted((ROOT / "tests" / "captures").glob("*.jsonl"))
MINUTE = SHORT.replace("= 3", "= 40") + '[[expect]]\nmeasure = "ticks"\nmin = 1\n'


@pytest.fixture
def capture_path(tmp_path: Path) -> Path:
    """Return the capture of a run of 40 s."""
    event = '[[event]]\nat_s = 10\ndo = "it_load"\nvalue = 90\n'
    path = tmp_path / "run.jsonl"
    scenario = scenario_file(tmp_path, MINUTE + event)
    assert hil(["run", scenario, "--capture", str(path)]) == 0
    return path


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_replay_repeats_captured_outputs(capture_path: Path, dut: str) -> None:
    if dut == "micropython":
        require_program("micropython")
    assert hil(["replay", str(capture_path), "--dut", dut]) == 0
    assert hil(["replay", str(capture_path), "--dut", dut, "--counts", "0"]) == 0


def test_a_replay_is_recorded_as_one(
    capture_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its devices are replayed, not emulated or real; without operations it is not complete."""
    folder, key = tmp_path / "out" / "a", ["--key", str(tmp_path / "key")]
    with patch("hil.report.write.print_pdf", return_value=False):
        assert hil(["replay", str(capture_path), "--report", str(folder), *key]) == 0
    record = read(folder / RECORD_FILE)
    assert record["verdict_text"] == "PASS, virtual time, 0 of 5 devices real, 5 replayed"
    devices = record["runs"][0]["provenance"]["devices"]
    assert {(d["kind"], d["port"]) for d in devices} == {("replayed", "capture run.jsonl")}
    assert "<td>replayed</td>" in (folder / "report.html").read_text()
    capture = load(capture_path)
    capture.lines = capture.inputs
    capture_path.write_text(capture.to_text())
    with patch("hil.report.write.print_pdf", return_value=False):
        assert hil(["replay", str(capture_path), "--report", str(folder), *key]) == 1
    text = read(folder / RECORD_FILE)["verdict_text"]
    assert text.startswith("NOT COMPLETE, virtual time, 0 of 5")
    assert capsys.readouterr().out.splitlines()[-1].startswith("NOT COMPLETE  0 operations")


def test_power_cut_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The controller does nothing between the power cut and the next start."""
    path = tmp_path / "cut.jsonl"
    assert hil(["run", "restart", "--capture", str(path)]) == 0
    assert hil(["replay", str(path)]) == 0
    capture = load(path)
    capture.lines = [line for line in capture.lines if line[2] != "stop"]
    path.write_text(capture.to_text())
    assert hil(["replay", str(path)]) == 1
    assert "operation " in capsys.readouterr().out


def test_remotely_managed_unit_is_replayed(tmp_path: Path) -> None:
    """The unit restarts from the records that its store holds at that time."""
    events = (("push_setpoint", 15, "value = 33"), ("power_cut", 25, "for_s = 2"))
    text = MINUTE + 'from_s = 35\n[row]\nparts = "remote"\n'
    for fault, at_s, extra in events:
        text += f'[[event]]\nat_s = {at_s}\ndo = "{fault}"\n{extra}\n'
    path = tmp_path / "push.jsonl"
    assert hil(["run", scenario_file(tmp_path, text), "--capture", str(path)]) == 0
    starts = [data for _, _, kind, data in load(path).lines if kind == "start"]
    assert (len(starts), starts[0]) == (2, b"")
    assert starts[1]
    assert hil(["replay", str(path)]) == 0


def test_changed_input_is_detected(capture_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = load(capture_path)
    first = next(
        i for i, line in enumerate(capture.lines) if line[1] == FIRST_BUS and line[2] == "receive"
    )
    time_us, port, kind, data = capture.lines[first + 40]
    capture.lines[first + 40] = (time_us, port, kind, bytes(len(data)))
    capture_path.write_text(capture.to_text())
    capsys.readouterr()
    assert hil(["replay", str(capture_path)]) == 1
    assert "operation " in capsys.readouterr().out


def test_input_only_capture_is_completed_and_stored(capture_path: Path, tmp_path: Path) -> None:
    capture = load(capture_path)
    outputs = capture.outputs
    inputs_only = replace(capture, lines=capture.inputs)
    capture_path.write_text(inputs_only.to_text())
    assert hil(["replay", str(capture_path), "--keep", str(tmp_path / "kept")]) == 0
    stored = load(tmp_path / "kept" / capture_path.name)
    assert compare_outputs(outputs[:300], stored.outputs[:300]) is None
    assert hil(["replay", str(tmp_path / "kept" / capture_path.name)]) == 0


def test_register_writes_are_compared_within_tolerance() -> None:
    frame = bytes((12, 6, 0, 7, 1, 200, 0, 0))
    near_frame = frame[:5] + bytes((201,)) + frame[6:]
    one, other = ([(0, FIRST_BUS, "write", data)] for data in (frame, near_frame))
    assert register_writes(one, FIRST_BUS) == [(FIRST_BUS, 12, 7, 456)]
    assert find_difference(one, other, FIRST_BUS, 1) is None
    assert find_difference(one, other, FIRST_BUS, 0) is not None
    assert find_difference(one, [], FIRST_BUS, 1) == "captured 1 register writes, now 0"
    receiver = [(0, RECEIVER, "write", frame)]
    assert register_writes(receiver, FIRST_BUS) == []


def test_readback_shows_written_value_within_tolerance() -> None:
    write, read = with_crc(bytes((12, 6, 0, 7, 1, 200))), with_crc(bytes((12, 3, 0, 6, 0, 2)))
    captured = [(0, FIRST_BUS, "write", write), (20, FIRST_BUS, "write", read)]
    reply = with_crc(bytes((12, 3, 4, 0, 9, 1, 200)))
    for value, expected in ((201, 201), (200, 200), (202, 200)):
        registers = ReplayedRegisters(captured, FIRST_BUS, 1)
        own_write = with_crc(bytes((12, 6, 0, 7, 1, value)))
        registers.record_write(FIRST_BUS, own_write)
        assert registers.adapt_reply(FIRST_BUS, 10, write) == (
            own_write if expected == value else write
        )
        registers.record_write(FIRST_BUS, read)
        assert registers.adapt_reply(FIRST_BUS, 30, reply) == with_crc(
            bytes((12, 3, 4, 0, 9, 1, expected))
        )
        other = with_crc(
            bytes((12, 3, 4, 1, 200, 1, 199))
        )  # registers with other values do not change
        assert registers.adapt_reply(FIRST_BUS, 30, other) == other
        assert registers.adapt_reply(FIRST_BUS, 30, reply[:-1]) == reply[:-1]


def test_multi_register_and_tcp_frames_are_decoded() -> None:
    body = bytes((12, 16, 0, 7, 0, 2, 4, 1, 200, 0, 9))
    expected = [(FIRST_BUS, 12, 7, 456), (FIRST_BUS, 12, 8, 9)]
    tcp = bytes((0, 1, 0, 0, 0, len(body))) + body
    for frame in (body + b"\0\0", tcp):
        assert register_writes([(0, FIRST_BUS, "write", frame)], FIRST_BUS) == expected
    short_frame = bytes(
        (12, 6, 0, 0, 0, 2, 0, 0)
    )  # an RTU frame with bytes that look like a TCP header
    assert register_writes([(0, FIRST_BUS, "write", short_frame)], FIRST_BUS) == [
        (FIRST_BUS, 12, 0, 2)
    ]
    read_frame = bytes((12, 3, 0, 0, 0, 2, 0, 0))
    assert register_writes([(0, FIRST_BUS, "write", read_frame)], FIRST_BUS) == []


@pytest.mark.soak
@pytest.mark.parametrize(
    "name",
    [name for name, model in shipped_models().items() if not several_setting(model.settings)],
)
def test_float32_writes_equal_within_one_count(name: str, tmp_path: Path) -> None:
    require_program("gcc")
    path = tmp_path / "run.jsonl"
    assert hil(["run", name, "--capture", str(path)]) == 0
    assert len(register_writes(load(path).outputs, FIRST_BUS)) > 25
    assert hil(["replay", str(path), "--dut", "unix-f32", "--counts", "1"]) == 0


HEAD = '{"format": "coldloop-capture-1", "config": {}}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("{}\n", ":1: not a line of a capture"),
        ("[" * 200_000 + "\n", ":1: not a line of a capture"),
        ('{"format": "x", "config": {}}\n', "format 'x' is not"),
        ('{"format": "coldloop-capture-1", "config": 5}\n', "is not an object"),
        (HEAD + "[1, 2]\n", ":2: not a line"),
        (HEAD + '[2,0,"event",""]\n[1,0,"event",""]\n', "do not increase"),
        (HEAD + "[" * 200_000 + "\n", ":2: not a line"),
        *(
            (HEAD + f'[{at},0,"event",""]\n', ":2: not a line of a capture: the time is not")
            for at in ("1e400", "NaN", "-1", "1.5", "true", '"1"', "99999999999999999")
        ),
        *(
            (HEAD + f'[0,{port},"receive",""]\n', ":2: not a line")
            for port in ("1e400", "-2", "-1", "99999", "true", '"1"')
        ),
        *((HEAD + f'[0,0,{kind},""]\n', ":2: not a line") for kind in ("5", "null", "[]")),
        *((HEAD + f'[0,0,"event",{data}]\n', ":2: not a line") for data in ("5", '"ff"', '"0"')),
        *(
            (HEAD + f'[0,-1,"start","{data.hex()}"]\n', ":2: not a line")
            for data in (b"[]", b"{", b'{"a": 5}', b"\xff", b"[" * 100_000)
        ),
        (HEAD + '[0,-1,"start",""]\n[86400000001,-1,"stop",""]\n', "more than a day"),
        (HEAD + '[0,0,"event",""]\n[86400000001,0,"event",""]\n', "more than a day"),
    ],
)
def test_invalid_capture_prints_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    assert hil(["replay", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_a_unit_that_is_off_may_be_off_for_long() -> None:
    month = 30 * 86_400_000_000
    lines = [HEAD, '[0,-1,"start",""]', '[5,-1,"stop",""]', f'[{month},-1,"start",""]']
    assert len(parse([*lines, f'[{month + 9},-1,"stop",""]'], "x").lines) == 4


@pytest.mark.parametrize("lines", [1, 2, 40])
def test_a_capture_that_was_cut_is_not_complete(
    lines: int, capture_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operations up to the cut are equal; those after it are not known."""
    capture = load(capture_path)
    last_us = capture.lines[-lines][0]
    capture.lines = [line for line in capture.lines[:-lines] if line[0] < last_us]
    capture_path.write_text(capture.to_text())
    capsys.readouterr()
    kept, folder = tmp_path / "kept", tmp_path / "report"
    assert hil(["replay", str(capture_path), "--keep", str(kept)]) == 1
    assert capsys.readouterr().out.startswith("NOT COMPLETE")
    assert not kept.exists()
    key = ["--key", str(tmp_path / "key")]
    with patch("hil.report.write.print_pdf", return_value=False):
        assert hil(["replay", str(capture_path), "--report", str(folder), *key]) == 1
    assert read(folder / RECORD_FILE)["verdict_text"].startswith("NOT COMPLETE")
    capture.lines = capture.inputs
    capture_path.write_text(capture.to_text())
    assert hil(["replay", str(capture_path), "--keep", str(kept)]) == 0
    assert hil(["replay", str(kept / capture_path.name)]) == 0, "it was kept with its end"


def test_a_capture_without_lines_is_not_complete(capture_path: Path) -> None:
    capture_path.write_text(capture_path.read_text().partition("\n")[0] + "\n")
    assert hil(["replay", str(capture_path)]) == 1


def test_stored_captures_are_replayed() -> None:
    """Replay all captures that `--keep tests/captures` has stored."""
    for path in STORED_CAPTURES:
        capture = load(path)
        player = CapturePlayer(capture, DUTS["cpython"])
        assert compare_outputs(capture.outputs, player.play()) is None, path


@pytest.mark.soak
def test_capture_replays_equally_a_hundred_times(capture_path: Path) -> None:
    capture = load(capture_path)
    for _ in range(100):
        player = CapturePlayer(capture, DUTS["cpython"])
        assert compare_outputs(capture.outputs, player.play()) is None
