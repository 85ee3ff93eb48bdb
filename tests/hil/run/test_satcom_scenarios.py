# SPDX-License-Identifier: Apache-2.0
"""Scenarios of the satellite link with other seeds.

tests/hil/run/test_virtual.py runs each of them with one seed.
"""

import pytest

from hil.kernel.dut import InProcessDut
from hil.run.virtual import RunResult, VirtualRun
from hil.scenario.loader import find, parse

QUICK = ("link-alarm", "link-budget", "link-hostile", "link-no-sky", "link-resets")


def _run_scenario(name: str, seed: int = 1) -> RunResult:
    run = VirtualRun(find(name), seed, InProcessDut)
    try:
        return run.make_result("cpython", run.run())
    finally:
        run.dut.close()


@pytest.mark.soak
@pytest.mark.parametrize("name", QUICK)
def test_scenario_passes_with_other_seeds(name: str) -> None:
    for seed in range(2, 12):
        assert _run_scenario(name, seed=seed).failures == (), seed


_CUT = """
name = "cut"
title = "cut"
seconds = 150
[row]
parts = "log"
[[event]]
at_s = 55
do = "link_cut_after"
value = %d
for_s = 45
[[expect]]
measure = "log_waiting"
min = 2
ever = true
[[expect]]
measure = "log_waiting"
max = 2
from_s = 145
[[expect]]
measure = "ground_lost"
max = 0
[[expect]]
measure = "ground_differing"
max = 0
[[expect]]
measure = "log_lost"
max = 0
"""


def _run_with_cut(byte: int) -> None:
    run = VirtualRun(parse(_CUT % byte, "cut"), 1, InProcessDut)
    try:
        assert run.make_result("cpython", run.run()).failures == (), byte
    finally:
        run.dut.close()


def test_outage_at_selected_bytes() -> None:
    for byte in range(1, 700, 97):
        _run_with_cut(byte)


@pytest.mark.soak
def test_outage_at_every_byte() -> None:
    for byte in range(1, 1000):
        _run_with_cut(byte)


_CHATTER = """
name = "chatter"
title = "A drive is lost again and again, then another one trips"
seconds = 620
[row]
parts = "modem, modem_store"
modem_live_s = 900
modem_day_bytes = 1100
fans = 1
%s
[[event]]
at_s = 520
do = "pump_trip"
value = 1
[[expect]]
measure = "modem_queued"
max = 0
from_s = 600
[[expect]]
measure = "modem_alarm_s"
unit = "s"
max = 60
"""
_LOST = '[[event]]\nat_s = %d\ndo = "fan_dead"\nvalue = 1\nfor_s = 15\n'


_FULL = """
name = "full"
title = "The stores are full, and a drive trips"
seconds = 200
[row]
parts = "modem, modem_store"
[[event]]
at_s = 60
do = "disk_full"
for_s = 140
[[event]]
at_s = 100
do = "pump_trip"
value = 1
[[expect]]
measure = "ground_alarms"
min = 3
from_s = 150
"""


def _run_text(text: str) -> RunResult:
    run = VirtualRun(parse(text, "text"), 1, InProcessDut)
    try:
        return run.make_result("cpython", run.run())
    finally:
        run.dut.close()


def test_an_alarm_that_chatters_leaves_the_budget_for_another() -> None:
    lost = "".join([_LOST % at for at in range(60, 500, 30)])
    assert _run_text(_CHATTER % lost).failures == ()


def test_an_alarm_does_not_wait_for_a_full_disk() -> None:
    assert _run_text(_FULL).failures == ()
