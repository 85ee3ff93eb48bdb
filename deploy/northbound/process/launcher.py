# SPDX-License-Identifier: Apache-2.0
"""Several server processes from one: it loads the common modules, forks the others, then serves.

The forks share the pages that no process changes, so all need half of the memory of separate
programs. They share no state: each can hang or die without the others. A fork that has served and
ends is started again after 1 to 60 s, as a program of its own. One that ends before it has served
ends all, because its settings are wrong. If the first process ends, the forks end too.

Each process reports once a second that its event loop runs. One without a report for `_HUNG_S` is
killed, and then started again. systemd does the same with the first process (WatchdogSec=).

The first process serves `snmp` if it is configured: it reads nothing from the network. snmpd does,
which is a process of its own.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.errors import OpsError
from deploy.northbound.points.point_table import point_table
from deploy.northbound.process.context import ServerContext
from deploy.northbound.process.run import (
    REPORT_VARIABLE,
    notify_ready,
    pipe_report,
    run_process,
)
from deploy.northbound.process.settings import SiteSettings

_FIRST_PAUSE_S, _LAST_PAUSE_S, _STEADY_S = 1.0, 60.0, 60.0
_STOP_S = 8.0
_HUNG_S, _LOOK_S, _START_S = 15.0, 1.0, 30.0
_PR_SET_PDEATHSIG = 1
_SNMP = "snmp"


@dataclass(slots=True)
class ServerFork:
    """A process beside the first one. `started_at`, `alive_at`: monotonic s."""

    name: str
    pid: int
    started_at: float
    alive_at: float = 0.0
    ready: bool = False
    pause_s: float = _FIRST_PAUSE_S


def run_processes(names: Sequence[str], settings: SiteSettings) -> int:
    """Run the processes until SIGTERM or SIGINT; return 1 if one ends before it has served."""
    first, *others = sorted(names, key=lambda name: name != _SNMP)
    if not others:
        return run_process(first, settings)
    point_table()  # what only one process needs is loaded there
    gc.collect()
    gc.freeze()
    return Launcher(first, others, settings).run()


class Launcher:
    """Forks `others`, serves `first` in this process, and watches the forks."""

    def __init__(self, first: str, others: Sequence[str], settings: SiteSettings) -> None:
        self._first, self._others, self._settings = first, others, settings
        self._forks: list[ServerFork] = []
        self._is_serving = False
        self._news, self._tell = os.pipe()
        os.set_blocking(self._news, False)
        os.set_blocking(self._tell, False)
        os.set_inheritable(self._tell, True)

    def run(self) -> int:
        """Serve until a signal; then end the forks."""
        try:
            for number, name in enumerate(self._others):
                self._forks.append(ServerFork(name, self._fork(number), time.monotonic()))
            return run_process(self._first, self._settings, self._serving, further=[self._watch])
        finally:
            self._end_all()
            os.close(self._news)
            os.close(self._tell)

    def _fork(self, number: int) -> int:
        """Start a process that serves; return its id."""
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            os.close(self._news)
            _become_fork(parent)
            report = pipe_report(self._tell, number)
            code = run_process(self._others[number], self._settings, report, report)
        except BaseException as error:  # noqa: BLE001 - a fork must not run the rest of its parent
            print(f"coldloop northbound: {error!r}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)

    def _serving(self) -> None:
        self._is_serving = True
        self._announce()

    def _announce(self) -> None:
        """Tell systemd when all processes serve."""
        if self._is_serving and all(fork.ready for fork in self._forks):
            self._is_serving = False  # once
            notify_ready()

    def _read_news(self) -> None:
        now = time.monotonic()
        for number in os.read(self._news, 4096):
            self._forks[number].ready = True
            self._forks[number].alive_at = now
        self._announce()

    async def _watch(self, _context: ServerContext) -> None:
        """Start a fork again when it ends. Raises OpsError: one has never served."""
        asyncio.get_running_loop().add_reader(self._news, self._read_news)
        async with asyncio.TaskGroup() as group:
            for fork in self._forks:
                group.create_task(self._keep(fork))
            group.create_task(self._end_hung())

    async def _end_hung(self) -> None:
        """Kill a process whose event loop does not run; `_keep` starts it again."""
        looked_at = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            now = time.monotonic()
            # When this process did not run, it has read no reports.
            was_late = now - looked_at > _LOOK_S + _HUNG_S / 3
            looked_at = now
            for fork in self._forks:
                if was_late:
                    fork.alive_at = now
                elif fork.pid and fork.ready and now - fork.alive_at > _HUNG_S:
                    print(f"coldloop northbound: {fork.name} hangs", file=sys.stderr, flush=True)
                    os.kill(fork.pid, signal.SIGKILL)
                    fork.alive_at = now

    async def _keep(self, fork: ServerFork) -> None:
        while True:
            await _ended(fork.pid)
            os.waitpid(fork.pid, 0)  # noqa: ASYNC222 - it has ended
            fork.pid = 0
            with contextlib.suppress(BlockingIOError):
                self._read_news()
            if not fork.ready:
                raise OpsError(f"{fork.name} could not begin")
            if time.monotonic() - fork.started_at > _STEADY_S:
                fork.pause_s = _FIRST_PAUSE_S
            await asyncio.sleep(fork.pause_s)
            fork.pause_s = min(2 * fork.pause_s, _LAST_PAUSE_S)
            fork.started_at = time.monotonic()
            fork.alive_at = fork.started_at + _START_S
            fork.pid = self._start_again(fork.name, self._forks.index(fork))

    def _start_again(self, name: str, number: int) -> int:
        """Start a program that serves; a fork of a running event loop would not be safe."""
        settings = self._settings
        options = ["--config", str(settings.path), "--state", str(settings.state)]
        command = [sys.executable, "-m", "coldloop", "northbound", "serve", name, *options]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
        environment.pop("NOTIFY_SOCKET", None)
        environment[REPORT_VARIABLE] = f"{self._tell} {number}"
        if os.environ.get("LISTEN_PID") == str(os.getpid()):
            shell = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "coldloop", *command]
            return os.posix_spawn(shell[0], shell, environment)
        return os.posix_spawn(command[0], command, environment)

    def _end_all(self) -> None:
        """End the forks: SIGTERM, after 8 s SIGKILL."""
        end = time.monotonic() + _STOP_S
        running = [fork.pid for fork in self._forks if fork.pid]
        for pid in running:
            os.kill(pid, signal.SIGTERM)
        for pid in running:
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)


async def _ended(pid: int) -> None:
    """Wait until a child has ended; it is not collected."""
    loop, descriptor = asyncio.get_running_loop(), os.pidfd_open(pid)
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _become_fork(parent: int) -> None:
    """Set up a fork: own sockets of systemd, an end with its parent."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(1)
    if os.environ.get("LISTEN_PID") == str(parent):
        os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ.pop("NOTIFY_SOCKET", None)
