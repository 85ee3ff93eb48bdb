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
ECHO_SEEDS = (6, 10)
"""Seeds with a write as the first request, to a line that echoes and a device that is silent."""


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


@pytest.mark.parametrize("seed", ECHO_SEEDS)
def test_an_echo_is_no_success(seed: int) -> None:
    assert check_case("rtu", "echo", seed, "mixed").ambiguous


@pytest.mark.soak
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("framing", "name"), CASES)
def test_1000_seeds(framing: str, name: str, sizes: str) -> None:
    for seed in range(1000):
        check_case(framing, name, seed, sizes)
