# SPDX-License-Identifier: Apache-2.0
"""Time from start to control, and memory: the agent as a process, on real ports.

    ready      from exec to READY=1: the agent is built and its ports are requested
    control    from exec to the first WATCHDOG=1: both loops have run once. Below 3 s all sensors
               had good readings; from 3 s the loops run without them (see `agent.agent`)
    memory     of the process, after some seconds of control: RSS, PSS, peak RSS, MiB

`--command` selects the command, such as that of an installed or unpacked package; the default is
that of this environment. The emulated row runs on the same machine in one process.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import ROOT, describe_machine, progress, show, summarise
from hil.bench.testbed_settings import TestbedSettings
from hil.run.real_bench import RealBench

LIMIT_S = 60.0  # the start has failed if it takes longer


def options() -> argparse.ArgumentParser:
    """Add the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtime.startup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m benchmarks.runtime.startup --command /usr/bin/coldloop",
    )
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    parser.add_argument("--rounds", type=int, default=5, help="starts (5)")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="control time before the memory measurement"
    )
    parser.add_argument("--command", metavar="COLDLOOP", help="the command to run")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run and show."""
    arguments = options().parse_args(argv)
    command = (
        [arguments.command] if arguments.command else [sys.executable, str(ROOT / "coldloop.py")]
    )
    about = describe_machine()
    rounds = []
    for number in range(arguments.rounds):
        progress(f"start {number + 1} of {arguments.rounds}")
        rounds.append(start(command, arguments.seconds))
    figures = {
        name: summarise([item[name] for item in rounds], 2)
        for name in ("ready_s", "control_s", "rss_mib", "pss_mib", "peak_mib")
    }
    record = {"machine": about, "command": arguments.command or "this environment", **figures}
    rows = [[name, f["min"], f["median"], f["max"]] for name, f in figures.items()]
    show(record, arguments.json, ["figure", "min", "median", "max"], rows)
    return 0


def start(command: list[str], seconds: float) -> dict[str, float]:
    """Start one agent beside a new row; TimeoutError: no control within the time limit."""
    with (
        RealBench(TestbedSettings(), seed=1) as bench,
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        path = f"{folder}/notify"
        systemd.bind(path)
        systemd.setblocking(False)
        file = Path(folder, "unit.json")
        file.write_text(json.dumps(bench.config()), encoding="utf-8")
        started_at = time.perf_counter()
        with subprocess.Popen(
            [*command, "agent", "--config", str(file)],
            env={**os.environ, "NOTIFY_SOCKET": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                ready = _wait_for_notify(bench, systemd, b"READY=1", started_at)
                control = _wait_for_notify(bench, systemd, b"WATCHDOG=1", started_at)
                bench.shell.run(bench.shell.now() + int(seconds * 1e6))
                return {"ready_s": ready, "control_s": control, **memory(process.pid)}
            finally:
                process.terminate()
                process.wait(10)


def _wait_for_notify(
    bench: RealBench, systemd: socket.socket, message: bytes, started_at: float
) -> float:
    """Run the row until systemd would get `message`; return seconds since `started_at`."""
    while time.perf_counter() - started_at < LIMIT_S:
        bench.shell.run(bench.shell.now() + 2_000)
        try:
            if systemd.recv(64) == message:
                return time.perf_counter() - started_at
        except BlockingIOError:
            pass
    raise TimeoutError(f"no {message.decode()} within {LIMIT_S:g} s")


def memory(pid: int) -> dict[str, float]:
    """Return the memory of a process, MiB. SOURCE: proc_pid_smaps(5), proc_pid_status(5)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text() + Path(f"/proc/{pid}/status").read_text()
    kib = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if " kB" in line}
    fields = {"rss_mib": "Rss", "pss_mib": "Pss", "peak_mib": "VmHWM"}
    return {name: round(int(kib[key]) / 1024, 1) for name, key in fields.items()}


if __name__ == "__main__":
    sys.exit(main())
