# SPDX-License-Identifier: Apache-2.0
"""The state of session and job for the page, as one JSON object.

Does not contain the numbers of the curves; see `hil.page.curves`.
"""

from dataclasses import dataclass, field
from typing import Any

from agent.alarms.status_lines import alarm_line, alarm_rows
from agent.telemetry.status_text import actuator_lines
from hil.page.layout import find_qualities
from hil.page.session import BenchSession
from hil.record.provenance import SerialCheck
from hil.run.recorded import RecordedRun
from hil.scenario.suite import Suite


@dataclass
class PageJob:
    """A suite that waits or runs; `scenario_index` is the index of the present scenario."""

    suite: Suite
    serial: str
    operator: str
    seed: int = 1
    serial_check: SerialCheck = field(default_factory=SerialCheck)
    recorded_runs: list[RecordedRun] = field(default_factory=list)
    scenario_index: int = 0


def state_message(
    session: BenchSession, dut: str, job: PageJob | None, last_verdict: dict[str, Any] | None
) -> dict[str, Any]:
    """Build the state; `last_verdict` stays until the next run begins."""
    scenario, status = session.scenario, session.status or {}
    alarms = [
        {"line": alarm_line(row), "do": row["do"]} for row in alarm_rows(status) if row["shown"]
    ]
    return {
        "mode": "free" if job is None else "running",
        "dut": dut,
        "agent": {key: status.get(key) for key in ("unit", "state", "clock", "utc_us", "receiver")},
        "layout": session.layout,
        "qualities": find_qualities(status),
        "alarms": alarms,
        "actuators": [{"line": line, "do": ""} for line in actuator_lines(status)],
        "alarm_count": len(status.get("alarms", [])),
        "scenario": None if scenario is None else scenario.name,
        "title": None if scenario is None else scenario.title,
        "elapsed": session.seconds,
        "seconds": None if scenario is None else scenario.seconds,
        "events": [] if scenario is None else [vars(event) for event in scenario.events],
        "phases": [] if job is None else _list_phases(job, session.seconds),
        "serial": "" if job is None else job.serial,
        "operator": "" if job is None else job.operator,
        "findings": session.list_results(),
        "asking": session.open_prompt,
        "faults": [[name, value] for name, value in sorted(session.active_faults.items())],
        "devices": session.bench.device_swap.devices(),
        "ports": session.bench.ports,
        "sky": session.list_satellites(),
        "last": last_verdict,
    }


def _list_phases(job: PageJob, seconds: int) -> list[dict[str, Any]]:
    phases = []
    for number, scenario in enumerate(job.suite.scenarios):
        verdict, fraction = "waiting", 0.0
        if number < len(job.recorded_runs):
            verdict, fraction = job.recorded_runs[number].verdict, 1.0
        elif number == job.scenario_index:
            verdict, fraction = "running", min(1.0, seconds / scenario.seconds)
        phases.append({"name": scenario.name, "verdict": verdict, "share": round(fraction, 3)})
    return phases
