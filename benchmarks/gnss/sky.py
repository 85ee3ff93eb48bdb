# SPDX-License-Identifier: Apache-2.0
"""Days without faults under a virtual sky: number of false alarms.

    python -m benchmarks.gnss.sky [--days 7] [--dialect trimble] [--no-pulses] [--seed 1] [--json]
    python -m benchmarks.gnss.sky --quick [--days 7] [--dialect trimble] [--seed 1] [--json]

The agent runs with the section `integrity` and an emulated receiver of a vendor dialect, as in a
scenario without faults. The benchmark counts alarms, rejected fixes and errors beyond the bound. A
week takes half an hour to an hour on one core; a terminal shows each virtual hour.

Quick: the same sky and checks without sentences, serial line and cooling. The module
`tests/portable/support/reference_time.py` makes fixes and pulses, with a crystal of 1 ppm a degree
over a warm day.
"""

import argparse
import math
from random import Random

from agent.clock.evidence import EvidenceLog
from agent.gnss.constellation_check import ConstellationCheck
from agent.gnss.detectors import DetectorSet
from agent.gnss.signal_check import SignalCheck
from benchmarks.common import Record, describe_machine, progress, show
from hil.bench.testbed import SITE_E7
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.gnss.receiver import GnssReceiver
from hil.devices.gnss.sentences import ListedSatellite
from hil.run.virtual import VirtualRun
from hil.scenario.model import Scenario
from protocols.time_units import SECOND
from tests.portable.support.reference_time import UTC, ClockRig, synced_leap_clock

_HOUR = 3600
_START = 15


def run_agent(days: float, dialect: str, pulses: bool, seed: int) -> Record:
    """Run and count."""
    setting = TestbedSettings(
        receiver_dialect=dialect, receiver_pps=pulses, pumps=1, parts="integrity"
    )
    scenario = Scenario("clean-sky", "nothing is wrong", days * 24 * _HOUR, setting)
    run = VirtualRun(scenario, seed)
    alarms: list[str] = []
    worst = [0.0, 0.0]

    def on_second(second: int) -> None:
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

    wall_s = run.run(on_second)
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


class _CheckedSatellite:
    """A satellite with the attributes that the checks read."""

    def __init__(self, item: ListedSatellite) -> None:
        self.gnss = item.system
        self.used = item.used
        self.strengths = [cn0 for cn0 in item.strengths.values() if cn0]
        self.cn0 = max(self.strengths, default=None)


def run_checks(days: float, dialect: str, pulses: bool, seed: int) -> Record:
    """Run the checks on each second of the sky."""
    detectors = DetectorSet(EvidenceLog())
    signals, systems = SignalCheck(detectors), ConstellationCheck(detectors)
    chosen = DIALECTS[dialect]
    device = GnssReceiver(SITE_E7, lambda mono: UTC + mono, Random(seed), chosen)
    clock = synced_leap_clock()
    bench = ClockRig(clock, seed, 7.0, 1.0, chosen.jitter_us / 1000, 1.0 if pulses else None)
    alarms: list[str] = []
    worst = [0]

    def on_second(b: ClockRig) -> None:
        b.temp = 25 + 4 * math.sin(b.second * 2 * math.pi / 86_400)
        mono = b.second * SECOND
        received = [_CheckedSatellite(one) for one in device._report(UTC + mono, mono).satellites]  # noqa: SLF001
        signals.add_epoch([cn0 for one in received for cn0 in one.strengths], mono)
        systems.add_epoch(received, mono)  # type: ignore[arg-type]
        if detectors.active or clock.failed_checks:
            alarms.extend(
                name for name in detectors.active + clock.failed_checks if name not in alarms
            )
        if b.second > _HOUR:
            worst[0] = max(worst[0], abs(b.error_us))
        if b.second % (6 * _HOUR) == 0:
            progress(f"{b.second // _HOUR} h, alarms: {', '.join(alarms) or 'none'}")

    bench.run(int(days * 24 * _HOUR), 1, on_second)
    return {
        "dialect": dialect,
        "days": days,
        "seed": seed,
        "pulses": pulses,
        "alarms": alarms,
        "believed": clock.accepted,
        "refused": clock.rejected,
        "late": clock.late,
        "worst_ms": worst[0] / 1000,
        "beyond_bound": bench.max_excess_us > 0,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gnss.sky",
        description="Days without faults under a virtual sky: number of false alarms.",
        epilog="example: python -m benchmarks.gnss.sky --days 7 --dialect trimble",
    )
    parser.add_argument("--days", type=float, default=7.0, metavar="N")
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="trimble")
    parser.add_argument("--quick", action="store_true", help="only the sky and the checks")
    parser.add_argument("--no-pulses", action="store_true", help="sentences only")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    run_sky = run_checks if arguments.quick else run_agent
    result = run_sky(arguments.days, arguments.dialect, not arguments.no_pulses, arguments.seed)
    record = {"machine": describe_machine(), "sky": result}
    rows = [(key, str(value)) for key, value in result.items()]
    show(record, arguments.json, ("figure", "result"), rows)
    return 1 if result["alarms"] or result["refused"] or result["beyond_bound"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
