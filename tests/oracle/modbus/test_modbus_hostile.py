# SPDX-License-Identifier: Apache-2.0
"""Hostile devices in virtual time: no wrong value, no old value, no false success, never stuck."""

from __future__ import annotations

import pytest

from tests.support.hostile_device import (
    ASCII_BEHAVIOURS,
    BEHAVIOURS,
    RTU_BEHAVIOURS,
    SIZES,
    HostileCase,
)

_BY_FRAMING = {"rtu": RTU_BEHAVIOURS, "tcp": BEHAVIOURS, "ascii": ASCII_BEHAVIOURS}
CASES = [(framing, name) for framing, known in _BY_FRAMING.items() for name in known]
FOUND = (
    ("rtu", "echo", 6, "mixed"),  # a write is the first request, and the device is silent
    ("rtu", "sometimes behind", 818, "many"),  # the reply to a probe was that to a later poll
    ("rtu", "mix", 238, "one"),  # a copy on the idle line counted as the next reply
    ("rtu", "mix", 127, "many"),
)
"""Cases that had a wrong, an old or a false result once."""


def check_case(framing: str, name: str, seed: int, sizes: str) -> HostileCase:
    case = HostileCase(framing, RTU_BEHAVIOURS[name], seed, sizes).run()
    counts = (case.wrong, case.old, case.false_success, case.stuck())
    assert counts == (0, 0, 0, []), (framing, name, seed, sizes, counts)
    return case


@pytest.mark.parametrize(("framing", "name"), CASES)
def test_sample(framing: str, name: str) -> None:
    for seed, sizes in enumerate(SIZES):
        case = check_case(framing, name, seed, sizes)
        assert case.good > 180, case.good


@pytest.mark.parametrize(("framing", "name", "seed", "sizes"), FOUND)
def test_found_cases(framing: str, name: str, seed: int, sizes: str) -> None:
    check_case(framing, name, seed, sizes)


@pytest.mark.soak
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("framing", "name"), CASES)
def test_1000_seeds(framing: str, name: str, sizes: str) -> None:
    for seed in range(1000):
        check_case(framing, name, seed, sizes)
