# SPDX-License-Identifier: Apache-2.0
"""Campaign: random orders in which the agent asks its components; no order changes a write.

    python -m tests.hil.fault.component_orders [--orders 20] [--out FILE] [SCENARIO …]

Without names: `full-bench`, all scenarios of claims and the suite `hazards`. A scenario runs once
in the order of the registry and then in random orders, of the calls and of the control cycle. Ports
keep their numbers. All requests with a write function on the field buses must be equal. Reads and
telemetry have the order of the components and are not compared.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

from agent.core.component.base import Component
from hil.campaign.hazard.run import digest_writes
from hil.kernel.dut import InProcessDut
from hil.scenario.loader import find
from hil.scenario.model import Scenario
from hil.scenario.suite import load_suite

FIRST = ("full-bench", "manual-leak", "proof-stroke", "leak-critical", "drive-local")


def make_order(seed: int) -> type[InProcessDut]:
    """Return an agent with its components in a random order."""

    class ShuffledDut(InProcessDut):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            rng = random.Random(seed)
            agent = self.agent
            for pieces in (agent.components, agent.with_deadline, agent.with_outbox):
                places = [i for i, piece in enumerate(pieces) if isinstance(piece, Component)]
                moved = [pieces[i] for i in places]
                rng.shuffle(moved)
                for i, piece in zip(places, moved, strict=True):
                    pieces[i] = piece

    return ShuffledDut


def differing_orders(scenario: Scenario, orders: range) -> list[int]:
    """Return the seeds of the orders in which a scenario writes something else."""
    expected = digest_writes(scenario, 1, InProcessDut)
    return [seed for seed in orders if digest_writes(scenario, 1, make_order(seed)) != expected]


def main(argv: list[str]) -> int:
    """Run the campaign; return 1 if an order changes a write."""
    parser = argparse.ArgumentParser(prog="tests.hil.fault.component_orders")
    parser.add_argument("names", nargs="*", metavar="SCENARIO")
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    out: Any = sys.stdout if arguments.out is None else arguments.out.open("a")
    scenarios = [run for name in arguments.names or FIRST for run in find(name).expand_cases()]
    if not arguments.names:
        scenarios += load_suite("hazards").scenarios
    bad = 0
    orders = range(arguments.first, arguments.first + arguments.orders)
    for scenario in scenarios:
        found = differing_orders(scenario, orders)
        bad += len(found)
        print(f"{scenario.name}: {len(orders)} orders, differ: {found}", file=out, flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
