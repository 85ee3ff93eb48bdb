# SPDX-License-Identifier: Apache-2.0
"""The parts of the report about provenance: devices, time, interpreter, questions and answers.

Does not collect the facts; see `hil.record.provenance`.
"""

from html import escape
from typing import Any

from hil.record.record import Record
from hil.scenario.questions import NOT_ANSWERED

_HEAD = ("device", "kind", "port", "unit", "profile", "identity as read", "runs")


def origin_section(record: Record) -> str:
    """Write time, interpreter and load of the runs, and one row for each device."""
    provenances = [run["provenance"] for run in record["runs"]]
    facts = (
        ("time", _join({f"{provenance['time']} time" for provenance in provenances})),
        ("interpreter", _join({provenance["interpreter"] for provenance in provenances})),
        ("load of the machine", _load_text(provenances)),
    )
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts)
    head = "".join(f"<th>{title}</th>" for title in _HEAD)
    rows = "".join(_device_row(*entry) for entry in _count_devices(provenances))
    return (
        f'<section><h2>What was tested</h2><dl class="facts">{items}</dl>'
        f'<div class="wide" tabindex=0><table><tr>{head}</tr>{rows}</table></div></section>\n'
    )


def _join(texts: set[str]) -> str:
    return ", ".join(sorted(texts))


def _load_text(provenances: list[dict[str, Any]]) -> str:
    loads = [provenance["load"] for provenance in provenances]
    highest = max(max(load["at_start"], load["at_end"]) for load in loads)
    return f"{highest:g} at most, mean of 1 min, on {loads[0]['cpus']:g} CPUs"


def _count_devices(provenances: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """List the devices that differ, each with its number of runs."""
    counts: dict[tuple[Any, ...], int] = {}
    for provenance in provenances:
        for device in provenance["devices"]:
            key = tuple(device.items())
            counts[key] = counts.get(key, 0) + 1
    return [(dict(key), count) for key, count in counts.items()]


def _device_row(device: dict[str, Any], runs: int) -> str:
    keys = ("name", "kind", "port", "unit", "profile", "identity")
    values = ["" if device[key] is None else str(device[key]) for key in keys]
    cells = "".join(f"<td>{escape(value)}</td>" for value in (*values, str(runs)))
    return f'<tr class="{escape(device["kind"])}">{cells}</tr>'


def answer_list(run: Record) -> str:
    """Write the questions of a run, each with its answer, who gave it, and when."""
    if not run["answers"]:
        return ""
    rows = "".join(_answer_row(answer) for answer in run["answers"])
    head = "<tr><th>question</th><th>answer</th><th>by</th><th>UTC</th></tr>"
    return f'<div class="wide" tabindex=0><table>{head}{rows}</table></div>'


def _answer_row(answer: dict[str, Any]) -> str:
    given = answer["answer"]
    text = NOT_ANSWERED if given is None else f"{given} {answer['unit']}".strip()
    kind = "incomplete" if given is None else "fail" if given == "no" else "pass"
    by, when = answer["by"] or "nobody", answer["answered_utc"] or ""
    return (
        f'<tr class="{kind}"><td>{escape(answer["text"])}</td><td class=v>{escape(text)}</td>'
        f"<td>{escape(by)}</td><td>{escape(when)}</td></tr>"
    )
