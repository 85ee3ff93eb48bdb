# SPDX-License-Identifier: Apache-2.0
"""An exception of the core restarts the agent in the same process, on both interpreters."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent import commands
from agent.agent import Agent
from tests.support.programs import require_program
from tests.support.repository import ROOT

CONFIG = ROOT / "deploy" / "examples"
CRASHES = """
import sys
sys.path.insert(0, "{root}")
from agent.agent import Agent
from agent.runtime import micropython
count = [0]
def wake(agent, now):
    count[0] += 1
    raise ValueError("core %d restarts %d" % (count[0], agent.guard.restarts))
Agent.wake = wake
try:
    micropython.main("{path}")
except ValueError as error:
    print("ended: " + str(error))
"""


def test_cpython_starts_again_and_ends_after_five(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    starts = []

    def run_once(_config: object, _boot: object, restarts: int, *_: object) -> int:
        starts.append(restarts)
        raise RuntimeError("core")

    monkeypatch.setattr(commands, "_run_once", run_once)
    monkeypatch.setattr(commands, "_check_ports", lambda _: True)
    monkeypatch.setattr("agent.runtime.cpython_slot.enter_application", lambda *_: None)
    example = next(CONFIG.glob("*.json"))
    with pytest.raises(RuntimeError, match="core"):
        commands.agent(["--config", str(example), "--store", str(tmp_path)])
    assert starts == [0, 1, 2, 3, 4, 5]
    assert capsys.readouterr().err.count("RuntimeError: core\ncoldloop agent: starts again") == 5


def test_guard_has_the_number_of_restarts() -> None:
    from agent.config.load import load  # noqa: PLC0415
    from tests.portable.support.agent_rig import config, profiles  # noqa: PLC0415

    assert Agent(load(config(), profiles()), None, 3).guard.restarts == 3


def test_micropython_starts_again_and_ends_after_five() -> None:
    interpreter = require_program("micropython")
    script = CRASHES.format(root=ROOT, path=CONFIG / "unit.json")
    result = subprocess.run(
        [interpreter, "-X", "heapsize=2m", "-c", script],
        env={"MICROPYPATH": f"{ROOT}:.frozen"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr.count("coldloop agent: starts again") == 5, result.stderr
    assert result.stdout.endswith("ended: core 6 restarts 5\n"), result.stdout
