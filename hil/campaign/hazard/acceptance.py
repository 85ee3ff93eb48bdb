# SPDX-License-Identifier: Apache-2.0
"""The acceptance table of the hazard analysis: each line at 90 kW, at 30 kW and on a cold site.

Does not define the faults; the lines name shipped scenarios. `acceptance.toml` has the lines, with
the largest figures that the analysis permits. Each case of a scenario is one run. It gives:

    case_c   hottest case, degrees Celsius
    dew_k    least margin of the supply above the dew point, K; from `dew_from_s` on
    alarm_s  first alarm (of `code`, if given)
    limit_s  first limit below the rating, or first switching off, on the wire
    off_s    the last load has its order to switch off, on the wire
    power_s  all loads draw less than 5 % of their rating; for information
    count    largest value of the measure `count_of`

Times are seconds after the first event `since` (the first event of the run, if not given). Orders
and alarms have the time of the wire. Temperatures and powers are sampled each second. All
expectations of the scenario are judged too. An entry of `[[line.beyond]]` names a figure that the
analysis asks for and that the row cannot have: with the longest value that is accepted instead, and
the physical reason. The verdict is then "reason". So no limit of the analysis is changed silently.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from hil.bench.load_bank import LoadBank
from hil.campaign.hazard.injected_faults import load_table
from hil.kernel.dut import DutFactory
from hil.kernel.run_history import matches_code
from hil.measure.hazard import OFF_FRACTION, first_limit_us
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.scenario.model import Scenario

MET, REASON, FAILED = "met", "reason", "failed"
LOWEST = ("dew_k",)
"""Figures with a lower limit; the others have an upper limit."""
FIGURES = ("case_c", "dew_k", "alarm_s", "limit_s", "off_s", "power_s", "count")
_HEAD = (
    "| line | scenario | case, °C | dew, K | alarm, s | limit, s | off, s | power, s | other "
    "| verdict | MicroPython |"
)
_RATED_KW = 100.0


@dataclass(frozen=True)
class Beyond:
    """A figure that the analysis asks for and that is not possible; `only`: names of the cases."""

    figure: str
    accepted: float
    reason: str
    only: str = ""


@dataclass(frozen=True)
class Line:
    """One line of the table: a scenario, and what the analysis permits (None: it asks nothing)."""

    group: str
    name: str
    scenario: str
    since: str = ""
    code: str = ""
    count_of: str = ""
    only: str = ""
    dew_from_s: float = 0.0
    case_c: float | None = None
    dew_k: float | None = None
    alarm_s: float | None = None
    limit_s: float | None = None
    off_s: float | None = None
    count: float | None = None
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

    line: Line
    case: str
    figures: dict[str, float | None]
    failures: tuple[str, ...]
    digest: str
    dut: str

    def judge(self, figure: str) -> str:
        """Give the verdict of one figure."""
        asked, value = self.line.asked(figure), self.figures[figure]
        if asked is None or _holds(figure, value, asked):
            return MET
        excuse = self.line.excuse(figure, self.case)
        if excuse is not None and _holds(figure, value, excuse.accepted):
            return REASON
        return FAILED

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


def load_lines() -> tuple[Line, ...]:
    """Read all lines."""
    return tuple(
        Line(**{**entry, "beyond": tuple(Beyond(**item) for item in entry.get("beyond", ()))})
        for entry in load_table("acceptance")["line"]
    )


def list_cases(line: Line) -> list[str]:
    """Give the names of the cases of a line: 90kw, 30kw, cold."""
    names = [_case_name(scenario) for scenario in find(line.scenario).expand_cases()]
    return [name for name in names if not line.only or name in line.only.split()]


def _case_name(scenario: Scenario) -> str:
    return scenario.name.partition("/")[2] or f"{scenario.settings.it_kw:g}kw"


def measure_line(line: Line, case: str, make_dut: DutFactory, dut: str) -> LineResult:
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

    def __init__(self, run: VirtualRun, line: Line) -> None:
        self._run, self._line = run, line
        self._case_c, self._dew_k = 0.0, float("inf")
        self._count: float | None = None
        self._power_us: int | None = None

    def sample(self, second: int) -> None:
        """Take the sample at the end of a second."""
        testbed, line = self._run.testbed, self._line
        since_us = self._since_us()
        if since_us is None:
            return
        now = testbed.world.now
        self._case_c = max(self._case_c, testbed.plant.case_c)
        if second >= line.dew_from_s:
            margin = testbed.plant.supply_true_c - testbed.surroundings.room.dew_c
            self._dew_k = min(self._dew_k, margin)
        if line.count_of:
            value = self._run.sample(line.count_of)
            self._count = value if value is None else max(value, self._count or 0.0)
        bank = testbed.load_bank
        if bank is not None and self._power_us is None:
            drawn_kw = sum(load.watts(now) for load in bank.loads) / 1000.0
            self._power_us = now if drawn_kw < OFF_FRACTION * _RATED_KW else None

    def _since_us(self) -> int | None:
        """Give the time of the event; without any event the start of the run."""
        if not self._run.scenario.events:
            return 0
        return self._run.testbed.history.event_us(self._line.since)

    def figures(self) -> dict[str, float | None]:
        """Give all figures of the run."""
        testbed, since_us = self._run.testbed, self._since_us() or 0
        bank = testbed.load_bank
        raised = testbed.history.raised
        alarms = [at for at, code, _ in raised if at >= since_us and _is_one_of(code, self._line)]
        times = {
            "alarm_s": min(alarms, default=None),
            "limit_s": None if bank is None else first_limit_us(bank, since_us),
            "off_s": None if bank is None else _all_ordered_us(bank, since_us),
            "power_s": self._power_us,
        }
        found: dict[str, float | None] = {
            name: None if at is None else (at - since_us) / 1e6 for name, at in times.items()
        }
        return {"case_c": self._case_c, "dew_k": self._dew_k, "count": self._count, **found}


def _is_one_of(code: str, line: Line) -> bool:
    return not line.code or any(matches_code(code, name) for name in line.code.split())


def _all_ordered_us(bank: LoadBank, since_us: int) -> int | None:
    """Give the time at which the last load has its first order to switch off, or None."""
    times = [
        _first(
            [at for bmc in bank.bmcs.values() for at, name, is_on in bmc.resets
             if name == load.name and not is_on and at >= since_us]
            + [at for at, i, value in bank.pdu.switch_log
               if value == 0 and at >= since_us
               and i < len(bank.pdu.loads) and bank.pdu.loads[i] is load]
        )
        for load in bank.loads
    ]  # fmt: skip
    known = [at for at in times if at is not None]
    return max(known) if len(known) == len(times) else None


def _first(times: Iterable[int]) -> int | None:
    return min(times, default=None)


def write_page(results: list[LineResult], others: dict[tuple[str, str], str]) -> str:
    """Write the page as Markdown. `others`: digests on MicroPython by scenario and case."""
    counts = {v: sum(r.verdict == v for r in results) for v in (MET, REASON, FAILED)}
    lines = [
        "# Acceptance table of the hazard analysis, measured",
        "",
        "For engineers of safety. Written by `coldloop hil hazard --acceptance FILE`. Do not edit.",
        "",
        *_INTRODUCTION,
        "",
        f"Met: {counts[MET]} runs. Met with a reason: {counts[REASON]}. Failed: {counts[FAILED]}.",
        "",
        _HEAD,
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_write_result(result, others) for result in results]
    reasons = [
        f"| {line.group} {line.name} | {b.figure} | {line.asked(b.figure):g} | {b.accepted:g} "
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
    "cell has the measured figure and the limit of the analysis. Times are seconds after the fault.",
    "`limit` and `off` are orders on the wire: the first limit, and the order to the last load to",
    "switch off. `power` is the time until all loads draw less than 5 %: the services of the bench",
    "need 1 to 3 s more. The verdict contains all expectations of the scenario too. MicroPython:",
    "the same run on the unix port in lock-step; `equal` means the same bytes in and out.",
)


def _write_result(result: LineResult, others: dict[tuple[str, str], str]) -> str:
    line = result.line
    other = others.get((line.scenario, result.case))
    compared = "-" if other is None else "equal" if other == result.digest else "differs"
    cells = [f"{line.group} {line.name}", f"`{line.scenario}/{result.case}`"]
    cells += [_cell(result, figure) for figure in FIGURES]
    text = result.verdict + "".join(f"; {failure}" for failure in result.failures)
    return f"| {' | '.join([*cells, text, compared])} |"


def _cell(result: LineResult, figure: str) -> str:
    value, asked = result.figures[figure], result.line.asked(figure)
    if figure == "count" and asked is None:
        return "-"
    digits = 0 if figure in ("case_c", "count") else 1
    text = "-" if value is None else f"{value:.{digits}f}"
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


def without_tail(scenario: Scenario, seconds: float) -> Scenario:
    """Give the scenario with a shorter duration, for a sample."""
    return replace(scenario, seconds=min(scenario.seconds, seconds))
