# SPDX-License-Identifier: Apache-2.0
"""A task of a server that ends by an error is noticed and starts again."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest
from bacpypes3.apdu import AbortPDU

from deploy.northbound.process.notifications import NotificationQueue
from deploy.northbound.process.supervisor import keep_running, start_once
from tests.support.repository import ROOT

NORTHBOUND = ROOT / "deploy" / "northbound"
SUPERVISED = {
    "bacnet/event_services.py",
    "panel/web.py",
    "process/supervisor.py",
    "redfish/event_push.py",
    "snmp/process.py",
}
"""Files whose tasks named `work` start again, or are reported, when they end by an error."""
NOTICED = {
    "process/run.py": 3,  # the end of a service ends the process
    "process/launcher.py": 2,  # a group of tasks: the end of one ends all
    "snmp/process.py": 1,  # likewise
    "http/server.py": 3,  # the end of one ends the service
    "http/connections.py": 3,  # one connection; its end closes it
    "bacnet/datagram_filter.py": 1,  # one datagram; its error is counted
    "process/notifications.py": 2,  # a pause; its end is the end of the pause
}
"""Tasks whose end has an effect of its own."""


def test_work_starts_again_after_each_error(capfd: pytest.CaptureFixture[str]) -> None:
    pauses: list[float] = []
    errors: list[BaseException] = [ValueError("a"), AbortPDU(reason=0), *[OSError()] * 6]

    async def work() -> None:
        if errors:
            raise errors.pop(0)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    asyncio.run(keep_running("the work", work, sleep))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert "the work starts again after ValueError('a')" in capfd.readouterr().err


def test_work_that_is_cancelled_ends() -> None:
    async def run() -> None:
        task = asyncio.ensure_future(keep_running("work", lambda: asyncio.sleep(99)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_an_error_of_work_that_is_done_once_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        raise ValueError("damaged")

    async def run() -> None:
        await asyncio.wait([start_once("log", work())])
        await asyncio.sleep(0)

    asyncio.run(run())
    assert "log ended: ValueError('damaged')" in capfd.readouterr().err


def test_an_error_of_a_delivery_is_a_failed_attempt() -> None:
    got: list[object] = []

    async def send(notice: object) -> bool | None:
        got.append(notice)
        if len(got) < 3:
            raise AbortPDU(reason=65)
        return True

    async def run() -> None:
        queue = NotificationQueue[object]("bacnet", "10.0.0.8", lambda _: asyncio.sleep(0))
        queue.put("leak", "raised")
        task = asyncio.ensure_future(queue.run(send))
        async with asyncio.timeout(10):
            while queue.counts.waiting and not task.done():  # noqa: ASYNC110 - no event of it
                await asyncio.sleep(0)
        assert (queue.counts.failed, queue.counts.confirmed) == (2, 1)
        assert not task.done()
        task.cancel()

    asyncio.run(run())


def test_each_task_of_a_server_is_supervised_or_its_end_is_noticed() -> None:
    """A new task belongs to one of the tables above."""
    supervised: set[str] = set()
    others: dict[str, int] = {}
    for path in sorted(NORTHBOUND.rglob("*.py")):
        name = str(path.relative_to(NORTHBOUND))
        for task in _tasks(path):
            if task == "work":
                supervised.add(name)
            else:
                others[name] = others.get(name, 0) + 1
    assert supervised == SUPERVISED
    assert others == NOTICED


def _tasks(path: Path) -> list[str]:
    """Return each coroutine that becomes a task, as source text."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        makes = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if makes and node.func.attr in ("create_task", "ensure_future"):  # type: ignore[attr-defined]
            work = node.args[0]  # type: ignore[attr-defined]
            found.append(ast.unparse(work))
    return found
