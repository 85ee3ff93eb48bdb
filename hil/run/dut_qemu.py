"""The controller under test as an ARM image under QEMU: how the bench's ports get to its UARTs.

    UART 1  the receiver's line            UART 2  the field bus
    UART 3  the broker, byte for byte, as through a modem in transparent mode
    UART 4  what the agent says of itself once a second (elsewhere a file in the state folder)

Not the image: `coldloop firmware run` builds and starts it, as a technician would. QEMU's UARTs
hand bytes over at once; the bench's lines give them the time of the wire, in small pieces.
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

from agent.telemetry.status import KEY
from hil.bench import receiver_choice
from hil.bench.agent_factory import AgentBench
from hil.errors import BenchError

_READ = 65536
_RECORD_MARK = KEY.encode() + b"\0"
_MAX_BUFFER = 1 << 20
_FIFO_BYTES = 16
"""Bytes handed over at once. QEMU passes on byte by byte what it gets: a long chunk, given when its
last byte is in, would come to its end as late again as it is long."""
ROOT = Path(__file__).resolve().parents[2]
_FIRMWARE = [sys.executable, str(ROOT / "coldloop.py"), "firmware"]


class _PseudoTerminal:
    """A pseudo-terminal whose other end QEMU opens."""

    def __init__(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(self._slave)

    def close(self) -> None:
        os.close(self.master)
        os.close(self._slave)


class QemuDut:
    """Joins a bench to an image; `status` is what the agent last said."""

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
                port.line.chunk = _FIFO_BYTES
        # What the receiver says before the image runs would be old when it is read.
        bench.receiver.disconnected = True
        bench.shell.watch(self._status_terminal.master, self._on_status_bytes)
        bench.shell.watch(self._modem_terminal.master, self._on_modem_bytes)

    @staticmethod
    def build_image() -> int:
        """Build the image before the bench's time begins; raises BenchError. Gives 0."""
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
        """How the image is started; the configuration file comes last."""
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
        """Take what the agent says: records in pieces, each behind a mark."""
        buffer = self._buffer + self._read(self._status_terminal.master)
        mark_at = buffer.rfind(_RECORD_MARK)
        if mark_at > 0 or (mark_at == 0 and not self._buffer.startswith(_RECORD_MARK)):
            buffer = buffer[mark_at:]
            self._record_start = self._bench.shell.now()
        self._buffer = buffer[-_MAX_BUFFER:]
        with contextlib.suppress(ValueError):
            self._store_status(json.loads(buffer.removeprefix(_RECORD_MARK)))

    def _store_status(self, status: dict[str, Any]) -> None:
        """Keep a status; the image's clock is not the machine's, so the two are compared.

        A record's mark arrives some time after it was written, with the image's time; the earliest
        arrival tells the offset best.
        """
        if self.status is not None and status["mono_us"] == self.status["mono_us"]:
            return
        self.status = status
        offset = self._record_start - int(status["mono_us"])
        self._offset = offset if self._offset is None else min(offset, self._offset)
        world = self._bench.world
        self._bench.testbed.utc_at = lambda mono: world.utc(mono + (self._offset or 0))

    def _on_modem_bytes(self) -> None:
        """Pass the agent's bytes on to the broker."""
        data = self._read(self._modem_terminal.master)
        self._bench.receiver.disconnected = False
        link = self._broker_socket()
        if link is not None and data:
            with contextlib.suppress(OSError):
                link.sendall(data)

    def _broker_socket(self) -> socket.socket | None:
        """Connect the modem to the broker, when it is not."""
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
        """Pass the broker's bytes on to the agent."""
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
        """Close the ends."""
        self._disconnect()
        for terminal in (self._modem_terminal, self._status_terminal):
            self._bench.shell.unwatch(terminal.master)
            terminal.close()
