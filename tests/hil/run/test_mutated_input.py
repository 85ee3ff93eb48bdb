# SPDX-License-Identifier: Apache-2.0
"""Every decoder is total: changed bytes on any port, in both directions, raise no exception.

The corpus is the traffic of a run with all ports. A part of its messages is changed: bits, bytes,
cuts, copies, insertions, numbers at their limits. An exception that the guard contains is an error,
because a decoder must return a result or its own error. `make soak` runs many seeds.
"""

from __future__ import annotations

import os
import random

import pytest

from agent.port_numbers import CONSOLE, FIRST_BUS, STATE
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse
from protocols.modbus.crc import with_crc
from tests.fuzz.mutation import change

PARTS = "cooling, safety, throttle, log, timekeeping, integrity, ledger, remote, modem, modem_store"
SCENARIO = f"""
name = "mutated"
title = "changed bytes on all ports"
seconds = 120
[row]
it_kw = 60
receiver_dialect = "casic"
meters = 2
humidity_sensors = 2
fans = 2
parts = "{PARTS}"
[[event]]
at_s = 40
do = "push_setpoint"
value = 33
[[event]]
at_s = 60
do = "rotate_pumps"
"""


def changed_line(data: bytes, rng: random.Random, port: int) -> bytes:
    """Change a message. Half of the Modbus frames get a right CRC again."""
    if port == FIRST_BUS and len(data) > 4 and rng.random() < 0.5:
        return with_crc(change(data[:-2], rng))
    return change(data, rng)


def run_changed(seed: int, to_agent: float, to_devices: float) -> VirtualRun:
    """Run with a part of the messages changed; stores too, but only what the agent reads."""
    run = VirtualRun(parse(SCENARIO, "mutated.toml"), seed)
    rng = random.Random(f"mutated/{seed}")
    deliver = run.shell.deliver

    def deliver_changed(port: int, data: bytes) -> None:
        is_changed = rng.random() < to_agent
        deliver(port, changed_line(data, rng, port) if is_changed else data)

    run.shell.deliver = deliver_changed  # type: ignore[method-assign]
    if to_devices:
        for port, endpoint in run.shell.endpoints.items():
            if port not in (CONSOLE, STATE) and hasattr(endpoint, "write"):
                change_writes(endpoint, rng, to_devices, port)
    run.run()
    return run


def change_writes(endpoint: object, rng: random.Random, share: float, port: int) -> None:
    """Change a share of the bytes that the agent sends to an emulated device."""
    if "store" in type(endpoint).__name__.lower():
        return
    write = endpoint.write  # type: ignore[attr-defined]

    def write_changed(data: bytes) -> None:
        write(changed_line(data, rng, port) if rng.random() < share else data)

    endpoint.write = write_changed  # type: ignore[attr-defined]


def check(run: VirtualRun) -> None:
    assert run.contained_faults() == []
    assert run.status is not None
    assert run.status["ticks"]["missed"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_changed_bytes_to_the_agent(seed: int) -> None:
    check(run_changed(seed, 0.05, 0.0))


@pytest.mark.parametrize("seed", range(2))
def test_changed_bytes_to_the_devices(seed: int) -> None:
    check(run_changed(seed, 0.0, 0.03))


@pytest.mark.soak
def test_changed_bytes_in_both_directions_for_many_seeds() -> None:
    seeds = int(os.environ.get("COLDLOOP_FUZZ_SEEDS", "500"))
    for seed in range(100, 100 + seeds):
        check(run_changed(seed, (0.002, 0.02, 0.2)[seed % 3], (0.0, 0.02)[seed % 2]))
