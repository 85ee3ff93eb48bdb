# SPDX-License-Identifier: Apache-2.0
"""Acts on Slurm: weights, drain, suspension, partitions.

Does not decide a level (see `deploy.orchestrate.rules`) and does not hold licences (see
`deploy.orchestrate.slurm.licences`). There is no file of what was done. Each change carries its
mark in Slurm (`deploy.orchestrate.slurm.marks`), so a new process, also on another head node, finds
and undoes it. A mark is written before its change and removed after the change is undone. Nodes,
jobs and partitions without a mark belong to other people and are never changed back.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from deploy.orchestrate.rules import DOWN, DRAIN, FREE, SUSPEND, RowDecision
from deploy.orchestrate.settings import RowSettings, RuleSettings, SlurmSettings
from deploy.orchestrate.slurm.client import SlurmClient, SlurmError, SlurmJob, SlurmNode
from deploy.orchestrate.slurm.licences import LicenceReservation
from deploy.orchestrate.slurm.marks import (
    DOWN_MARK,
    PREFIX,
    RESUMED,
    SUSPENDED,
    down_partitions,
    is_drained,
    is_resumed,
    is_suspended,
    without_mark,
)
from deploy.orchestrate.slurm.weights import NodeWeights

_BLANK = " "
_UNAVAILABLE = frozenset(("DRAIN", "DOWN", "FAIL", "INVALID_REG", "FUTURE", "POWERED_DOWN"))


@dataclass(slots=True)
class SlurmReport:
    """What is in force in Slurm; for the published record."""

    held: dict[str, int] = field(default_factory=dict)
    drained: list[str] = field(default_factory=list)
    suspended: list[int] = field(default_factory=list)
    down: list[str] = field(default_factory=list)


class SlurmActuator:
    """Applies decisions; `log` gets one line for each change."""

    def __init__(
        self,
        client: SlurmClient,
        settings: SlurmSettings,
        rules: RuleSettings,
        log: Callable[[str], None],
    ) -> None:
        self._client = client
        self._settings = settings
        self._rules = rules
        self._log = log
        self._licences = LicenceReservation(client, settings, rules, log)
        self._weights = NodeWeights(client)
        self._resumed_at: float | None = None
        self._weighed_at: float | None = None
        self._ours: set[str] = set()
        self._set_down: set[str] = set()
        self._raised: set[str] = set()  # set up again by a person, who has the last word
        self._missing: set[str] = set()
        self._jobs: list[SlurmJob] = []
        self._is_started = self._has_read_jobs = False
        self._nodes: dict[str, SlurmNode] = {}
        self.report = SlurmReport()

    def describe(self) -> dict[str, Any]:
        """Return what is in force."""
        return {"kind": "slurm", **asdict(self.report)}

    # Reconciliation.

    def levels(self, rows: tuple[RowSettings, ...]) -> dict[str, int]:
        """Return the level of each row that the marks in Slurm show. Raises SlurmError."""
        nodes, jobs = self._client.nodes(), self._client.jobs()
        levels = {}
        for row in rows:
            ours = [nodes[n] for n in row.nodes if n in nodes and is_drained(nodes[n])]
            level = DRAIN if ours else FREE
            marked = [job for job in jobs if is_suspended(job) or is_resumed(job)]
            if any(set(job.nodes) & set(row.nodes) for job in marked):
                level = SUSPEND
            levels[row.name] = DOWN if any(down_partitions(node) for node in ours) else level
        return levels

    def undo(self) -> None:
        """Undo everything that has a mark. A failure of one does not keep the others."""
        failures: list[str] = []
        for step in (self._undo_nodes, self._undo_jobs, self._licences.delete):
            try:
                step()
            except SlurmError as error:
                failures.append(str(error))
        self._licences.forget()
        self._ours = set()
        if failures:
            raise SlurmError("; ".join(failures))

    def _undo_unused(self, rows: int) -> None:
        """Undo what a process with another configuration has left by levers that are now off."""
        settings = self._settings
        if not settings.drain:
            self._undo_nodes()
        if not settings.suspend:
            self._undo_jobs()
        if not settings.licences:
            self._licences.delete()
        nodes = self._client.nodes().values()
        if not settings.weights or rows < 2:
            self._weights.reset(nodes)
        self._report_unmarked({p for node in nodes for p in down_partitions(node)})
        self._is_started = True

    def _undo_nodes(self) -> None:
        nodes = self._client.nodes()
        self._partitions_up(
            {p for node in nodes.values() for p in down_partitions(node)} | self._set_down
        )
        nodes = self._client.nodes()
        self._resume_nodes([n for n in nodes.values() if n.reason.startswith(PREFIX)])
        self._weights.reset(nodes.values())

    def _undo_jobs(self) -> None:
        for job in self._client.jobs("PENDING,RUNNING,SUSPENDED"):  # a person can requeue a job
            if is_suspended(job):
                self._resume(job)
            elif is_resumed(job):
                self._set_comment(job, without_mark(job.admin_comment))

    # Decisions.

    def apply(self, decisions: list[RowDecision], now: float) -> None:
        """Bring Slurm to the decisions. Raises SlurmError; the next call continues.

        If the licences cannot be held, the other levers still act.
        """
        if not self._is_started:
            self._undo_unused(len(decisions))
        self._read_jobs()
        failure = self._hold_licences(decisions, now)
        calls = self._client.changes
        self._nodes = self._client.nodes()
        if any(decision.level < DOWN for decision in decisions):
            marks = {p for node in self._nodes.values() for p in down_partitions(node)}
            self._partitions_up(marks | self._set_down)
        if self._settings.drain:
            self._drain(decisions)
        if all(decision.level >= DOWN for decision in decisions):
            self._partitions_down()
        if self._settings.suspend:
            self._suspend(decisions, now)
        if self._settings.weights and len(decisions) > 1:
            self._weigh(decisions, now)
        if self._client.changes != calls:
            self._nodes = self._client.nodes()
        self.report.drained = sorted(node.name for node in self._nodes.values() if is_drained(node))
        self.report.down = sorted(
            {p for node in self._nodes.values() for p in down_partitions(node)}
        )
        if failure is not None:
            raise failure

    def _hold_licences(self, decisions: list[RowDecision], now: float) -> SlurmError | None:
        """Hold licences; return the error of it."""
        if not self._settings.licences:
            return None
        try:
            if self._licences.was_deleted():
                self._ours = set()
            self._licences.hold(decisions, self._jobs, now)
        except SlurmError as error:
            return error
        finally:
            self.report.held = self._licences.held
        return None

    # Drain.

    def _drain(self, decisions: list[RowDecision]) -> None:
        for decision in decisions:
            for name in sorted(set(decision.row.nodes) - set(self._nodes) - self._missing):
                self._missing.add(name)
                self._log(f"slurm: no node {name}")
            present = [self._nodes[name] for name in decision.row.nodes if name in self._nodes]
            if decision.level < DRAIN:
                self._ours -= set(decision.row.nodes)
                # The processors of a suspended job are free for others, so its node stays drained.
                kept = {name for job in self._jobs if is_suspended(job) for name in job.nodes}
                ours = [node for node in present if node.reason.startswith(PREFIX)]
                self._resume_nodes([node for node in ours if node.name not in kept])
                continue
            # A person who resumes a node that we drained has the last word until the next time. The
            # undo of another process leaves a blank reason: such a node is drained again.
            self._ours -= {node.name for node in present if node.reason == _BLANK}
            free = [
                node
                for node in present
                if not node.states & _UNAVAILABLE and node.name not in self._ours
            ]
            self._drain_nodes(free, f"{PREFIX} {decision.row.name} {decision.reason}")
            self._ours |= {node.name for node in present if is_drained(node)}
            self._ours |= {node.name for node in free}

    def _drain_nodes(self, nodes: list[SlurmNode], reason: str) -> None:
        if nodes:
            names = ",".join(node.name for node in nodes)
            self._client.control("update", f"nodename={names}", "state=drain", f"reason={reason}")
            self._log(f"slurm: {names} drained: {reason}")

    def _resume_nodes(self, nodes: list[SlurmNode]) -> None:
        """End the drain of nodes and replace the reason by a blank: Slurm ignores an empty one.

        The state is `undrain`, not `resume`: a node that has failed in the meantime stays down.
        """
        drained = ",".join(node.name for node in nodes if "DRAIN" in node.states)
        if drained:
            blank = f"reason={_BLANK}"
            self._client.control("update", f"nodename={drained}", "state=undrain", blank)
            self._log(f"slurm: {drained} resumed")
        self._set_reason([node for node in nodes if "DRAIN" not in node.states], _BLANK)

    def _set_reason(self, nodes: list[SlurmNode], reason: str) -> None:
        if nodes:
            names = ",".join(node.name for node in nodes)
            self._client.control("update", f"nodename={names}", f"reason={reason}")

    # Partitions.

    def _partitions_down(self) -> None:
        """Set the partitions down; their marks, in each node that we drained, are kept complete."""
        if not self._settings.partition_down:
            return
        states = self._client.partition_states()
        mine = [node for node in self._client.nodes().values() if is_drained(node)]
        if not mine:
            return
        up = {name for name in self._settings.partition_down if states.get(name) == "UP"}
        marked: set[str] = set().union(*map(down_partitions, mine))
        self._raised |= up & self._set_down & marked  # an undo removes the marks, a person does not
        due = sorted(up - self._raised)
        known = self._set_down | marked
        wanted = {*due, *(name for name in known if states.get(name) == "DOWN")}
        for reason in sorted({n.reason for n in mine if not wanted <= down_partitions(n)}):
            same = [node for node in mine if node.reason == reason]
            marks = (f"{DOWN_MARK}{name}" for name in sorted(wanted - down_partitions(same[0])))
            self._set_reason(same, " ".join((reason, *marks)))
        for name in due:
            self._client.control("update", f"partitionname={name}", "state=down")
            self._log(f"slurm: partition {name} down")
        self._set_down = wanted

    def _report_unmarked(self, marks: set[str]) -> None:
        """Log partitions that are down without a mark: they are not ours, or the mark is gone."""
        wanted = set(self._settings.partition_down) - marks
        states = self._client.partition_states() if wanted else {}
        for name in sorted(name for name in wanted if states.get(name) == "DOWN"):
            self._log(f"slurm: partition {name} is down without a mark of coldloop; it stays down")

    def _partitions_up(self, names: set[str]) -> None:
        """Set partitions up, then remove their marks."""
        if not names:
            return
        states = self._client.partition_states()
        for name in sorted(names):
            if states.get(name) == "DOWN":
                self._client.control("update", f"partitionname={name}", "state=up")
                self._log(f"slurm: partition {name} up")
        self._set_down = set()
        self._raised = set()
        marked = [node for node in self._client.nodes().values() if down_partitions(node)]
        for reason in sorted({node.reason for node in marked}):
            words = [word for word in reason.split() if not word.startswith(DOWN_MARK)]
            self._set_reason([node for node in marked if node.reason == reason], " ".join(words))
        self._nodes = self._client.nodes()

    # Suspension.

    def _suspend(self, decisions: list[RowDecision], now: float) -> None:
        calls = self._client.changes
        for decision in decisions:
            here = [job for job in self._jobs if set(job.nodes) & set(decision.row.nodes)]
            if decision.level >= SUSPEND:
                self._suspend_one(decision, here, now)
            elif decision.level < SUSPEND:
                self._resume_one(decision, here, now)
        if self._client.changes != calls:
            self._jobs = self._client.jobs()
        self.report.suspended = [job.number for job in self._jobs if is_suspended(job)]

    def _read_jobs(self) -> None:
        """Read the jobs. One that runs with the mark of a suspension was resumed by a person, who
        has the last word: it gets another mark, and a later suspension is not ours. At the start it
        is one whose suspension was interrupted.
        """
        self._jobs = self._client.jobs() if self._settings.suspend else []
        running = [job for job in self._jobs if is_suspended(job) and "RUNNING" in job.states]
        for job in running:
            rest = without_mark(job.admin_comment)
            self._set_comment(job, f"{RESUMED} {rest}".strip() if self._has_read_jobs else rest)
        if running:
            self._jobs = self._client.jobs()
        self._has_read_jobs = True

    def _is_due(self, now: float) -> bool:
        return self._resumed_at is None or now - self._resumed_at >= self._rules.change_s

    def _suspend_one(self, decision: RowDecision, jobs: list[SlurmJob], now: float) -> None:
        """Suspend the job with the most heat, of equal ones the newest."""
        running = [
            job
            for job in jobs
            if "RUNNING" in job.states
            and job.partition in self._settings.suspend
            and not is_resumed(job)  # a person has the last word
        ]
        if not running or not (decision.is_new or self._is_due(now)):
            return
        licence = decision.row.licence
        job = max(running, key=lambda job: (job.licences.get(licence, 0), job.start_s, job.number))
        self._set_comment(job, f"{SUSPENDED} {job.admin_comment}".strip())
        self._client.control("suspend", job.name)
        self._resumed_at = now
        self._log(f"slurm: job {job.name} suspended: {decision.reason}")

    def _resume_one(self, decision: RowDecision, jobs: list[SlurmJob], now: float) -> None:
        """Resume the oldest suspended job for which the headroom is sufficient."""
        for job in jobs:
            if is_resumed(job):
                self._set_comment(job, without_mark(job.admin_comment))
        waiting = sorted((job for job in jobs if is_suspended(job)), key=lambda job: job.start_s)
        if not waiting or not self._is_due(now):
            return
        job = waiting[0]
        need_w = 1000.0 * job.licences.get(decision.row.licence, 0)
        reserve_w = 10.0 * self._rules.act_pct * decision.row.rated_kw
        is_alone = not any("RUNNING" in other.states for other in jobs)
        if decision.headroom_w >= need_w + reserve_w or (is_alone and decision.headroom_w > 0.0):
            self._resume(job)
            self._resumed_at = now

    def _resume(self, job: SlurmJob) -> None:
        if "SUSPENDED" in job.states:
            self._client.control("resume", job.name)
            self._log(f"slurm: job {job.name} resumed")
        self._set_comment(job, without_mark(job.admin_comment))

    def _set_comment(self, job: SlurmJob, comment: str) -> None:
        self._client.control("update", f"jobid={job.name}", f"admincomment={comment}")

    # Weights.

    def _weigh(self, decisions: list[RowDecision], now: float) -> None:
        """Give rows with less headroom a larger weight."""
        if self._weighed_at is not None and now - self._weighed_at < self._rules.change_s:
            return
        if self._weights.weigh(decisions, self._nodes):
            self._weighed_at = now
