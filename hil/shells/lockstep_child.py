"""The agent's side of the lock-step: a MicroPython process whose crank is turned over a pipe.

Portable, and run by `hil.shells.lockstep`. A message from the bench is a head (kind, port, now,
length) and data; the answer is one message with the next deadline and all that the agent asks of
its ports. The first message holds the configuration and the profiles as JSON.
"""

import gc
import json
import struct
import sys

from agent.agent import Agent
from agent.config import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.agent import Actions

HEAD = ">BBqI"
HEAD_SIZE = 14
START, RECEIVE, EVENT, WAKE, MEMORY = 0, 1, 2, 3, 4
OPERATIONS = ("write", "open", "close", "set")


def answer(deadline: int, actions: "Actions") -> bytes:
    """Pack the next deadline and the actions as one message with its length in front."""
    parts = [struct.pack(">q", deadline)]
    for port, op, data in actions:
        parts.append(struct.pack(">BBH", port, OPERATIONS.index(op), len(data)))
        parts.append(data)
    body = b"".join(parts)
    return struct.pack(">I", len(body)) + body


class Child:
    """Reads messages from `stdin` until it ends, and answers each on `stdout`."""

    def __init__(self) -> None:
        self._in = sys.stdin.buffer
        self._out = sys.stdout.buffer
        self._peak = 0

    def _read(self) -> "tuple[int, int, int, bytes] | None":
        head = self._in.read(HEAD_SIZE)
        if not head or len(head) < HEAD_SIZE:
            return None
        kind, port, now, length = struct.unpack(HEAD, head)
        return kind, port, now, self._in.read(length) if length else b""

    def run(self, watch_memory: bool) -> None:
        """Turn the crank until the bench closes the pipe."""
        first = self._read()
        if first is None:
            return
        setting = json.loads(first[3].decode())
        agent = Agent(load(setting["config"], setting["profiles"]))
        del first, setting
        gc.collect()
        self._write(b"\x00\x00\x00\x00")
        while True:
            message = self._read()
            if message is None:
                return
            if message[0] == MEMORY:
                self._write(answer(self._peak, []))
                continue
            turn(agent, message)
            actions = agent.outbox()
            if watch_memory:
                gc.collect()
                self._peak = max(self._peak, gc.mem_alloc())  # type: ignore[attr-defined]
            self._write(answer(agent.deadline(), actions))

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        if hasattr(self._out, "flush"):
            self._out.flush()


def turn(agent: Agent, message: "tuple[int, int, int, bytes]") -> None:
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


if __name__ == "__main__":
    Child().run("memory" in sys.argv)
