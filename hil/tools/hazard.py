# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil hazard`: run pairs and triples of faults, judged by the truth of the plant.

Does not define faults and invariants; see `hil.campaign.hazard`. Exit 0: no violation outside the
reviewed list of exemptions. Exit 1: a violation, or more exempt cases than the list may have.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from hil.campaign.hazard import acceptance
from hil.campaign.hazard.case_generator import LOADS_KW, SITES, CaseOptions
from hil.campaign.hazard.coverage import HazardTally
from hil.campaign.hazard.exemption_review import list_combinations, review
from hil.campaign.hazard.exemptions import load_exemptions
from hil.campaign.hazard.fmea import (
    FmeaResult,
    FmeaRow,
    load_rows,
    measure_row,
    row_record,
    write_page,
)
from hil.campaign.hazard.injected_faults import excluded_words, faults_by_word
from hil.campaign.hazard.invariants import NAMES
from hil.campaign.hazard.run import CaseResult, run_case
from hil.campaign.reproduce import page as before_after
from hil.campaign.workers import add_options, rerun_on_pypy, run_jobs
from hil.errors import INTERRUPTED, BenchError
from hil.io.progress import ProgressLine
from hil.io.regular_file import write_into, write_whole
from hil.run.recorded import DUTS
from hil.scenario.suggestion import suggest_name
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil hazard --pairs 200 --keep out/hazard"
_CPU_S_PER_CASE = 1.2
"""Computing time of a case on CPython, s."""
_PAIRS_PER_TRIPLE = 10
"""Default of `--triples`: one triple for this many pairs."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--pairs", type=int, default=100, metavar="N", help="number of pairs (100)")
    parser.add_argument(
        "--triples", type=int, metavar="N", help="number of triples (a tenth of the pairs)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="first seed (1)")
    parser.add_argument(
        "--load", type=float, choices=LOADS_KW, metavar="KW", help="IT load: 30, 60 or 90 kW"
    )
    parser.add_argument("--site", choices=sorted(SITES), help="the site, if not drawn")
    parser.add_argument(
        "--word", action="append", default=[], metavar="WORD", help="a fault of each case"
    )
    parser.add_argument(
        "--vary",
        action="store_true",
        help="draw the row too: valve size, set-point, water, room, load, a step, a restart",
    )
    parser.add_argument("--dut", choices=tuple(DUTS), default="cpython")
    add_options(parser, "one for each core")
    parser.add_argument(
        "--keep",
        type=path_argument,
        metavar="DIR",
        help="shrink failed cases, write them into this folder",
    )
    parser.add_argument(
        "--list", action="store_true", help="list the faults, invariants and exemptions"
    )
    parser.add_argument(
        "--exemptions",
        type=int,
        metavar="N",
        help="review: run at most N cases of each exemption, until one needs it",
    )
    _add_pages(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def _add_pages(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that write a page instead."""
    parser.add_argument(
        "--fmea",
        type=path_argument,
        metavar="FILE",
        help="run each row of the failure mode and effects analysis, write the page FILE",
    )
    parser.add_argument(
        "--before-after",
        type=path_argument,
        metavar="FILE",
        help="run the scenario of each fault of an earlier version, write the page FILE",
    )
    parser.add_argument(
        "--acceptance",
        type=path_argument,
        metavar="FILE",
        help="run each line of the acceptance table, write the page FILE",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="with --acceptance: also run each line on MicroPython; the digests must be equal",
    )
    parser.add_argument(
        "--line",
        action="append",
        default=[],
        metavar="SCENARIO",
        help="with --acceptance: only this scenario; its page is not complete",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the cases; exit 1 if an invariant was violated."""
    if arguments.list:
        return _print_faults(arguments.json)
    workers = os.cpu_count() or 1 if arguments.workers is None else arguments.workers
    for value, special in (
        (arguments.exemptions, _run_review),
        (arguments.fmea, _run_fmea),
        (arguments.before_after, _run_before_after),
        (arguments.acceptance, _run_acceptance),
    ):
        if value is not None:
            return special(arguments, workers)
    jobs = _make_jobs(arguments)
    if arguments.dut == "cpython":
        code = rerun_on_pypy("hazard", arguments, len(jobs) * _CPU_S_PER_CASE / max(workers, 1))
        if code is not None:
            return code
    tally, started_s = HazardTally(), time.perf_counter()
    interrupted = False
    try:
        with ProgressLine(len(jobs), "cases") as progress:
            for result in run_jobs(run_case, jobs, workers):
                tally.add(result)
                progress.update(tally.runs, f"{tally.failed} with violations")
                if result.violations:
                    _print_violations(result, arguments)
    except KeyboardInterrupt:
        interrupted = True
    wall_s = round(time.perf_counter() - started_s, 1)
    record = {**tally.record(), "wall_s": wall_s, "interrupted": interrupted}
    if arguments.json:
        print(json.dumps(record))
    else:
        _print_summary(record)
    if interrupted:
        return INTERRUPTED
    return 1 if tally.failed or tally.has_too_many_exempt else 0


class _Interruptible:
    """A block that Ctrl-C ends: its rows are printed, the page of all rows stays as it was."""

    def __init__(self, page: Path, count: int) -> None:
        self.is_interrupted = False
        self.progress = ProgressLine(count, "rows")
        self._page = page

    def __enter__(self) -> Self:
        self.progress.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> bool:
        self.progress.__exit__(kind, *details)
        self.is_interrupted = kind is KeyboardInterrupt
        if self.is_interrupted:
            print(f"interrupted: {self._page} is not written", file=sys.stderr)
        return self.is_interrupted


def _run_review(arguments: argparse.Namespace, workers: int) -> int:
    """Review all exemptions; exit 1 if no case needs one of them."""
    if arguments.exemptions < 1:
        raise BenchError("--exemptions: at least one case is needed")
    jobs = [(entry, arguments.exemptions, arguments.dut) for entry in list_combinations()]
    found = []
    with ProgressLine(len(jobs), "exemptions") as progress:
        for result in run_jobs(review, jobs, workers):
            found.append(result)
            progress.update(len(found))
            if not arguments.json:
                text = f"needed by {result.title}" if result.title else "NOT SEEN"
                print(f"{result.label}: {text} ({result.runs} cases)", flush=True)
    if arguments.json:
        print(json.dumps([asdict(result) for result in found]))
    return 0 if all(result.title for result in found) else 1


def _run_fmea(arguments: argparse.Namespace, workers: int) -> int:
    """Measure all rows and write the page; exit 0 also if a row is late."""
    rows = [row for row in load_rows() if row.run_text]
    found = {}
    jobs = [(row, arguments.dut) for row in rows]
    with _Interruptible(arguments.fmea, len(jobs)) as interruptible:
        for result in run_jobs(_measure_fmea_row, jobs, workers):
            found[result.row.number] = result
            interruptible.progress.update(len(found))
            if not arguments.json:
                print(f"{result.row.number:4} {result.verdict:9} {result.row.name}", flush=True)
    results = dict(sorted(found.items()))
    if not interruptible.is_interrupted:
        write_whole(arguments.fmea, write_page(results).encode())
    if arguments.json:
        print(json.dumps([row_record(result) for result in results.values()]))
    return INTERRUPTED if interruptible.is_interrupted else 0


def _run_before_after(arguments: argparse.Namespace, workers: int) -> int:
    """Run the named cases and write the page; exit 1 if a scenario fails."""
    figures = {}
    jobs = [(case, arguments.dut) for case in before_after.load_cases() if case.scenario]
    with _Interruptible(arguments.before_after, len(jobs)) as interruptible:
        for case, figure in run_jobs(_measure_before_after, jobs, workers):
            figures[case] = figure
            interruptible.progress.update(len(figures))
            if not arguments.json:
                verdict = "pass" if figure.is_passed else "FAIL"
                print(f"{case.number:4} {verdict} {case.scenario:30} {figure.value}", flush=True)
    if not interruptible.is_interrupted:
        write_whole(arguments.before_after, before_after.write_page(figures).encode())
    if arguments.json:
        records = {f"{c.scenario} {c.measure} {c.extreme}": f.value for c, f in figures.items()}
        print(json.dumps(records))
    if interruptible.is_interrupted:
        return INTERRUPTED
    return 0 if all(figure.is_passed for figure in figures.values()) else 1


def _run_acceptance(arguments: argparse.Namespace, workers: int) -> int:
    """Run the lines and write the page; exit 1 if a line fails or a digest differs."""
    lines = [line for line in acceptance.load_lines() if _is_chosen(line, arguments.line)]
    if not lines:
        raise BenchError(f"--line: no line has the scenario {', '.join(arguments.line)}")
    duts = [arguments.dut] + ["micropython"] * (arguments.compare and arguments.dut == "cpython")
    order = [(line, case) for line in lines for case in acceptance.list_cases(line)]
    jobs = [(line, case, dut) for line, case in order for dut in duts]
    found: dict[tuple[acceptance.TableLine, str, str], acceptance.LineResult] = {}
    started_s, cpu_s = time.perf_counter(), dict.fromkeys(duts, 0.0)
    with _Interruptible(arguments.acceptance, len(jobs)) as interruptible:
        for result, cpu_used_s in run_jobs(_measure_line, jobs, workers):
            found[result.line, result.case, result.dut] = result
            cpu_s[result.dut] += cpu_used_s
            interruptible.progress.update(len(found))
            if not arguments.json:
                print(acceptance.write_line(result), flush=True)
    results = [found[line, case, duts[0]] for line, case in order if (line, case, duts[0]) in found]
    compared = {(r.line, r.case): r for r in found.values() if r.dut != duts[0]}
    if not interruptible.is_interrupted:
        page = acceptance.write_page(results, compared)
        write_whole(arguments.acceptance, page.encode())
    wall_s = round(time.perf_counter() - started_s, 1)
    times = {"cpu_s": {dut: round(used_s, 1) for dut, used_s in cpu_s.items()}, "wall_s": wall_s}
    if arguments.json:
        print(json.dumps({"lines": [acceptance.line_record(r) for r in found.values()], **times}))
    else:
        print(f"CPU time, s: {times['cpu_s']}, wall time {wall_s} s")
    if interruptible.is_interrupted:
        return INTERRUPTED
    differing = [r for r in results if acceptance.differs(r, compared)]
    failed = [r for r in found.values() if r.verdict == acceptance.FAILED]
    return 1 if failed or differing else 0


def _is_chosen(line: acceptance.TableLine, names: list[str]) -> bool:
    return not names or line.scenario in names


def _measure_line(
    line: acceptance.TableLine, case: str, dut: str
) -> tuple[acceptance.LineResult, float]:
    started = os.times()
    make_dut = acceptance.large_heap_micropython if dut == "micropython" else DUTS[dut]
    result = acceptance.measure_line(line, case, make_dut, dut)
    ended = os.times()
    return result, sum(ended[:4]) - sum(started[:4])


def _measure_before_after(
    case: before_after.Case, dut: str
) -> tuple[before_after.Case, before_after.Figure]:
    return case, before_after.measure(case, DUTS[dut])


def _measure_fmea_row(row: FmeaRow, dut: str) -> FmeaResult:
    return measure_row(row, DUTS[dut], dut)


def _make_jobs(arguments: argparse.Namespace) -> list[tuple[Any, ...]]:
    pairs, triples, first = arguments.pairs, arguments.triples, arguments.seed
    triples = pairs // _PAIRS_PER_TRIPLE if triples is None else triples
    if pairs < 0 or triples < 0 or pairs + triples < 1:
        raise BenchError("--pairs and --triples: at least one case is needed")
    for word in arguments.word:
        if word not in faults_by_word():
            hint = suggest_name(word, faults_by_word())
            raise BenchError(f"--word: {word!r} is no fault{hint}")
    options = CaseOptions(arguments.load, arguments.site, tuple(arguments.word), arguments.vary)
    keep = arguments.keep is not None
    seeds = [(first + i, 2) for i in range(pairs)] + [(first + i, 3) for i in range(triples)]
    return [(seed, fault_count, options, arguments.dut, keep) for seed, fault_count in seeds]


def _print_violations(result: CaseResult, arguments: argparse.Namespace) -> None:
    """Print the violations, and write the shrunk scenario."""
    if not arguments.json:
        print(f"{'FAIL' if result.unexempt else 'exempt'}  seed {result.seed}  {result.title}")
        for violation in result.violations:
            note = f"  (exempt: {violation.exempt_reason})" if violation.exempt_reason else ""
            print(f"  {violation.invariant} at {violation.at_s:g} s: {violation.text}{note}")
        if result.unexempt:
            print(f"  again: {_repeat_command(result, arguments)}", flush=True)
    if arguments.keep is not None and result.shrunk_toml:
        write_into(
            arguments.keep, f"hazard-{result.seed}-{result.fault_count}.toml", result.shrunk_toml
        )


def _repeat_command(result: CaseResult, arguments: argparse.Namespace) -> str:
    number = "--pairs 1 --triples 0" if result.fault_count == 2 else "--pairs 0 --triples 1"
    options = "" if arguments.load is None else f" --load {arguments.load:g}"
    options += "" if arguments.site is None else f" --site {arguments.site}"
    options += "".join(f" --word {word}" for word in arguments.word)
    options += " --vary" * arguments.vary
    return f"coldloop hil hazard {number} --seed {result.seed}{options} --dut {arguments.dut}"


def _print_summary(record: dict[str, Any]) -> None:
    print(
        f"{_verdict_text(record)}  {record['runs']} cases, "
        f"{record['virtual_hours']} virtual hours in {record['wall_s']} s, "
        f"{record['failed']} with violations, {record['exempt']} exempt "
        f"(at most {record['max_exempt']}), {record['runs_per_cpu_min']} cases a CPU minute"
    )
    for name, count in record["violations"].items():
        print(f"  {name} {count:4}  {NAMES[name]}")
    for reason, count in record["exempt_reasons"].items():
        print(f"  exempt {count:4}  {reason}")
    print(f"exemptions without a case: {'; '.join(record['exempt_unused']) or 'none'}")
    print(f"pairs seen {record['pairs_seen']} of {record['pairs']}")
    print(f"rows of the FMEA not hit: {_join_texts(record['fmea_never_hit'])}")
    print(f"words without an alarm: {_join_texts(record['silent_words'])}")
    print(f"alarm codes never raised: {_join_texts(record['codes_never_raised'])}")


def _verdict_text(record: dict[str, Any]) -> str:
    if record["failed"]:
        return "FAIL"
    return "INTERRUPTED" if record["interrupted"] else "PASS"


def _join_texts(values: list[Any]) -> str:
    return ", ".join(str(value) for value in values) or "none"


def _print_faults(as_json: bool) -> int:
    groups = faults_by_word()
    if as_json:
        rows = [
            {"word": fault.word, "value": fault.value, "for_s": fault.for_s, "kind": fault.kind}
            for group in groups.values()
            for fault in group
        ]
        print(json.dumps(rows))
        return 0
    for word, group in groups.items():
        print(f"{word:24} {group[0].kind:8} {', '.join(fault.text() for fault in group)}")
    for word, reason in excluded_words().items():
        print(f"{word:24} excluded {reason}")
    for name, text in NAMES.items():
        print(f"{name}  {text}")
    for entry in load_exemptions():
        print(f"exempt {entry.label}: {entry.reason}")
    return 0
