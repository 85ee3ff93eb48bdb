# SPDX-License-Identifier: Apache-2.0
"""Input of the operators' tools: names of units, faults of reports, and a truncated ledger."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import OpsError
from deploy.ops import keys, ledger, messages
from deploy.ops.arguments import parse_unit_name
from deploy.ops.command import push
from deploy.ops.pki import authority as pki
from deploy.ops.report.unit_report import parse_report
from protocols.signed_message import PATCH
from tests.deploy.ops.test_config_command import BLANK

NOW_S = 1_800_000_000
BAD_NAMES = ("+.u", "s.#", "s.u1;rm", "s.y z", "s.\n", "s.x\ntopic readwrite #", "s.+", "s.U", "s")


@pytest.mark.parametrize("name", BAD_NAMES)
def test_only_a_name_of_a_configuration_is_a_unit(tmp_path: Path, name: str) -> None:
    pki.create(tmp_path, "test")
    before = (tmp_path / "acl").read_bytes()
    with pytest.raises(OpsError):
        pki.issue(tmp_path, name, "unit", [])
    assert (tmp_path / "acl").read_bytes() == before
    with pytest.raises(argparse.ArgumentTypeError, match="write SITE/UNIT"):
        parse_unit_name(name.replace(".", "/"))


def test_names_and_patterns_of_units_are_accepted() -> None:
    assert parse_unit_name("riyadh-2/row07_cdu1") == "riyadh-2/row07_cdu1"
    for pattern in ("*", "s/*", "s/u[12]", "s?/u1", "riyadh-2/row07-cdu1"):
        push._check_names(pattern, "pumps")
    for pattern, group in (("s/#", None), ("+/u", None), ("s/u\n", None), ("s", None), ("*", "#")):
        with pytest.raises(OpsError, match="is not"):
            push._check_names(pattern, group)


REPORT = {
    "version": 0,
    "hash": "00" * 32,
    "counters": [0, 0, 0],
    "trial": None,
    "phase": None,
    "last": [0, "nothing", ""],
    "refusal": ["", ""],
    "refused": 0,
    "audit": [0, ""],
    "results": [],
    "update": None,
}


@pytest.mark.parametrize("name", [*REPORT, "scheduled", "refused_message"])
def test_the_fault_of_a_report_names_its_field(name: str) -> None:
    values: list[object] = [{}, 1.5, [], "\ud800", -1]
    texts = {_fault(json.dumps({**REPORT, name: value}).encode()) for value in values}
    texts |= {_fault(json.dumps({k: v for k, v in REPORT.items() if k != name}).encode())}
    start = "not a report of this version"
    assert texts <= {None, f"{start}: {name} is not valid", f"{start}: {name} is missing"}
    assert _fault(b"{") == _fault(b"\xff") == f"{start}: not JSON"
    assert _fault(b"[]") == f"{start}: not a JSON object"


def _fault(payload: bytes) -> str | None:
    try:
        parse_report(payload)
    except OpsError as error:
        return str(error)
    return None


class ReportingSession:
    """Session on which each unit reports again and again."""

    def subscribe(self, topic: str) -> None:
        self.topic = topic

    def messages(self, _seconds: float) -> Iterator[tuple[str, bytes]]:
        for name, payload in (("s/bad", b"{}"), ("s/u", json.dumps(REPORT).encode())):
            yield f"{name}/cfg/reported", payload


def test_a_bad_unit_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    session = ReportingSession()
    units = push._find_units(session, "s/*", 0.05)  # type: ignore[arg-type]
    assert list(units) == ["s/u"]
    assert capsys.readouterr().err == "s/bad: not a report of this version: version is missing\n"


@pytest.fixture
def signer(tmp_path: Path) -> keys.Key:
    return keys.load(keys.make_key(tmp_path, "a", 1, "limits", "").with_suffix(".key"), "")


def _sign(path: Path, signer: keys.Key) -> int:
    times = messages.MessageTimes(NOW_S)
    book = ledger.Ledger(path)
    return messages.sign_patch("s/u", BLANK, [(1, 33)], [signer], times, book)[0]


def test_a_truncated_last_line_stops_no_tool(
    tmp_path: Path, signer: keys.Key, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.jsonl"
    trusted = {1: bytes.fromhex(str(keys.read_public_key(tmp_path / "a.json")["public"]))}
    first = _sign(path, signer)
    one = path.read_bytes()
    assert _sign(path, signer) == first + 1
    two = path.read_bytes()
    for end in range(len(one) + 1, len(two) - 1, 37):
        path.write_bytes(two[:end])
        assert ledger.verify(two[:end], trusted)[1] == [
            "line 2: truncated; the next tool removes it"
        ]
        assert ledger.Ledger(path).last_counter("s/u", PATCH) == first
        assert "line 2: truncated, so removed" in capsys.readouterr().err
        assert path.read_bytes() == one
    path.write_bytes(two[:-1])  # an editor without a last line end
    assert _sign(path, signer) == first + 2
    path.write_bytes(path.read_bytes() + bytes(512))  # a power failure
    assert _sign(path, signer) == first + 3
    records, faults = ledger.verify(path.read_bytes(), trusted)
    assert (len(records), faults) == (4, [])


def test_a_damaged_line_names_the_cure(tmp_path: Path, signer: keys.Key) -> None:
    path = tmp_path / "ledger.jsonl"
    _sign(path, signer)
    path.write_bytes(b"x\n" + path.read_bytes())
    with pytest.raises(OpsError, match="line 1 is damaged; restore a copy, or rename"):
        ledger.Ledger(path)


def test_a_full_disk_leaves_the_ledger_whole(
    tmp_path: Path, signer: keys.Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.jsonl"
    _sign(path, signer)
    before, write = path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda number, data: write(number, data[:20]))
    with pytest.raises(OpsError, match="nothing is sent"):
        _sign(path, signer)
    assert path.read_bytes() == before
