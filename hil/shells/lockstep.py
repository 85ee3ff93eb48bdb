# SPDX-License-Identifier: Apache-2.0
"""The lock-step shell: the agent in a MicroPython process, stepped over a pipe in virtual time.

Does not advance the time; see `virtual`. It is a controller under test (`hil.kernel.dut`). For each
step it sends one message and receives one reply. Both processes run on one core, because a
hand-over takes about 15 µs there and 100 µs between two cores. The interpreter has the heap of a
board: `-X heapsize=256wK`. With optional components it has more, because it compiles their code on
the same heap.
"""

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

from agent.core.component.registry import COMPONENTS
from hil.errors import BenchError
from hil.kernel.cpu_affinity import read_cores, set_cores
from hil.kernel.dut import Actions, StepResult
from hil.shells import lockstep_child

ROOT = Path(__file__).resolve().parents[2]
HEAP = "256wK"
SOURCE_HEAP = "304wK"
"""Heap for the sources: their type-only blocks are compiled too, but not those of a board. The
ten devices of the scenario `full-bench` need between 272 and 288."""
LARGE_HEAP = "672wK"
"""Heap for optional components: their code is compiled here, but is precompiled on a board. Five
components need between 576 and 608."""
_START = "import gc; gc.threshold(32768); from hil.shells import lockstep_child; "
"""Collecting garbage every 32 KiB from the first import keeps the live objects together."""
_HEADER = struct.Struct(lockstep_child.HEADER).pack
_LENGTH = struct.Struct(">I").unpack
_DEADLINE = struct.Struct(">q").unpack_from
_ACTION = struct.Struct(">BBH").unpack_from


class LockStepDut:
    """The agent in a MicroPython process. Raises `BenchError` if the process ends unexpectedly."""

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
            heap = HEAP
            if path == ROOT:
                heap = LARGE_HEAP if components else SOURCE_HEAP
        command = [interpreter, "-X", f"heapsize={heap}", "-c", start]
        environment = {**os.environ, "MICROPYPATH": f"{path}:.frozen"}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=path,
                process_group=0,  # Ctrl-C is for the bench, which then ends this process
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
        try:
            self._send(lockstep_child.START, 0, 0, start_message)
            self._receive()
        except KeyboardInterrupt:  # no owner has this process yet
            self._process.kill()
            raise

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
            actions.append((port, lockstep_child.OPERATIONS[op], body[at : at + length]))
            at += length
        return deadline, actions

    def start(self, now: int) -> StepResult:
        """Start the controller."""
        self._send(lockstep_child.START, 0, now)
        return self._step_result()

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        """Deliver bytes from a port."""
        self._send(lockstep_child.RECEIVE, port, now, data)
        return self._step_result()

    def event(self, port: int, kind: str, now: int) -> StepResult:
        """Deliver an event of a port."""
        self._send(lockstep_child.EVENT, port, now, kind.encode())
        return self._step_result()

    def wake(self, now: int) -> StepResult:
        """Tell the controller that its deadline has passed."""
        self._send(lockstep_child.WAKE, 0, now)
        return self._step_result()

    def inject(self, piece: str, call: int) -> None:
        """Make a piece of the agent raise at a call number."""
        self._send(lockstep_child.INJECT, 0, call, piece.encode())
        self._receive()

    def peak_heap(self) -> int:
        """Return the peak of the agent's live heap, in bytes; needs `watch_memory`."""
        self._send(lockstep_child.MEMORY, 0, 0)
        return self._step_result()[0]

    def live_heap(self) -> int:
        """Collect the garbage and return the live heap, in bytes."""
        self._send(lockstep_child.MEMORY, 1, 0)
        return self._step_result()[0]

    def close(self) -> None:
        """End the process and restore the CPU affinity; repeated calls are harmless."""
        self._stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()  # last: the process can still write a reply
        if self._cores:
            set_cores(0, self._cores)


def current_core() -> int:
    """Return the core on which this process runs now; other pairs of processes have others."""
    stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
    return int(stat.rpartition(")")[2].split()[36])


def share_core(pid: int) -> set[int]:
    """Bind this process and `pid` to one core; return the previous cores of this process."""
    cores = read_cores()
    shared = {current_core()} & cores or {min(cores)}
    set_cores(pid, shared)
    set_cores(0, shared)
    return cores
