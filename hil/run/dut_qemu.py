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
from typing import TYPE_CHECKING, Any

from agent.telemetry.status import KEY
from hil.bench import receiver_choice
from hil.errors import BenchError

if TYPE_CHECKING:
    from hil.run.real_bench import RealBench

_READ = 65536
_MARK = KEY.encode() + b"\0"
_MOST = 1 << 20
_FIFO = 16
"""Bytes handed over at once. QEMU passes on byte by byte what it gets: a long chunk, given when its
last byte is in, would come to its end as late again as it is long."""
ROOT = Path(__file__).resolve().parents[2]
_FIRMWARE = [sys.executable, str(ROOT / "coldloop.py"), "firmware"]


class _Terminal:
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

    def __init__(self, bench: "RealBench") -> None:
        self.status: dict[str, Any] | None = None
        self._bench = bench
        self._said = b""
        self._began = 0
        self._offset: int | None = None
        self._modem, self._teller = _Terminal(), _Terminal()
        self._socket: socket.socket | None = None
        for port in (bench.receiver, bench.bus):
            if port.line is not None:
                port.line.chunk = _FIFO
        # What the receiver says before the image runs would be old when it is read.
        bench.receiver.cut = True
        bench.shell.watch(self._teller.master, self._told)
        bench.shell.watch(self._modem.master, self._sent)

    @staticmethod
    def prepare() -> int:
        """Build the image before the bench's time begins; raises BenchError. Gives 0."""
        with tempfile.TemporaryDirectory() as folder:
            words = [*_FIRMWARE, "build", "--out", folder]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"qemu: {done.stderr.strip()}")
        return 0

    def config(self) -> dict[str, Any]:
        """Write the configuration of an agent on the board."""
        return self._bench.row.config(
            f"uart:1?baud={receiver_choice.baud(self._bench.row.setting)}",
            "uart:2?baud=19200&parity=E",
            "uart:3?baud=115200",
            "uart:4?baud=115200",
        )

    def command(self) -> list[str]:
        """How the image is started; the configuration file comes last."""
        uarts = (self._bench.receiver.path, self._bench.bus.path, self._modem.path)
        words = [*_FIRMWARE, "run"]
        for number, path in enumerate((*uarts, self._teller.path), 1):
            words += ["--uart", f"{number}={path}"]
        words += ["--storage", str(self._bench.folder), "--out", str(self._bench.folder / "image")]
        return [*words, "--config"]

    def _told(self) -> None:
        """Take what the agent says: records in pieces, each behind a mark."""
        said = self._said + self._read(self._teller.master)
        at = said.rfind(_MARK)
        if at > 0 or (at == 0 and not self._said.startswith(_MARK)):
            said = said[at:]
            self._began = self._bench.shell.now()
        self._said = said[-_MOST:]
        with contextlib.suppress(ValueError):
            self._take(json.loads(said.removeprefix(_MARK)))

    def _take(self, status: dict[str, Any]) -> None:
        """Keep a status; the image's clock is not the machine's, so the two are compared.

        A record's mark arrives some time after it was written, with the image's time; the earliest
        arrival tells the offset best.
        """
        if self.status is not None and status["mono_us"] == self.status["mono_us"]:
            return
        self.status = status
        offset = self._began - int(status["mono_us"])
        self._offset = offset if self._offset is None else min(offset, self._offset)
        world = self._bench.world
        self._bench.row.utc_at = lambda mono: world.utc(mono + (self._offset or 0))

    def _sent(self) -> None:
        """Pass the agent's bytes on to the broker."""
        data = self._read(self._modem.master)
        self._bench.receiver.cut = False
        link = self._connected()
        if link is not None and data:
            with contextlib.suppress(OSError):
                link.sendall(data)

    def _connected(self) -> socket.socket | None:
        """Connect the modem to the broker, when it is not."""
        if self._socket is None:
            host, _, port = self._bench.ports["broker"][len("tcp:") :].rpartition(":")
            try:
                self._socket = socket.create_connection((host, int(port)), 1)
            except OSError:
                return None
            self._socket.setblocking(False)
            self._bench.shell.watch(self._socket.fileno(), self._received)
        return self._socket

    def _received(self) -> None:
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
            self._hang_up()
            return
        with contextlib.suppress(BlockingIOError):
            os.write(self._modem.master, data)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._bench.shell.forget(self._socket.fileno())
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
        self._hang_up()
        for end in (self._modem, self._teller):
            self._bench.shell.forget(end.master)
            end.close()
