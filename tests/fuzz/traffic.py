# SPDX-License-Identifier: Apache-2.0
"""Captures for the corpus: the traffic of one bench run with all ports, in both directions.

`captured(modem)` runs the bench once with this kind of modem. The result has
the messages by place: "bus>" is to the agent, "bus<" is from it. Each place has at most `_MAX`
different messages.
"""

from __future__ import annotations

import functools
from typing import Any

from agent.port_numbers import BROKER, CONSOLE, FIRST_BUS, RECEIVER, STATE
from hil.bench import optional_sections
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

MODEMS = {"sbd": "casic", "imt": "ublox", "ntn": "unicore", "rdss": "allystar", "ip": "eg25"}
"""Kind of modem: dialect of the receiver in the same run."""
_PARTS = (
    "cooling, safety, throttle, log, timekeeping, integrity, ledger, remote, receiver_setup, "
    "modem, modem_store, retain, northbound"
)
_MAX = 80
_SECONDS = 45


def make_run(modem: str, dialect: str, seconds: int = _SECONDS) -> VirtualRun:
    """Return a run of a unit with all ports."""
    text = f"""
name = "traffic"
title = "traffic of all ports"
seconds = {seconds}
[row]
it_kw = 60
receiver_dialect = "{dialect}"
modem = "{modem}"
meters = 2
humidity_sensors = 2
fans = 2
parts = "{_PARTS}"
[[event]]
at_s = 20
do = "push_setpoint"
value = 33
"""
    return VirtualRun(parse(text, "traffic.toml"), 1)


def place_names(run: VirtualRun) -> dict[int, str]:
    """Return the names of the ports by number."""
    names = {RECEIVER: "receiver", BROKER: "broker", FIRST_BUS: "bus"}
    names |= {port: section for port, section, _ in optional_sections.assign_ports(run.config)}
    for port in run.shell.endpoints:
        names.setdefault(port, "bmc")
    return names


@functools.cache
def captured(modem: str) -> dict[str, tuple[bytes, ...]]:
    """Return the different messages of a run, by place."""
    run = make_run(modem, MODEMS[modem])
    names = place_names(run)
    found: dict[str, dict[bytes, None]] = {}

    def keep(place: str, data: bytes) -> None:
        messages = found.setdefault(place, {})
        if len(messages) < _MAX:
            messages[bytes(data)] = None

    deliver = run.shell.deliver

    def deliver_kept(port: int, data: bytes) -> None:
        keep(names[port] + ">", data)
        deliver(port, data)

    run.shell.deliver = deliver_kept  # type: ignore[method-assign]
    for port, endpoint in run.shell.endpoints.items():
        if port not in (CONSOLE, STATE) and hasattr(endpoint, "write"):
            _watch(endpoint, names[port] + "<", keep)
    run.run()
    return {place: tuple(messages) for place, messages in found.items()}


def _watch(endpoint: Any, place: str, keep: Any) -> None:
    write = endpoint.write

    def write_kept(data: bytes) -> None:
        keep(place, data)
        write(data)

    endpoint.write = write_kept
