# SPDX-License-Identifier: Apache-2.0
"""Real time at 10 Hz: lateness of ticks, and error of the agent's UTC.

    python -m benchmarks.bench.realtime [--seconds 600] [--dut both]

The agent is a separate process with the emulated row behind real ports (pseudo-terminals, a TCP
socket), as in `coldloop demo`. `--dut both` runs one bench and agent for each interpreter at the
same time. Tick lateness is the histogram of the agent: the delay of a tick after its due time. Due
times lie on tenths of a second of the agent's UTC. The UTC error is that of each status against the
system clock, which is also the time of the emulated receiver.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from agent.core.tick_scheduler import LATENESS_EDGES
from benchmarks.common import ROOT, Record, describe_machine, show
from hil.bench.testbed_settings import TestbedSettings
from hil.errors import BenchError
from hil.run.real_bench import RealBench

_SECOND = 1_000_000
_TIMEOUT_S = 60
UTC_EDGES_MS = (-10, -5, -4, -3, -2, -1, 0, 1, 2, 5, 10)


class StatusRecorder:
    """Reads the status of the agent once a second and stores its UTC errors."""

    def __init__(self, bench: RealBench) -> None:
        self.bench = bench
        self.status: dict[str, Any] = {}
        self.utc_errors_us: list[int] = []
        self._seconds = 0
        bench.world.schedule(_SECOND, self._sample)

    def _sample(self) -> None:
        self._seconds += 1
        code = self.bench.agent_exit_code()
        if code is not None:
            raise BenchError(f"the agent ended with {code}")
        self.take_status()
        self.bench.world.schedule((self._seconds + 1) * _SECOND, self._sample)

    def take_status(self) -> None:
        """Take each status once."""
        status = self.bench.status()
        if status is None or status["mono_us"] == self.status.get("mono_us"):
            return
        self.status = status
        if status["utc_us"] is not None:
            system = (time.time_ns() - time.monotonic_ns()) // 1000
            self.utc_errors_us.append(status["utc_us"] - status["mono_us"] - system)

    def is_complete(self) -> bool:
        """Return whether each figure has at least one sample."""
        return bool(self.utc_errors_us) and self.status["modbus"]["transactions"] > 0


BOTH = ("cpython", "micropython")


def measure(dut: str, seconds: int, seed: int) -> Record:
    """Run the agent on one interpreter for `seconds`, or longer until it has UTC."""
    with RealBench(TestbedSettings(), seed) as bench:
        watch = StatusRecorder(bench)
        bench.start_agent(dut)
        for end in range(seconds + 1, seconds + 1 + _TIMEOUT_S):
            bench.shell.run(end * _SECOND)
            watch.take_status()
            if watch.is_complete():
                break
    status = watch.status
    if not status:
        raise BenchError(f"{dut}: no status of the agent within {seconds} s")
    ticks = status["ticks"]
    return {
        "dut": dut,
        "ticks": ticks["count"],
        "missed_ticks": ticks["missed"],
        "worst_late_us": ticks["worst_late_us"],
        "lateness": ticks["lateness"],
        "lateness_edges_us": list(LATENESS_EDGES),
        "utc_error_ms": utc_figures(watch.utc_errors_us),
        "utc_edges_ms": list(UTC_EDGES_MS),
        "clock": status["clock"]["state"],
        "modbus": {key: status["modbus"][key] for key in ("transactions", "errors")},
        "telemetry": {key: status["telemetry"][key] for key in ("published", "acknowledged")},
    }


def utc_figures(errors_us: list[int]) -> Record:
    """Summarise signed errors of UTC: spread and histogram, one sample for each status."""
    if not errors_us:
        return {"samples": 0}
    errors = sorted(errors_us)
    bins = [0] * (len(UTC_EDGES_MS) + 1)
    for error in errors:
        bins[sum(error > edge * 1000 for edge in UTC_EDGES_MS)] += 1
    return {
        "samples": len(errors),
        "min": round(errors[0] / 1000, 3),
        "median": round(statistics.median(errors) / 1000, 3),
        "max": round(errors[-1] / 1000, 3),
        "bins": bins,
    }


def measure_both(seconds: int, seed: int) -> list[Record]:
    """Run all interpreters at the same time, each with its own bench."""
    command = [sys.executable, "-m", "benchmarks.bench.realtime", "--json"]
    command += ["--seconds", str(seconds), "--seed", str(seed), "--dut"]
    started = [
        subprocess.Popen([*command, dut], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for dut in BOTH
    ]
    outputs = [process.communicate()[0] for process in started]
    if not all(outputs):
        raise BenchError("an interpreter gave no figures; see above")
    return [json.loads(text)["runs"][0] for text in outputs]


def rows(record: Record) -> list[list[str]]:
    """Return the rows of the table, one column for each interpreter."""
    runs = record["runs"]
    lines = [
        ["ticks", *[str(run["ticks"]) for run in runs]],
        ["missed", *[str(run["missed_ticks"]) for run in runs]],
    ]
    names = _bins([0, *LATENESS_EDGES], 1000)
    lines += [
        [f"late by {name} ms", *[_share(run["lateness"], i) for run in runs]]
        for i, name in enumerate(names)
    ]
    lines.append(["latest, ms", *[f"{run['worst_late_us'] / 1000:.2f}" for run in runs]])
    measured = [run["utc_error_ms"] for run in runs]
    names = ["below", *_bins(UTC_EDGES_MS, 1)]
    lines += [
        [f"UTC error {name} ms", *[_share(utc.get("bins", []), i) for utc in measured]]
        for i, name in enumerate(names)
        if any(utc.get("bins", [0] * len(names))[i] for utc in measured)
    ]
    lines += [
        [f"UTC error, {word}, ms", *[str(utc.get(word, "--")) for utc in measured]]
        for word in ("min", "median", "max")
    ]
    lines.append(["Modbus errors", *[_of(run["modbus"], "errors", "transactions") for run in runs]])
    acknowledged = [_of(run["telemetry"], "acknowledged", "published") for run in runs]
    return [*lines, ["telemetry acknowledged", *acknowledged]]


def _bins(edges: Sequence[int], unit: int) -> list[str]:
    """Return the names of the bins that begin at each of `edges`."""
    ends = [f"{edge / unit:g}" for edge in edges[1:]]
    starts = [f"{edge / unit:g}" for edge in edges]
    return [f"{a} to {b}" for a, b in zip(starts, ends, strict=False)] + [f"over {starts[-1]}"]


def _share(bins: list[int], i: int) -> str:
    if not bins or not bins[i]:
        return "-"
    return f"{bins[i]}  {100 * bins[i] / sum(bins):6.2f} %"


def _of(counts: dict[str, int], part: str, whole: str) -> str:
    return f"{counts[part]} of {counts[whole]}"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench.realtime",
        description="Tick lateness and UTC error of the agent in real time, at 10 Hz.",
        epilog="example: python -m benchmarks.bench.realtime --seconds 600",
    )
    parser.add_argument("--seconds", type=int, default=600, metavar="N", help="how long (600)")
    parser.add_argument("--dut", choices=(*BOTH, "both"), default="both")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    about = describe_machine()
    seconds, seed = arguments.seconds, arguments.seed
    try:
        if arguments.dut == "both":
            runs = measure_both(seconds, seed)
        else:
            runs = [measure(arguments.dut, seconds, seed)]
    except BenchError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    record = {"machine": about, "seconds": seconds, "seed": seed, "runs": runs}
    show(record, arguments.json, ["", *[run["dut"] for run in runs]], rows(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
