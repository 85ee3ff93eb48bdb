# SPDX-License-Identifier: Apache-2.0
"""A host that was suspended: the monotonic clock stood still, so the agent starts again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent import commands
from agent.runtime import cpython
from agent.runtime.io_loop import RESTART
from drivers.ports.cpython.clock import SuspendWatch
from tests.support.repository import ROOT

SUSPENDED_NS = 5_000_000_000


class HostTimes:
    """The times of a host: `boot_ns` and `monotonic_ns` for each pair of readings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.suspended_ns = 0
        self.late_ns: list[int] = []
        """How long the process is interrupted after each of the next readings."""
        self._real = time.clock_gettime_ns
        self._late_ns = 0
        monkeypatch.setattr(time, "clock_gettime_ns", self.read)

    def read(self, clock: int) -> int:
        value = self._real(time.CLOCK_MONOTONIC) + self._late_ns
        self._late_ns += self.late_ns.pop(0) if self.late_ns else 0
        return value + (self.suspended_ns if clock == time.CLOCK_BOOTTIME else 0)


def test_a_suspension_is_found_and_an_interruption_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostTimes(monkeypatch)
    host.late_ns = [0, 40_000_000]  # between the readings of the first sample
    watch = SuspendWatch()
    for late_ns in ([], [30_000_000], [0, 30_000_000], [], [0, 0, 50_000_000]):
        host.late_ns = late_ns
        assert not watch.was_suspended(), late_ns
    host.suspended_ns = SUSPENDED_NS
    assert watch.was_suspended()
    assert not SuspendWatch().was_suspended()  # of the next agent


class WakingAgent:
    """Wakes each millisecond; at the third time the host is suspended afterwards."""

    def __init__(self, host: HostTimes) -> None:
        self.wakes = 0
        self._host = host
        self._deadline = 0

    def wake(self, now: int) -> None:
        self.wakes += 1
        self._deadline = now + 1_000
        if self.wakes == 3:
            self._host.suspended_ns = SUSPENDED_NS

    def deadline(self) -> int:
        return self._deadline

    def outbox(self) -> list[tuple[int, str, bytes]]:
        return []

    def receive(self, port: int, data: bytes, now: int) -> None:
        raise AssertionError((port, data, now))

    def event(self, port: int, kind: str, now: int) -> None:
        raise AssertionError((port, kind, now))


def test_the_loop_ends_before_the_agent_gets_an_input(monkeypatch: pytest.MonkeyPatch) -> None:
    agent, lines = WakingAgent(HostTimes(monkeypatch)), list[str]()
    code = cpython.run(agent, lambda: agent.wakes > 9, out=lines.append, watches_host=True)
    assert (code, agent.wakes) == (RESTART, 3)
    assert lines == ["the host was suspended: the agent starts again"]


def test_tools_of_a_technician_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = WakingAgent(HostTimes(monkeypatch))
    assert cpython.run(agent, lambda: agent.wakes > 9) == 0


def test_the_command_of_the_agent_watches_the_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[bool] = []

    def run(*_: object, watches_host: bool = False, **__: object) -> int:
        calls.append(watches_host)
        return RESTART if len(calls) == 1 else 0

    monkeypatch.setattr(cpython, "run", run)
    monkeypatch.setattr(commands, "_check_ports", lambda _: True)
    monkeypatch.setattr("agent.runtime.cpython_slot.enter_application", lambda *_: None)
    example = next((ROOT / "deploy" / "examples").glob("*.json"))
    assert commands.agent(["--config", str(example), "--store", str(tmp_path)]) == 0
    assert calls == [True, True]
