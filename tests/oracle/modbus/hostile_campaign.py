# SPDX-License-Identifier: Apache-2.0
"""Many seeds of each hostile scenario, in virtual time: counts of each kind of bad result.

    python -m tests.oracle.modbus.hostile_campaign [--seeds 0:1000] [--cpu-seconds 600]

Needs only the standard library, so PyPy runs it too. Each seed runs all scenarios (framing,
behaviour of the device, size of the requests) before the next seed. So a run that ends at its limit
has the same number of seeds of each. The last line is a JSON object with the counts. The exit code
is 1 if a result is bad; each bad case has a line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.support.hostile.behaviours import ASCII_BEHAVIOURS, BEHAVIOURS, RTU_BEHAVIOURS, SIZES
from tests.support.hostile.case import HostileCase
from tests.support.hostile.shared_line import ALONE_TRAITS, TRAITS, SharedLineCase

SHARED_LINES = TRAITS | ALONE_TRAITS
BY_FRAMING = {
    "rtu": [*RTU_BEHAVIOURS, *SHARED_LINES],
    "tcp": [*BEHAVIOURS, *ALONE_TRAITS],
    "ascii": [*ASCII_BEHAVIOURS, *SHARED_LINES],
}
SCENARIOS = [(framing, name) for framing, known in BY_FRAMING.items() for name in known]
BAD = ("wrong", "old", "false_success", "false_refusal", "stuck")


def make_case(framing: str, name: str, seed: int, sizes: str) -> HostileCase:
    """Return the case of a scenario."""
    if name in SHARED_LINES:
        return SharedLineCase(framing, SHARED_LINES[name], seed, sizes)
    has_resets = name.startswith("resets")
    return HostileCase(framing, RTU_BEHAVIOURS[name], seed, sizes, has_resets=has_resets)


def run_case(framing: str, name: str, seed: int, sizes: str) -> tuple[HostileCase, dict[str, int]]:
    """Return the case after its run, and the counts of its bad results."""
    case = make_case(framing, name, seed, sizes).run()
    bad = (case.wrong, case.old, case.false_success, case.false_refusal, len(case.stuck()))
    return case, dict(zip(BAD, bad, strict=True))


def main(argv: list[str]) -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(prog="tests.oracle.modbus.hostile_campaign")
    parser.add_argument("--seeds", default="0:1000", metavar="FROM:END")
    parser.add_argument("--cpu-seconds", type=float, default=1e9, metavar="N")
    parser.add_argument("--framing", nargs="*", default=list(BY_FRAMING), choices=BY_FRAMING)
    parser.add_argument("--shared", action="store_true", help="only lines with another master")
    arguments = parser.parse_args(argv)
    first, end = map(int, arguments.seeds.split(":"))
    names = ("cases", "calls", "good", "unsure", *BAD)
    counts = dict.fromkeys(names, 0)
    seeds = 0
    for seed in range(first, end):
        for framing, name in SCENARIOS:
            if framing not in arguments.framing or (arguments.shared and name not in SHARED_LINES):
                continue
            for sizes in SIZES:
                try:
                    case, bad = run_case(framing, name, seed, sizes)
                except Exception:
                    print(framing, name, seed, sizes, flush=True)
                    raise
                values = (1, case.calls, case.good, case.ambiguous, *bad.values())
                for key, value in zip(names, values, strict=True):
                    counts[key] += value
                if any(bad.values()):
                    print(framing, name, seed, sizes, bad, flush=True)
        seeds += 1
        if time.process_time() > arguments.cpu_seconds:
            break
    seconds = round(time.process_time())
    print(json.dumps({"seeds": seeds, "cpu_s": seconds, **counts}), flush=True)
    return int(any(counts[key] for key in BAD))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
