# SPDX-License-Identifier: Apache-2.0
"""The MIB and the responder: smilint, values, order, hostile lines."""

from __future__ import annotations

import io
import os
import random
import subprocess
from pathlib import Path

import pytest

from deploy.errors import OpsError
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.record import SnapshotSource
from deploy.northbound.snapshot import AlarmItem, Snapshot
from deploy.northbound.snmp import tree
from deploy.northbound.snmp.informs import AlarmChanges
from deploy.northbound.snmp.mib_text import mib_text
from deploy.northbound.snmp.process import read_root
from deploy.northbound.snmp.responder import PassPersistResponder, parse_oid
from drivers.ports.cpython.clock import monotonic
from tests.deploy.northbound.record_writer import write_record
from tests.support.data import data_file
from tests.support.programs import require_program
from tests.support.repository import ROOT

MIB = ROOT / "deploy" / "northbound" / "snmp" / "COLDLOOP-MIB"


def test_the_file_is_that_of_the_tables() -> None:
    assert MIB.read_text() == mib_text()


OTHER_ROOT = (1, 3, 6, 1, 4, 1, 55555, 7)


@pytest.mark.parametrize("root", [tree.ROOT, OTHER_ROOT, (*OTHER_ROOT, 2, 3)])
def test_smilint_has_no_remark(tmp_path: Path, root: tree.Oid) -> None:
    smilint = require_program("smilint")
    (tmp_path / "COLDLOOP-MIB").write_text(mib_text(root))
    done = subprocess.run(
        [smilint, "-l", "6", "-s", "-m", str(tmp_path / "COLDLOOP-MIB")],
        capture_output=True, text=True, check=False, timeout=60,
        env={"SMIPATH": f"{data_file('mibs')}:{tmp_path}", "PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.stdout + done.stderr == ""  # the exit code is 0 with errors too


def test_another_root_moves_all_numbers() -> None:
    source = FakeSource(2)
    while not (informs := AlarmChanges().update(source.snapshot)):
        source.step()
    snapshot = source.snapshot
    here, there = tree.SnmpTree(snapshot), tree.SnmpTree(snapshot, OTHER_ROOT)
    assert list(there.values.values()) == list(here.values.values())
    assert {oid[: len(OTHER_ROOT)] for oid in there.values} == {OTHER_ROOT}
    assert read_root("1.3.6.1.4.1.55555.7") == OTHER_ROOT
    moved = [word for word in informs[0].arguments(OTHER_ROOT) if word.startswith(".1.3")]
    assert len(moved) > 1
    assert all(word.startswith(".1.3.6.1.4.1.55555.7.") for word in moved)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1.3.6.1.4.1", "1.3.6.1.4.1.9", "1.3.6.1.2.1.1.1", "1.3.6.1.4.1.0.1",
     "1.3.6.1.4.1.4294967296.1", "1.3.6.1.4.1" + ".1" * 40],
)  # fmt: skip
def test_a_wrong_root_is_refused(text: str) -> None:
    with pytest.raises(OpsError, match=r"northbound\.snmp\.oid"):
        read_root(text)


def test_values_are_in_order_and_complete() -> None:
    source = FakeSource(2)
    for _ in range(50):
        source.step()
        snapshot = source.snapshot
        tested = tree.SnmpTree(snapshot)
        walked = []
        oid: tree.Oid = tree.ROOT
        while (found := tested.following(oid)) is not None:
            assert found[0] > oid
            oid = found[0]
            assert tested.get(oid) == found[1]
            walked.append(oid)
        assert walked == sorted(tested.values)
        for key, point in tree.snmp_points().items():
            known = snapshot.points[key].raw is not None
            assert (point.oid in tested.values) == known, key


def test_each_type_holds_the_whole_range_of_its_point() -> None:
    for key, point in tree.snmp_points().items():
        for raw in (point.row.low, point.row.high):
            assert point.value(raw) is not None, key


def test_a_stale_record_has_no_readings() -> None:
    tested = tree.SnmpTree(Snapshot(age_ms=5000))
    assert tested.get((*tree.UNIT, 10, 0)) == tree.SnmpValue("integer", "2")
    assert not [oid for oid in tested.values if oid[: len(tree.READINGS)] == tree.READINGS]


def test_texts_are_one_line() -> None:
    for content in ("a\nb", "\x00\x1b[31m", "é" * 300, "\ud800", "NONE\n.1.3\ninteger\n5"):
        line = tree.text(content).text
        assert "\n" not in line
        assert line.isprintable()
        assert len(line.encode()) <= 255


def test_two_alarms_of_one_number_have_two_rows() -> None:
    alarms = tuple(
        AlarmItem(301, "device_lost", name, 2, "shelved", "t", "a") for name in ("b", "a")
    )
    rows = [(index, alarm.name) for index, alarm in tree.alarm_rows(alarms)]
    assert rows == [((301, 1), "a"), ((301, 2), "b")]


def test_after_a_pause_of_the_manager_no_old_value_is_new(tmp_path: Path) -> None:
    """The unit stops after one more record; the next request comes 15 s later."""
    source, now = FakeSource(2), [monotonic()]
    source.replace(age_ms=0)
    write_record(tmp_path, source.snapshot)
    reader = SnapshotSource(tmp_path, clock=lambda: now[0])
    responder = PassPersistResponder(reader, lambda: now[0] / 1e6)
    age, stale = ((*tree.UNIT, number, 0) for number in (7, 10))

    def get(oid: tree.Oid) -> str:
        return responder.answer("get", [".".join(map(str, oid))]).split("\n")[2]

    assert get(stale) == "1"
    source.replace(age_ms=0)
    write_record(tmp_path, source.snapshot)
    now[0] = monotonic() + 15_000_000
    assert (get(stale), int(get(age)) >= 15_000) == ("2", True)
    readings = "." + ".".join(map(str, tree.READINGS))
    assert not responder.answer("getnext", [readings]).startswith(readings + ".")


def _responder(seed: int = 1) -> PassPersistResponder:
    return PassPersistResponder(FakeSource(seed))


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ("PING\n", "PONG\n"),
        ("set\n.1.3\ninteger 5\nPING\n", "not-writable\nPONG\n"),
        ("get\n.1.3.6\n", "NONE\n"),
        ("get\n\n", "NONE\n"),
        ("get\n", "NONE\n"),
        ("get\n.1.x\n", "NONE\n"),
        ("getnext\n.1.3.6.1.4.1.8072.9999.9999.4711\n", "NONE\n"),
        ("what\n", "NONE\n"),
    ],
)
def test_answers(lines: str, answer: str) -> None:
    output = io.StringIO()
    _responder().serve(io.StringIO(lines), output)
    assert output.getvalue() == answer


def test_object_identifiers() -> None:
    assert parse_oid(".1.3.6\n") == (1, 3, 6)
    assert parse_oid("1.3.6") == (1, 3, 6)
    for line in ("", ".", "1..3", "1.-3", "1.٣", "1." * 200 + "1", "1.99999999999", "1 .3"):
        assert parse_oid(line) is None, line


@pytest.mark.parametrize("count", [5_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_hostile_lines(count: int) -> None:
    rng = random.Random(6)
    words = ["get", "getnext", "set", "PING", ".1.3.6.1.4.1.8072.9999.9999.4710.1", "", "\x00"]
    lines = "".join(
        rng.choice(words) + rng.choice(("\n", "\n", " \n", "." + str(rng.getrandbits(40)) + "\n"))
        for _ in range(count)
    )
    output = io.StringIO()
    _responder().serve(io.StringIO(lines + "x" * 10_000 + "\n"), output)
    assert output.getvalue().count("\n") >= count / 4
