# SPDX-License-Identifier: Apache-2.0
"""Campaign of exceptions: each call of each guarded piece, in several situations of the unit.

    python -m tests.hil.fault.guard_campaign [--calls 200] [--out FILE] [SITUATION …]

A situation runs once without a fault to the moment of the fault. From there each case runs in a
forked process: one piece raises at its k-th call. The judge compares with the run without a fault.

    no tick is missed, and no exception leaves the agent
    the supply and the hottest case stay within a band of the run without a fault
    an output that a trip holds stays where it is
    the fault is counted, and its alarm names the piece
    while a part is off its stand-in has claimed; afterwards the part runs again
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from agent.core.component import Component
from agent.core.fault.stand_in import StandIn
from hil.kernel.raise_in import ERRORS, find_piece, inject
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

AFTER_S = 8
_SECOND = 1_000_000
_SUPPLY_BAND_K = 2.5
_CASE_BAND_K = 4.0

_ROW = """
name = "guard"
title = "a fault in a piece"
seconds = 600
[row]
it_kw = {kw}
receiver_dialect = "casic"
meters = 2
humidity_sensors = 2
fans = 2
parts = "{parts}"
"""
_ALL = (
    "cooling, safety, throttle, log, timekeeping, integrity, ledger, remote, receiver_setup, "
    "modem, modem_store"
)


class Situation(NamedTuple):
    """`fault_s`: time of the fault. `events`: (second, word, value, text)."""

    kw: float
    fault_s: int
    events: tuple[tuple[float, str, float | None, str], ...] = ()


SITUATIONS = {
    "steady": Situation(60, 14),
    "load_step": Situation(30, 14, ((14.5, "it_load", 90, ""),)),
    "leak": Situation(60, 18, ((12, "leak_detector", 1, "pan"),)),
    "pump_trip": Situation(60, 14, ((14.5, "pump_trip", 1, ""),)),
    "facility_lost": Situation(60, 22, ((16, "facility_lost", None, ""),)),
    "trial": Situation(60, 26, ((20, "push_setpoint", 33, ""),)),
}


def make_run(situation: Situation) -> VirtualRun:
    """Return the run of a situation."""
    text = _ROW.format(kw=situation.kw, parts=_ALL)
    for at_s, word, value, argument in situation.events:
        text += f'[[event]]\nat_s = {at_s}\ndo = "{word}"\n'
        text += "" if value is None else f"value = {value}\n"
        text += f'text = "{argument}"\n' if argument else ""
    return VirtualRun(parse(text, "guard.toml"), 1)


def piece_names(run: VirtualRun) -> list[str]:
    """Return the names of all pieces of a unit."""
    agent = run.dut.agent  # type: ignore[attr-defined]
    names = ["supply", "pressure", "fans", "receiver", "broker", *agent.fieldbus.names]
    names += [session.name for session in agent.fieldbus.sessions]
    names += [section for section, _, _ in agent.config.components]
    return [name for name in names if (find_piece(agent, name) or (None,))[0] is not None]


def method_cases(run: VirtualRun, calls: int) -> list[tuple[str, int]]:
    """Return (text of the fault, call): all calls of each piece, the first of each method."""
    agent = run.dut.agent  # type: ignore[attr-defined]
    words = ["", *(" " + word for word in ERRORS)]
    cases: list[tuple[str, int]] = []
    for i, name in enumerate(piece_names(run)):
        found = find_piece(agent, name)
        assert found is not None
        kinds = [words[(call + i) % len(words)] for call in range(1, calls + 1)]
        cases += [(name + kind, call) for call, kind in enumerate(kinds, 1)]
        methods = [m for m in found[1] if getattr(type(found[0]), m, 0) != getattr(Component, m, 1)]
        cases += [(f"{name}.{m}{words[j % len(words)]}", 1) for j, m in enumerate(methods)]
    return cases


def piece_of(text: str) -> str:
    """Return the piece of a text of a fault."""
    return text.partition(" ")[0].partition(".")[0]


class Trace:
    """What a run shows after the moment of the fault."""

    def __init__(
        self, run: VirtualRun, situation: Situation, text: str = "", call: int = 0
    ) -> None:
        agent = run.dut.agent  # type: ignore[attr-defined]
        self.supply_c: list[float] = []
        self.case_c: list[float] = []
        self.pumps: list[float] = []
        self.problems: list[str] = []
        self.count = 0
        self.was_off = False
        self.seconds_after_fault = 0
        counter = inject(agent, text, call) if text else None
        for second in range(situation.fault_s, situation.fault_s + AFTER_S):
            for tenth in range(1, 11):
                run.shell.run(second * _SECOND + tenth * _SECOND // 10)
                self._look(agent)
            run.testbed.plant.advance((second + 1) * _SECOND)
            self.seconds_after_fault += counter is not None and counter.count >= call
            run.status = json.loads(run.status_text) if run.status_text else None
            for values, name in ((self.supply_c, "supply_c"), (self.case_c, "case_c")):
                value = run.sample(name)
                values.append(0.0 if value is None else value)
            decision = agent.arbiters["pumps"].decision
            self.pumps.append(
                -1.0 if decision is None or decision.output is None else decision.output
            )
        self.missed = agent.ticks.missed
        self.reached = counter is not None and counter.count >= call
        containment = agent.guard.containment
        self.count = 0 if containment is None else sum(containment.counts.values())
        self.alarms = [code for _, _, code in agent.alarms.history]
        self.is_off = [part.section for part in agent.components if isinstance(part, StandIn)]

    def _look(self, agent: Any) -> None:
        for part in agent.components:
            if isinstance(part, StandIn):
                self.was_off = True


def judge(found: Trace, normal: Trace, piece: str, stopped: bool) -> list[str]:
    """Return what is wrong with a run."""
    problems = []
    if found.missed != normal.missed:
        problems.append(f"{found.missed} ticks missed")
    for name, ours, theirs, band in (
        ("supply", found.supply_c, normal.supply_c, _SUPPLY_BAND_K),
        ("case", found.case_c, normal.case_c, _CASE_BAND_K),
    ):
        worst = max(a - b for a, b in zip(ours, theirs, strict=True))
        low = min(a - b for a, b in zip(ours, theirs, strict=True))
        if worst > band or (name == "supply" and low < -band):
            problems.append(f"{name} differs by {worst:.1f}, {low:.1f} K")
    if stopped and max(found.pumps) > max(normal.pumps) + 1.0:
        problems.append(f"the pumps of a trip run at {max(found.pumps):.0f} %")
    if not found.reached:
        return problems
    if found.count < 1:
        problems.append("the fault is not counted")
    codes = [code for code in found.alarms if code.startswith(("part_off", "port_fault", "loop_"))]
    if found.was_off and f"part_off:{piece}" not in codes:
        problems.append(f"no alarm of its own: {codes}")
    if found.is_off and found.seconds_after_fault > 3:
        problems.append(f"still off: {found.is_off}")
    return problems


def run_situation(
    name: str, calls: int, out: Any, share: tuple[int, int] = (0, 1)
) -> tuple[int, int]:
    """Run the cases of a situation; return (cases, cases with a problem)."""
    situation = SITUATIONS[name]
    run = make_run(situation)
    run.shell.start()
    for second in range(1, situation.fault_s + 1):
        run.shell.run(second * _SECOND)
        run.testbed.plant.advance(second * _SECOND)
    normal = _in_child(lambda: Trace(run, situation))
    assert isinstance(normal, Trace), normal
    bad = unreached = 0
    cases = method_cases(run, calls)[share[0] :: share[1]]
    for text, call in cases:
        piece = piece_of(text)

        def one(text: str = text, call: int = call, piece: str = piece) -> list[str]:
            trace = Trace(run, situation, text, call)
            found = judge(trace, normal, piece, name == "leak")
            return found if trace.reached else [*found, "-"]

        problems = _in_child(one)
        if problems and problems[-1] == "-":
            unreached += 1
            problems = problems[:-1]
        if problems:
            bad += 1
            out.write(f"{name}: {text} at call {call}: {problems}\n")
            out.flush()
    out.write(f"{name}: {len(cases)} cases, {unreached} not reached in {AFTER_S} s, {bad} bad\n")
    out.flush()
    return len(cases), bad


def _in_child(call: Any) -> Any:
    """Run `call` in a forked process; return its result, or the exception as a list of text."""
    import pickle  # noqa: PLC0415

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            result = call()
        except BaseException:  # noqa: BLE001 - an exception left the agent: the worst finding
            result = [traceback.format_exc()[-600:]]
        with os.fdopen(write, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(data)


def main(argv: list[str]) -> int:
    """Run the campaign; return 1 if a case has a problem."""
    parser = argparse.ArgumentParser(prog="tests.hil.fault.guard_campaign")
    parser.add_argument("names", nargs="*", metavar="SITUATION")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--share", type=int, default=1, help="run each N-th case only")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    bad = 0
    out = sys.stdout if arguments.out is None else arguments.out.open("a")
    for name in arguments.names or SITUATIONS:
        bad += run_situation(name, arguments.calls, out, (0, arguments.share))[1]
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
