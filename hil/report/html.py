# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page without external files: verdict, results, plots, versions.

Does not serve the live page; see `hil.page`. Style, script, uPlot (vendored, MIT) and data are
inside the file. All texts of a record are escaped, because a person can type them (serial number).
"""

import json
import re
from html import escape
from importlib import resources
from typing import Any

from hil.record.provenance import VERDICT_TEXTS, describe_run_verdict
from hil.record.record import Record, worst_verdict
from hil.report.next_steps import next_step
from hil.report.origin_section import answer_list, origin_section
from hil.scenario.judge import FAIL, MARGINAL
from hil.scenario.requirements import REQUIREMENTS

_NUMBER = re.compile(r"-?\d[\d.]*(?:e[+-]?\d+)?")


def write_page(record: Record) -> str:
    """Write the page."""
    style = _read_static("agent.tools.web", "uplot/uPlot.min.css") + _read_static(
        "hil.report", "report.css"
    )
    script = _read_static("agent.tools.web", "uplot/uPlot.iife.min.js") + _read_static(
        "hil.report", "report.js"
    )
    runs = "".join(_run_section(i, run) for i, run in enumerate(record["runs"]))
    verdict = record["verdict"]
    verdict_text = VERDICT_TEXTS[verdict]
    conditions = record["verdict_text"].removeprefix(verdict_text).removeprefix(", ")
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(record['suite'])} {escape(record['verdict_text'])}</title>\n"
        f"<style>{style}</style>\n"
        f'</head><body>\n<header class="{verdict}"><h1>{verdict_text}</h1>'
        f"<p><strong>{escape(conditions)}</strong></p>"
        f"<p>{escape(record['title'])}</p></header>\n"
        f"{_facts_section(record)}{origin_section(record)}"
        f"{_summary_section(record)}{_requirements_section(record)}{runs}"
        f'<script type="application/json" id="data">{_plot_data(record)}</script>\n'
        f"<script>{script}</script>\n</body></html>\n"
    )


def _read_static(package: str, name: str) -> str:
    return (resources.files(package) / "static" / name).read_text(encoding="utf-8")


def _plot_data(record: Record) -> str:
    """Return the data of the plots as JSON; an unescaped `</` would end its element."""
    runs = [
        {
            "channels": run["channels"],
            "series": run["series"],
            "limits": _find_limits(run),
            "events": [[event["at_s"], event["do"]] for event in run["events"]],
        }
        for run in record["runs"]
    ]
    return json.dumps(runs, separators=(",", ":")).replace("</", "<\\/")


def _find_limits(run: Record) -> dict[str, list[float]]:
    """Return the numbers in the limits of each measure, so that the axes show them."""
    limits: dict[str, list[float]] = {}
    for result in run["findings"]:
        values = [float(text) for text in _NUMBER.findall(result["limits"])]
        limits.setdefault(result["measure"], []).extend(values)
    return limits


def _facts_section(record: Record) -> str:
    versions = record["versions"]
    rows = (
        ("serial number", f"{record['serial'] or 'none'} ({record['serial_check']['state']})"),
        ("tested by", record["operator"] or "not given"),
        ("ended", record["ended_utc"]),
        ("suite", record["suite"]),
        ("firmware", record["firmware_sha256"]),
        ("bench software", record["bench_sha256"]),
        ("bench", f"{versions['bench']}, Python {versions['python']}, {versions['system']}"),
        ("record", record["hash"]),
        ("previous record", record["previous"]),
        ("signed by", record["key"]),
    )
    cells = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in rows)
    return f'<section><dl class="facts">{cells}</dl></section>\n'


def _wide_table(rows: str) -> str:
    """Return a table that scrolls on a narrow screen, also by the keyboard."""
    return f"<div class=wide tabindex=0><table>{rows}</table></div>"


def _head_row(*titles: str) -> str:
    return "<tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"


def _summary_section(record: Record) -> str:
    rows = "".join(
        f'<tr class="{run["verdict"]}"><td><a href="#run{i}">{escape(run["scenario"])}</a></td>'
        f"<td>{escape(run['title'])}</td><td class=v>{escape(describe_run_verdict(run))}</td>"
        f"<td>{run['virtual_s']:.0f} s</td><td>{escape(run['dut'])}</td></tr>"
        for i, run in enumerate(record["runs"])
    )
    head = _head_row("scenario", "title", "verdict", "duration", "controller")
    return f"<section><h2>Runs</h2>{_wide_table(head + rows)}</section>\n"


def _requirements_section(record: Record) -> str:
    verdicts_by_name: dict[str, list[str]] = {}
    for run in record["runs"]:
        for result in run["findings"]:
            if result["requirement"]:
                verdicts_by_name.setdefault(result["requirement"], []).append(result["verdict"])
    if not verdicts_by_name:
        return ""
    rows = "".join(
        f'<tr class="{worst_verdict(verdicts)}"><td>{escape(name)}</td>'
        f"<td>{escape(REQUIREMENTS.get(name, ''))}</td>"
        f"<td class=v>{_passed_text(verdicts)}</td></tr>"
        for name, verdicts in sorted(verdicts_by_name.items())
    )
    return f"<section><h2>Requirements</h2>{_wide_table(rows)}</section>\n"


def _passed_text(verdicts: list[str]) -> str:
    passed, marginal = sum(verdict != FAIL for verdict in verdicts), verdicts.count(MARGINAL)
    return f"{passed} of {len(verdicts)}" + (f", {marginal} marginal" if marginal else "")


def _run_section(number: int, run: Record) -> str:
    facts = f"seed {run['seed']}, {escape(run['dut'])}, digest {escape(str(run['digest']))}"
    result_rows = "".join(_result_row(result) for result in run["findings"])
    head = _head_row("measure", "limits", "window", "worst value", "verdict")
    return (
        f'<section id="run{number}" class="run"><h2>{escape(run["scenario"])}</h2>'
        f"<p>{escape(run['title'])} <small>{facts}</small></p>"
        f"{_failure_list(run)}<div class=wide tabindex=0><table>{head}{result_rows}</table></div>"
        f"{answer_list(run)}{_event_list(run)}"
        f'<div class="plots" data-run="{number}"></div></section>\n'
    )


def _result_row(result: dict[str, Any]) -> str:
    unit = escape(result["unit"])
    verdict_text = VERDICT_TEXTS[result["verdict"]]
    worst_text = "" if result["worst"] is None else f"{result['worst']:.6g} {unit}"
    at_text = "" if result["worst_at_s"] is None else f" at {result['worst_at_s']:g} s"
    took_text = "" if result["took_s"] is None else f", reached after {result['took_s']:g} s"
    return (
        f'<tr class="{result["verdict"]}"><td>{escape(result["measure"])}'
        f" <small>{escape(result['requirement'])}</small></td>"
        f"<td>{escape(result['limits'])} {unit}</td><td>{escape(result['window'])}</td>"
        f"<td>{worst_text}{at_text}{took_text}</td><td class=v>{verdict_text}</td></tr>"
    )


def _failure_list(run: Record) -> str:
    named = [result["failure"] for result in run["findings"]]
    others = [line for line in run["failures"] if line not in named]
    lines = "".join(f"<li>{escape(line)}</li>" for line in others) + "".join(
        f"<li>{escape(result['failure'])}<br><small>{escape(next_step(result['measure']))}</small></li>"
        for result in run["findings"]
        if result["failure"] is not None
    )
    marginal = "".join(
        f"<li>{escape(result['near'])}</li>" for result in run["findings"] if result.get("near")
    )
    return (f'<ul class="failures">{lines}</ul>' if lines else "") + (
        f'<ul class="near">{marginal}</ul>' if marginal else ""
    )


def _event_list(run: Record) -> str:
    lines = [(event["at_s"], _event_text(event)) for event in run["events"]]
    if not lines:
        return ""
    rows = "".join(f"<li>{at_s:g} s: {escape(text)}</li>" for at_s, text in sorted(lines))
    return f'<ul class="events">{rows}</ul>'


def _event_text(event: dict[str, Any]) -> str:
    value = "" if event["value"] is None else f" {event['value']:g}"
    span = "" if event["for_s"] is None else f" for {event['for_s']:g} s"
    return f"{event['do']}{value}{span}"
