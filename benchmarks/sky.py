"""Days of clean virtual sky: is there ever a false alarm?

    python -m benchmarks.sky [--days 7] [--dialect trimble] [--no-pulses] [--seed 1] [--json]

The whole agent with the section `integrity` and an emulated receiver of a maker's dialect, as in a
scenario without faults; any alarm, any refused fix counts, and so does an error beyond the bound.
A week takes half an hour to an hour on one core; a terminal is told of every virtual hour.
"""

import argparse

from benchmarks.common import Record, machine, progress, show
from hil.devices.gnss_dialects import DIALECTS
from hil.scenario import Scenario
from hil.setting import Setting
from hil.virtualrun import VirtualRun

_HOUR = 3600
_START = 15


def watch(days: float, dialect: str, pulses: bool, seed: int) -> Record:
    """Run and count."""
    setting = Setting(receiver_dialect=dialect, receiver_pps=pulses, pumps=1, parts="integrity")
    scenario = Scenario("clean-sky", "nothing is wrong", days * 24 * _HOUR, setting)
    run = VirtualRun(scenario, seed)
    alarms: list[str] = []
    worst = [0.0, 0.0]

    def each(second: int) -> None:
        status = run.status
        if status is None or second < _START:
            return
        alarms.extend(a["code"] for a in status["alarms"] if a["code"] not in alarms)
        error, beyond = run.sample("utc_error_ms"), run.sample("utc_beyond_bound_ms")
        if error is not None and beyond is not None and second > _HOUR:
            worst[0] = max(worst[0], error)
            worst[1] = max(worst[1], beyond)
        if second % _HOUR == 0:
            progress(f"{second // _HOUR} h, alarms: {', '.join(alarms) or 'none'}")

    wall_s = run.run(each)
    clock = run.status["clock"] if run.status else {"accepted": 0, "rejected": 0, "late": 0}
    return {
        "dialect": dialect,
        "days": days,
        "seed": seed,
        "pulses": pulses,
        "alarms": alarms,
        "believed": clock["accepted"],
        "refused": clock["rejected"],
        "late": clock["late"],
        "worst_ms": round(worst[0], 3),
        "beyond_bound": worst[1] > 0,
        "wall_s": round(wall_s),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sky",
        description="Days of clean virtual sky: is there ever a false alarm?",
        epilog="example: python -m benchmarks.sky --days 7 --dialect trimble",
    )
    parser.add_argument("--days", type=float, default=7.0, metavar="N")
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="trimble")
    parser.add_argument("--no-pulses", action="store_true", help="sentences alone")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    found = watch(arguments.days, arguments.dialect, not arguments.no_pulses, arguments.seed)
    record = {"machine": machine(), "sky": found}
    rows = [(key, str(value)) for key, value in found.items()]
    show(record, arguments.json, ("what", "seen"), rows)
    return 1 if found["alarms"] or found["refused"] or found["beyond_bound"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
