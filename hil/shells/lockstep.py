"""The lock-step shell: the agent in a MicroPython process, turned over a pipe in virtual time.

Not a virtual shell of its own: it is a controller under test (`hil.kernel.dut`) for that one. One
message a turn goes out and one comes back. Both processes are kept on one core, where handing over
costs about 15 µs instead of 100. The interpreter gets the heap of a board: `-X heapsize=256wK`;
with optional parts it gets twice that, since here their code is compiled on the heap that runs it.

"""

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

from agent.core.registry import COMPONENTS
from hil.errors import BenchError
from hil.kernel.dut import Actions, StepResult
from hil.shells import lockstep_child as wire

ROOT = Path(__file__).resolve().parents[2]
HEAP = "256wK"
LARGE_HEAP = "512wK"
"""For the code of optional parts, which is compiled on the heap here; a board has it compiled."""
_START = "import gc; gc.threshold(32768); from hil.shells import lockstep_child; "
"""Collecting every 32 KiB from the first import on keeps the live objects together."""
_HEADER = struct.Struct(wire.HEADER).pack
_LENGTH = struct.Struct(">I").unpack
_DEADLINE = struct.Struct(">q").unpack_from
_ACTION = struct.Struct(">BBH").unpack_from


class LockStepDut:
    """The agent in a MicroPython process. Raises `BenchError` when the process ends by itself."""

    def __init__(
        self,
        config: dict[str, Any],
        profiles: dict[str, dict[str, Any]],
        records: dict[str, bytes] | None = None,
        *,
        path: Path = ROOT,
        heap: str | None = None,
        watch_memory: bool = False,
        interpreter: str = "micropython",
    ) -> None:
        start = _START + f"lockstep_child.Child().run({watch_memory})"
        if heap is None:
            components = [s.section for s in COMPONENTS if s.section in config]
            heap = LARGE_HEAP if path == ROOT and components else HEAP
        command = [interpreter, "-X", f"heapsize={heap}", "-c", start]
        environment = {**os.environ, "MICROPYPATH": f"{path}:.frozen"}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=path
            )
        except FileNotFoundError:
            message = f"{interpreter}: not installed; install Debian's package micropython"
            raise BenchError(message) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin
        self._in = self._stdin.fileno()
        self._out = self._process.stdout
        self._cores = share_core(self._process.pid)
        used = {device.get("profile") for device in config.get("devices", [])}
        profile_texts = {
            name: json.dumps(raw) if name in used else "" for name, raw in profiles.items()
        }
        record_texts = {key: data.hex() for key, data in (records or {}).items()}
        start_message = json.dumps(
            {"config": config, "profiles": profile_texts, "records": record_texts}
        ).encode()
        self._send(wire.START, 0, 0, start_message)
        self._receive()

    def _send(self, kind: int, port: int, now: int, data: bytes = b"") -> None:
        message = _HEADER(kind, port, now, len(data)) + data
        try:
            while message:
                message = message[os.write(self._in, message) :]
        except BrokenPipeError:
            self._raise_ended()

    def _receive(self) -> bytes:
        header = self._out.read(4)
        if len(header) < 4:
            self._raise_ended()
        length: int = _LENGTH(header)[0]
        body = self._out.read(length)
        if len(body) < length:
            self._raise_ended()
        return body

    def _raise_ended(self) -> None:
        self.close()
        code = self._process.returncode
        raise BenchError(f"the controller's MicroPython process ended with {code}; see above")

    def _step_result(self) -> StepResult:
        body = self._receive()
        deadline: int = _DEADLINE(body)[0]
        actions: Actions = []
        at = 8
        while at < len(body):
            port, op, length = _ACTION(body, at)
            at += 4
            actions.append((port, wire.OPERATIONS[op], body[at : at + length]))
            at += length
        return deadline, actions

    def start(self, now: int) -> StepResult:
        """Begin."""
        self._send(wire.START, 0, now)
        return self._step_result()

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        """Deliver bytes."""
        self._send(wire.RECEIVE, port, now, data)
        return self._step_result()

    def event(self, port: int, kind: str, now: int) -> StepResult:
        """Deliver an event of a port."""
        self._send(wire.EVENT, port, now, kind.encode())
        return self._step_result()

    def wake(self, now: int) -> StepResult:
        """Say that the deadline has passed."""
        self._send(wire.WAKE, 0, now)
        return self._step_result()

    def peak_heap(self) -> int:
        """Give the most live heap the agent had, bytes (needs `watch_memory`)."""
        self._send(wire.MEMORY, 0, 0)
        return self._step_result()[0]

    def live_heap(self) -> int:
        """Collect what is garbage and give the rest, bytes."""
        self._send(wire.MEMORY, 1, 0)
        return self._step_result()[0]

    def close(self) -> None:
        """End the process and give the cores back; may be called again."""
        self._stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()  # last, so that the answer it may be writing finds a reader
        if self._cores:
            os.sched_setaffinity(0, self._cores)


def share_core(pid: int) -> set[int]:
    """Put this process and `pid` on one core; return the cores this process had."""
    cores = os.sched_getaffinity(0)
    shared = {min(cores)}
    os.sched_setaffinity(pid, shared)
    os.sched_setaffinity(0, shared)
    return cores
