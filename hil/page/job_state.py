"""What the page is told besides numbers: the state of session and job as one JSON object."""

from dataclasses import dataclass, field
from typing import Any

from hil.page.session import Session
from hil.record.record import worst
from hil.run.recorded import Recorded
from hil.scenario.suite import Suite


@dataclass
class Job:
    """A suite that is to run or runs; `at` is the number of the scenario that does."""

    suite: Suite
    serial: str
    operator: str
    seed: int = 1
    done: list[Recorded] = field(default_factory=list)
    at: int = 0


def state_of(
    session: Session, dut: str, job: Job | None, last: dict[str, Any] | None
) -> dict[str, Any]:
    """Give the state; `last` is the verdict that stands until the next run begins."""
    scenario, status = session.scenario, session.status or {}
    alarms = [{"code": a["code"], "text": a.get("text", "")} for a in status.get("alarms", [])]
    return {
        "mode": "free" if job is None else "running",
        "dut": dut,
        "agent": {k: status.get(k) for k in ("unit", "state", "clock", "utc_us", "receiver")},
        "alarms": alarms,
        "scenario": None if scenario is None else scenario.name,
        "title": None if scenario is None else scenario.title,
        "elapsed": session.seconds,
        "seconds": None if scenario is None else scenario.seconds,
        "events": [] if scenario is None else [vars(e) for e in scenario.events],
        "phases": [] if job is None else _phases(job, session.seconds),
        "serial": "" if job is None else job.serial,
        "operator": "" if job is None else job.operator,
        "findings": session.findings(),
        "asking": session.asking,
        "faults": [[name, value] for name, value in sorted(session.active.items())],
        "devices": session.bench.swaps.devices(),
        "ports": session.bench.ports,
        "sky": session.sky(),
        "last": last,
    }


def verdict_of(done: Recorded) -> str:
    """Give the verdict of one run."""
    return "fail" if done.outcome.failures else worst([f.verdict for f in done.findings])


def _phases(job: Job, seconds: int) -> list[dict[str, Any]]:
    rows = []
    for number, scenario in enumerate(job.suite.scenarios):
        verdict, share = "waiting", 0.0
        if number < len(job.done):
            verdict, share = verdict_of(job.done[number]), 1.0
        elif number == job.at:
            verdict, share = "running", min(1.0, seconds / scenario.seconds)
        rows.append({"name": scenario.name, "verdict": verdict, "share": round(share, 3)})
    return rows
