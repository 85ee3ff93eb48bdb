# SPDX-License-Identifier: Apache-2.0
"""A year of cooling: policies side by side on one plant and one weather.

    python -m benchmarks.control.annual [--weather dubai] [--rejection adiabatic] [--hours 8760]

example: python -m benchmarks.control.annual --weather dubai.epw --policies optimum,fixed:40

Each policy is one run of `coldloop hil year`. The ratio is its loop energy divided by that of
`optimum`, the hourly search that is a lower bound. Speed is virtual time divided by the CPU time of
this process, once with steps of a second and once with coarse steps in steady periods.
"""

import argparse
import sys
import time
from typing import Any

from benchmarks.common import Record, describe_machine, progress, show
from hil.annual.bound.optimum import sum_optimum
from hil.annual.policy import make_policy
from hil.annual.run import AnnualRun
from hil.annual.site import AnnualSite
from hil.annual.words import POLICIES
from hil.errors import BenchError
from hil.plant.air.cooler import KINDS
from hil.plant.air.weather import WeatherError, load_weather

_SHOWN = ("loop_pct_of_it", "pue", "wue_l_per_kwh", "energy_shed_pct", "hours_below_dew_margin")


def run_policy(
    site: AnnualSite, policy: str, hours: int, start: int, coarse: int, every: int = 1
) -> Record:
    """Run one policy; return its record with the CPU time."""
    used = time.process_time()
    if policy == "optimum":
        ledger = sum_optimum(site, hours, start, every=every)
    else:
        year = AnnualRun(site, make_policy(policy, site), coarse_s=coarse)
        ledger = year.run(hours, start, every=every)
        year.assert_balances()
    duration = time.process_time() - used
    record: Record = ledger.record(policy, duration)
    record["cpu_s"] = round(duration, 2)
    record["speed"] = round(ledger.seconds / duration)
    return record


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.control.annual",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weather", default="dubai", help="an EPW file or a climate (dubai)")
    parser.add_argument("--rejection", choices=KINDS, default="adiabatic")
    parser.add_argument("--policies", default=",".join(POLICIES), help="names, separated by commas")
    parser.add_argument("--hours", type=int, default=8760)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="simulate one day in N (1)")
    parser.add_argument("--speed-hours", type=int, default=48, help="hours in steps of a second")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    try:
        site = AnnualSite(load_weather(arguments.weather), arguments.rejection)
        runs = [
            _print_progress(
                run_policy(site, name, arguments.hours, arguments.start, 5, arguments.every)
            )
            for name in arguments.policies.split(",")
        ]
        fine = run_policy(site, "coldloop", arguments.speed_hours, arguments.start, 1)
    except (BenchError, WeatherError) as error:
        print(f"benchmarks.control.annual: {error}", file=sys.stderr)
        return 2
    best = next((run["loop_pct_of_it"] for run in runs if run["policy"] == "optimum"), None)
    for run in runs:
        run["over_optimum"] = round(run["loop_pct_of_it"] / best, 3) if best else None
    record = {"machine": describe_machine(), "runs": runs, "fine_speed": fine["speed"]}
    rows = [_row(run) for run in runs]
    show(record, arguments.json, ("policy", "loop %", "x optimum", *_SHOWN[1:], "x real"), rows)
    if not arguments.json:
        print(f"\nsteps of a second throughout, coldloop: {fine['speed']} x real time")
    return 0


def _print_progress(run: Record) -> Record:
    progress(f"{run['policy']}: {run['loop_pct_of_it']} % of IT in {run['cpu_s']} s of CPU")
    return run


def _row(run: Record) -> list[Any]:
    return [
        run["policy"],
        run["loop_pct_of_it"],
        run["over_optimum"],
        *[run[name] for name in _SHOWN[1:]],
        run["speed"],
    ]


if __name__ == "__main__":
    sys.exit(main())
