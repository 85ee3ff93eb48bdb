# SPDX-License-Identifier: Apache-2.0
"""The agent's side of the lock-step: a MicroPython process that the bench steps over a pipe.

This module is portable. `hil.shells.lockstep` starts it. A message from the bench has a header
(kind, port, now, length) and data. The reply is one message with the next deadline and all actions
of the agent. The first message holds the configuration and the profiles as JSON.
"""

import gc
import json
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.agent import Agent
    from agent.config.profile_files import ProfileFiles
    from agent.core.component.base import Actions
    from agent.core.config_records import Config
    from agent.remote.storage.boot_state import BootState

HEADER = ">BBqI"
HEADER_SIZE = 14
START, RECEIVE, EVENT, WAKE, MEMORY, INJECT = 0, 1, 2, 3, 4, 5
OPERATIONS = ("write", "open", "close", "set", "append", "delete", "get", "list")


THRESHOLD = 32768
"""Minimum number of allocated bytes between two garbage collections. Frequent collection during
loading keeps the live objects together. After loading the threshold depends on the free heap."""
BUFFER = 2048
"""Size of the reply buffer, in bytes. It is allocated once, because a fragmented heap has no large
free block later."""


class Child:
    """Reads messages from `stdin` until it ends; answers each message on `stdout`."""

    def __init__(self) -> None:
        self._in = sys.stdin.buffer
        self._out = sys.stdout.buffer
        self._peak = 0
        self._buffer = bytearray(BUFFER)
        self._filled = 0

    def _read(self) -> "tuple[int, int, int, bytes] | None":
        header = self._in.read(HEADER_SIZE)
        if not header or len(header) < HEADER_SIZE:
            return None
        kind, port, now, length = struct.unpack(HEADER, header)
        return kind, port, now, self._in.read(length) if length else b""

    def run(self, watch_memory: bool) -> None:
        """Process messages until the bench closes the pipe."""
        first = self._read()
        if first is None:
            return
        start_data = json.loads(first[3])
        del first
        agent = _build_agent(start_data)
        del start_data
        gc.collect()
        gc.threshold(max(THRESHOLD, gc.mem_free() // 2))  # type: ignore[attr-defined]
        self._reply(0, [])
        while True:
            message = self._read()
            if message is None:
                return
            kind, port, now, data = message
            if kind == MEMORY:
                self._reply(_live_bytes() if port else self._peak, [])
                continue
            if kind == INJECT:
                from hil.kernel.raise_in import inject  # noqa: PLC0415 - few runs need it

                inject(agent, data.decode(), now)
                self._reply(0, [])
                continue
            dispatch(agent, message)
            actions = agent.outbox()
            if watch_memory:
                gc.collect()
                self._peak = max(self._peak, gc.mem_alloc())  # type: ignore[attr-defined]
            self._reply(agent.deadline(), actions)

    def _reply(self, deadline: int, actions: "Actions") -> None:
        """Send the length, the next deadline and the actions as one message."""
        length = 8 + 4 * len(actions) + sum([len(data) for _, _, data in actions])
        self._write(struct.pack(">Iq", length, deadline))
        for port, op, data in actions:
            self._write(struct.pack(">BBH", port, OPERATIONS.index(op), len(data)))
            self._write(data)
        self._flush()

    def _write(self, data: bytes) -> None:
        end = self._filled + len(data)
        if end > BUFFER:
            self._flush()
            end = len(data)
            if end > BUFFER:
                self._out.write(data)
                return
        self._buffer[self._filled : end] = data
        self._filled = end

    def _flush(self) -> None:
        self._out.write(memoryview(self._buffer)[: self._filled])
        self._filled = 0


def _live_bytes() -> int:
    """Collect the garbage and return the live heap, in bytes."""
    gc.collect()
    live: int = gc.mem_alloc()  # type: ignore[attr-defined]
    return live


def _build_agent(start_data: "dict[str, Any]") -> "Agent":
    """Build the agent. The checks are unloaded before the agent's code is loaded, to free heap."""
    from agent.config.load import load, unload_checks  # noqa: PLC0415 - as on a board, dropped
    from agent.config.profile_files import ProfileFiles  # noqa: PLC0415

    texts = start_data.pop("profiles")
    names = list(texts)
    if "remote" in start_data["config"]:
        texts.clear()
        config, boot = _start_config(start_data, ProfileFiles(names, _read_profile), load)
    else:
        config, boot = (
            load(start_data["config"], ProfileFiles(names, lambda n: json.loads(texts[n]))),
            None,
        )
    texts.clear()
    start_data.clear()
    unload_checks()
    gc.collect()
    from agent.agent import Agent  # noqa: PLC0415

    return Agent(config, boot)


def _read_profile(name: str) -> "dict[str, Any]":
    """Read a profile from its place on a board; the check of a changed configuration needs it."""
    with open("drivers/profiles/%s.json" % name) as file:
        profile: dict[str, Any] = json.load(file)
        return profile


def _start_config(
    start_data: "dict[str, Any]",
    profiles: "ProfileFiles",
    load: "Callable[[Any, ProfileFiles], Config]",
) -> "tuple[Config, BootState]":
    """Start from the stored records; check a changed configuration as the runtime does."""
    from agent.remote.update.boot import start_config  # noqa: PLC0415 - only a unit that takes changes has it

    raw, records = start_data["config"], start_data["records"]

    def read(key: str) -> "bytes | None":
        return bytes.fromhex(records[key]) if key in records else None

    config, boot = start_config(raw, read, lambda changed: load(changed, profiles))
    boot.limit_to_board(boot.running_slot)
    return config, boot


def dispatch(agent: "Agent", message: "tuple[int, int, int, bytes]") -> None:
    """Execute one message on the agent."""
    kind, port, now, data = message
    if kind == RECEIVE:
        agent.receive(port, data, now)
    elif kind == WAKE:
        agent.wake(now)
    elif kind == EVENT:
        agent.event(port, data.decode(), now)
    elif kind == START:
        agent.start(now)
