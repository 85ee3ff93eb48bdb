# SPDX-License-Identifier: Apache-2.0
"""What the start-up of a board knows about a start is in the first event of the telemetry log."""

import json
from typing import Any

import pytest

from agent.agent import Agent
from agent.commands import profiles
from agent.config.load import load
from agent.log.component import LogComponent
from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.kernel.world import World


def first_event(notes: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return the first record that an agent with these notes logs."""
    row = Testbed(World(1, 0), TestbedSettings(parts="log"))
    addresses = ("serial:/r?baud=115200", "serial:/b?baud=19200&parity=E", "tcp:x:1", "store:/s")
    agent = Agent(load(row.config(*addresses), profiles()), start_notes=notes)
    agent.start(0)
    while agent.ticks.tick_number < 1:
        agent.wake(agent.deadline())
    log = next(part for part in agent.components if isinstance(part, LogComponent))
    record = log.record_store._unwritten.records[0]
    fields: dict[str, Any] = json.loads(record.payload)
    return fields


@pytest.mark.parametrize(
    "notes",
    [(), (("reset", "watchdog"),), (("reset", "power on"), ("crash", 'File "a"\nOSError: 5'))],
)
def test_the_first_event_has_the_notes(notes: tuple[tuple[str, str], ...]) -> None:
    fields = first_event(notes)
    assert fields.pop("event") == "start"
    assert {fields.pop(name) for name in ("t", "m")} >= {None}
    assert fields == dict(notes)
