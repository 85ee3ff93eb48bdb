# SPDX-License-Identifier: Apache-2.0
"""Hostile devices in virtual time: no wrong value, no old value, no false success, never stuck."""

from __future__ import annotations

import json

import pytest

from protocols.modbus.pdu import read_holding
from tests.oracle.modbus.hostile_campaign import SCENARIOS, main, make_case, run_case
from tests.support.hostile.behaviours import SIZES
from tests.support.hostile.case import UNITS, HostileCase

FOUND = (
    ("rtu", "echo", 6, "mixed"),  # a write is the first request, and the device is silent
    ("rtu", "sometimes behind", 818, "many"),  # the reply to a probe was that to a later poll
    ("rtu", "mix", 238, "one"),  # a copy on the idle line counted as the next reply
    ("rtu", "mix", 127, "many"),
    ("rtu", "copy in slow parts", 74190, "mixed"),  # more bytes hid that the copy was old
    ("rtu", "copy in parts", 805, "two"),  # a copy that our request cut counted as a late reply
    ("rtu", "resets beside another master", 719, "many"),  # their first request was discarded
    ("rtu", "resets beside another master", 719, "two"),
    ("rtu", "resets beside another master", 1302, "mixed"),  # no good value for 77 s
    ("rtu", "resets beside another master", 3018, "one"),  # a probe in vain used its function up
    ("rtu", "echo", 5585, "one"),  # each reply closed one of 93 open requests: 64 s
    ("rtu", "damaged echo", 5500, "one"),
    ("rtu", "exceptions, copies", 18, "one"),  # the copy of an exception answered the next read
    ("rtu", "exceptions, copies", 37, "one"),
    ("ascii", "exceptions, copies", 17, "two"),  # the copy of an ambiguous reply to a probe
    ("ascii", "copy in slow parts", 31, "two"),  # the copy of a late reply counted as another one
    ("ascii", "copy in slow parts", 31, "many"),
    ("rtu", "second master, copies", 70169, "two"),  # of a reply of the shape of our last one
    ("rtu", "second master, behind", 70843, "two"),
    ("rtu", "second master, behind", 73249, "mixed"),  # a byte was a part of two frames
    ("ascii", "echo, copy in parts", 80, "mixed"),  # of a late reply, with a pause in the copy
)
"""Cases that had a wrong, an old, a false or no result once."""


def check_case(framing: str, name: str, seed: int, sizes: str) -> HostileCase:
    case, bad = run_case(framing, name, seed, sizes)
    assert not any(bad.values()), (framing, name, seed, sizes, bad)
    return case


@pytest.mark.parametrize(("framing", "name"), SCENARIOS)
def test_sample(framing: str, name: str) -> None:
    for seed, sizes in enumerate(SIZES):
        case = check_case(framing, name, seed, sizes)
        assert case.settled
        assert case.good > 20, case.good


@pytest.mark.parametrize(("framing", "name", "seed", "sizes"), FOUND)
def test_found_cases(framing: str, name: str, seed: int, sizes: str) -> None:
    check_case(framing, name, seed, sizes)


@pytest.mark.parametrize("count", [30, 45])
def test_more_blocks_than_are_kept_apart(count: int) -> None:
    case = make_case("rtu", "resets beside another master", 1, "one")
    case.blocks = [(UNITS[0], read_holding(5 * i + 3, 1 + i % 3)) for i in range(count)]
    case.run()
    assert (case.wrong, case.old, case.stuck()) == (0, 0, [])


def test_campaign_counts_its_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--framing", "tcp", "--seeds", "7:9", "--cpu-seconds", "0"]) == 0
    counts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (counts["seeds"], counts["cases"]) == (1, 60)
    assert counts["good"] > 1000


@pytest.mark.soak
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("framing", "name"), SCENARIOS)
def test_1000_seeds(framing: str, name: str, sizes: str) -> None:
    for seed in range(1000):
        check_case(framing, name, seed, sizes)
