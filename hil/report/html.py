"""The report as one page that opens offline: verdict, findings, plots, what was tested with what.

Everything is inside the file: style, script, uPlot (vendored, MIT) and the data. Not the live page
(`hil.page`). Every text of a record is escaped: a serial number is what somebody typed.
"""

import json
from html import escape
from importlib import resources
from typing import Any

from hil.record.record import Record, worst
from hil.report.next_steps import next_step
from hil.scenario.judge import FAIL, MARGINAL
from hil.scenario.requirements import REQUIREMENTS

_WORDS = {"pass": "PASS", "marginal": "PASS, MARGINAL", "fail": "FAIL"}


def page(record: Record) -> str:
    """Write the page."""
    style = _static("hil.page", "uplot/uPlot.min.css") + _static("hil.report", "report.css")
    script = _static("hil.page", "uplot/uPlot.iife.min.js") + _static("hil.report", "report.js")
    runs = "".join(_run(i, run) for i, run in enumerate(record["runs"]))
    verdict = record["verdict"]
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(record['suite'])} {_WORDS[verdict]}</title>\n<style>{style}</style>\n"
        f'</head><body>\n<header class="{verdict}"><h1>{_WORDS[verdict]}</h1>'
        f"<p>{escape(record['title'])}</p></header>\n"
        f"{_facts(record)}{_summary(record)}{_requirements(record)}{runs}"
        f'<script type="application/json" id="data">{_data(record)}</script>\n'
        f"<script>{script}</script>\n</body></html>\n"
    )


def _static(package: str, name: str) -> str:
    return (resources.files(package) / "static" / name).read_text(encoding="utf-8")


def _data(record: Record) -> str:
    """Give the plots' data; `</` would end the element that holds it."""
    runs = [{"channels": r["channels"], "series": r["series"]} for r in record["runs"]]
    return json.dumps(runs, separators=(",", ":")).replace("</", "<\\/")


def _facts(record: Record) -> str:
    versions = record["versions"]
    rows = (
        ("serial number", record["serial"] or "not given"),
        ("tested by", record["operator"] or "not given"),
        ("ended", record["ended_utc"]),
        ("suite", record["suite"]),
        ("firmware", record["firmware_sha256"]),
        ("bench", f"{versions['bench']}, Python {versions['python']}, {versions['system']}"),
        ("record", record["hash"]),
        ("record before", record["previous"]),
        ("signed by", record["key"]),
    )
    cells = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in rows)
    return f'<section><dl class="facts">{cells}</dl></section>\n'


def _summary(record: Record) -> str:
    rows = "".join(
        f'<tr class="{r["verdict"]}"><td><a href="#run{i}">{escape(r["scenario"])}</a></td>'
        f"<td>{escape(r['title'])}</td><td class=v>{_WORDS[r['verdict']]}</td>"
        f"<td>{r['virtual_s']:.0f} s</td><td>{escape(r['dut'])}</td></tr>"
        for i, r in enumerate(record["runs"])
    )
    head = "<tr><th>scenario</th><th>what</th><th>verdict</th><th>lasted</th><th>on</th></tr>"
    return f"<section><h2>Runs</h2><table>{head}{rows}</table></section>\n"


def _requirements(record: Record) -> str:
    held: dict[str, list[str]] = {}
    for run in record["runs"]:
        for finding in run["findings"]:
            if finding["requirement"]:
                held.setdefault(finding["requirement"], []).append(finding["verdict"])
    if not held:
        return ""
    rows = "".join(
        f'<tr class="{worst(verdicts)}"><td>{escape(name)}</td>'
        f"<td>{escape(REQUIREMENTS.get(name, ''))}</td>"
        f"<td class=v>{_held(verdicts)}</td></tr>"
        for name, verdicts in sorted(held.items())
    )
    return f"<section><h2>Requirements</h2><table>{rows}</table></section>\n"


def _held(verdicts: list[str]) -> str:
    held, near = sum(v != FAIL for v in verdicts), verdicts.count(MARGINAL)
    return f"{held} of {len(verdicts)}" + (f", {near} marginal" if near else "")


def _run(number: int, run: Record) -> str:
    facts = f"seed {run['seed']}, {escape(run['dut'])}, digest {escape(str(run['digest']))}"
    findings = "".join(_finding(f) for f in run["findings"])
    head = "<tr><th>measure</th><th>limits</th><th>when</th><th>worst</th><th></th></tr>"
    return (
        f'<section id="run{number}" class="run"><h2>{escape(run["scenario"])}</h2>'
        f"<p>{escape(run['title'])} <small>{facts}</small></p>"
        f"{_failures(run)}<table>{head}{findings}</table>{_events(run)}"
        f'<div class="plots" data-run="{number}"></div></section>\n'
    )


def _finding(finding: dict[str, Any]) -> str:
    unit = escape(finding["unit"])
    worst = "" if finding["worst"] is None else f"{finding['worst']:.6g} {unit}"
    at = "" if finding["worst_at_s"] is None else f" at {finding['worst_at_s']:g} s"
    took = "" if finding["took_s"] is None else f", took {finding['took_s']:g} s"
    return (
        f'<tr class="{finding["verdict"]}"><td>{escape(finding["measure"])}'
        f" <small>{escape(finding['requirement'])}</small></td>"
        f"<td>{escape(finding['limits'])} {unit}</td><td>{escape(finding['window'])}</td>"
        f"<td>{worst}{at}{took}</td><td class=v>{_WORDS[finding['verdict']]}</td></tr>"
    )


def _failures(run: Record) -> str:
    lines = "".join(
        f"<li>{escape(f['failure'])}<br><small>{escape(next_step(f['measure']))}</small></li>"
        for f in run["findings"]
        if f["failure"] is not None
    )
    near = "".join(f"<li>{escape(f['near'])}</li>" for f in run["findings"] if f.get("near"))
    return (f'<ul class="failures">{lines}</ul>' if lines else "") + (
        f'<ul class="near">{near}</ul>' if near else ""
    )


def _events(run: Record) -> str:
    lines = [(e["at_s"], _event(e)) for e in run["events"]]
    lines += [(a["at_s"], f"asked: {a['text']} ({a['answer'] or a['by']})") for a in run["answers"]]
    if not lines:
        return ""
    rows = "".join(f"<li>{at:g} s: {escape(text)}</li>" for at, text in sorted(lines))
    return f'<ul class="events">{rows}</ul>'


def _event(event: dict[str, Any]) -> str:
    value = "" if event["value"] is None else f" {event['value']:g}"
    span = "" if event["for_s"] is None else f" for {event['for_s']:g} s"
    return f"{event['do']}{value}{span}"
