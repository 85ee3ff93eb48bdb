# SPDX-License-Identifier: Apache-2.0
"""A pair with section `remote`, and what operators do: changes, commands, confirmations.

Does not test; the modules beside it do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from agent.remote.storage.config_replica import Head, head_of
from hil.bench import operator_messages
from hil.bench.operator_messages import ParameterChange
from hil.bench.testbed_settings import TestbedSettings
from hil.run.several.pair_run import PairRun

SUPPLY, PERIOD = 1, 17
"""Numbers of parameters: one that changes live, one that needs a restart."""
TOPIC = "coldloop/v1/bench/cdu1/"


def make_run(seed: int = 1) -> PairRun:
    settings = TestbedSettings(parts="remote", pair_link=True, pair_uplink=True)
    return PairRun(settings, seed, is_linked=True)


def roles(run: PairRun) -> list[str]:
    return [agent.role for agent in run.agents]


def report(run: PairRun) -> dict[str, Any]:
    """Return the last report on the broker."""
    retained = run.testbed.broker.retained.get(TOPIC + "cfg/reported")
    return {} if retained is None else dict(json.loads(retained.payload))


def run_until(run: PairRun, limit_s: float, is_true: Callable[[], bool]) -> float:
    """Run until `is_true()`; return the time in s."""
    while not is_true():
        assert run.world.now / 1e6 < limit_s, (roles(run), report(run), run.console[-12:])
        run.run(run.world.now / 1e6 + 0.1)
    return run.world.now / 1e6


def utc_s(run: PairRun) -> int:
    return run.world.utc(run.world.now) // 1_000_000


def push(run: PairRun, value: float, number: int = SUPPLY) -> None:
    """Operators send a change of the supply set-point, or of another parameter."""
    text = json.dumps(report(run)).encode()
    message = operator_messages.sign_patch(text, utc_s(run), [ParameterChange(number, value)])
    run.testbed.publish(TOPIC + "cfg/desired", message, True)


def command(run: PairRun, name: str, *arguments: tuple[str, Any]) -> None:
    message = operator_messages.sign_command(utc_s(run), name, *arguments)
    run.testbed.publish(TOPIC + "cmd", message, False)


def setpoint(run: PairRun) -> float:
    """Return the set-point of the active controller."""
    nodes = [node for node, shell in zip(run.agents, run.shells, strict=True) if shell.is_on]
    agents = [node.agent for node in nodes if node.role == "active"]
    assert len(agents) == 1, roles(run)
    assert agents[0] is not None
    return float(agents[0].supply_loop.config.setpoint)


def stored(run: PairRun, node: int) -> Head:
    """Return what the store of a controller holds."""
    store = run.section_stores[node]["remote"]
    mirror = run.agents[node].ports.mirror
    assert mirror is not None
    return head_of(store.records, mirror.file_hash)


def are_both_equal(run: PairRun) -> bool:
    return stored(run, 0).is_equal(stored(run, 1))


def start(run: PairRun) -> None:
    """Start, and run until operators can send messages."""
    run.start()
    run.run(22)
    assert roles(run) == ["active", "standby"]
    assert report(run)["pair"] == "both"


def wait(run: PairRun, limit_s: float, is_true: Callable[[], bool]) -> None:
    """Run until `is_true()`, at most `limit_s`."""
    run_until(run, run.world.now / 1e6 + limit_s, is_true)


def begin_trial(run: PairRun, value: float = 31.0, number: int = SUPPLY) -> None:
    push(run, value, number)
    wait(run, 40, lambda: report(run).get("phase") == "health" and "active" in roles(run))


def confirm(run: PairRun) -> None:
    """Operators confirm the trial as soon as they can."""
    wait(run, 60, lambda: report(run).get("phase") == "confirm")
    command(run, "confirm", ("counter", report(run)["trial"]))
    wait(run, 40, lambda: report(run)["last"][1] == "confirmed")


def power_off(run: PairRun, node: int) -> None:
    """Let a controller lose its power; the other one takes over."""
    run.begin_fault("power", node)
    wait(run, 3, lambda: roles(run)[1 - node] == "active")
