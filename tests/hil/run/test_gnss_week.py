# SPDX-License-Identifier: Apache-2.0
"""A virtual week without faults: real orbits, multipath, jitter, pulses, and no alarm."""

import pytest

from hil.kernel.dut import InProcessDut
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

WEEK = """
name = "clean-week"
title = "a week without faults"
seconds = {seconds}

[row]
pumps = 1
parts = "integrity"
receiver_dialect = "{dialect}"
receiver_pps = {pps}

[[expect]]
measure = "alarms"
max = 0

[[expect]]
measure = "utc_beyond_bound_ms"
unit = "ms"
max = 0
from_s = 60

[[expect]]
measure = "clock"
min = 1
max = 1
from_s = 60
"""


@pytest.mark.soak
@pytest.mark.parametrize(("dialect", "pps"), [("casic", "true"), ("unicore", "false")])
def test_a_week_without_a_false_alarm(dialect: str, pps: str) -> None:
    run = VirtualRun(
        parse(WEEK.format(seconds=604_800, dialect=dialect, pps=pps), "x"), 1, InProcessDut
    )
    run.run()
    assert run.evaluator.failures() == []
    assert run.console == []


@pytest.mark.parametrize("dialect", ["ublox", "st"])
def test_ten_minutes_without_a_false_alarm(dialect: str) -> None:
    run = VirtualRun(
        parse(WEEK.format(seconds=600, dialect=dialect, pps="true"), "x"), 2, InProcessDut
    )
    run.run()
    assert run.evaluator.failures() == []
    assert run.console == []
