# SPDX-License-Identifier: Apache-2.0
"""Two agents as processes on one emulated line, in real time: killed, and stopped for a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hil.campaign.pair.pair_hub import PairHub
from tests.support.cli_tools import TIMEOUT_S, wait_until
from tests.support.repository import ROOT


def write_config(hub: PairHub, folder: Path, node: int) -> Path:
    """Write the configuration of a controller; both have the same, but for their ports."""
    (folder / "state").mkdir(parents=True)
    (folder / "node").write_text("ab"[node])
    config = hub.testbed.config(
        "tcp:127.0.0.1:8",
        f"serial:{hub.paths[node]}?baud=19200&parity=E",
        "tcp:127.0.0.1:9",
        f"store:{folder}/state",
    )
    (folder / "pair").mkdir()
    config["redundancy"] = {
        "node": "file",
        "node_file": str(folder / "node"),
        "key": "5a" * 32,
        "port": f"store:{folder}/pair",
        "ports": {
            name: f"udp:{address}" for name, address in zip("ab", hub.addresses, strict=True)
        },
    }
    path = folder / "unit.json"
    path.write_text(json.dumps(config))
    return path


@contextmanager
def running_pair(folder: Path) -> Iterator[tuple[PairHub, list[subprocess.Popen[bytes]]]]:
    """Run the hub and both agents; `a` is active at the start."""
    with PairHub() as hub:
        paths = [write_config(hub, folder / "ab"[node], node) for node in (0, 1)]
        processes = [start_agent(path) for path in paths]
        try:
            wait_until("a write of the first controller", lambda: hub.writes)
            yield hub, processes
        finally:
            for process in processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                process.wait(TIMEOUT_S)


def start_agent(config: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "coldloop.py"), "agent", "--config", str(config)]
    command += ["--store", str(config.parent)]
    with (config.parent / "console").open("wb") as console:
        return subprocess.Popen(command, stdout=console, stderr=console, env={**os.environ})


def roles(folder: Path, node: int) -> list[str]:
    """Return the roles that a controller has printed."""
    lines = (folder / "ab"[node] / "console").read_text().splitlines()
    return [line.rpartition(": ")[2] for line in lines if "pair " in line]


def give_swap(config: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "coldloop.py"), "pair", "swap", "--config", config]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def writers(hub: PairHub) -> list[int]:
    return [node for node, _ in hub.writes]


def least_time_apart_s(hub: PairHub) -> float:
    pairs = zip(hub.writes, hub.writes[1:], strict=False)
    return min((b[1] - a[1] for a, b in pairs if a[0] != b[0]), default=1e9)


def test_a_person_swaps_the_controllers(tmp_path: Path) -> None:
    with running_pair(tmp_path) as (hub, processes):
        first = writers(hub)[-1]
        wait_until("a standby", lambda: roles(tmp_path, 1 - first)[-1:] == ["standby"])
        config = str(tmp_path / "ab"[first] / "unit.json")
        done = give_swap(config)
        assert (done.returncode, done.stdout, done.stderr) == (0, "role   standby\n", "")
        wait_until("the new role", lambda: roles(tmp_path, 1 - first)[-1:] == ["active"])
        assert "probe" not in roles(tmp_path, 1 - first)  # it was a swap, not a silence
        hub.testbed.plant.set_load(60)  # an agent writes only what changes
        wait_until("a write of the other one", lambda: writers(hub)[-1] != first)
        assert least_time_apart_s(hub) >= 1.0
        again = give_swap(config)
        assert again.returncode == 1
        assert "is standby; swap at the active one" in again.stdout
        assert all(process.poll() is None for process in processes)


@pytest.mark.parametrize("name", ["kill", "stop"])
def test_the_other_controller_takes_over(tmp_path: Path, name: str) -> None:
    with running_pair(tmp_path) as (hub, processes):
        first = writers(hub)[-1]
        processes[first].send_signal(signal.SIGKILL if name == "kill" else signal.SIGSTOP)
        wait_until("a write of the other one", lambda: writers(hub)[-1] != first)
        if name == "stop":  # awake, it must not write again
            count = len(hub.writes)
            processes[first].send_signal(signal.SIGCONT)
            wait_until("the role standby", lambda: roles(tmp_path, first)[-1:] == ["standby"])
            hub.testbed.plant.set_load(60)  # an agent writes only what changes
            wait_until("a write after it", lambda: len(hub.writes) > count)
            assert set(writers(hub)[count:]) == {1 - first}
        assert least_time_apart_s(hub) >= 1.0
