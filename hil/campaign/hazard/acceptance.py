# SPDX-License-Identifier: Apache-2.0
"""The acceptance table of the hazard analysis: each line at 90 kW, at 30 kW and on a cold site.

Does not define the faults; the lines name shipped scenarios. `acceptance.toml` has the lines, with
the figures that the analysis permits. Each case of a scenario is one run. It gives:

    case_c    hottest case, degrees Celsius
    dew_k     least margin of the supply above the dew point, K; from `dew_from_s` on
    alarm_s   first alarm (of `code`, if given); 0 if it is active already
    limit_s   first limit below the rating, or first order to switch off, on the wire
    switch_s  first order to switch a load off, on the wire
    off_s     the last load has its order to switch off, on the wire
    power_s   all loads draw less than 5 % of their rating; for information
    valve_s   the valve has a set-point below 1 %
    count     largest value of the measure `count_of`

Times are seconds after `since_s`, which is the first event if it is not given. `since` replaces it
for the alarm and the orders: "limit", "switch" or "dew" (the supply is below the dew point). With
`early`, an order after the first event and before `since_s` counts, and has a negative time.
Orders and alarms have the time of the wire. The rest is sampled each second. All expectations of
the scenario are judged too. `never` names figures that must not happen.

A `[[line.beyond]]` names a figure that the row cannot have or does not need, with its physical
reason. `accepted` is the longest value instead; without it the figure is not needed. The verdict is
then "reason". So no limit of the analysis is changed silently.
"""

from dataclasses import dataclass
from typing import Any

from hil.bench.load_bank import LoadBank
from hil.campaign.hazard.injected_faults import load_table
from hil.campaign.hazard.truth import SECOND
from hil.kernel.dut import Dut, DutFactory
from hil.kernel.run_history import matches_code
from hil.measure.hazard import OFF_FRACTION, first_limit_us
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.scenario.model import Scenario
from hil.shells.lockstep import LockStepDut

MET, REASON, FAILED = "met", "reason", "failed"
LOWEST = ("dew_k",)
"""Figures with a lower limit; the others have an upper limit."""
FIGURES = (
    "case_c",
    "dew_k",
    "alarm_s",
    "limit_s",
    "switch_s",
    "off_s",
    "power_s",
    "valve_s",
    "count",
)
_HEAD = (
    "| line | scenario | case, °C | dew, K | alarm, s | limit, s | switch, s | off, s | power, s "
    "| valve, s | count | verdict | MicroPython |"
)
_RATED_KW = 100.0
_VALVE_SETPOINT, _SHUT_COUNTS = 0, 100
"""Register of the set-point of the valve, and 1 % of its stroke."""


@dataclass(frozen=True)
class Beyond:
    """A figure that the analysis asks for and that is not possible; `only`: names of the cases."""

    figure: str
    reason: str
    accepted: float | None = None
    only: str = ""


@dataclass(frozen=True)
class TableLine:
    """One line of the table: a scenario, and what the analysis permits (None: it asks nothing)."""

    group: str
    name: str
    scenario: str
    since_s: float | None = None
    since: str = ""
    code: str = ""
    count_of: str = ""
    only: str = ""
    dew_from_s: float = 0.0
    early: bool = False
    case_c: float | None = None
    dew_k: float | None = None
    alarm_s: float | None = None
    limit_s: float | None = None
    switch_s: float | None = None
    off_s: float | None = None
    valve_s: float | None = None
    count: float | None = None
    never: tuple[str, ...] = ()
    beyond: tuple[Beyond, ...] = ()

    def asked(self, figure: str) -> float | None:
        """Give what the analysis permits for a figure, or None."""
        value: float | None = getattr(self, figure, None)
        return value

    def excuse(self, figure: str, case: str) -> Beyond | None:
        """Give the entry of a figure that is not possible in a case, or None."""
        found = (b for b in self.beyond if b.figure == figure and case in (b.only or case).split())
        return next(found, None)


@dataclass(frozen=True)
class LineResult:
    """The run of one case of a line. `figures`: by name, None: it did not happen."""

    line: TableLine
    case: str
    figures: dict[str, float | None]
    failures: tuple[str, ...]
    digest: str
    dut: str

    def judge(self, figure: str) -> str:
        """Give the verdict of one figure."""
        asked, value = self.line.asked(figure), self.figures[figure]
        if figure in self.line.never:
            return MET if value is None else FAILED
        if asked is None or _holds(figure, value, asked):
            return MET
        excuse = self.line.excuse(figure, self.case)
        if excuse is None:
            return FAILED
        is_accepted = excuse.accepted is None or _holds(figure, value, excuse.accepted)
        return REASON if is_accepted else FAILED

    @property
    def verdict(self) -> str:
        """Give the worst verdict of all figures and of the scenario."""
        found = {self.judge(figure) for figure in FIGURES}
        if self.failures or FAILED in found:
            return FAILED
        return REASON if REASON in found else MET


def _holds(figure: str, value: float | None, limit: float) -> bool:
    if value is None:
        return False
    return round(value, 2) >= limit if figure in LOWEST else round(value, 2) <= limit


def large_heap_micropython(*given: Any) -> Dut:
    """Make MicroPython with a large heap: a third of the computing time.

    The heap of a board has tests of its own.
    """
    return LockStepDut(*given, heap="8M")


def load_lines() -> tuple[TableLine, ...]:
    """Read all lines."""
    return tuple(
        TableLine(
            **{
                **entry,
                "beyond": tuple(Beyond(**item) for item in entry.get("beyond", ())),
                "never": tuple(entry.get("never", ())),
            }
        )
        for entry in load_table("acceptance")["line"]
    )


def list_cases(line: TableLine) -> list[str]:
    """Give the names of the cases of a line: 90kw, 30kw, cold."""
    names = [_case_name(scenario) for scenario in find(line.scenario).expand_cases()]
    return [name for name in names if not line.only or name in line.only.split()]


def _case_name(scenario: Scenario) -> str:
    return scenario.name.partition("/")[2] or f"{scenario.settings.it_kw:g}kw"


def measure_line(line: TableLine, case: str, make_dut: DutFactory, dut: str) -> LineResult:
    """Run one case of a line; give its figures."""
    scenario = next(s for s in find(line.scenario).expand_cases() if _case_name(s) == case)
    run = VirtualRun(scenario, 1, make_dut)
    watch = _Watch(run, line)
    try:
        run.run(watch.sample)
    finally:
        run.dut.close()
    result = run.make_result(dut, 0.0)
    return LineResult(line, case, watch.figures(), result.failures, result.digest or "", dut)


class _Watch:
    """Keeps the extremes of one run."""

    def __init__(self, run: VirtualRun, line: TableLine) -> None:
        self._run, self._line = run, line
        self._case_c, self._dew_k = 0.0, float("inf")
        self._count: float | None = None
        self._power_us: int | None = None
        self._valve_us: int | None = None
        self._wet_us: int | None = None
        events = run.scenario.events
        first_s = events[0].at_s if events else 0.0
        self._first_us = int(first_s * SECOND)
        self._since_us = int((first_s if line.since_s is None else line.since_s) * SECOND)

    def sample(self, second: int) -> None:
        """Take the sample at the end of a second."""
        testbed, line, now = self._run.testbed, self._line, self._run.testbed.world.now
        if now <= self._since_us:
            return
        self._case_c = max(self._case_c, testbed.plant.case_c)
        margin_k = testbed.plant.supply_true_c - testbed.surroundings.room.dew_c
        if second >= line.dew_from_s:
            self._dew_k = min(self._dew_k, margin_k)
        if self._wet_us is None and margin_k < 0.0:
            self._wet_us = now
        if self._valve_us is None and testbed.valve.registers[_VALVE_SETPOINT] < _SHUT_COUNTS:
            self._valve_us = now
        if line.count_of:
            value = self._run.sample(line.count_of)
            self._count = self._count if value is None else max(value, self._count or 0.0)
        bank = testbed.load_bank
        if bank is not None and self._power_us is None:
            drawn_kw = sum(load.watts(now) for load in bank.loads) / 1000.0
            self._power_us = now if drawn_kw < OFF_FRACTION * _RATED_KW else None

    def figures(self) -> dict[str, float | None]:
        """Give all figures of the run."""
        bank, since_us = self._run.testbed.load_bank, self._since_us
        first_us = self._first_us if self._line.early else since_us
        orders: dict[str, int | None] = {}
        if bank is not None:
            off = _first_off_us(bank, first_us)
            orders = {
                "limit_s": first_limit_us(bank, first_us),
                "switch_s": min(off.values(), default=None),
                "off_s": max(off.values()) if len(off) == len(bank.loads) else None,
            }
        starts = {
            "limit": orders.get("limit_s"),
            "switch": orders.get("switch_s"),
            "dew": self._wet_us,
        }
        start_us = starts[self._line.since] or since_us if self._line.since else since_us
        figures: dict[str, float | None] = {
            "case_c": self._case_c,
            "dew_k": self._dew_k,
            "count": self._count,
            "alarm_s": _seconds(self._alarm_us(start_us), start_us),
            "power_s": _seconds(self._power_us, since_us),
            "valve_s": _seconds(_not_before(self._valve_us, start_us), start_us),
        }
        for name in ("limit_s", "switch_s", "off_s"):
            figures[name] = _seconds(orders.get(name), start_us)
        return figures

    def _alarm_us(self, since_us: int) -> int | None:
        """Give the time of the first alarm of the line; one that is active already counts."""
        active: dict[str, int] = {}
        for at_us, is_raised, code in self._run.testbed.history.changes:
            if not _is_one_of(code, self._line):
                continue
            if at_us >= since_us and is_raised:
                return since_us if active else at_us
            if is_raised:
                active[code] = at_us
            elif at_us < since_us:
                active.pop(code, None)
        return since_us if active else None


def _not_before(at_us: int | None, start_us: int) -> int | None:
    return None if at_us is None else max(at_us, start_us)


def _seconds(at_us: int | None, since_us: int) -> float | None:
    return None if at_us is None else (at_us - since_us) / SECOND


def _first_off_us(bank: LoadBank, since_us: int) -> dict[str, int]:
    """Give the time of the first order to switch off, by the name of the load."""
    orders = [
        (at, name) for bmc in bank.bmcs.values() for at, name, is_on in bmc.resets if not is_on
    ]
    outlets = bank.pdu.loads
    orders += [
        (at, outlets[i].name)
        for at, i, value in bank.pdu.switch_log
        if value == 0 and i < len(outlets)
    ]
    names = {load.name for load in bank.loads}
    found: dict[str, int] = {}
    for at, name in sorted(orders):
        if at >= since_us and name in names:
            found.setdefault(name, at)
    return found


def _is_one_of(code: str, line: TableLine) -> bool:
    return not line.code or any(matches_code(code, name) for name in line.code.split())


Others = dict[tuple[TableLine, str], LineResult]
"""Results on MicroPython by line and case."""


def differs(result: LineResult, others: Others) -> bool:
    """Return whether the run on MicroPython has another digest; False if there is none."""
    other = others.get((result.line, result.case))
    return other is not None and other.digest != result.digest


def write_line(result: LineResult) -> str:
    """Write a result as one line of text: line, case, interpreter, figures, verdict."""
    line = result.line
    cells = [
        f"{name} {_cell(result, name)}"
        for name in FIGURES
        if line.asked(name) is not None or name in line.never
    ]
    text = "".join(f"; {failure}" for failure in result.failures)
    return (
        f"{result.verdict:7} {line.group:3} {line.scenario}/{result.case} {result.dut} "
        f"{', '.join(cells)}{text}"
    )


def write_page(results: list[LineResult], others: Others) -> str:
    """Write the page as Markdown."""
    counts = {v: sum(r.verdict == v for r in results) for v in (MET, REASON, FAILED)}
    total = sum(len(list_cases(line)) for line in load_lines())
    missing = [f"This page is not complete: {len(results)} of {total} runs.", ""]
    lines = [
        "# Acceptance table of the hazard analysis, measured",
        "",
        "For engineers of safety. Written by `coldloop hil hazard --acceptance FILE`. Do not edit.",
        "",
        *_INTRODUCTION,
        "",
        *(missing if len(results) < total else []),
        f"Met: {counts[MET]} runs. Met with a reason: {counts[REASON]}. Failed: {counts[FAILED]}.",
        "",
        _HEAD,
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_write_result(result, others) for result in results]
    reasons = [
        f"| {line.group} {line.name} | {b.figure} | {line.asked(b.figure):g} "
        f"| {'not needed' if b.accepted is None else format(b.accepted, 'g')} "
        f"| {b.only or 'all'} | {b.reason} |"
        for line in dict.fromkeys(result.line for result in results)
        for b in line.beyond
    ]
    lines += ["", "## Figures that are not possible, with their physical reason", ""]
    lines += ["| line | figure | asked | accepted | cases | reason |", "|---|---|---|---|---|---|"]
    lines += [*reasons, "", "## Lines without a run", "", "| line | shown by |", "|---|---|"]
    lines += [f"| {e['group']} {e['name']} | {e['shown_by']} |" for e in _without_run()]
    return "\n".join(lines) + "\n"


def _without_run() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = load_table("acceptance")["elsewhere"]
    return entries


_INTRODUCTION = (
    "Each row is one run on the bench, in virtual time, seed 1. The devices and the plant are",
    "emulated. `90kw` and `30kw` have a set-point of 32 °C and facility water of 24 °C. `cold` has",
    "90 kW, a set-point of 20 °C, facility water of 10 °C and 60 % humidity in a room of 27 °C. A",
    "cell has the figure and the limit of the analysis. Times are seconds after the fault.",
    "`limit` and `off` are orders on the wire: the first limit, and the order to the last load to",
    "switch off. `power` is the time until all loads draw less than 5 %: the services of the bench",
    "need 1 to 3 s more. The verdict contains all expectations of the scenario too. MicroPython:",
    "the same run on the unix port in lock-step; `equal` means the same bytes in and out.",
)


def _write_result(result: LineResult, others: Others) -> str:
    line = result.line
    compared = "differs" if differs(result, others) else "equal"
    compared = compared if (line, result.case) in others else "-"
    cells = [f"{line.group} {line.name}", f"`{line.scenario}/{result.case}`"]
    cells += [_cell(result, figure) for figure in FIGURES]
    text = result.verdict + "".join(f"; {failure}" for failure in result.failures)
    return f"| {' | '.join([*cells, text, compared])} |"


def _cell(result: LineResult, figure: str) -> str:
    value, asked = result.figures[figure], result.line.asked(figure)
    if asked is None and figure in ("count", "valve_s"):
        return "-"
    digits = 0 if figure in ("case_c", "count") else 1
    text = "-" if value is None else f"{value:.{digits}f}"
    if figure in result.line.never:
        return f"{text} / never"
    return text if asked is None else f"{text} / {asked:g}"


def line_record(result: LineResult) -> dict[str, Any]:
    """Give a result as a JSON record."""
    line = result.line
    return {
        "group": line.group,
        "line": line.name,
        "scenario": f"{line.scenario}/{result.case}",
        "interpreter": result.dut,
        "figures": result.figures,
        "limits": {name: line.asked(name) for name in FIGURES if line.asked(name) is not None},
        "verdict": result.verdict,
        "failures": list(result.failures),
        "digest": result.digest,
    }
