# SPDX-License-Identifier: Apache-2.0
"""Boot loop with real processes that die: each start is a process that SIGKILL ends.

The count of starts is in a real store, so nothing but its files joins the processes. Both
interpreters run `main` of their runtime. The ports of the unit do not exist.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import require_program
from tests.support.repository import ROOT

SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from agent.agent import Agent
told = []
wake = Agent.wake
def tell(agent, now):
    if not told:
        told.append(1)
        kept = [agent.uplink is not None, agent.receiver is not None]
        names = [entry[0] for entry in agent.config.components]
        print("RUNS", kept, names)
        try:
            sys.stdout.flush()
        except AttributeError:
            pass
    wake(agent, now)
    {fault}
Agent.wake = tell
"""
MAIN = {
    "micropython": "from agent.runtime import micropython\nmicropython.main({path!r})\n",
    "cpython": "from agent import commands\ncommands.agent(['--config', {path!r}])\n",
}
SECTIONS = ["timekeeping", "safety", "retain"]
FULL = f"RUNS [True, True] {SECTIONS}"
PROTECTION = "RUNS [True, True] ['safety', 'retain']"
LEAST = "RUNS [False, False] ['safety']"


@pytest.fixture(params=sorted(MAIN))
def interpreter(request: pytest.FixtureRequest) -> str:
    if request.param == "micropython":
        require_program("micropython")
    return str(request.param)


def write_config(folder: Path) -> Path:
    raw: dict[str, Any] = json.loads((ROOT / "deploy" / "examples" / "unit.json").read_text())
    raw["receiver"]["port"] = f"serial:{folder}/none?baud=115200"
    raw["buses"] = {"field": "tcp:127.0.0.1:1"}
    raw["broker"] = {"address": "tcp:127.0.0.1:2"}
    for name in ("counts", "stamps", "state"):
        (folder / name).mkdir()
    raw["state"] = f"store:{folder}/state"
    raw["safety"] = {"inputs": []}
    raw["timekeeping"] = {"port": f"store:{folder}/stamps"}
    raw["retain"] = {"port": f"store:{folder}/counts"}
    path = folder / "unit.json"
    path.write_text(json.dumps(raw))
    return path


def begin(interpreter: str, path: Path, fault: str = "pass") -> subprocess.Popen[str]:
    script = SCRIPT.format(root=str(ROOT), fault=fault) + MAIN[interpreter].format(path=str(path))
    command = [sys.executable, "-u", "-c", script]
    if interpreter == "micropython":
        command = ["micropython", "-X", "heapsize=2m", "-c", script]
    environment = {"MICROPYPATH": f"{ROOT}:.frozen"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, env=environment, cwd=path.parent, text=True, **pipes)


def next_start(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("RUNS"):
            return line.strip()
    raise AssertionError("".join(seen))


def start_and_kill(interpreter: str, path: Path) -> str:
    process = begin(interpreter, path)
    try:
        return next_start(process)
    finally:
        process.kill()
        process.communicate()


def test_starts_that_die_leave_the_protection_and_then_the_least(
    interpreter: str, tmp_path: Path
) -> None:
    path = write_config(tmp_path)
    starts = [start_and_kill(interpreter, path) for _ in range(12)]
    assert starts == [FULL] * 5 + [PROTECTION] * 5 + [LEAST] * 2


def test_an_exception_of_the_core_in_each_start(interpreter: str, tmp_path: Path) -> None:
    """Six starts of the first process and six of the second one."""
    path = write_config(tmp_path)
    starts = []
    for _ in range(2):
        process = begin(interpreter, path, 'told.clear(); raise ValueError("core")')
        output, _ = process.communicate()
        starts += [line for line in output.splitlines() if line.startswith("RUNS")]
        assert process.returncode != 0
    assert starts == [FULL] * 5 + [PROTECTION] * 5 + [LEAST] * 2


def test_an_orderly_end_does_not_count(interpreter: str, tmp_path: Path) -> None:
    path = write_config(tmp_path)
    for _ in range(7):
        process = begin(interpreter, path)
        assert next_start(process) == FULL
        process.terminate()
        output, _ = process.communicate()
        assert process.returncode == 0, output
