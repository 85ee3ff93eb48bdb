"""The desk of the bench: which session runs, and what the page may ask. In the bench's thread.

Not the web server (`hil.page.server`): that hands questions over through `ask`, which any thread
may call; they are answered in the bench's thread between two events.

    free -> start -> running (a suite's scenarios one after the other) -> done -> free …

A run needs a serial number when one is scanned: it must be the one that the CDU itself tells, or
the run fails before it has begun.
"""

import queue
import signal
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hil.bench.testbed_settings import Setting
from hil.errors import BenchError
from hil.fault.registry import EVENTS
from hil.page.device_identity import read_serial
from hil.page.hub import Hub
from hil.page.job_state import Job, state_of
from hil.page.session import Session
from hil.record.record import FILE, read, worst
from hil.report.next_steps import next_step
from hil.report.write import Labels, write_all
from hil.run.real_bench import RealBench
from hil.scenario.loader import find, shipped
from hil.scenario.model import Scenario
from hil.scenario.semantic_check import virtual_only
from hil.scenario.suite import load, resolve, suites

LONGEST_S = 600
"""Scenarios that take longer are not run in real time."""

_HISTORY = 50


class Desk:
    """Runs sessions one after the other until it is stopped."""

    def __init__(
        self,
        hub: Hub,
        records: Path,
        dut: str = "cpython",
        real: dict[str, str] | None = None,
        key: Path | None = None,
        offered: list[str] | None = None,
    ) -> None:
        self._hub = hub
        self._records = records
        self._dut = dut
        self._real = dict(real or {})
        self._key = key
        self._questions: queue.SimpleQueue[tuple[str, dict[str, Any], Future[Any]]] = (
            queue.SimpleQueue()
        )
        self._session: Session | None = None
        self._job: Job | None = None
        self._last: dict[str, Any] | None = None
        self._stopped = False
        self._catalogue = catalogue(offered or [])
        self._guest = False

    def ask(self, name: str, words: dict[str, Any]) -> "Future[Any]":
        """Ask something from any thread; the answer or a BenchError comes through the future."""
        future: Future[Any] = Future()
        self._questions.put((name, words, future))
        if self._session is not None:
            self._session.bench.shell.ring()
        return future

    def stop(self) -> None:
        """End everything; safe in a signal handler."""
        self._stopped = True
        if self._session is not None:
            self._session.bench.shell.stop()

    def run(self, started: Callable[[RealBench], None]) -> None:
        """Run until stopped; `started(bench)` is called with each bench."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: self.stop())
        while not self._stopped:
            self._one_session(started)

    def _one_session(self, started: Callable[[RealBench], None]) -> None:
        job = self._job
        scenario = None if job is None else job.suite.scenarios[job.at]
        setting = Setting() if scenario is None else scenario.row
        seed = 1 if job is None else job.seed
        with RealBench(setting, seed) as bench:
            for name, port in self._real.items():
                bench.swaps.swap(name, port)
            session = self._session = Session(bench, self._hub, scenario, seed)
            bench.shell.on_bell = self._answer_all
            self._hub.clear()
            bench.world.at(0, self._each_second)
            if job is not None and job.at == 0 and not self._is_the_one(job):
                return
            started(bench)
            session.run(self._dut)
            if self._stopped:
                return
            if job is not None and job is self._job:
                self._finish(job, session)

    def _is_the_one(self, job: Job) -> bool:
        """Compare the scanned serial number with the one that the CDU tells."""
        if self._session is None or not job.serial:
            return True
        told = read_serial(self._session.bench, self._real)
        if told == job.serial:
            return True
        self._job = None
        text = f"scanned {job.serial}, but the CDU says it is {told or 'nothing'}"
        self._last = {
            "suite": job.suite.name,
            "serial": job.serial,
            "verdict": "fail",
            "text": text,
            "next": "Is the label on this CDU? Is the right one connected?",
            "report": None,
        }
        return False

    def _finish(self, job: Job, session: Session) -> None:
        job.done.append(session.recorded(self._dut))
        job.at += 1
        if job.at < len(job.suite.scenarios) and not session.aborted:
            return
        self._job = None
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ") + f"-{job.suite.name}"
        labels = Labels(job.serial, job.operator, self._key)
        write_all(job.suite, job.done, self._records / name, labels)
        failures = [f for d in job.done for f in d.outcome.failures]
        nexts = [next_step(f.measure) for d in job.done for f in d.findings if f.failure]
        self._last = {
            "suite": job.suite.name,
            "serial": job.serial,
            "verdict": "fail"
            if failures
            else worst([f.verdict for d in job.done for f in d.findings]),
            "text": told(failures)
            or told([f.near for d in job.done for f in d.findings if f.near])
            or "all within limits",
            "next": nexts[0] if nexts else "",
            "report": name,
        }

    def _each_second(self) -> None:
        session = self._session
        if session is None:
            return
        self._answer_all()
        self._hub.state(state_of(session, self._dut, self._job, self._last))
        world = session.bench.world
        world.at(world.now + 500_000, self._each_second)

    def _answer_all(self) -> None:
        while not self._questions.empty():
            name, words, future = self._questions.get()
            answer = _ANSWERS.get(name)
            try:
                if answer is None:
                    raise BenchError(f"{name}: no such question")
                future.set_result(answer(self, words))
            except (BenchError, KeyError, TypeError, ValueError) as error:
                text = str(error) if isinstance(error, BenchError) else f"{name}: {error!r}"
                future.set_exception(BenchError(text))
        if self._session is not None:
            self._hub.state(state_of(self._session, self._dut, self._job, self._last))

    def _now(self) -> Session:
        if self._session is None:
            raise BenchError("the bench is starting; try again")
        return self._session

    def offers(self, _words: dict[str, Any]) -> dict[str, Any]:
        """Tell what can be run and what can be broken."""
        return self._catalogue

    def adopt(self, session: Session) -> None:
        """Look after a session that somebody else runs; nothing can be started in it."""
        self._session = session
        self._guest = True
        session.bench.shell.on_bell = self._answer_all
        session.bench.world.at(0, self._each_second)

    def start(self, words: dict[str, Any]) -> str:
        """Begin a suite or scenario."""
        if self._guest:
            raise BenchError("the demo runs; `coldloop bench --page` runs scenarios")
        if self._job is not None:
            raise BenchError(f"{self._job.suite.name} is running; abort it first")
        suite = resolve(str(words["suite"]))
        other = [s.name for s in suite.scenarios if not _bearable(s)]
        if other:
            raise BenchError(f"{other[0]}: not for real time; run it with `coldloop hil run`")
        serial, operator = str(words.get("serial", "")), str(words.get("operator", ""))
        self._job = Job(suite, serial.strip()[:64], operator.strip()[:64])
        self._last = None
        self._now().bench.shell.stop_run()
        return suite.name

    def abort(self, _words: dict[str, Any]) -> str:
        """End what runs; it is recorded as failed."""
        if self._job is None:
            raise BenchError("nothing is running")
        session = self._now()
        session.aborted = True
        session.bench.shell.stop_run()
        return self._job.suite.name

    def fault(self, words: dict[str, Any]) -> None:
        """Do or undo a fault."""
        value = words.get("value")
        number = None if value is None else float(value)
        self._now().fault(str(words["name"]), number, bool(words["on"]))

    def swap(self, words: dict[str, Any]) -> None:
        """Put a real device in an emulated one's place, or take it away (`port` empty)."""
        name, port = str(words["name"]), str(words.get("port", ""))
        swaps = self._now().bench.swaps
        if port:
            swaps.swap(name, port)
            self._real[name] = port
        else:
            swaps.restore(name)
            self._real.pop(name, None)

    def answer(self, words: dict[str, Any]) -> None:
        """Answer what was asked."""
        operator = "" if self._job is None else self._job.operator
        self._now().answer(str(words["text"]), operator)

    def serial(self, _words: dict[str, Any]) -> str:
        """Tell the serial number that the CDU tells."""
        return read_serial(self._now().bench, self._real) or ""

    def history(self, words: dict[str, Any]) -> list[dict[str, Any]]:
        """List the newest records, of one serial number if one is given."""
        wanted = str(words.get("serial", ""))
        rows = []
        for path in sorted(self._records.glob(f"*/{FILE}"), reverse=True):
            record = read(path)
            if not wanted or record["serial"] == wanted:
                keys = ("suite", "serial", "operator", "ended_utc", "verdict")
                rows.append({"report": path.parent.name, **{k: record[k] for k in keys}})
            if len(rows) == _HISTORY:
                break
        return rows


def told(lines: list[str]) -> str:
    """Give the first line, and how many more there are."""
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return lines[0] + more if lines else ""


def _bearable(scenario: Scenario) -> bool:
    """Whether real time can bear it."""
    return scenario.seconds <= LONGEST_S and virtual_only(scenario) is None


def catalogue(offered: list[str]) -> dict[str, Any]:
    """List what the page offers: suites and scenarios that real time can bear, and faults.

    `offered` are scenarios' files besides those that are shipped; they come first.
    """
    scenarios = [(path, find(path)) for path in offered]
    scenarios += [(name, find(name)) for name in shipped()]
    return {
        "suites": [
            {
                "name": suite.name,
                "title": suite.title,
                "seconds": sum(s.seconds for s in suite.scenarios),
            }
            for suite in map(load, suites())
            if all(_bearable(s) for s in suite.scenarios)
        ],
        "scenarios": [
            {"name": name, "title": s.title, "seconds": s.seconds}
            for name, s in scenarios
            if _bearable(s)
        ],
        "faults": [
            {
                "name": name,
                "about": word.about,
                "limits": word.limits,
                "ends": word.undo is not None,
            }
            for name, word in EVENTS.items()
            if not word.needs_dialect
        ],
    }


_ANSWERS: dict[str, Callable[[Desk, dict[str, Any]], Any]] = {
    "catalogue": Desk.offers,
    "start": Desk.start,
    "abort": Desk.abort,
    "fault": Desk.fault,
    "swap": Desk.swap,
    "answer": Desk.answer,
    "serial": Desk.serial,
    "history": Desk.history,
}
