# SPDX-License-Identifier: Apache-2.0
"""Operating modes of a loaded row: an interlock acts once, and the mode is not the next cause."""

from __future__ import annotations

import pytest

from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

ROW = """
name = "mode"
title = "an operating mode of a loaded row"
seconds = {seconds}
[row]
it_kw = {it_kw}
meters = 2
humidity_sensors = 2
parts = "cooling, safety, throttle, remote"
{site}
"""
WARM, COLD = "", "setpoint_c = 20\nfws_c = 10\noutdoor_c = 6\nroom_humidity_pct = 60"
BEGIN_S = 60


def run_mode(seconds: int, it_kw: int, site: str, mode: str, **outputs: int) -> VirtualRun:
    """Run a row in which an operator sets `mode` at `BEGIN_S`, for longer than the run lasts."""
    run = VirtualRun(parse(ROW.format(seconds=seconds, it_kw=it_kw, site=site), "mode.toml"), 1)
    agent = run.dut.agent  # type: ignore[attr-defined]
    cooling = next(part for part in agent.components if "override" in part.COMMANDS)
    arguments = {"mode": mode, "minutes": 30, **outputs}

    def command(at_s: int) -> None:
        if at_s == BEGIN_S:
            cooling.handle_command("override", arguments, run.world.now)

    run.run(command)
    return run


def raised(run: VirtualRun, code: str) -> int:
    return sum(name.split(":")[0] == code for _, name, _ in run.testbed.history.raised)


def ended_by(run: VirtualRun) -> tuple[str, str]:
    agent = run.dut.agent  # type: ignore[attr-defined]
    manual = next(part.manual for part in agent.components if "override" in part.COMMANDS)
    return manual.mode, manual.ended_by


@pytest.mark.parametrize("site", [WARM, COLD], ids=["warm", "cold"])
def test_a_valve_held_shut_is_held_until_overheat_and_not_again(site: str) -> None:
    run = run_mode(480, 90, site, "hand", valve_pct=0, pump_pct=70)
    assert ended_by(run) == ("auto", "overheat")
    assert (raised(run, "overheat"), raised(run, "heat_lost")) == (1, 1)


def test_pumps_held_too_slow_are_held_until_flow_low_and_not_again() -> None:
    run = run_mode(180, 90, WARM, "hand", valve_pct=50, pump_pct=5)
    assert ended_by(run) == ("auto", "flow_low")
    assert raised(run, "flow_low") == 1
    assert run.testbed.plant.flow_true_lpm > 100.0


@pytest.mark.parametrize("mode", ["fill", "vent"])
@pytest.mark.parametrize("it_kw", [30, 90])
def test_loads_are_off_while_no_heat_leaves_the_row(mode: str, it_kw: int) -> None:
    run = run_mode(300, it_kw, WARM, mode)
    assert ended_by(run) == (mode, "")
    assert run.testbed.plant.it_kw < 0.05 * 100.0
    codes = ("overheat", "heat_lost", "flow_low", "device_hot", "dry_run")
    assert [raised(run, code) for code in codes] == [0] * len(codes)
    pumps = run.dut.agent.arbiters["pumps"].decision  # type: ignore[attr-defined]
    assert (pumps.owner, pumps.output) in (("manual", 30.0), ("manual", 60.0), ("manual", 20.0))
