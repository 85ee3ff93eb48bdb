"""Captures: what is written is replayed, on both interpreters; one changed byte is seen."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.agent import FIRST_BUS, RECEIVER
from hil.commands import hil
from hil.io.register_trace import Shown, register_writes, writes_apart
from hil.run.capture import Player, difference, load
from hil.run.recorded import DUTS
from hil.scenario.loader import shipped
from tests.support.cli_tools import SHORT, scenario_file
from tests.support.modbus_master import crc
from tests.support.peers import need
from tests.support.repository import ROOT

KEPT = sorted((ROOT / "tests" / "captures").glob("*.jsonl"))
MINUTE = SHORT.replace("= 3", "= 40") + '[[expect]]\nmeasure = "ticks"\nmin = 1\n'


@pytest.fixture
def captured(tmp_path: Path) -> Path:
    """The capture of a run of 40 seconds."""
    event = '[[event]]\nat_s = 10\ndo = "it_load"\nvalue = 90\n'
    path = tmp_path / "run.jsonl"
    scenario = scenario_file(tmp_path, MINUTE + event)
    assert hil(["run", scenario, "--capture", str(path)]) == 0
    return path


@pytest.mark.parametrize("dut", ["cpython", "micropython"])
def test_what_was_captured_is_done_again(captured: Path, dut: str) -> None:
    if dut == "micropython":
        need("micropython")
    assert hil(["replay", str(captured), "--dut", dut]) == 0
    assert hil(["replay", str(captured), "--dut", dut, "--counts", "0"]) == 0


def test_a_power_cut_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is done between the cut and the next start."""
    path = tmp_path / "cut.jsonl"
    assert hil(["run", "restart", "--capture", str(path)]) == 0
    assert hil(["replay", str(path)]) == 0
    capture = load(path)
    capture.lines = [line for line in capture.lines if line[2] != "stop"]
    path.write_text(capture.text())
    assert hil(["replay", str(path)]) == 1
    assert "operation " in capsys.readouterr().out


def test_a_unit_that_takes_changes_is_replayed(tmp_path: Path) -> None:
    """It starts anew from what its store holds by then."""
    events = (("push_setpoint", 15, "value = 33"), ("power_cut", 25, "for_s = 2"))
    text = MINUTE + 'from_s = 35\n[row]\nparts = "remote"\n'
    for word, at_s, more in events:
        text += f'[[event]]\nat_s = {at_s}\ndo = "{word}"\n{more}\n'
    path = tmp_path / "push.jsonl"
    assert hil(["run", scenario_file(tmp_path, text), "--capture", str(path)]) == 0
    starts = [data for _, _, kind, data in load(path).lines if kind == "start"]
    assert (len(starts), starts[0]) == (2, b"")
    assert starts[1]
    assert hil(["replay", str(path)]) == 0


def test_a_changed_input_is_seen(captured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = load(captured)
    at = next(
        i for i, line in enumerate(capture.lines) if line[1] == FIRST_BUS and line[2] == "receive"
    )
    when, port, kind, data = capture.lines[at + 40]
    capture.lines[at + 40] = (when, port, kind, bytes(len(data)))
    captured.write_text(capture.text())
    capsys.readouterr()
    assert hil(["replay", str(captured)]) == 1
    assert "operation " in capsys.readouterr().out


def test_inputs_alone_are_completed_and_kept(captured: Path, tmp_path: Path) -> None:
    capture = load(captured)
    whole = capture.outputs
    bare = replace(capture, lines=capture.inputs)
    captured.write_text(bare.text())
    assert hil(["replay", str(captured), "--keep", str(tmp_path / "kept")]) == 0
    kept = load(tmp_path / "kept" / captured.name)
    assert difference(whole[:300], kept.outputs[:300]) is None
    assert hil(["replay", str(tmp_path / "kept" / captured.name)]) == 0


def test_register_writes_are_judged_within_a_count() -> None:
    frame = bytes((12, 6, 0, 7, 1, 200, 0, 0))
    near = frame[:5] + bytes((201,)) + frame[6:]
    one, other = ([(0, FIRST_BUS, "write", data)] for data in (frame, near))
    assert register_writes(one, FIRST_BUS) == [(FIRST_BUS, 12, 7, 456)]
    assert writes_apart(one, other, FIRST_BUS, 1) is None
    assert writes_apart(one, other, FIRST_BUS, 0) is not None
    assert writes_apart(one, [], FIRST_BUS, 1) == "captured 1 register writes, now 0"
    receiver = [(0, RECEIVER, "write", frame)]
    assert register_writes(receiver, FIRST_BUS) == []


def test_a_device_shows_what_was_written_to_it_within_the_tolerance() -> None:
    write, read = crc(bytes((12, 6, 0, 7, 1, 200))), crc(bytes((12, 3, 0, 6, 0, 2)))
    there = [(0, FIRST_BUS, "write", write), (20, FIRST_BUS, "write", read)]
    reply = crc(bytes((12, 3, 4, 0, 9, 1, 200)))
    for value, seen in ((201, 201), (200, 200), (202, 200)):
        shown = Shown(there, FIRST_BUS, 1)
        mine = crc(bytes((12, 6, 0, 7, 1, value)))
        shown.wrote(FIRST_BUS, mine)
        assert shown.reply(FIRST_BUS, 10, write) == (mine if seen == value else write)
        shown.wrote(FIRST_BUS, read)
        assert shown.reply(FIRST_BUS, 30, reply) == crc(bytes((12, 3, 4, 0, 9, 1, seen)))
        other = crc(bytes((12, 3, 4, 1, 200, 1, 199)))  # what was not written there stays as it is
        assert shown.reply(FIRST_BUS, 30, other) == other
        assert shown.reply(FIRST_BUS, 30, reply[:-1]) == reply[:-1]


def test_several_registers_and_frames_of_tcp_are_read_too() -> None:
    body = bytes((12, 16, 0, 7, 0, 2, 4, 1, 200, 0, 9))
    wanted = [(FIRST_BUS, 12, 7, 456), (FIRST_BUS, 12, 8, 9)]
    tcp = bytes((0, 1, 0, 0, 0, len(body))) + body
    for frame in (body + b"\0\0", tcp):
        assert register_writes([(0, FIRST_BUS, "write", frame)], FIRST_BUS) == wanted
    small = bytes((12, 6, 0, 0, 0, 2, 0, 0))  # not a frame of TCP, though it looks like its head
    assert register_writes([(0, FIRST_BUS, "write", small)], FIRST_BUS) == [(FIRST_BUS, 12, 0, 2)]
    reads = bytes((12, 3, 0, 0, 0, 2, 0, 0))
    assert register_writes([(0, FIRST_BUS, "write", reads)], FIRST_BUS) == []


@pytest.mark.soak
@pytest.mark.parametrize("name", shipped())
def test_32_bit_floats_write_the_same_within_a_count(name: str, tmp_path: Path) -> None:
    need("gcc")
    path = tmp_path / "run.jsonl"
    assert hil(["run", name, "--capture", str(path)]) == 0
    assert len(register_writes(load(path).outputs, FIRST_BUS)) > 25
    assert hil(["replay", str(path), "--dut", "unix-f32", "--counts", "1"]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("{}\n", ":1: not a line of a capture"),
        ('{"format": "x", "config": {}}\n', "format 'x' is not"),
        ('{"format": "coldloop-capture-1", "config": {}}\n[1, 2]\n', ":2: not a line"),
        (
            '{"format": "coldloop-capture-1", "config": {}}\n[2,0,"event",""]\n[1,0,"event",""]\n',
            "do not rise",
        ),
    ],
)
def test_what_is_no_capture_is_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    assert hil(["replay", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_kept_captures_are_done_again() -> None:
    """Whatever `--keep tests/captures` has put there."""
    for path in KEPT:
        capture = load(path)
        player = Player(capture, DUTS["cpython"])
        assert difference(capture.outputs, player.play()) is None, path


@pytest.mark.soak
def test_a_capture_is_done_again_a_hundred_times_of_a_hundred(captured: Path) -> None:
    capture = load(captured)
    for _ in range(100):
        player = Player(capture, DUTS["cpython"])
        assert difference(capture.outputs, player.play()) is None
