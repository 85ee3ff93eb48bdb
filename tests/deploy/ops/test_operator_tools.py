# SPDX-License-Identifier: Apache-2.0
"""Operators' tools use their own ledger and clock; text from outside is shown, not executed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.remote.message.counter import first_of
from agent.remote.message.header import EPOCH_S, MAX_AHEAD_S
from deploy.errors import OpsError
from deploy.ops import keys, ledger, messages
from deploy.ops.command.show import report_to_text
from deploy.ops.private_file import write_private
from deploy.ops.report.unit_report import LastChange, UnitReport, parse_report
from deploy.relay.terminal_text import printable
from protocols.signed_message import COMMAND, PATCH
from tests.deploy.ops.test_config_command import BLANK, config
from tests.deploy.ops.test_operator_input import REPORT

NOW_S = EPOCH_S + 30_000_000
NOW = NOW_S - EPOCH_S
HOUR = 3600


def reporting(counter: int) -> UnitReport:
    return replace(BLANK, counters=(counter, counter, counter))


def test_the_next_counter_is_the_time_or_one_more_than_the_last() -> None:
    for reported, last, expected in (
        (0, 0, NOW),
        (NOW - 1, 0, NOW),
        (NOW, 0, NOW + 1),
        (NOW + 12 * HOUR, 0, NOW + 12 * HOUR + 1),
        (5, NOW + 7, NOW + 8),
        (5, first_of(1) + NOW + 7, NOW),  # a ledger of another epoch
        (first_of(2) + 5, NOW + 7, first_of(2) + NOW),
    ):
        assert messages.next_counter(PATCH, [reporting(reported)], NOW_S, last) == expected


@pytest.mark.parametrize("counter", [NOW + 12 * HOUR + 1, (1 << 32) - 2, first_of(1) - 1])
def test_an_implausible_report_signs_nothing(counter: int) -> None:
    with pytest.raises(OpsError, match="stolen"):
        messages.next_counter(PATCH, [reporting(counter)], NOW_S)


def test_a_tool_follows_each_counter_that_a_signed_report_can_have() -> None:
    """A stolen key can send a counter one day ahead: others still confirm and roll back."""
    for ahead_s in (12 * HOUR + 1, MAX_AHEAD_S):
        signed = replace(reporting(NOW + ahead_s), signed=True)
        following = NOW + ahead_s + 1
        assert messages.next_counter(PATCH, [signed], NOW_S) == following
        assert messages.next_counter(PATCH, [signed], NOW_S, following) == following + 1
    with pytest.raises(OpsError, match="stolen"):
        messages.next_counter(PATCH, [replace(signed, counters=(NOW + 25 * HOUR,) * 3)], NOW_S)


def test_one_unit_does_not_move_the_counters_of_its_group() -> None:
    good = {f"s/u{i}": reporting(NOW - i) for i in range(4)}
    for lie in ((1 << 32) - 2, first_of(1) + NOW, first_of(255)):
        plausible, refused = messages.plausible_members({"s/bad": reporting(lie), **good}, NOW_S)
        assert (len(plausible), list(refused)) == (4, ["s/bad"])
        assert messages.next_counter(PATCH, plausible, NOW_S) == NOW + 1


BAD: list[Any] = [
    {},
    [],
    None,
    {"counters": [1, 2]},
    {"counters": [-1, 0, 0]},
    {"counters": [1 << 40, 0, 0]},
    {"counters": [0.5, 0, 0]},
    {"counters": [True, 0, 0]},
    {"counters": 7},
    {"hash": "00"},
    {"hash": 1},
    {"version": -1},
    {"trial": "x"},
    {"update": [0]},
    {"update": {}},
    {"last": []},
    {"refused_message": [1]},
    {"scheduled": 1.5},
]


@pytest.mark.parametrize("change", BAD)
def test_a_malformed_report_is_one_error(change: Any) -> None:
    parse_report(json.dumps(REPORT).encode())
    raw = {**REPORT, **change} if isinstance(change, dict) and change else change
    with pytest.raises(OpsError, match="not a report"):
        parse_report(json.dumps(raw).encode())
    with pytest.raises(OpsError, match="not a report"):
        parse_report(b"[" * 100_000)


def test_escapes_are_shown_and_not_sent() -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202e\r\n"
    assert printable(evil) == "\\x1b]0;owned\\x07\\x9b2J\\u202e\\r\\n"
    assert printable("17 °C") == "17 °C"
    report = replace(
        BLANK,
        results=(evil,),
        refused_count=1,
        last_refusal=("busy", evil),
        last=LastChange(1, evil, evil),
    )
    text = report_to_text("s/u", report)
    assert "\x1b" not in text
    assert "\x9b" not in text


def test_private_files_are_private_also_if_they_exist(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old and longer")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    with pytest.raises(OpsError):
        write_private(tmp_path / "none" / "x", b"")


def test_the_ledger_is_signed_chained_and_gives_the_counters(tmp_path: Path) -> None:
    made = [keys.make_key(tmp_path, n, i, "limits", "") for i, n in enumerate(("a", "b"), 1)]
    signers = [keys.load(path.with_suffix(".key"), "") for path in made]
    trusted = {
        k.number: bytes.fromhex(str(keys.read_public_key(p)["public"]))
        for k, p in zip(signers, made, strict=True)
    }
    path = tmp_path / "l" / "ledger.jsonl"
    book, other = ledger.Ledger(path), ledger.Ledger(path)  # two rollouts of one user
    times = messages.MessageTimes(NOW_S)
    first, _ = messages.sign_patch("s/u", BLANK, [(1, 33)], signers[:1], times, book)
    command, _ = messages.sign_command("s/u", BLANK, "restart", [], signers, times, other)
    second, _ = messages.sign_patch("s/u", BLANK, [(1, 34)], signers[:1], times, book)
    assert (first, command, second) == (NOW, NOW, NOW + 1)
    assert path.stat().st_mode & 0o777 == 0o600
    again = ledger.Ledger(path)
    assert (again.last_counter("s/u", PATCH), again.last_counter("s/u", COMMAND)) == (NOW + 1, NOW)
    data = path.read_bytes()
    records, faults = ledger.verify(data, trusted)
    assert faults == []
    assert [r["keys"] for r in records] == [[1], [1, 2], [1]]
    for bad, fault in (
        (data.replace(b"patch control", b"patch limited", 1), "line 1: not signed"),
        (data.replace(b'"target": "s/u"', b'"target": "s/v"', 1), "line 1: not signed"),
        (data.split(b"\n", 1)[1], "line 1 does not follow line 0"),
        (b"x\n" + data, "line 1: not signed"),
    ):
        assert fault in "".join(ledger.verify(bad, trusted)[1])
    assert "line 2: not signed" in "".join(ledger.verify(data, {1: trusted[1]})[1])
    options = ["history", "--ledger", str(path), "--json"]
    for name in ("a", "b"):
        options += ["--trust", str(tmp_path / f"{name}.json")]
    completed = config(*options)
    assert completed.returncode == 0, completed.stderr
    assert len(json.loads(completed.stdout)["entries"]) == 3
    path.write_bytes(b"x\n")
    with pytest.raises(OpsError, match="line 1 is damaged"):
        ledger.Ledger(path)
