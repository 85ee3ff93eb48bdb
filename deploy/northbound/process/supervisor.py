# SPDX-License-Identifier: Apache-2.0
"""Tasks of a server beside its services: an error is reported, and the work starts again.

A task that ends by an exception is silent: its event loop goes on, and nothing else does its work.
A service itself ends the process; see `run`. Does not start work again that has ended without an
error. `BaseException`: the errors of bacpypes3 are not `Exception`.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
STOP_EXCEPTIONS = (asyncio.CancelledError, KeyboardInterrupt, SystemExit)
"""What ends a task on purpose; each other exception is an error of its work."""


async def keep_running(
    name: str,
    work: Callable[[], Awaitable[object]],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Do `work`, again after each error: after 1 s, then 2 s, up to 60 s. `name`: for the journal.

    `sleep`: for the pauses, s. Ends when `work` ends without an error, or when it is cancelled.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            await work()
        except STOP_EXCEPTIONS:
            raise
        except BaseException as error:  # noqa: BLE001 - see above
            report(f"{name} starts again after {error!r}")
        else:
            return
        await sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def start_once(name: str, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """Start work that is done once, such as reading a log; an error is reported."""

    def report_end(task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            report(f"{name} ended: {error!r}")

    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(report_end)
    return task


def report(text: str) -> None:
    """Print a line for the journal."""
    print(f"coldloop northbound: {text}", file=sys.stderr, flush=True)
