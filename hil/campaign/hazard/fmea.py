# SPDX-License-Identifier: Apache-2.0
"""The rows of the failure mode and effects analysis, measured: one run for each row.

Does not draw pairs; see `hil.campaign.hazard.case_generator`. `fmea.toml` has the run of each row,
and the longest times to the detection (`see_s`) and to the reaction (`act_s`), in s after the last
event. A row is written as `WORD VALUE@SECOND, ...`; SECOND counts from the fault, 120 s after the
start.

    detection   first alarm after the last event
    limit       first limit below the rating, or first switching off, at a load
    switch      first switching off at a load
    off         all loads under 5 % of their rating
    pump        another pump turns

All times but the detection come from the plant, the loads and the wire. Some failures begin later
than their event: `since` is then the start of the times.

    valve_write a write to the valve that it must follow
    switch      the first switching off at a load
    limit       the first limit at a load
    dew         the true supply is less than 1 K above the dew point
    store_full  a write to a full store fails

`code`: only this alarm counts as the detection, because others have another cause. `note` gives the
physical reason where a time or a reaction of the analysis is not possible or not needed.
`bound_act_s` is then the longest time that is accepted for the reaction: the verdict is "reason".
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hil.bench.load_bank import LoadBank
from hil.campaign.hazard.case_generator import SITES
from hil.campaign.hazard.injected_faults import load_table
from hil.campaign.hazard.truth import SECOND, STEP_US
from hil.kernel.dut import DutFactory
from hil.measure.hazard import OFF_FRACTION, first_limit_us
from hil.run.virtual import VirtualRun
from hil.scenario.model import Scenario, ScenarioEvent

MET, REASON, LATE, NONE = "met", "reason", "late", "not seen"
FAULT_S = 120.0
_LEAST_S, _MOST_S = 120.0, 1500.0
_START_KW = 90.0
_TURNS_PCT = 10.0
_CASE_MAX_C = 85.0
_NEAR_DEW_K = 1.0
_INTRODUCTION = (
    "Each row is one run on the bench at 90 kW, in virtual time, seed 1. The devices and the plant",
    "are emulated. Times are seconds after the last event. Detection is the first alarm of any",
    "code. A reaction is measured only at loads and pumps: the first limit, the first switching",
    "off, all loads off, or another pump turns. `asked` is the longest time that the analysis",
    "permits. The verdict is also late if a case is above 85 °C. The site `cold` has a set-point",
    "of 20 °C, facility water of 10 °C and 60 % humidity.",
    "",
    "Some failures begin later than their event. `since` then names the start of the times: the",
    "first write to the valve, the first limit, the first switching off, or the first write to a",
    "full store. `dew` is a true supply less than 1 K above the dew point. If a row names one",
    "alarm, only this alarm is its detection. `reason`: the notes say why the time is not",
    "possible. The run meets the longest time that is accepted instead.",
)
_HEAD = (
    "| row | failure | run | first alarm | s | asked | reaction | s | asked | case, °C | verdict |"
)
_PARTS = "cooling, safety, throttle, remote, log"


@dataclass(frozen=True)
class FmeaRow:
    """One row of `fmea.toml`; without `run_text` there is a reason in `why`."""

    number: int
    name: str
    words: tuple[str, ...] = ()
    why: str = ""
    run_text: str = ""
    see_s: float | None = None
    act_s: float | None = None
    reaction: str = ""
    site: str = "warm"
    code: str = ""
    since: str = ""
    note: str = ""
    bound_act_s: float | None = None


@dataclass(frozen=True)
class FmeaResult:
    """Times in s after the last event of a row, None: never. `case_c`: hottest case."""

    row: FmeaRow
    code: str
    seen_s: float | None
    acted_s: float | None
    case_c: float
    digest: str

    @property
    def verdict(self) -> str:
        """Give "met", "late" or "not seen"."""
        if self.seen_s is None and self.row.see_s is not None:
            return NONE
        row = self.row
        if _is_late(self.seen_s, row.see_s) or self.case_c > _CASE_MAX_C:
            return LATE
        if not row.reaction or not _is_late(self.acted_s, row.act_s):
            return MET
        is_known = row.bound_act_s is not None and not _is_late(self.acted_s, row.bound_act_s)
        return REASON if is_known else LATE


def _is_late(seconds: float | None, most_s: float | None) -> bool:
    return most_s is not None and (seconds is None or round(seconds, 1) > most_s)


def load_rows() -> list[FmeaRow]:
    """Read all rows."""
    return [
        FmeaRow(
            **{key: value for key, value in entry.items() if key not in ("words", "run")},
            words=tuple(entry["words"]),
            run_text=entry.get("run", ""),
        )
        for entry in load_table("fmea")["row"]
    ]


def read_events(text: str) -> tuple[ScenarioEvent, ...]:
    """Read the run of a row; raises `ValueError` for a wrong number."""
    events = []
    for part in text.split(", "):
        order, _, second = part.partition("@")
        word, _, value = order.partition(" ")
        at_s = FAULT_S + float(second or 0)
        events.append(ScenarioEvent(at_s, word, float(value) if value else None))
    return tuple(sorted(events, key=lambda event: event.at_s))


def make_scenario(row: FmeaRow) -> Scenario:
    """Make the scenario of a row: a row of 90 kW with all its devices."""
    events = read_events(row.run_text)
    asked_s = max(row.see_s or 0.0, row.act_s or 0.0)
    seconds = events[-1].at_s + min(max(asked_s + 30.0, _LEAST_S), _MOST_S)
    fans = 2 if any(event.do.startswith("fan_") for event in events) else 0
    settings = replace(
        SITES[row.site], it_kw=_START_KW, meters=2, humidity_sensors=2, fans=fans, parts=_PARTS
    )
    return Scenario(f"fmea-{row.number}", row.name, seconds, settings, events)


def measure_row(row: FmeaRow, make_dut: DutFactory, dut: str = "cpython") -> FmeaResult:
    """Run a row and measure its times."""
    scenario = make_scenario(row)
    run = VirtualRun(scenario, 1, make_dut)
    since_us = int(scenario.events[-1].at_s * SECOND)
    before = _turning(run)
    off_us = pump_us = dew_us = write_us = None
    case_c = writes = 0.0
    try:
        for now in _steps(run):
            if now < since_us:
                before, writes = _turning(run), run.testbed.valve.writes
                continue
            case_c = max(case_c, run.testbed.plant.case_c)
            if dew_us is None and _dew_margin_k(run) < _NEAR_DEW_K:
                dew_us = now
            if write_us is None and run.testbed.valve.writes > writes:
                write_us = now
            if pump_us is None and _turning(run) - before:
                pump_us = now
            if off_us is None and _drawn_kw(run) < OFF_FRACTION * 100.0:
                off_us = now
    finally:
        run.dut.close()
    bank = run.testbed.load_bank
    found = {
        "switch": _first_switch_us(bank, since_us),
        "limit": None if bank is None else first_limit_us(bank, since_us),
        "off": off_us,
        "pump": pump_us,
        "dew": dew_us,
        "valve_write": write_us,
        "store_full": _first_full_us(run),
    }
    if row.since:
        since_us = found.get(row.since) or since_us
    raised = [
        (at, code)
        for at, code, _ in run.testbed.history.raised
        if at >= since_us and code.startswith(row.code)
    ]
    seen_us, code = raised[0] if raised else (None, "")
    digest = run.make_result(dut, 0.0).digest or ""
    seen_s = _seconds(seen_us, since_us)
    acted_s = _seconds(found.get(row.reaction), since_us)
    return FmeaResult(row, code, seen_s, acted_s, case_c, digest)


def _steps(run: VirtualRun) -> Iterator[int]:
    run.shell.start()
    for at_us in range(STEP_US, int(run.scenario.seconds) * SECOND + 1, STEP_US):
        run.shell.run(at_us)
        run.testbed.plant.advance(at_us)
        yield at_us


def _first_switch_us(bank: LoadBank | None, since_us: int) -> int | None:
    if bank is None:
        return None
    times = [at for bmc in bank.bmcs.values() for at, _, is_on in bmc.resets if not is_on]
    times += [at for at, _, value in bank.pdu.switch_log if value == 0]
    return min((at for at in times if at >= since_us), default=None)


def _first_full_us(run: VirtualRun) -> int | None:
    times = [store.first_full_at_us for store in run.testbed.stores.values()]
    return min((at for at in times if at is not None), default=None)


def _turning(run: VirtualRun) -> set[int]:
    pumps = run.testbed.plant.pumps
    return {i for i, pump in enumerate(pumps) if pump.speed_pct > _TURNS_PCT}


def _dew_margin_k(run: VirtualRun) -> float:
    return float(run.testbed.plant.supply_true_c - run.testbed.surroundings.room.dew_c)


def _drawn_kw(run: VirtualRun) -> float:
    bank, now = run.testbed.load_bank, run.testbed.world.now
    return 0.0 if bank is None else sum(load.watts(now) for load in bank.loads) / 1000.0


def _seconds(at_us: int | None, since_us: int) -> float | None:
    return None if at_us is None else (at_us - since_us) / SECOND


def write_page(results: dict[int, FmeaResult]) -> str:
    """Write the page of all rows as Markdown."""
    verdicts = [result.verdict for result in results.values()]
    counts = [verdicts.count(verdict) for verdict in (MET, REASON, LATE, NONE)]
    lines = [
        "# Failure mode and effects analysis, measured",
        "",
        "For engineers of safety. Written by `coldloop hil hazard --fmea FILE`. Do not edit.",
        "",
        *_INTRODUCTION,
        "",
        f"Met: {counts[0]} rows. Reason: {counts[1]}. Late: {counts[2]}. Not seen: {counts[3]}.",
        "",
        _HEAD,
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_write_result(results[row.number]) for row in load_rows() if row.number in results]
    lines += ["", "## Notes", "", "| row | physical reason |", "|---|---|"]
    lines += [
        f"| {row.number} | {row.note} |"
        for row in load_rows()
        if row.number in results and row.note
    ]
    lines += ["", "## Rows without a run", "", "| row | failure | reason |", "|---|---|---|"]
    lines += [
        f"| {row.number} | {row.name} | {row.why or 'a test of the agent or a scenario has it'} |"
        for row in load_rows()
        if row.number not in results
    ]
    return "\n".join(lines) + "\n"


def _write_result(result: FmeaResult) -> str:
    row = result.row
    code = f"`{result.code}`" if result.code else "none"
    cells = [
        str(row.number),
        row.name,
        f"`{row.run_text}`"
        + ("" if row.site == "warm" else f", {row.site}")
        + (f", since `{row.since}`" if row.since else ""),
        code,
        _write_time(result.seen_s),
        _write_time(row.see_s),
        row.reaction or "-",
        _write_time(result.acted_s) if row.reaction else "-",
        _write_time(row.act_s) if row.reaction else "-",
        f"{result.case_c:.0f}",
        result.verdict,
    ]
    return f"| {' | '.join(cells)} |"


def _write_time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.1f}"


def row_record(result: FmeaResult) -> dict[str, Any]:
    """Give a result as a JSON record."""
    return {
        "row": result.row.number,
        "run": result.row.run_text,
        "alarm": result.code,
        "seen_s": result.seen_s,
        "acted_s": result.acted_s,
        "case_c": round(result.case_c, 1),
        "verdict": result.verdict,
        "digest": result.digest,
    }
