# SPDX-License-Identifier: Apache-2.0
"""CPU time of the whole agent, for each Modbus transaction.

    python -m benchmarks.modbus.whole_agent [--seconds 30]

The agent is a process with the emulated row behind real ports, as in `coldloop demo`. The time
includes everything: bus, decoding, loops, alarms, telemetry, UTC and the ports. So this is the cost
of the unit, given by its transactions; a client library alone has no such figure.
"""

import argparse
import os
from pathlib import Path

from benchmarks.common import Record, describe_machine, show
from hil.bench.testbed_settings import TestbedSettings
from hil.errors import BenchError
from hil.run.real_bench import RealBench

_SECOND = 1_000_000
_WARM_UP_S = 12


def _agent_pid() -> int:
    """Return the child of this process that is the agent."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    for pid in children.split():
        if b"unit.json" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    raise BenchError("the agent does not run")


def _cpu_us(pid: int) -> float:
    """Return the CPU time of a process, in microseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1000


def _transactions(bench: RealBench) -> int:
    status = bench.status()
    if status is None:
        raise BenchError("no status of the agent")
    count: int = status["modbus"]["transactions"]
    return count


def measure(seconds: int) -> Record:
    """Return the CPU time of a transaction and of a second."""
    with RealBench(TestbedSettings(), 1) as bench:
        bench.start_agent()
        bench.shell.run(_WARM_UP_S * _SECOND)
        pid, count_before = _agent_pid(), _transactions(bench)
        cpu_before = _cpu_us(pid)
        bench.shell.run((_WARM_UP_S + seconds) * _SECOND)
        used, count = _cpu_us(pid) - cpu_before, _transactions(bench) - count_before
    return {
        "transactions": count,
        "us_a_transaction": round(used / max(1, count), 1),
        "cpu_percent": round(used / seconds / 1e4, 2),
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    options = parser.parse_args()
    figures = measure(options.seconds)
    record = {"machine": describe_machine(), **figures}
    show(record, options.json, ("figure", "value"), figures.items())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
