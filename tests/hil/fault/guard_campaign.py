# SPDX-License-Identifier: Apache-2.0
"""Campaign of exceptions: each call of each guarded piece, in several situations of the unit.

    python -m tests.hil.fault.guard_campaign [--calls 200] [--out FILE] [SITUATION …]

A situation runs once without a fault to the moment of the fault, and from there once for each
piece. At each call of the piece the process forks: in the copy this call raises, and the copy runs
for `AFTER_S`. The process itself goes on without a fault to the next call, so a piece that is
called once a second has its 200 calls too. The judge compares each copy with the run without a
fault.

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
import pickle
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from agent.core.component.base import Component
from agent.core.fault.stand_in import StandIn
from hil.kernel.raise_in import ERRORS, InjectedError, find_piece
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

AFTER_S = 8
_SECOND = 1_000_000
_LONGEST_S = 260
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
    "modem, modem_store, retain, northbound"
)


class Situation(NamedTuple):
    """`fault_s`: time of the fault. `events`: (second, word, value, text)."""

    kw: float
    fault_s: int
    events: tuple[tuple[float, str, float | None, str], ...] = ()


SITUATIONS = {
    "steady": Situation(60, 14),
    "load_step": Situation(30, 14, ((14.5, "it_load", 90, ""),)),
    "leak": Situation(60, 28, ((12, "leak_detector", None, ""),)),
    "pump_trip": Situation(60, 14, ((14.5, "pump_trip", 1, ""),)),
    "facility_lost": Situation(60, 22, ((16, "facility_flow_lost", None, ""),)),
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


class Trace(NamedTuple):
    """What a run shows in each second after the moment of the fault, and at its end."""

    supply_c: list[float]
    case_c: list[float]
    pumps: list[float]
    missed: list[int]
    faults: int = 0
    alarms: tuple[str, ...] = ()
    is_off: tuple[str, ...] = ()
    was_off: bool = False
    raised_s: int = 0


class FaultRecorder:
    """Runs a unit and records its seconds. `second`: the one that runs now. No copy is made from
    `until_s` on.
    """

    def __init__(self, run: VirtualRun, second: int) -> None:
        self.run, self.second = run, second
        self.trace = Trace([], [], [], [])
        self.until_s = second + _LONGEST_S
        self.end_s = self.until_s + AFTER_S
        self.raised_s = 0
        self.was_off = False

    def advance(self) -> None:
        """Run one second."""
        run, agent = self.run, self.run.dut.agent  # type: ignore[attr-defined]
        for tenth in range(1, 11):
            run.shell.run(self.second * _SECOND + tenth * _SECOND // 10)
            self.was_off |= any(isinstance(part, StandIn) for part in agent.components)
        run.testbed.plant.advance((self.second + 1) * _SECOND)
        self.second += 1
        run.status = json.loads(run.status_text) if run.status_text else None
        trace = self.trace
        for values, name in ((trace.supply_c, "supply_c"), (trace.case_c, "case_c")):
            value = run.sample(name)
            values.append(0.0 if value is None else value)
        decision = agent.arbiters["pumps"].decision
        output = None if decision is None else decision.output
        trace.pumps.append(-1.0 if output is None else output)
        trace.missed.append(agent.ticks.missed)

    def finish(self) -> Trace:
        """Return the trace with the state at its end."""
        agent = self.run.dut.agent  # type: ignore[attr-defined]
        containment = agent.guard.containment
        return self.trace._replace(
            faults=0 if containment is None else sum(containment.counts.values()),
            alarms=tuple(code for _, _, code in agent.alarms.history),
            is_off=tuple(part.section for part in agent.components if isinstance(part, StandIn)),
            was_off=self.was_off,
            raised_s=self.raised_s,
        )


class ForkingCounter:
    """Counts the calls of a piece. At each chosen call a copy of the process raises.

    `found`: (text of the fault, its result) of all copies: a `Trace`, or the text of an exception.
    """

    def __init__(
        self, recorder: FaultRecorder, name: str, calls: int, share: tuple[int, int]
    ) -> None:
        self.count = 0
        self.found: list[tuple[str, Trace | str]] = []
        self._recorder, self._name, self._calls = recorder, name, calls
        self._share = share
        self._methods: set[str] = set()
        self._is_copy = False

    def wrap(self, piece: Any, method_name: str) -> None:
        """Replace a method of `piece`."""
        method = getattr(piece, method_name)

        def counted(*arguments: Any) -> Any:
            if not self._is_copy:
                self.count += 1
                self._call(method_name)
            return method(*arguments)

        setattr(piece, method_name, counted)

    def _call(self, method: str) -> None:
        first, step = self._share
        is_new = method not in self._methods
        self._methods.add(method)
        late = self._recorder.second >= self._recorder.until_s
        if late or (self.count > self._calls and not is_new):
            return
        if (self.count + first) % step and not (is_new and step == 1):
            return
        words = ["injected", *ERRORS][:-1]  # `heap` is for MicroPython
        word = words[(self.count + len(self._name)) % len(words)]
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            self._is_copy = True
            recorder = self._recorder
            recorder.end_s, recorder.raised_s = recorder.second + AFTER_S, recorder.second
            _copies.append(write)
            raise ERRORS.get(word, InjectedError)("injected")
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            data = pipe.read()
        os.waitpid(child, 0)
        text = f"{self._name}.{method} {word} at call {self.count}"
        self.found.append((text, pickle.loads(data) if data else "the process ended"))


_copies: list[int] = []
"""Pipe of this process to the one it was copied from."""


def judge(found: Trace, normal: Trace, start_s: int, piece: str, stopped: bool) -> list[str]:
    """Return what is wrong with a run; `start_s`: the first second of both traces."""
    problems = []
    part = slice(found.raised_s - start_s, len(found.missed))
    if found.missed[-1] != normal.missed[len(found.missed) - 1]:
        problems.append(f"{found.missed[-1]} ticks missed")
    for name, ours, theirs, band in (
        ("supply", found.supply_c, normal.supply_c, _SUPPLY_BAND_K),
        ("case", found.case_c, normal.case_c, _CASE_BAND_K),
    ):
        apart = [a - b for a, b in zip(ours[part], theirs[part], strict=True)]
        if max(apart) > band or (name == "supply" and min(apart) < -band):
            problems.append(f"{name} differs by {max(apart):.1f}, {min(apart):.1f} K")
    if stopped and max(found.pumps[part]) > max(normal.pumps[part]) + 1.0:
        problems.append(f"the pumps of a trip run at {max(found.pumps[part]):.0f} %")
    if found.faults < 1:
        problems.append("the fault is not counted")
    codes = [code for code in found.alarms if code.startswith(("part_off", "port_fault", "loop_"))]
    if found.was_off and f"part_off:{piece}" not in codes:
        problems.append(f"no alarm of its own: {codes}")
    if found.is_off:
        problems.append(f"still off: {found.is_off}")
    return problems


def run_piece(
    run: VirtualRun, situation: Situation, name: str, calls: int, share: tuple[int, int]
) -> tuple[list[tuple[str, Trace | str]], Trace]:
    """Run to `calls` calls of a piece; return the results of the copies, and the run itself."""
    recorder = FaultRecorder(run, situation.fault_s)
    counter = ForkingCounter(recorder, name, calls, share)
    piece, methods = find_piece(run.dut.agent, name) or (None, ())  # type: ignore[attr-defined]
    for method in methods:
        if getattr(type(piece), method, 0) != getattr(Component, method, 1):
            counter.wrap(piece, method)
    while recorder.second < recorder.end_s:
        recorder.advance()
        if not _copies and counter.count >= calls:  # then the first call of other methods
            recorder.until_s = min(recorder.until_s, recorder.second + AFTER_S)
            recorder.end_s = recorder.until_s + AFTER_S
    if _copies:
        raise _EndOfCopy(recorder.finish())
    return counter.found, recorder.finish()


class _EndOfCopy(Exception):  # noqa: N818 - not an error
    """A copy has run its time."""


def run_situation(
    name: str,
    calls: int,
    out: Any,
    share: tuple[int, int] = (0, 1),
    pieces: slice = slice(None),
) -> tuple[int, int]:
    """Run the cases of a situation; return (cases, cases with a problem)."""
    situation = SITUATIONS[name]
    run = make_run(situation)
    run.shell.start()
    for second in range(1, situation.fault_s + 1):
        run.shell.run(second * _SECOND)
        run.testbed.plant.advance(second * _SECOND)
    cases = bad = 0
    for number, piece in enumerate(piece_names(run)[pieces]):
        part = (share[0] + number, share[1])
        result = in_child(lambda: run_piece(run, situation, piece, calls, part))  # noqa: B023
        found, normal = ([("", result)], None) if isinstance(result, str) else result
        cases += len(found)
        for text, trace in found:
            problems = [trace]
            if normal is not None and not isinstance(trace, str):
                problems = judge(trace, normal, situation.fault_s, piece, name == "leak")
            if problems:
                bad += 1
                out.write(f"{name}: {piece}: {text}: {problems}\n")
                out.flush()
    out.write(f"{name}: {cases} cases, {bad} bad\n")
    out.flush()
    return cases, bad


def in_child(call: Callable[[], Any]) -> Any:
    """Run `call` in a forked process; return its result, or the exception as text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            result = call()
        except _EndOfCopy as end:
            (result,) = end.args
        except BaseException:  # noqa: BLE001 - an exception left the agent: the worst finding
            result = traceback.format_exc()[-600:]
        with os.fdopen(_copies.pop() if _copies else write, "wb") as pipe:
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
    parser.add_argument("--first", type=int, default=0, help="with --share: the first case")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    bad = 0
    out = sys.stdout if arguments.out is None else arguments.out.open("a")
    for name in arguments.names or SITUATIONS:
        bad += run_situation(name, arguments.calls, out, (arguments.first, arguments.share))[1]
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
