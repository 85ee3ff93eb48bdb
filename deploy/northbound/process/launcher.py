# SPDX-License-Identifier: Apache-2.0
"""Several server processes from one: the modules are loaded once, then each process is a fork.

Does not serve. The processes share the pages that they do not change, so all of them need half of
the memory of separate programs. They share no state: one can die or hang without the others. A
process that has served and ends is started again after 1 to 60 s. One that ends before it has
served ends all, because its settings are wrong.
"""

import ctypes
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from deploy.northbound.points.point_table import point_table
from deploy.northbound.process.run import notify, run_process
from deploy.northbound.process.settings import SiteSettings

_POLL_S = 0.25
_FIRST_PAUSE_S, _LAST_PAUSE_S, _STEADY_S = 1.0, 60.0, 60.0
_STOP_S = 8.0
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class ServerProcess:
    """One process. `pid`: 0 while it does not run; then it starts at `start_at`, monotonic s."""

    name: str
    pid: int = 0
    ready: bool = False
    started_at: float = 0.0
    start_at: float = 0.0
    pause_s: float = _FIRST_PAUSE_S


def run_processes(names: Sequence[str], settings: SiteSettings) -> int:
    """Run the processes until SIGTERM or SIGINT; return 1 if one ends before it has served."""
    point_table()  # what only one process needs is loaded there
    gc.collect()
    gc.freeze()
    return Launcher(names, settings).run()


class Launcher:
    """Starts the processes and watches them."""

    def __init__(self, names: Sequence[str], settings: SiteSettings) -> None:
        self._settings = settings
        self._children = [ServerProcess(name) for name in names]
        self._stopping = False
        self._announced = False

    def run(self) -> int:
        """Watch until a signal; then end all."""
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        with _stop_signals(self._stop):
            try:
                while not self._stopping:
                    for child in self._children:
                        if not child.pid and time.monotonic() >= child.start_at:
                            self._start(child, read_end, write_end)
                    self._read_ready(read_end)
                    if not self._collect():
                        return 1
                return 0
            finally:
                self._end_all()
                os.close(read_end)
                os.close(write_end)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, child: ServerProcess, read_end: int, write_end: int) -> None:
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        child.pid = os.fork()
        child.started_at = time.monotonic()
        if child.pid == 0:
            code = 1
            try:
                os.close(read_end)
                _become_child(parent)
                number = self._children.index(child)
                code = run_process(
                    child.name, self._settings, lambda: os.write(write_end, bytes((number,)))
                )
            except BaseException as error:  # noqa: BLE001 - the fork must not run the parent's code
                print(f"coldloop northbound: {error}", file=sys.stderr, flush=True)
            finally:
                os._exit(code)

    def _read_ready(self, read_end: int) -> None:
        """Wait for news of the processes; tell systemd when all have served once."""
        if select.select([read_end], [], [], _POLL_S)[0]:
            for number in os.read(read_end, 64):
                self._children[number].ready = True
        if not self._announced and all(child.ready for child in self._children):
            self._announced = True
            notify("READY=1")

    def _collect(self) -> bool:
        """Take note of ended processes; return False if one has never served."""
        for child in self._children:
            if not child.pid or os.waitpid(child.pid, os.WNOHANG)[0] == 0:
                continue
            child.pid = 0
            if not child.ready:
                return False
            now = time.monotonic()
            if now - child.started_at > _STEADY_S:
                child.pause_s = _FIRST_PAUSE_S
            child.start_at = now + child.pause_s
            child.pause_s = min(2 * child.pause_s, _LAST_PAUSE_S)
        return True

    def _end_all(self) -> None:
        end = time.monotonic() + _STOP_S
        for child in self._children:
            if child.pid:
                os.kill(child.pid, signal.SIGTERM)
        for child in self._children:
            while child.pid and os.waitpid(child.pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > end:
                    os.kill(child.pid, signal.SIGKILL)
                time.sleep(0.02)
            child.pid = 0


@contextmanager
def _stop_signals(handler: object) -> Iterator[None]:
    """Call `handler` for SIGTERM and SIGINT."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, handler) for number in numbers]  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, old in zip(numbers, before, strict=True):
            signal.signal(number, old)


def _become_child(parent: int) -> None:
    """Set up a fork: own sockets of systemd, own signals, an end with its parent."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if os.environ.get("LISTEN_PID") == str(parent):
        os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ.pop("NOTIFY_SOCKET", None)
