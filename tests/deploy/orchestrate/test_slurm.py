# SPDX-License-Identifier: Apache-2.0
"""The orchestrator on a real Slurm with two nodes; the readings of the unit are a file.

The short form of `benchmarks.orchestrate.job_trace`. The times of the rules are shortened.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.orchestrate.job_trace import CASE_LIMIT_C, run_trace
from deploy.orchestrate.rules import DOWN, DRAIN, FREE, SUSPEND, RowDecision
from deploy.orchestrate.settings import RowSettings, RuleSettings, SlurmSettings
from deploy.orchestrate.slurm.actuator import SlurmActuator
from deploy.orchestrate.slurm.client import SlurmClient
from tests.deploy.orchestrate.slurm_cluster import SlurmCluster, wait_for
from tests.support.programs import require_program
from tests.support.repository import ROOT

ROW = RowSettings("row1", ("n1", "n2"), 100.0, base_kw=10.0, status="-")
RULES = RuleSettings(change_s=0.0)
CONFIG = """
record = "{folder}/record.json"
[[row]]
name = "row1"
nodes = ["n1", "n2"]
rated_kw = 100
base_kw = 10
status = "{folder}/status.json"
[rules]
act_s = 0.4
release_s = 1.0
change_s = 0.5
hold_s = 2
lost_age_s = 2
suspend_after_s = 1
down_after_s = 2
poll_s = 0.2
[slurm]
conf = "{conf}"
suspend = ["gentle"]
partition_down = ["batch"]
"""


pytestmark = pytest.mark.usefixtures("clean_cluster")


def decide(level: int, headroom_kw: float, heat_kw: float = 10.0, new: bool = False) -> RowDecision:
    capacity_w = max(0.0, 1000 * (headroom_kw + heat_kw))
    return RowDecision(ROW, level, 1000 * headroom_kw, capacity_w, "test", None, new)


def make_actuator(cluster: SlurmCluster, lines: list[str] | None = None) -> SlurmActuator:
    settings = SlurmSettings(suspend=("gentle",), partition_down=("batch", "gentle"))
    log = [] if lines is None else lines
    return SlurmActuator(SlurmClient(str(cluster.conf)), settings, RULES, log.append)


def states(cluster: SlurmCluster) -> dict[str, str]:
    lines = cluster.run("sinfo", "-h", "-N", "-p", "batch", "-o", "%N %t").splitlines()
    return dict(line.split() for line in lines)


def is_clean(cluster: SlurmCluster) -> bool:
    client = SlurmClient(str(cluster.conf))
    nodes = client.nodes().values()
    return (
        all("DRAIN" not in node.states and node.comment == "" for node in nodes)
        and not any("coldloop" in node.reason for node in nodes)
        and all(node.weight == 1 for node in nodes)
        and client.reservations() == {}
        and set(client.partition_states().values()) == {"UP"}
        and not any("SUSPENDED" in job.states or job.admin_comment for job in client.jobs())
    )


def test_licences_follow_the_capacity(cluster: SlurmCluster) -> None:
    actuator = make_actuator(cluster)
    actuator.apply([decide(FREE, 40.0)], 0.0)  # 50 kW less 10 base, 7 reserve: 33 kW
    first = cluster.submit("sleep 60", "-n1", "-L", "coolkw:30")
    second = cluster.submit("sleep 60", "-n1", "-L", "coolkw:30")
    wait_for(lambda: first in cluster.jobs("R"), cluster)
    actuator.apply([decide(FREE, 40.0)], 1.0)  # its heat does not show yet
    time.sleep(2.5)  # more than a cycle of the scheduler
    assert cluster.jobs("PD") == [second]
    actuator.apply([decide(FREE, 60.0, heat_kw=38.0)], 2.0)
    wait_for(lambda: second in cluster.jobs("R"), cluster)
    actuator.undo()
    assert is_clean(cluster)


def test_a_drain_keeps_jobs_and_nodes_of_others(cluster: SlurmCluster) -> None:
    running = cluster.submit("sleep 60", "-n1", "-w", "n1")
    wait_for(lambda: running in cluster.jobs("R"), cluster)
    cluster.run("scontrol", "update", "nodename=n2", "state=drain", "reason=disk")
    actuator = make_actuator(cluster)
    actuator.apply([decide(DRAIN, 1.0, new=True)], 0.0)
    assert set(states(cluster).values()) <= {"drng", "drain"}
    assert actuator.report.drained == ["n1"]
    waiting = cluster.submit("sleep 1", "-n1")
    time.sleep(2.5)
    assert (cluster.jobs("R"), cluster.jobs("PD")) == ([running], [waiting])
    cluster.run("scontrol", "update", "nodename=n1", "state=undrain")  # a person has the last word
    actuator.apply([decide(DRAIN, 1.0)], 1.0)
    assert states(cluster)["n1"] != "drng"
    actuator.undo()
    assert states(cluster)["n2"] == "drain"
    cluster.run("scontrol", "update", "nodename=n2", "state=undrain")


def test_each_level_is_found_and_undone_by_another_process(cluster: SlurmCluster) -> None:
    job = cluster.submit("sleep 60", "-n1", "-p", "gentle", "-L", "coolkw:20", "--comment=mine")
    stiff = cluster.submit("sleep 60", "-n1", "-L", "coolkw:20")
    wait_for(lambda: {job, stiff} == set(cluster.jobs("R")), cluster)
    cluster.run("scontrol", "update", f"jobid={job}", "admincomment=keep this")
    first = make_actuator(cluster)
    for level in (DRAIN, SUSPEND, DOWN):
        first.apply([decide(level, -5.0, new=True)], float(level))
        assert make_actuator(cluster).levels((ROW,)) == {"row1": level}
    assert cluster.jobs("S") == [job]
    assert cluster.jobs("R") == [stiff]
    assert set(SlurmClient(str(cluster.conf)).partition_states().values()) == {"DOWN"}
    second = make_actuator(cluster)
    second.apply([decide(SUSPEND, 1.0)], 10.0)
    assert set(SlurmClient(str(cluster.conf)).partition_states().values()) == {"UP"}
    second.apply([decide(FREE, 5.0)], 11.0)
    assert cluster.jobs("S") == [job]  # 20 kW do not fit
    (node,) = (j.nodes[0] for j in SlurmClient(str(cluster.conf)).jobs() if j.number == job)
    assert second.report.drained == [node]  # its processors stay its own
    second.apply([decide(FREE, 30.0)], 12.0)
    assert cluster.jobs("S") == []
    comments = {j.number: j.admin_comment for j in SlurmClient(str(cluster.conf)).jobs()}
    assert comments[job] == "keep this"
    first.apply([decide(DOWN, -5.0, new=True)], 20.0)
    third = make_actuator(cluster)
    third.undo()
    cluster.run("scancel", str(job))
    wait_for(lambda: is_clean(cluster), cluster)


def test_the_row_with_less_headroom_gets_the_larger_weight(cluster: SlurmCluster) -> None:
    rows = [RowSettings(f"row{i}", (f"n{i}",), 100.0, status="-") for i in (1, 2)]
    cluster.run("scontrol", "update", "nodename=n1", "comment=rack 7")
    actuator = make_actuator(cluster)
    decisions = [RowDecision(rows[0], FREE, 20e3, 90e3, "", None)]
    decisions.append(RowDecision(rows[1], FREE, 80e3, 90e3, "", None))
    actuator.apply(decisions, 0.0)
    nodes = SlurmClient(str(cluster.conf)).nodes()
    assert nodes["n1"].weight > nodes["n2"].weight
    actuator.undo()
    assert SlurmClient(str(cluster.conf)).nodes()["n1"].comment == "rack 7"
    cluster.run("scontrol", "update", "nodename=n1", "comment=")
    assert is_clean(cluster)


class Orchestrator:
    """The command as a process, with a status of the unit that the test writes."""

    def __init__(self, cluster: SlurmCluster, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "orchestrate.toml"
        self.config.write_text(CONFIG.format(folder=folder, conf=cluster.conf))
        self._count = 0
        self.process: subprocess.Popen[bytes] | None = None

    def tell(self, headroom_kw: float, state: str = "free", heat_kw: float = 10.0) -> None:
        self._count += 1
        limits = {"headroom_w": 1000 * headroom_kw, "heat_w": 1000 * heat_kw, "state": state}
        status = {"mono_us": self._count, "state": "normal", "throttle": limits}
        new = self.folder / "status.new"
        new.write_text(json.dumps(status))
        new.rename(self.folder / "status.json")

    def start(self) -> None:
        command = [sys.executable, "-m", "coldloop", "orchestrate", "--config", str(self.config)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log)

    def stop(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def record(self) -> dict[str, Any]:
        path = self.folder / "record.json"
        return json.loads(path.read_text()) if path.exists() else {"rows": [{}]}


@pytest.fixture
def rig(cluster: SlurmCluster, tmp_path: Path) -> Iterator[Orchestrator]:
    made = Orchestrator(cluster, tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop(signal.SIGKILL)


def test_heat_is_lost_and_comes_back(cluster: SlurmCluster, rig: Orchestrator) -> None:
    rig.tell(80.0)
    rig.start()

    def tell_until(headroom_kw: float, state: str, is_true: Callable[[], object]) -> float:
        """Tell a reading until `is_true`; return the seconds."""
        started = time.monotonic()

        def poll() -> object:
            rig.tell(headroom_kw, state)
            return is_true()

        wait_for(poll, cluster)
        return time.monotonic() - started

    tell_until(80.0, "free", lambda: rig.record()["rows"][0].get("level") == "free")
    lost_s = tell_until(-60.0, "lost", lambda: set(states(cluster).values()) == {"drain"})
    job = cluster.submit("sleep 1", "-n1", "-L", "coolkw:5")
    tell_until(
        -60.0, "lost", lambda: "DOWN" in str(SlurmClient(str(cluster.conf)).partition_states())
    )
    assert cluster.jobs("PD") == [job]
    back_s = tell_until(80.0, "free", lambda: job in cluster.jobs("R,CD,CG"))
    assert rig.stop(signal.SIGTERM) == 0
    wait_for(lambda: is_clean(cluster), cluster)
    print(f"lost: drained after {lost_s:.1f} s; back: the job ran after {back_s:.1f} s")


def test_a_partition_comes_back_when_a_person_changes_a_reason(cluster: SlurmCluster) -> None:
    lines: list[str] = []
    client = SlurmClient(str(cluster.conf))
    first = make_actuator(cluster)
    first.apply([decide(DOWN, -5.0, new=True)], 0.0)
    cluster.run("scontrol", "update", "nodename=n1", "reason=disk")
    assert make_actuator(cluster).levels((ROW,)) == {"row1": DOWN}
    cluster.run("scontrol", "update", "nodename=n2", "reason=coldloop: n2")  # the marks are gone
    first.apply([decide(DOWN, -5.0)], 1.0)
    assert make_actuator(cluster).levels((ROW,)) == {"row1": DOWN}
    cluster.run("scontrol", "update", "nodename=n2", "reason=fan")
    other = make_actuator(cluster, lines)
    other.apply([decide(FREE, 50.0)], 1.0)
    assert len([line for line in lines if "down without a mark" in line]) == 2
    first.apply([decide(SUSPEND, 5.0)], 2.0)
    assert set(client.partition_states().values()) == {"UP"}
    first.undo()
    assert states(cluster) == {"n1": "drain", "n2": "drain"}  # of the person now
    cluster.run("scontrol", "update", "nodename=n1,n2", "state=undrain", "reason= ")
    assert is_clean(cluster)


@pytest.mark.parametrize("licences", [True, False])
def test_the_undo_of_another_process_is_noticed(cluster: SlurmCluster, licences: bool) -> None:
    settings = SlurmSettings(licences=licences)
    first = SlurmActuator(SlurmClient(str(cluster.conf)), settings, RULES, print)
    first.apply([decide(DRAIN, -5.0, new=True)], 0.0)
    make_actuator(cluster).undo()
    assert is_clean(cluster)
    first.apply([decide(DRAIN, -5.0)], 1.0)
    assert {state.rstrip("*") for state in states(cluster).values()} == {
        "drain"
    }  # *: no answer yet
    first.undo()
    assert is_clean(cluster)


def test_a_second_process_does_not_act(cluster: SlurmCluster, rig: Orchestrator) -> None:
    rig.tell(80.0)
    rig.start()

    def is_drained() -> bool:
        rig.tell(-60.0, "lost")
        return set(states(cluster).values()) == {"drain"}

    wait_for(is_drained, cluster)
    command = [sys.executable, "-m", "coldloop", "orchestrate", "--config", str(rig.config)]
    for words in ([], ["--undo"]):
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "another process acts on this scheduler" in done.stderr
        assert is_drained()
    rig.stop(signal.SIGKILL)
    assert subprocess.run([*command, "--undo"], check=False).returncode == 0
    assert is_clean(cluster)


def test_no_reading_holds_then_drains(cluster: SlurmCluster, rig: Orchestrator) -> None:
    rig.tell(80.0)
    rig.start()
    wait_for(lambda: rig.record()["rows"][0].get("level") == "drain", cluster)
    assert rig.record()["rows"][0]["headroom_w"] == 0
    assert rig.record()["scheduler"]["held"] == {"coolkw": 100}
    assert rig.stop(signal.SIGINT) == 0
    wait_for(lambda: is_clean(cluster), cluster)


@pytest.mark.parametrize(
    "after_s", [1.7, *(pytest.param(s, marks=pytest.mark.soak) for s in (0.2, 0.5, 1.0, 2.6, 4.0))]
)
def test_a_kill_leaves_nothing_for_ever(
    cluster: SlurmCluster, rig: Orchestrator, after_s: float
) -> None:
    job = cluster.submit("sleep 100", "-n1", "-p", "gentle", "-L", "coolkw:10")
    wait_for(lambda: job in cluster.jobs("R"), cluster)
    rig.tell(80.0)
    rig.start()
    end = time.monotonic() + after_s
    while time.monotonic() < end:
        rig.tell(-60.0, "lost")
        time.sleep(0.05)
    rig.stop(signal.SIGKILL)
    rig.start()

    def is_over() -> bool:
        rig.tell(80.0)
        nodes = SlurmClient(str(cluster.conf)).nodes().values()
        is_drained = any("DRAIN" in node.states for node in nodes)
        return (
            not is_drained
            and not cluster.jobs("S")
            and rig.record()["rows"][0].get("level") == "free"
        )

    wait_for(is_over, cluster)
    rig.stop(signal.SIGTERM)
    wait_for(lambda: is_clean(cluster), cluster)


@pytest.mark.soak
def test_the_controller_of_slurm_is_away_for_some_seconds(
    cluster: SlurmCluster, rig: Orchestrator
) -> None:
    rig.tell(80.0)
    rig.start()
    wait_for(lambda: rig.record()["rows"][0].get("level") == "free", cluster)
    cluster.restart_controller(3.0, lambda: rig.tell(-60.0, "lost"))

    def is_drained() -> bool:
        rig.tell(-60.0, "lost")
        return set(states(cluster).values()) == {"drain"}

    wait_for(is_drained, cluster)
    cluster.restart_controller(3.0, lambda: rig.tell(80.0))

    def is_free() -> bool:
        rig.tell(80.0)
        nodes = SlurmClient(str(cluster.conf)).nodes().values()
        return not any("DRAIN" in node.states for node in nodes)

    wait_for(is_free, cluster)
    rig.stop(signal.SIGTERM)
    wait_for(lambda: is_clean(cluster), cluster)


def test_a_missing_licence_is_reported(cluster: SlurmCluster) -> None:
    row = RowSettings("row1", ("n1",), 100.0, licence="other", status="-")
    lines: list[str] = []
    actuator = make_actuator(cluster, lines)
    for second in range(3):
        actuator.apply([RowDecision(row, FREE, 50e3, 90e3, "", None)], float(second))
    assert lines == ["slurm: no licence other in slurm.conf"]
    actuator.undo()


def test_a_lever_that_is_now_off_is_undone(cluster: SlurmCluster) -> None:
    job = cluster.submit("sleep 60", "-n1", "-p", "gentle", "-L", "coolkw:20")
    wait_for(lambda: job in cluster.jobs("R"), cluster)
    first = make_actuator(cluster)
    first.apply([decide(SUSPEND, -5.0, new=True)], 0.0)
    assert cluster.jobs("S") == [job]
    off = SlurmSettings(licences=False, drain=False, weights=False)
    second = SlurmActuator(SlurmClient(str(cluster.conf)), off, RULES, print)
    second.apply([decide(SUSPEND, -5.0)], 1.0)
    wait_for(lambda: is_clean(cluster), cluster)


@pytest.mark.soak
def test_the_plug_in_asks_for_the_heat_of_a_job() -> None:
    require_program("slurmctld")
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    made = SlurmCluster(folder)
    shutil.copy(ROOT / "deploy/examples/job_submit.lua", folder)
    made.conf.write_text(made.conf.read_text() + "JobSubmitPlugins=lua\n")
    try:
        made.start()
        jobs = [made.submit("sleep 60", *o) for o in (("-N2",), ("-n1", "-L", "coolkw:7"), ())]
        lines = dict(s.split() for s in made.run("squeue", "-h", "-o", "%i %W").splitlines())
        assert [lines[str(job)] for job in jobs] == ["coolkw:2", "coolkw:7", "coolkw:1"]
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.soak
def test_a_trace_of_jobs_with_the_emulated_hall() -> None:
    require_program("slurmctld")
    record = run_trace(True, jobs=8, speed=20.0, horizon_s=900.0)
    assert record["completed"] == 8
    assert record["case_c"] < CASE_LIMIT_C
    assert record["left_drained"] == []
    assert record["undo_exit"] == 0
