# SPDX-License-Identifier: Apache-2.0
"""The controller under test as an ARM image in QEMU: connects the ports of the bench to its UARTs.

    UART 1  GNSS receiver                  UART 2  field bus
    UART 3  broker, byte for byte, as through a modem in transparent mode
    UART 4  status of the agent, once a second (elsewhere a file in the state folder)

Does not build the image; `coldloop firmware run` builds and starts it. The UARTs of QEMU have no
baud rate. The lines of the bench pace the bytes, in small chunks.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import tty
from pathlib import Path
from typing import Any

from agent.telemetry.status import STATUS_FILE
from hil.bench import receiver_choice
from hil.bench.agent_factory import AgentBench
from hil.errors import BenchError

_READ = 65536
_RECORD_MARK = STATUS_FILE.encode() + b"\0"
_MAX_BUFFER = 1 << 20
_FIFO_BYTES = 16
"""Bytes per chunk. QEMU forwards a chunk byte by byte. A long chunk at the time of its last byte
would arrive late by its own duration."""
ROOT = Path(__file__).resolve().parents[2]
_FIRMWARE = [sys.executable, str(ROOT / "coldloop.py"), "firmware"]


class _PseudoTerminal:
    """A pseudo-terminal; QEMU opens its other end."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)

    def close(self) -> None:
        os.close(self.master)
        os.close(self._slave)


class QemuDut:
    """Connects a bench to an image; `status` is the last status of the agent."""

    def __init__(self, bench: AgentBench) -> None:
        self.status: dict[str, Any] | None = None
        self._bench = bench
        self._buffer = b""
        self._record_start = 0
        self._offset: int | None = None
        self._modem_terminal, self._status_terminal = _PseudoTerminal(), _PseudoTerminal()
        self._socket: socket.socket | None = None
        for port in (bench.receiver, bench.bus):
            if port.line is not None:
                port.line.set_chunk(_FIFO_BYTES)
        # The image must not read sentences from before its start.
        bench.receiver.set_disconnected(True)
        bench.shell.watch(self._status_terminal.master, self._on_status_bytes)
        bench.shell.watch(self._modem_terminal.master, self._on_modem_bytes)

    @staticmethod
    def build_image() -> int:
        """Build the image before the run starts; raises BenchError. Gives 0."""
        with tempfile.TemporaryDirectory() as folder:
            command = [*_FIRMWARE, "build", "--out", folder]
            process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            raise BenchError(f"qemu: {process.stderr.strip()}")
        return 0

    def config(self) -> dict[str, Any]:
        """Write the configuration of an agent on the board."""
        return self._bench.testbed.config(
            f"uart:1?baud={receiver_choice.line_baud(self._bench.testbed.settings)}",
            "uart:2?baud=19200&parity=E",
            "uart:3?baud=115200",
            "uart:4?baud=115200",
        )

    def command(self) -> list[str]:
        """Return the command that starts the image, without the configuration file at its end."""
        uarts = (self._bench.receiver.path, self._bench.bus.path, self._modem_terminal.path)
        arguments = [*_FIRMWARE, "run"]
        for number, path in enumerate((*uarts, self._status_terminal.path), 1):
            arguments += ["--uart", f"{number}={path}"]
        arguments += [
            "--storage",
            str(self._bench.folder),
            "--out",
            str(self._bench.folder / "image"),
        ]
        return [*arguments, "--config"]

    def _on_status_bytes(self) -> None:
        """Process status bytes: records in pieces, each after a mark."""
        buffer = self._buffer + self._read(self._status_terminal.master)
        mark_at = buffer.rfind(_RECORD_MARK)
        if mark_at > 0 or (mark_at == 0 and not self._buffer.startswith(_RECORD_MARK)):
            buffer = buffer[mark_at:]
            self._record_start = self._bench.shell.now()
        self._buffer = buffer[-_MAX_BUFFER:]
        with contextlib.suppress(ValueError):
            self._store_status(json.loads(buffer.removeprefix(_RECORD_MARK)))

    def _store_status(self, status: dict[str, Any]) -> None:
        """Store a status, and estimate the offset of the image's clock from the machine's.

        A mark arrives some time after the image has written it. So the smallest offset is the best
        estimate.
        """
        if self.status is not None and status["mono_us"] == self.status["mono_us"]:
            return
        self.status = status
        offset = self._record_start - int(status["mono_us"])
        self._offset = offset if self._offset is None else min(offset, self._offset)
        world = self._bench.world
        self._bench.testbed.set_true_utc(lambda mono: world.utc(mono + (self._offset or 0)))

    def _on_modem_bytes(self) -> None:
        """Forward bytes of the agent to the broker."""
        data = self._read(self._modem_terminal.master)
        self._bench.receiver.set_disconnected(False)
        link = self._broker_socket()
        if link is not None and data:
            with contextlib.suppress(OSError):
                link.sendall(data)

    def _broker_socket(self) -> socket.socket | None:
        """Return the connection to the broker, opened if missing. None: the broker refuses."""
        if self._socket is None:
            host, _, port = self._bench.ports["broker"][len("tcp:") :].rpartition(":")
            try:
                self._socket = socket.create_connection((host, int(port)), 1)
            except OSError:
                return None
            self._socket.setblocking(False)
            self._bench.shell.watch(self._socket.fileno(), self._on_broker_bytes)
        return self._socket

    def _on_broker_bytes(self) -> None:
        """Forward bytes of the broker to the agent."""
        if self._socket is None:
            return
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._disconnect()
            return
        with contextlib.suppress(BlockingIOError):
            os.write(self._modem_terminal.master, data)

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._bench.shell.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None

    @staticmethod
    def _read(descriptor: int) -> bytes:
        try:
            return os.read(descriptor, _READ)
        except OSError:
            return b""

    def close(self) -> None:
        """Close sockets and pseudo-terminals."""
        self._disconnect()
        for terminal in (self._modem_terminal, self._status_terminal):
            self._bench.shell.unwatch(terminal.master)
            terminal.close()
