# SPDX-License-Identifier: Apache-2.0
"""A trace of jobs on a real Slurm, with and without `coldloop orchestrate`, in a warm hour.

    python -m benchmarks.orchestrate.job_trace [--jobs 14] [--speed 20] [--water 38 42 45] [--json]

Four nodes (slurmd) of one emulated row of 100 kW. The facility water becomes warm behind a fouled
exchanger, later it is cold again. Each job needs a node and 20 kW; it ends when its work is
done, so a power limit makes it longer. Both runs have the same jobs and the same weather.

Real: Slurm 24.11 (munged, slurmctld, slurmd), its jobs as processes, the command, the agent.
Emulated: the row with its plant, devices and power limits. The times of the rules are divided by
`--speed`, as is the time of the jobs. See `benchmarks.orchestrate.coupled_hall` for the model.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import Record, describe_machine, progress, show
from benchmarks.orchestrate.coupled_hall import CoupledHall
from deploy.orchestrate.slurm.client import SlurmClient
from hil.scenario.model import ScenarioEvent
from tests.deploy.orchestrate.slurm_cluster import SlurmCluster

NODES, JOB_KW, BASE_KW, CASE_LIMIT_C = 4, 20, 10.0, 85.0
_WARM_S, _COLD_S = 100.0, 1000.0
FIGURES = (
    "completed", "makespan_s", "case_c", "throttled_h", "throttled_kwh", "it_kwh", "pump_kwh",
    "leakage_kwh", "suspended_jobs",
)  # fmt: skip
_WORK_S = 240.0
_JOB = """import sys, time
work, path = float(sys.argv[1]), sys.argv[2]
last = time.monotonic()
while work > 0:
    time.sleep(0.1)
    now = time.monotonic()
    work -= min(now - last, 0.5) * float(open(path).read() or 1)
    last = now
"""
_CONFIG = """
record = "{folder}/record.json"
[[row]]
name = "row1"
nodes = ["n1", "n2", "n3", "n4"]
rated_kw = 100
base_kw = {base}
status = "{folder}/status.json"
[rules]
act_s = {act}
release_s = {release}
change_s = {change}
hold_s = {hold}
lost_age_s = {lost}
suspend_after_s = {suspend}
down_after_s = {down}
poll_s = 0.2
[slurm]
conf = "{conf}"
suspend = ["gentle"]
partition_down = ["batch"]
"""


def events(water_c: float) -> tuple[ScenarioEvent, ...]:
    """Return a fouled exchanger with warm facility water, then cold water."""
    return (
        ScenarioEvent(at_s=_WARM_S, do="hx_fouling", value=65.0, for_s=_COLD_S - _WARM_S),
        ScenarioEvent(at_s=_WARM_S, do="fws_temperature", value=water_c),
        ScenarioEvent(at_s=_COLD_S, do="fws_temperature", value=24.0),
    )


def run_trace(
    is_orchestrated: bool, jobs: int, speed: float, horizon_s: float, water_c: float = 42.0
) -> Record:
    """Run the trace once; return its record."""
    folder = Path(tempfile.mkdtemp(prefix="trace"))
    folder.chmod(0o755)
    cluster = SlurmCluster(folder / "slurm", NODES)
    hall = CoupledHall(SlurmClient(str(cluster.conf)), folder, speed, BASE_KW, events(water_c))
    process = None
    try:
        cluster.start()
        hall.start()
        if is_orchestrated:
            process = start_orchestrator(folder, cluster, speed)
        numbers = submit(cluster, folder, jobs, speed)
        record = observe(cluster, hall, numbers, horizon_s)
        if process is not None:
            process.send_signal(signal.SIGTERM)
            record["undo_exit"] = process.wait(60)
            record["log"] = (folder / "orchestrate.log").read_text().splitlines()
        record["left_drained"] = cluster.run("sinfo", "-h", "-R").splitlines()
        return record
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        hall.close()
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)


def start_orchestrator(
    folder: Path, cluster: SlurmCluster, speed: float
) -> "subprocess.Popen[Any]":
    times = {"act": 3, "release": 60, "change": 10, "hold": 60, "suspend": 10, "down": 60}
    scaled = {name: seconds / speed for name, seconds in times.items()}
    text = _CONFIG.format(folder=folder, conf=cluster.conf, base=BASE_KW, lost=3, **scaled)
    (folder / "orchestrate.toml").write_text(text)
    command = [sys.executable, "-m", "coldloop", "orchestrate"]
    with (folder / "orchestrate.log").open("ab") as log:
        config = str(folder / "orchestrate.toml")
        return subprocess.Popen([*command, "--config", config], stderr=log)


def submit(cluster: SlurmCluster, folder: Path, jobs: int, speed: float) -> list[int]:
    """Submit all jobs together; every second one tolerates a suspension."""
    script = folder / "job.py"
    script.write_text(_JOB)
    command = f"exec {sys.executable} -S -E {script} {_WORK_S / speed} {folder}/speed"
    options = ("-N1", "--exclusive", "-L", f"coolkw:{JOB_KW}")
    return [
        cluster.submit(command, *options, "-p", "gentle" if i % 2 else "batch") for i in range(jobs)
    ]


def observe(
    cluster: SlurmCluster, hall: CoupledHall, numbers: list[int], horizon_s: float
) -> Record:
    """Wait for the end of all jobs and for the horizon; return the figures."""
    makespan_s = None
    suspended: set[int] = set()
    while hall.second < horizon_s or makespan_s is None:
        if hall.second > 4 * horizon_s:
            break
        time.sleep(0.5)
        open_jobs = set(cluster.jobs("PD,R,S,CG"))
        suspended |= set(cluster.jobs("S"))
        if makespan_s is None and not open_jobs & set(numbers):
            makespan_s = hall.second
        progress(f"virtual {hall.second} s, jobs left {len(open_jobs)}")
    done = set(cluster.jobs("CD"))
    totals = hall.totals
    return {
        "jobs": len(numbers),
        "completed": len(done & set(numbers)),
        "makespan_s": makespan_s,
        "observed_s": hall.second,
        "case_c": round(totals.case_c, 1),
        "supply_c": round(totals.supply_c, 1),
        "derated_h": round(totals.derated_s / 3600, 3),
        "throttled_h": round(totals.limited_s / 3600, 3),
        "throttled_kwh": round(totals.lost_work_kwh, 2),
        "it_kwh": round(totals.it_kwh, 2),
        "pump_kwh": round(totals.pump_kwh, 3),
        "leakage_kwh": round(totals.leakage_kwh, 3),
        "suspended_jobs": len(suspended),
        "series": totals.series,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=14)
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--horizon", type=float, default=1900.0, help="virtual s of each run")
    parser.add_argument("--water", type=float, nargs="+", default=[38.0, 42.0, 45.0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows, runs = [], {}
    for water_c in arguments.water:
        for name, is_on in (("without", False), ("with", True)):
            run = run_trace(is_on, arguments.jobs, arguments.speed, arguments.horizon, water_c)
            runs[f"{name} {water_c:g}"] = run
            rows.append([f"{water_c:g} degC, {name}", *(run[figure] for figure in FIGURES)])
    record = {**describe_machine(), "speed": arguments.speed, "runs": runs}
    show(record, arguments.json, ["", *FIGURES], rows)


if __name__ == "__main__":
    main()
