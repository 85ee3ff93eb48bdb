# SPDX-License-Identifier: Apache-2.0
"""Long tests of the clock (`make soak`): error bounds, false times, days of clean signals."""

import pytest

from benchmarks.gnss import clock, sky

pytestmark = pytest.mark.soak


def test_the_bound_holds_in_a_thousand_runs() -> None:
    assert [result for result in clock.bounds(1000) if not result[3]] == []


def test_all_limits_are_met() -> None:
    for name in ("lies", "sentences", "pulses", "heat"):
        assert [result for result in clock.FIGURES[name](100) if not result[3]] == []


@pytest.mark.parametrize("dialect", ["casic", "trimble", "unicore", "ublox"])
def test_two_days_of_clean_signals_raise_no_alarm(dialect: str) -> None:
    found = sky.run_agent(2.0, dialect, dialect == "trimble", 1)
    assert (found["alarms"], found["refused"], found["beyond_bound"]) == ([], 0, False)
