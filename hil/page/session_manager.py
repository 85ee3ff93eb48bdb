# SPDX-License-Identifier: Apache-2.0
"""Selects the session that runs, and processes the requests of the page, in the bench's thread.

Does not serve HTTP; see `hil.page.server`. The server calls `submit` from any thread. The bench's
thread processes the request between two events.

    free -> start -> running (the scenarios of a suite in sequence) -> done -> free …

If the technician scans a serial number, it must be the one of the CDU. Otherwise the run fails
before its start.
"""

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from drivers.tools.terminal.end_signals import handle_end_signals
from hil.bench.testbed_settings import TestbedSettings
from hil.errors import BenchError
from hil.page.catalogue import build_catalogue, fits_real_time, list_faults
from hil.page.history import list_records, read_curves
from hil.page.hub import BroadcastHub
from hil.page.job_state import PageJob, state_message
from hil.page.report_store import ReportStore
from hil.page.session import BenchSession
from hil.record.label import check_label
from hil.run.device_serial import read_serial
from hil.run.dut_qemu import QemuDut
from hil.run.real_bench import RealBench
from hil.scenario.judge import FAIL
from hil.scenario.suite import resolve

_MAX_TEXT = 400
_MAX_NUMBER = 1e15
_RETRY_S = 5.0
"""Time between two attempts to store a run that is kept."""


class _PageRequest(NamedTuple):
    """A request of the page; `future` gets the answer or a BenchError."""

    name: str
    arguments: dict[str, Any]
    future: Future[Any]


class SessionManager:
    """Runs sessions in sequence until it is stopped."""

    def __init__(
        self,
        hub: BroadcastHub,
        records: Path,
        dut: str = "cpython",
        real_devices: dict[str, str] | None = None,
        key: Path | None = None,
        scenario_files: list[str] | None = None,
    ) -> None:
        self._hub = hub
        self._records = records
        self._dut = dut
        self._real_devices = dict(real_devices or {})
        self._store = ReportStore(records, key)
        self._next_try_s = 0.0
        self._requests: queue.SimpleQueue[_PageRequest] = queue.SimpleQueue()
        self._session: BenchSession | None = None
        self._job: PageJob | None = None
        self._last_verdict: dict[str, Any] | None = None
        self._stopped = False
        self._catalogue = build_catalogue(scenario_files or [])
        self._is_embedded = False
        self._past_run: dict[str, Any] | None = None

    def submit(self, name: str, arguments: dict[str, Any]) -> "Future[Any]":
        """Submit a request from any thread; the future gets the answer or a BenchError."""
        future: Future[Any] = Future()
        self._requests.put(_PageRequest(name, arguments, future))
        if self._session is not None:
            self._session.bench.shell.wake_up()
        return future

    def stop(self) -> None:
        """Stop all; safe in a signal handler."""
        self._stopped = True
        if self._session is not None:
            self._session.bench.shell.stop()

    def run(self, on_start: Callable[[RealBench], None]) -> None:
        """Run until stopped; call `on_start(bench)` with each bench."""
        handle_end_signals(lambda _number, _frame: self.stop())
        try:
            while not self._stopped:
                self._run_session(on_start)
                self._store_kept()
        finally:
            self._store.end()

    def _run_session(self, on_start: Callable[[RealBench], None]) -> None:
        job = self._job
        scenario = None if job is None else job.suite.scenarios[job.scenario_index]
        settings = TestbedSettings() if scenario is None else scenario.settings
        seed = 1 if job is None else job.seed
        with RealBench(settings, seed, make_board_agent=QemuDut) as bench:
            lost = self._attach_devices(bench)
            session = self._session = BenchSession(bench, self._hub, scenario, seed)
            bench.shell.set_wakeup_callback(self._process_requests)
            self._hub.publish_break()
            bench.world.schedule(0, self._publish_state)
            if job is not None and lost:
                self._fail_job(job, lost, "Connect the port again, or emulate the device.")
                return
            if job is not None and job.scenario_index == 0 and not self._check_serial(job):
                return
            on_start(bench)
            self._run_to_end(job, session)
            self._past_run = session.describe_run() or self._past_run

    def _run_to_end(self, job: PageJob | None, session: BenchSession) -> None:
        """Run a session. The end of its agent fails the job; without a job it ends the bench."""
        try:
            session.run(self._dut)
        except BenchError as error:
            if job is None or job is not self._job:
                raise
            self._fail_job(job, str(error), "Read agent.log. Start the run again.")
            return
        if not self._stopped and job is not None and job is self._job:
            self._finish_scenario(job, session)

    def _attach_devices(self, bench: RealBench) -> str:
        """Attach the real devices. Return why one is lost; it is emulated from then on.

        The first session raises BenchError instead: the options of the command are wrong.
        """
        lost = ""
        for name, port in list(self._real_devices.items()):
            try:
                bench.device_swap.attach_real(name, port)
            except BenchError as error:
                if self._session is None:
                    raise
                del self._real_devices[name]
                lost = str(error)
        return lost

    def _fail_job(self, job: PageJob, text: str, next_text: str) -> None:
        """End a job without a record."""
        self._job = None
        self._last_verdict = {
            "suite": job.suite.name,
            "serial": job.serial,
            "verdict": FAIL,
            "text": text,
            "next": next_text,
            "report": None,
        }

    def _check_serial(self, job: PageJob) -> bool:
        """Compare the scanned serial number with the one of the CDU."""
        if self._session is None or not job.serial:
            return True
        check = replace(read_serial(self._session.bench, self._real_devices), given=job.serial)
        job.serial_check = check
        if check.read == job.serial:
            return True
        text = f"scanned {job.serial}, but the CDU gives {check.read or 'no serial number'}"
        next_text = "Check that the label belongs to this CDU, and that this CDU is connected."
        self._fail_job(job, text, next_text)
        return False

    def _finish_scenario(self, job: PageJob, session: BenchSession) -> None:
        job.recorded_runs.append(session.make_recorded_run(self._dut))
        job.scenario_index += 1
        if job.scenario_index < len(job.suite.scenarios) and not session.aborted:
            return
        self._job = None
        self._store.add(job)
        self._last_verdict = self._store.verdict

    def _store_kept(self) -> None:
        """Store the runs that could not be stored before."""
        if self._store.is_waiting:
            self._store.retry()
            self._last_verdict = self._store.verdict

    def _publish_state(self) -> None:
        session = self._session
        if session is None:
            return
        self._process_requests()
        self._hub.publish_state(self._make_state(session))
        world = session.bench.world
        world.schedule(world.now + 500_000, self._publish_state)
        self._try_to_store(session)

    def _try_to_store(self, session: BenchSession) -> None:
        """Between two runs, end the session if kept runs can be stored now; that takes seconds."""
        if self._job is not None or self._is_embedded or not self._store.is_waiting:
            return
        now = time.monotonic()
        if now >= self._next_try_s:
            self._next_try_s = now + _RETRY_S
            if self._store.is_ready():
                session.bench.shell.stop_run()

    def _make_state(self, session: BenchSession) -> dict[str, Any]:
        """Build the state; the last run stays, so that its limits and events stay in the plots."""
        state = state_message(session, self._dut, self._job, self._last_verdict)
        return {**state, "run": session.describe_run() or self._past_run}

    def _process_requests(self) -> None:
        while not self._requests.empty():
            request = self._requests.get()
            if request.future.set_running_or_notify_cancel():  # False: the browser is gone
                self._process_request(request)
        if self._session is not None:
            self._hub.publish_state(self._make_state(self._session))

    def _process_request(self, request: _PageRequest) -> None:
        """Answer one request; no request ends the bench."""
        handler = _HANDLERS.get(request.name)
        try:
            if handler is None:
                raise BenchError(f"{request.name[:40]}: no such request")
            answer = handler(self, request.arguments)
        except BenchError as error:
            request.future.set_exception(error)
        except Exception as error:  # noqa: BLE001 - a fault of an emulated device can raise anything
            request.future.set_exception(BenchError(f"{request.name}: {error!r}"))
        else:
            request.future.set_result(answer)

    def _current_session(self) -> BenchSession:
        if self._session is None:
            raise BenchError("the bench is starting; try again")
        return self._session

    def give_catalogue(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        """List suites and scenarios."""
        return self._catalogue

    def list_faults(self, _arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """List the faults that the present row has."""
        return list_faults(self._current_session().settings)

    def attach(self, session: BenchSession) -> None:
        """Attach a session that another program runs; it starts no scenarios."""
        self._session = session
        self._is_embedded = True
        session.bench.shell.set_wakeup_callback(self._process_requests)
        session.bench.world.schedule(0, self._publish_state)

    def start(self, arguments: dict[str, Any]) -> str:
        """Start a suite or scenario."""
        if self._is_embedded:
            raise BenchError("the demo runs no scenarios; use `coldloop bench --page`")
        if self._job is not None:
            raise BenchError(f"{self._job.suite.name} is running; abort it first")
        suite = resolve(_get_text(arguments, "suite"))
        unsuitable = [scenario.name for scenario in suite.scenarios if not fits_real_time(scenario)]
        if unsuitable:
            raise BenchError(f"{unsuitable[0]}: not possible in real time; use `coldloop hil run`")
        serial, operator = (_get_label(arguments, key) for key in ("serial", "operator"))
        self._store.check()
        self._job = PageJob(suite, serial, operator)
        self._last_verdict = None
        self._current_session().bench.shell.stop_run()
        return suite.name

    def abort(self, _arguments: dict[str, Any]) -> str:
        """Abort the run; the record gives it as failed."""
        if self._job is None:
            raise BenchError("nothing is running")
        self._current_session().abort()
        return self._job.suite.name

    def set_fault(self, arguments: dict[str, Any]) -> None:
        """Start or end a fault."""
        name, is_on = _get_text(arguments, "name"), arguments.get("on")
        if not isinstance(is_on, bool):
            raise BenchError("fault: on must be true or false")
        self._current_session().set_fault(name, _get_number(arguments, "value"), is_on)

    def swap_device(self, arguments: dict[str, Any]) -> None:
        """Replace an emulated device by the real one at `port`, or restore it (`port` empty)."""
        name, port = _get_text(arguments, "name"), _get_text(arguments, "port", "")
        device_swap = self._current_session().bench.device_swap
        if port:
            device_swap.attach_real(name, port)
            self._real_devices[name] = port
        else:
            device_swap.restore_emulated(name)
            self._real_devices.pop(name, None)

    def answer_prompt(self, arguments: dict[str, Any]) -> None:
        """Answer the open prompt."""
        operator = "" if self._job is None else self._job.operator
        self._current_session().answer_prompt(_get_text(arguments, "text"), operator)

    def read_serial_number(self, _arguments: dict[str, Any]) -> str:
        """Read the serial number of the CDU."""
        return read_serial(self._current_session().bench, self._real_devices).read or ""

    def list_history(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """List the newest records; `serial` limits them to one serial number."""
        serial = _get_text(arguments, "serial", "")
        return list_records(self._records, serial, self._store.public_key())

    def give_curves(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Give the curves of a run of a record."""
        report, scenario = (_get_text(arguments, key, "") for key in ("report", "scenario"))
        return read_curves(self._records, report, scenario, self._store.public_key())


def _get_text(arguments: dict[str, Any], key: str, default: str | None = None) -> str:
    """Return a text of a request. Raises BenchError that names the key."""
    value = arguments.get(key, default)
    if not isinstance(value, str) or len(value) > _MAX_TEXT or "\0" in value:
        raise BenchError(f"{key}: a text of at most {_MAX_TEXT} characters is needed")
    return value


def _get_number(arguments: dict[str, Any], key: str) -> float | None:
    """Return a number of a request, or None. Raises BenchError that names the key."""
    value = arguments.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _MAX_NUMBER:
        raise BenchError(f"{key}: a number is needed")
    return float(value)


def _get_label(arguments: dict[str, Any], key: str) -> str:
    """Return a serial number or a name of a request; "": not given. Raises BenchError."""
    text = _get_text(arguments, key, "").strip()
    return check_label(text, key) if text else ""


_HANDLERS: dict[str, Callable[[SessionManager, dict[str, Any]], Any]] = {
    "catalogue": SessionManager.give_catalogue,
    "faults": SessionManager.list_faults,
    "start": SessionManager.start,
    "abort": SessionManager.abort,
    "fault": SessionManager.set_fault,
    "swap": SessionManager.swap_device,
    "answer": SessionManager.answer_prompt,
    "serial": SessionManager.read_serial_number,
    "history": SessionManager.list_history,
    "curves": SessionManager.give_curves,
}
