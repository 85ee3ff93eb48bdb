# SPDX-License-Identifier: Apache-2.0
"""Run of one process: its services side by side, until SIGTERM or the end of one of them.

A service that ends or raises ends the process with code 1; systemd starts it again. Once a second
the process reports that its event loop runs: to systemd (WatchdogSec=), or to the launcher that
started it. Nothing here is needed by the agent.
"""

import asyncio
import contextlib
import errno
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.errors import OpsError
from deploy.northbound.access.state_lock import state_lock
from deploy.northbound.process.context import ServerContext, make_context
from deploy.northbound.process.settings import PROCESSES, SiteSettings

_TICK_S, _REPORT_S = 0.25, 1.0
_OLD_ENDS_S = 5.0
"""Time in which the process before must have ended, s."""
REPORT_VARIABLE = "COLDLOOP_REPORT"
"""Environment variable of a process that a launcher has started: its pipe and its number."""
Service = Callable[[ServerContext], Coroutine[Any, Any, None]]


def notify_ready() -> None:
    """Tell systemd that the servers run."""
    notify("READY=1")


def pipe_report(descriptor: int, number: int) -> Callable[[], object]:
    """Return a function that reports to a launcher; it never waits."""

    def report() -> None:
        with contextlib.suppress(OSError):
            os.write(descriptor, bytes((number,)))

    return report


def _report_alive() -> None:
    """Report that the event loop runs, to the launcher or to systemd."""
    found = os.environ.get(REPORT_VARIABLE, "").split()
    if len(found) == 2 and all(word.isdecimal() for word in found):
        pipe_report(int(found[0]), int(found[1]))()
    else:
        notify("WATCHDOG=1")


def run_process(
    process: str,
    settings: SiteSettings,
    ready: Callable[[], object] = notify_ready,
    alive: Callable[[], object] = _report_alive,
    further: Sequence[Service] = (),
) -> int:
    """Serve until SIGTERM or SIGINT; call `ready` when the services have begun.

    `alive` is called once a second. `further`: services that are not of the configuration.

    Raises `OpsError`: there is nothing to serve.
    """
    names = [name for name in PROCESSES[process] if name in settings.section]
    if not names:
        wanted = " or ".join(f"northbound.{name}" for name in PROCESSES[process])
        raise OpsError(f"{settings.path}: no {wanted}; this process is off")
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OpsError(f"{settings.state}: {error.strerror}") from None
    services = {name: load_service(name) for name in names}
    services.update((str(number), serve) for number, serve in enumerate(further))
    with _only_one(process, settings.state):
        context = make_context(process, settings)
        return asyncio.run(_serve(context, services, ready, alive))


@contextlib.contextmanager
def _only_one(process: str, state: Path) -> Iterator[None]:
    """Hold the lock of a process. Raises OpsError: another one of this name runs.

    A process that starts rolls the change on trial of the one before it back, so the one before it
    must have ended. Without room for a lock file the process runs without it.
    """
    busy = f"another process {process} runs with this state"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(state_lock(state / f"{process}.lock", _OLD_ENDS_S, busy))
        except OSError as error:
            if error.errno == errno.EAGAIN:
                raise OpsError(f"{state}: {busy}") from None
        yield


def load_service(name: str) -> Service:
    """Import a service. Raises `OpsError` if a package that it needs is not installed."""
    try:
        service: Service = importlib.import_module(f"deploy.northbound.{name}.service").serve
    except ImportError as error:
        raise OpsError(f"northbound.{name}: {error}") from None
    return service


async def _serve(
    context: ServerContext,
    services: dict[str, Service],
    ready: Callable[[], object],
    alive: Callable[[], object],
) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks: dict[asyncio.Task[Any], str] = {
        loop.create_task(serve(context)): name for name, serve in services.items()
    }
    tasks[loop.create_task(_tick(context, alive))] = "tick"
    waiting = loop.create_task(stop.wait())
    await asyncio.sleep(0)  # a service that cannot begin ends here, before the process is ready
    if not any(task.done() for task in tasks):
        ready()
    done, _ = await asyncio.wait([*tasks, waiting], return_when=asyncio.FIRST_COMPLETED)
    code = 0
    for task in done - {waiting}:
        code = 1
        error = task.exception() if not task.cancelled() else None
        print(f"coldloop northbound: {tasks[task]} ended: {error!r}", file=sys.stderr, flush=True)
    for task in [*tasks, waiting]:
        task.cancel()
    await asyncio.gather(*tasks, waiting, return_exceptions=True)
    context.audit.flush()
    return code


async def _tick(context: ServerContext, alive: Callable[[], object]) -> None:
    """Follow the submissions, write the counts of the audit log, report."""
    clock = asyncio.get_running_loop().time
    report_at = clock() + _REPORT_S
    while True:
        if clock() >= report_at:
            report_at = clock() + _REPORT_S
            alive()
        context.writer.tick()
        context.audit.flush()
        await asyncio.sleep(_TICK_S)


def notify(text: str) -> None:
    """Tell systemd (sdnotify(3)); without it nothing happens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), "\0" + path[1:] if path.startswith("@") else path)
