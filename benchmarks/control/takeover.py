# SPDX-License-Identifier: Apache-2.0
"""Flow during pump trips, rotation, mode change, reload and restart.

A complete row in virtual time with its bus and drives (`hil`), sampled every 50 ms. A trip happens
at ten times within the cycle of the agent; the worst one counts. "step" is the largest change of
the output of the loop between two samples, "dip" the largest loss of flow, both in %.
"""

import argparse
import sys
from itertools import pairwise
from typing import Any

from agent.agent import Agent
from benchmarks import common
from hil.bench.testbed_settings import TestbedSettings
from hil.kernel.dut import InProcessDut
from hil.run.virtual import VirtualRun
from hil.scenario.model import Scenario

SAMPLE_US = 50_000
SECOND = 1_000_000
_TRIP_S = 30


def make_run(seconds: float, it_kw: float = 70.0) -> VirtualRun:
    """Make a row with a pair of pumps."""
    setting = TestbedSettings(it_kw=it_kw, parts="cooling, safety")
    run = VirtualRun(Scenario("x", "x", seconds, setting), 1)
    run.shell.start()
    return run


def agent_of(run: VirtualRun) -> Any:
    """Return the agent of a run in this process."""
    assert isinstance(run.dut, InProcessDut)
    return run.dut.agent


def record_flow(run: VirtualRun, since: int, until: int) -> list[tuple[int, float, float]]:
    """Run and sample: (time, flow, output of the loop)."""
    observed = []
    for now in range(since, until, SAMPLE_US):
        run.shell.run(now)
        run.testbed.plant.advance(now)
        output = agent_of(run).pressure_loop.controller.output
        observed.append((now, run.testbed.plant.flow_true_lpm, output))
    return observed


def trip(both: bool, phase_us: int) -> dict[str, float]:
    """Trip the lead pump: return the minimum flow (% of before) and the seconds below 70 %."""
    run = make_run(120)
    run.shell.run(10 * SECOND)
    if both:
        agent_of(run).pressure_loop.lag_running = True
        run.shell.run(_TRIP_S * SECOND + 60 * SECOND)
    at = (_TRIP_S + (80 if both else 0)) * SECOND + phase_us
    run.shell.run(at)
    run.testbed.plant.advance(at)
    before = run.testbed.plant.flow_true_lpm
    run.testbed.drives[0].trip()
    observed = [
        (now - at, 100.0 * flow / before) for now, flow, _ in record_flow(run, at, at + 20 * SECOND)
    ]
    low = [now for now, share in observed if share < 70.0]
    return {
        "least_pct": round(min(share for _, share in observed), 1),
        "back_s": round((low[-1] + SAMPLE_US) / SECOND, 2) if low else 0.0,
    }


def trips(both: bool) -> dict[str, float]:
    """Return the worst of ten times."""
    result = [trip(both, tenth * 100_000 + 30_000) for tenth in range(10)]
    return {
        "least_pct": min(item["least_pct"] for item in result),
        "back_s": max(item["back_s"] for item in result),
    }


def disturb(kind: str) -> dict[str, float]:
    """Disturb a settled row; return the largest step of the output and the dip of the flow."""
    run = make_run(400)
    run.shell.run(60 * SECOND)
    agent = agent_of(run)
    at = 60 * SECOND
    before = record_flow(run, at - 10 * SECOND, at)
    mean_flow = sum(flow for _, flow, _ in before) / len(before)
    last = before[-1][2]
    if kind == "rotation":
        agent.pressure_loop.rotate()
    elif kind == "mode":
        agent.pressure_loop.set_mode("flow", round(mean_flow, 1))
    elif kind == "reload":
        agent.apply_live_config(agent.config)
    elif kind == "restart":
        run.shell.switch_off()
        new_dut = InProcessDut.__new__(InProcessDut)  # a new agent with the same configuration
        new_dut.agent = Agent(agent.config)
        run.dut = new_dut
        run.shell.switch_on(new_dut)
    observed = record_flow(run, at, at + 200 * SECOND)
    outputs = [last] + [output for _, _, output in observed if output > 0.0]
    if kind == "restart":  # the new loop has no output until it has read the speeds of the drives
        outputs = [last] + [o for _, _, o in observed[3 * SECOND // SAMPLE_US :]]
    steps = [abs(b - a) for a, b in pairwise(outputs)]
    return {
        "step_pct": round(max(steps), 2),
        "dip_pct": round(100.0 * (1.0 - min(flow for _, flow, _ in observed) / mean_flow), 2),
        "lead": float(agent_of(run).pressure_loop.order[0] + 1),
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    record: dict[str, Any] = {"machine": common.describe_machine(), "trips": {}, "disturbed": {}}
    for name, both in (("both run", True), ("lag at rest", False)):
        common.progress(f"trip, {name}")
        record["trips"][name] = trips(both)
    for kind in ("rotation", "mode", "reload", "restart"):
        common.progress(kind)
        record["disturbed"][kind] = disturb(kind)
    rows: list[list[Any]] = [
        [f"trip, {name}", f"least flow {t['least_pct']} %", f"70 % after {t['back_s']} s"]
        for name, t in record["trips"].items()
    ]
    rows += [
        [kind, f"step {d['step_pct']} %", f"dip {d['dip_pct']} %"]
        for kind, d in record["disturbed"].items()
    ]
    common.show(record, arguments.json, ["", "", ""], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
