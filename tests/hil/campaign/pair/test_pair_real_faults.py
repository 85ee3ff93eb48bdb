# SPDX-License-Identifier: Apache-2.0
"""Faults of two agents as processes on one emulated line, in real time, as those of virtual time.

A scenario is a list of steps: an action, a controller (`FIRST`: the one that is active at the
start, `OTHER`: the other one), and the seconds until the next step. At the end one controller
writes, and at no time did both write within one cycle. The times of takeovers are not judged: they
depend on the load of the machine.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hil.campaign.pair.pair_hub import PairHub
from tests.hil.campaign.pair.test_pair_real_time import (
    least_time_apart_s,
    roles,
    running_pair,
    start_agent,
    writers,
)
from tests.support.cli_tools import wait_until
from tests.support.repository import ROOT

FIRST, OTHER = 0, 1
Steps = list[tuple[str, int, float]]
SCENARIOS: dict[str, tuple[Steps, int]] = {
    "kill the active one": ([("kill", FIRST, 0)], OTHER),
    "kill the active one, then start it": ([("kill", FIRST, 4), ("start", FIRST, 0)], OTHER),
    "kill the standby": ([("kill", OTHER, 2)], FIRST),
    "kill the standby, then start it": ([("kill", OTHER, 2), ("start", OTHER, 0)], FIRST),
    "kill one after the other": (
        [("kill", FIRST, 5), ("start", FIRST, 8), ("kill", OTHER, 0)],
        FIRST,
    ),
    "kill both, start the standby": (
        [("kill", FIRST, 0), ("kill", OTHER, 1), ("start", OTHER, 0)],
        OTHER,
    ),
    "stop the active one for 1.6 s": ([("stop", FIRST, 1.6), ("go on", FIRST, 0)], -1),
    "stop the active one for 8 s": ([("stop", FIRST, 8), ("go on", FIRST, 0)], OTHER),
    "stop it twice": (
        [("stop", FIRST, 8), ("go on", FIRST, 3), ("stop", OTHER, 8), ("go on", OTHER, 0)],
        FIRST,
    ),
    "stop the standby for 3 s": ([("stop", OTHER, 3), ("go on", OTHER, 0)], FIRST),
    "stop the active one, kill it as it wakes": (
        [("stop", FIRST, 6), ("go on", FIRST, 0.1), ("kill", FIRST, 0)],
        OTHER,
    ),
    "stop both for 3 s": (
        [("stop", FIRST, 0), ("stop", OTHER, 3), ("go on", FIRST, 0), ("go on", OTHER, 0)],
        -1,
    ),
    "the active one receives nothing": ([("receiver_failed", FIRST, 0)], OTHER),
    "the active one sends nothing": ([("driver_failed", FIRST, 0)], OTHER),
    "the active one receives nothing for 6 s": (
        [("receiver_failed", FIRST, 6), ("whole", FIRST, 0)],
        OTHER,
    ),
    "the standby sends nothing": ([("driver_failed", OTHER, 3)], FIRST),
    "the line is held for 2 s": ([("hold", FIRST, 2), ("whole", FIRST, 0)], -1),
    "a swap": ([("swap", FIRST, 0)], OTHER),
    "a swap, then kill": ([("swap", FIRST, 6), ("start", FIRST, 0), ("kill", OTHER, 0)], FIRST),
    "out of the pair, then in again": (
        [("out", OTHER, 3), ("kill", FIRST, 3), ("in", OTHER, 0)],
        OTHER,
    ),
}
"""Name -> (steps, the controller that writes at the end; -1: either of them)."""


BOTH = ("active", "standby")


class RealPairRig:
    """The hub and both processes; `first` is the controller that is active at the start."""

    def __init__(
        self, hub: PairHub, processes: list[subprocess.Popen[bytes]], folder: Path
    ) -> None:
        self.hub = hub
        self.processes = processes
        self.folder = folder
        self.first = writers(hub)[-1]
        self._load_kw = 70.0

    def node(self, who: int) -> int:
        """Return the number of `FIRST` or `OTHER`."""
        return self.first if who == FIRST else 1 - self.first

    def config(self, node: int) -> Path:
        """Return the configuration of a controller."""
        return self.folder / "ab"[node] / "unit.json"

    def role(self, node: int) -> str:
        """Return the last role that a controller has printed."""
        return next(iter(roles(self.folder, node)[-1:]), "")

    def change_load(self) -> None:
        """Step the load: an agent writes only what changes."""
        self._load_kw = 100.0 - self._load_kw
        self.hub.testbed.plant.set_load(self._load_kw)

    def pass_time(self, seconds: float) -> None:
        """Let time pass: it is a part of the scenario. The load changes all the time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.change_load()
            time.sleep(min(0.4, max(0.0, until - time.monotonic())))

    def do(self, action: str, node: int) -> None:
        """Do one step."""
        steps: dict[str, Callable[[int], object]] = {
            "kill": self._kill,
            "start": self._start,
            "stop": lambda n: self.processes[n].send_signal(signal.SIGSTOP),
            "go on": lambda n: self.processes[n].send_signal(signal.SIGCONT),
            "receiver_failed": self.hub.receiver_failed.add,
            "driver_failed": self.hub.driver_failed.add,
            "hold": lambda _: self.hub.set_held(True),
            "whole": self._repair,
        }
        if action in steps:
            steps[action](node)
        else:
            command = [sys.executable, str(ROOT / "coldloop.py"), "pair", action]
            command += ["--config", str(self.config(node))]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr

    def _kill(self, node: int) -> None:
        self.processes[node].kill()
        self.processes[node].wait()

    def _start(self, node: int) -> None:
        if self.processes[node].poll() is not None:
            self.processes[node] = start_agent(self.config(node))

    def _repair(self, node: int) -> None:
        self.hub.receiver_failed.discard(node)
        self.hub.driver_failed.discard(node)
        self.hub.set_held(False)


@pytest.mark.soak
@pytest.mark.parametrize("name", SCENARIOS)
def test_one_controller_writes_at_the_end_and_never_both(tmp_path: Path, name: str) -> None:
    steps, last = SCENARIOS[name]
    with running_pair(tmp_path) as (hub, processes):
        rig = RealPairRig(hub, processes, tmp_path)
        other = 1 - rig.first
        wait_until("both roles", lambda: (rig.role(1 - other), rig.role(other)) == BOTH)
        for action, who, pause_s in steps:
            rig.do(action, rig.node(who))
            rig.pass_time(pause_s)
        count = len(hub.writes)
        wanted = (rig.node(last),) if last >= 0 else (0, 1)
        wait_until("one active", lambda: "active" in [rig.role(node) for node in wanted])

        def wrote() -> bool:
            rig.change_load()
            return any(node in wanted for node, _ in hub.writes[count:])

        wait_until("a write of the active one", wrote)
        active = [node for node in (0, 1) if rig.role(node) == "active"]
        alive = [node for node in active if rig.processes[node].poll() is None]
        assert len(alive) == 1 or rig.hub.driver_failed | rig.hub.receiver_failed
        assert least_time_apart_s(hub) >= 1.0
