"""The agent's side of the lock-step: a MicroPython process whose crank is turned over a pipe.

Portable, and run by `hil.shells.lockstep`. A message from the bench is a head (kind, port, now,
length) and data; the answer is one message with the next deadline and all that the agent asks of
its ports. The first message holds the configuration and the profiles as JSON.
`hil.shells.lockstep` says how the process is started.
"""

import gc
import json
import struct
import sys

from agent.config.load import load, unload_checks
from agent.config.profile_files import ProfileFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.agent import Agent
    from agent.core.component import Actions
    from agent.core.config_records import Config
    from agent.remote.storage.boot_state import BootState

HEADER = ">BBqI"
HEADER_SIZE = 14
START, RECEIVE, EVENT, WAKE, MEMORY = 0, 1, 2, 3, 4
OPERATIONS = ("write", "open", "close", "set", "append", "delete", "get", "list")


THRESHOLD = 32768
"""Bytes after which garbage is collected, at the least. While the code is loaded that is often, to
keep the live objects together; then it depends on the room that is left."""
BUFFER = 2048
"""Bytes of the answer's buffer, made once: a large piece of heap is hard to find later."""


class Child:
    """Reads messages from `stdin` until it ends, and answers each on `stdout`."""

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
        """Turn the crank until the bench closes the pipe."""
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
            if message[0] == MEMORY:
                self._reply(_live_bytes() if message[1] else self._peak, [])
                continue
            dispatch(agent, message)
            actions = agent.outbox()
            if watch_memory:
                gc.collect()
                self._peak = max(self._peak, gc.mem_alloc())  # type: ignore[attr-defined]
            self._reply(agent.deadline(), actions)

    def _reply(self, deadline: int, actions: "Actions") -> None:
        """Send the next deadline and the actions as one message with its length in front."""
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
    """Bytes that are left when the garbage is collected."""
    gc.collect()
    live: int = gc.mem_alloc()  # type: ignore[attr-defined]
    return live


def _build_agent(start_data: "dict[str, Any]") -> "Agent":
    """Build the agent; its code is loaded when that of the checks is gone, so there is room."""
    texts = start_data.pop("profiles")
    names = list(texts)
    if "remote" in start_data["config"]:
        texts.clear()
        config, boot = _start_config(
            start_data["config"], start_data["records"], ProfileFiles(names, _read_profile)
        )
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
    """Read a register map where a board has it: a changed configuration is checked with it."""
    with open("drivers/profiles/%s.json" % name) as file:
        profile: dict[str, Any] = json.load(file)
        return profile


def _start_config(
    raw: "dict[str, Any]", records: "dict[str, str]", profiles: ProfileFiles
) -> "tuple[Config, BootState]":
    """Start from what the store kept; a changed configuration is checked as a shell does it."""
    from agent.remote.update.boot import start_config  # noqa: PLC0415 - only a unit that takes changes has it

    def read(key: str) -> "bytes | None":
        return bytes.fromhex(records[key]) if key in records else None

    config, boot = start_config(raw, read, lambda changed: load(changed, profiles))
    boot.has_full_checker = False
    return config, boot


def dispatch(agent: "Agent", message: "tuple[int, int, int, bytes]") -> None:
    """Carry out one message on the agent."""
    kind, port, now, data = message
    if kind == RECEIVE:
        agent.receive(port, data, now)
    elif kind == WAKE:
        agent.wake(now)
    elif kind == EVENT:
        agent.event(port, data.decode(), now)
    elif kind == START:
        agent.start(now)
