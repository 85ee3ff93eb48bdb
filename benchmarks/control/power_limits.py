# SPDX-License-Identifier: Apache-2.0
"""Delay of power limits after a loss of heat rejection, and simultaneous caps of many rows.

    python -m benchmarks.control.power_limits [--phases 20] [--rows 64]

All times are virtual: the figures are those of the controller and of the emulated services. Parts:

    lost       1 MW, 600 L: the facility water stops at many times within the bus cycle. Seconds
               until the first lower limit has reached a service, with the flow reading of the valve
               and without it (then only the supply temperature shows the loss); the hottest case in
               the next 3 minutes
    kept       the same for 700 s: time of the load shedding, the hottest case
    hall       a cap at a UTC instant in many rows without a link: time of action of each row

The case limit of the emulated machines is 85 degC.
"""

import argparse
from dataclasses import replace
from typing import Any

from agent.power.component import PowerLimitComponent
from benchmarks.common import Record, describe_machine, progress, show, summarise
from hil.kernel.dut import InProcessDut
from hil.run.several.multi_row import run_rows
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.scenario.model import Scenario

_FAULT_S, _OBSERVED_S = 60.0, 180


class NoFlowAgent(InProcessDut):
    """The agent with a valve that does not report its flow."""

    def __init__(self, config: dict[str, Any], profiles: dict[str, dict[str, Any]]) -> None:
        super().__init__(config, profiles)
        for part in self.agent.components:
            if isinstance(part, PowerLimitComponent):
                part.measurement.fws_flow = None


def heat_rejection_lost(at_s: float, seconds: float) -> Scenario:
    """Return the scenario with its fault at `at_s`."""
    scenario = find("heat-rejection-lost")
    event = replace(scenario.events[0], at_s=at_s)
    return replace(scenario, seconds=seconds, events=(event,), expectations=())


def run_scenario(scenario: Scenario, make: type[InProcessDut]) -> Record:
    """Run it; return seconds to the first limit, the hottest case, the time of load shedding."""
    run = VirtualRun(scenario, 1, make)
    cases: list[float] = []
    off: list[int] = []

    def on_second(second: int) -> None:
        cases.append(run.testbed.plant.case_c)
        bank = run.testbed.load_bank
        if bank is not None and not off and sum(not load.is_on for load in bank.loads) > 1:
            off.append(second)

    run.run(on_second)
    limit_after_s = run.sample("told_after_s")
    assert limit_after_s is not None
    return {"told_s": limit_after_s, "case_c": max(cases), "off_s": off[0] if off else None}


def phases(count: int, make: type[InProcessDut]) -> Record:
    """Run the fault at `count` times of the bus cycle of 1 s."""
    result = []
    for i in range(count):
        progress(f"fault {i + 1} of {count}")
        result.append(
            run_scenario(
                heat_rejection_lost(_FAULT_S + i / count, _FAULT_S + 1 + _OBSERVED_S), make
            )
        )
    return {
        "told_s": summarise([item["told_s"] for item in result], 2),
        "case_c_3min": round(max(item["case_c"] for item in result), 1),
    }


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.control.power_limits",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m benchmarks.control.power_limits --phases 5 --rows 8",
    )
    parser.add_argument("--phases", type=int, default=20, metavar="N")
    parser.add_argument("--rows", type=int, default=64, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    long_run = run_scenario(heat_rejection_lost(_FAULT_S, _FAULT_S + 700), InProcessDut)
    record: Record = {
        "machine": describe_machine(),
        "lost": {
            "with flow": phases(arguments.phases, InProcessDut),
            "without flow": phases(arguments.phases, NoFlowAgent),
        },
        "kept": {"off_after_s": long_run["off_s"], "case_c": round(long_run["case_c"], 1)},
        "hall": run_rows(arguments.rows),
    }
    rows: list[tuple[str, Any]] = []
    for name, part in record["lost"].items():
        limit_after_s = part["told_s"]
        rows.append((f"limit sent, {name}, s: median", limit_after_s["median"]))
        rows.append((f"limit sent, {name}, s: worst", limit_after_s["max"]))
        rows.append((f"hottest case in 3 min, {name}, degC", part["case_c_3min"]))
    rows.append(("GPUs switched off at, s of the run", record["kept"]["off_after_s"]))
    rows.append(("hottest case in 700 s, degC", record["kept"]["case_c"]))
    hall = record["hall"]
    rows.append(
        (f"{hall['rows']} rows: first acted, ms after the instant", hall["first_us"] / 1000)
    )
    rows.append((f"{hall['rows']} rows: last acted, ms after", hall["last_us"] / 1000))
    rows.append(("maximum of rows that rise in the same second", hall["most_rise_in_one_second"]))
    show(record, arguments.json, ("", "figure"), rows)


if __name__ == "__main__":
    main()
