# SPDX-License-Identifier: Apache-2.0
"""Hostile devices in virtual time: no wrong value, no old value, no false success, never stuck."""

from __future__ import annotations

import pytest

from tests.support.hostile_device import BEHAVIOURS, RTU_BEHAVIOURS, HostileCase

CASES = [("rtu", name) for name in RTU_BEHAVIOURS] + [
    (framing, name) for framing in ("tcp", "ascii") for name in BEHAVIOURS
]


def check_case(framing: str, name: str, seed: int) -> HostileCase:
    case = HostileCase(framing, RTU_BEHAVIOURS[name], seed).run()
    counts = (case.wrong, case.old, case.false_success, case.stuck())
    assert counts == (0, 0, 0, []), (framing, name, seed, counts)
    return case


@pytest.mark.parametrize(("framing", "name"), CASES)
def test_sample(framing: str, name: str) -> None:
    case = check_case(framing, name, 1)
    assert case.good > 300, case.good


@pytest.mark.soak
@pytest.mark.parametrize(("framing", "name"), CASES)
def test_1000_seeds(framing: str, name: str) -> None:
    for seed in range(1000):
        check_case(framing, name, seed)
