# SPDX-License-Identifier: Apache-2.0
"""Operators change the cluster while the orchestrator acts on it: what they did is never undone."""

import pytest

from deploy.orchestrate.rules import DOWN, DRAIN, FREE, SUSPEND, RowDecision
from deploy.orchestrate.settings import RowSettings
from deploy.orchestrate.slurm.client import SlurmClient, SlurmError
from tests.deploy.orchestrate.slurm_cluster import SlurmCluster, wait_for
from tests.deploy.orchestrate.test_slurm import decide, is_clean, make_actuator, states

pytestmark = pytest.mark.usefixtures("clean_cluster")
RESERVE = ("scontrol", "create", "reservation", "starttime=now", "duration=60", "user=root")


def test_a_reservation_of_the_same_name_with_nodes_stays(cluster: SlurmCluster) -> None:
    cluster.run(*RESERVE, "reservationname=coldloop", "nodes=n1", "flags=maint,ignore_jobs")
    client = SlurmClient(str(cluster.conf))
    actuator = make_actuator(cluster)
    with pytest.raises(SlurmError, match="is not of coldloop"):
        actuator.apply([decide(DRAIN, -5.0, new=True)], 0.0)
    assert actuator.report.drained == ["n1", "n2"]  # the other levers act
    assert actuator.report.held == {}
    actuator.undo()
    assert client.reservations()["coldloop"].has_nodes
    cluster.run("scontrol", "delete", "reservationname=coldloop")
    assert is_clean(cluster)


def test_licences_of_another_reservation_are_not_held_again(cluster: SlurmCluster) -> None:
    options = ("licenses=coolkw:60", "flags=license_only,ignore_jobs")
    cluster.run(*RESERVE, "reservationname=maint", *options)
    client = SlurmClient(str(cluster.conf))
    actuator = make_actuator(cluster)
    actuator.apply([decide(FREE, 40.0)], 0.0)  # 33 kW may start, 40 are not of others
    assert client.reservations()["coldloop"].licences == {"coolkw": 7}
    actuator.apply([decide(DRAIN, -5.0, new=True)], 1.0)
    assert client.reservations()["coldloop"].licences == {"coolkw": 40}
    cluster.run("scontrol", "update", "reservationname=maint", "licenses=coolkw:20")
    actuator.apply([decide(DRAIN, -5.0)], 2.0)
    assert client.reservations()["coldloop"].licences == {"coolkw": 80}
    actuator.undo()
    assert set(client.reservations()) == {"maint"}
    cluster.run("scontrol", "delete", "reservationname=maint")
    assert is_clean(cluster)


def test_a_job_that_a_person_has_resumed_and_suspended_stays_suspended(
    cluster: SlurmCluster,
) -> None:
    job = cluster.submit("sleep 60", "-n1", "-p", "gentle", "-L", "coolkw:10")
    wait_for(lambda: job in cluster.jobs("R"), cluster)
    client = SlurmClient(str(cluster.conf))
    actuator = make_actuator(cluster)
    actuator.apply([decide(SUSPEND, -5.0, new=True)], 0.0)
    assert cluster.jobs("S") == [job]
    cluster.run("scontrol", "resume", str(job))
    for second in (1.0, 2.0):
        actuator.apply([decide(SUSPEND, -5.0)], second)
        assert cluster.jobs("R") == [job]
    (found,) = make_actuator(cluster).levels((decide(FREE, 0.0).row,)).values()
    assert found == SUSPEND  # so a new process does not suspend it again
    cluster.run("scontrol", "suspend", str(job))
    actuator.apply([decide(FREE, 80.0)], 30.0)
    actuator.apply([decide(FREE, 80.0)], 60.0)
    actuator.undo()
    assert cluster.jobs("S") == [job]
    assert [entry.admin_comment for entry in client.jobs()] == [""]


def test_a_suspension_that_a_kill_has_interrupted_is_done_by_the_next_process(
    cluster: SlurmCluster,
) -> None:
    job = cluster.submit("sleep 60", "-n1", "-p", "gentle", "-L", "coolkw:10")
    wait_for(lambda: job in cluster.jobs("R"), cluster)
    cluster.run("scontrol", "update", f"jobid={job}", "admincomment=coldloop:suspended note")
    actuator = make_actuator(cluster)
    actuator.apply([decide(SUSPEND, -5.0, new=True)], 0.0)
    assert cluster.jobs("S") == [job]
    actuator.undo()
    (found,) = SlurmClient(str(cluster.conf)).jobs()
    assert (found.states, found.admin_comment) == ({"RUNNING"}, "note")


def test_a_weight_and_a_comment_of_a_person_stay(cluster: SlurmCluster) -> None:
    rows = [RowSettings(f"row{i}", (f"n{i}",), 100.0, status="-") for i in (1, 2)]
    client = SlurmClient(str(cluster.conf))
    decisions = [RowDecision(row, FREE, 20e3, 90e3, "", None) for row in rows]
    actuator = make_actuator(cluster)
    actuator.apply(decisions, 0.0)
    assert {node.weight for node in client.nodes().values()} == {401}
    cluster.run("scontrol", "update", "nodename=n1", "weight=7")
    cluster.run("scontrol", "update", "nodename=n2", "comment=rack 9")
    actuator.apply(decisions, 20.0)
    assert {name: node.weight for name, node in client.nodes().items()} == {"n1": 407, "n2": 401}
    cluster.run("scontrol", "update", "nodename=n1", "weight=9")
    actuator.undo()
    nodes = client.nodes()
    assert (nodes["n1"].weight, nodes["n1"].comment) == (9, "")
    assert (nodes["n2"].weight, nodes["n2"].comment) == (1, "rack 9")
    cluster.run("scontrol", "update", "nodename=n1,n2", "weight=1", "comment=")
    assert is_clean(cluster)


def test_a_reason_and_a_state_of_a_person_stay(cluster: SlurmCluster) -> None:
    actuator = make_actuator(cluster)
    actuator.apply([decide(DRAIN, -5.0, new=True)], 0.0)
    cluster.run("scontrol", "update", "nodename=n1", "state=down", "reason=PSU")
    cluster.run("scontrol", "update", "nodename=n2", "state=drain", "reason=fan")
    actuator.apply([decide(DRAIN, -5.0)], 1.0)
    actuator.apply([decide(FREE, 80.0)], 2.0)
    actuator.undo()
    nodes = SlurmClient(str(cluster.conf)).nodes()
    assert (nodes["n1"].reason, nodes["n2"].reason) == ("PSU", "fan")
    assert "DOWN" in nodes["n1"].states
    assert "DRAIN" in nodes["n2"].states
    cluster.run("scontrol", "update", "nodename=n1", "state=resume")
    cluster.run("scontrol", "update", "nodename=n1,n2", "state=undrain", "reason= ")
    wait_for(lambda: set(states(cluster).values()) <= {"idle", "idle*"}, cluster)


def test_one_task_of_an_array_is_suspended_and_resumed(cluster: SlurmCluster) -> None:
    """The last task of an array has the number of the array, with which Slurm changes all tasks."""
    options = ("-n1", "-p", "gentle", "-L", "coolkw:5", "--array=0-2")
    array = cluster.submit("sleep 60", *options)
    wait_for(lambda: len(cluster.jobs("R")) == 3, cluster)
    client = SlurmClient(str(cluster.conf))
    lines: list[str] = []
    actuator = make_actuator(cluster, lines)
    for count in (1, 2, 3):
        actuator.apply([decide(SUSPEND, -5.0, new=count == 1)], float(count))
        marked = [job for job in client.jobs() if job.admin_comment]
        assert len(cluster.jobs("S")) == len(marked) == count
        assert all("SUSPENDED" in job.states for job in marked)
    for second in (20.0, 30.0, 40.0):
        actuator.apply([decide(FREE, 80.0)], second)
    assert len(cluster.jobs("R")) == 3
    assert not any(job.admin_comment for job in client.jobs())
    resumed = {line.split()[2] for line in lines if line.startswith("slurm: job") and "res" in line}
    assert resumed == {f"{array}_{task}" for task in range(3)}


def test_the_mark_of_a_job_that_a_person_requeues_is_removed(cluster: SlurmCluster) -> None:
    options = ("-n1", "-p", "gentle", "-L", "coolkw:10", "--requeue")
    job = cluster.submit("sleep 60", *options)
    wait_for(lambda: job in cluster.jobs("R"), cluster)
    actuator = make_actuator(cluster)
    actuator.apply([decide(SUSPEND, -5.0, new=True)], 0.0)
    cluster.run("scontrol", "requeuehold", str(job))
    wait_for(lambda: job in cluster.jobs("PD"), cluster)
    client = SlurmClient(str(cluster.conf))
    assert [entry.admin_comment for entry in client.jobs("PENDING")] == ["coldloop:suspended"]
    actuator.undo()
    assert [entry.admin_comment for entry in client.jobs("PENDING")] == [""]
    assert is_clean(cluster)


def test_a_partition_that_a_person_sets_up_stays_up_until_the_level_ends(
    cluster: SlurmCluster,
) -> None:
    client = SlurmClient(str(cluster.conf))
    actuator = make_actuator(cluster)
    actuator.apply([decide(DOWN, -5.0, new=True)], 0.0)
    assert set(client.partition_states().values()) == {"DOWN"}
    cluster.run("scontrol", "update", "partitionname=batch", "state=up")
    for second in (1.0, 2.0):
        actuator.apply([decide(DOWN, -5.0)], second)
        assert client.partition_states() == {"batch": "UP", "gentle": "DOWN"}
    make_actuator(cluster).undo()  # without a mark it is not the work of a person
    actuator.apply([decide(DOWN, -5.0)], 3.0)
    assert client.partition_states()["gentle"] == "DOWN"
    actuator.apply([decide(FREE, 80.0)], 30.0)
    assert set(client.partition_states().values()) == {"UP"}
    actuator.apply([decide(DOWN, -5.0, new=True)], 60.0)
    assert set(client.partition_states().values()) == {"DOWN"}
    actuator.undo()
    assert is_clean(cluster)
