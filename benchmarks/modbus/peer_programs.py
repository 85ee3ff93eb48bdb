# SPDX-License-Identifier: Apache-2.0
"""The clients of benchmarks/modbus/peers.py as programs, and the port that a client opens.

Does not measure and does not answer requests.
"""

import os
import select
import socket
import subprocess
import sys
import tty
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = ("pymodbus==3.16.1", "umodbus==1.0.4", "minimalmodbus==2.1.1", "pyserial")
LIBMODBUS_T35 = "libmodbus, with t3.5"
T35_US = 1750  # above 19200 baud


class PeerPrograms:
    """Programs of the clients, below a temporary folder."""

    def __init__(self, folder: Path, has_python_peers: bool = True) -> None:
        self.binary = folder / "modbus_libmodbus"
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libmodbus"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        source = str(HERE / "libmodbus.c")
        subprocess.run(["gcc", "-O2", "-o", str(self.binary), source, *flags], check=True)
        self.python = folder / "venv" / "bin" / "python"
        if has_python_peers:
            venv.create(folder / "venv", with_pip=True)
            install = [str(self.python), "-m", "pip", "install", "-q", *PEERS]
            subprocess.run(install, check=True)

    def command(self, client: str, kind: str, port: str, mode: list[str]) -> list[str]:
        """Return the command line of a client."""
        if client == "libmodbus":
            return [str(self.binary), kind, port, *mode]
        if client == LIBMODBUS_T35:
            return [str(self.binary), kind, port, *mode, str(T35_US)]
        is_ours = client.startswith(("coldloop", "python"))
        python = sys.executable if is_ours else str(self.python)
        return [python, str(HERE / "peer.py"), client, kind, port, *mode]


class ServerPort:
    """Server side of a pseudo-terminal or of a socket; the client opens `path`."""

    def __init__(self, kind: str) -> None:
        self.listener: socket.socket | None = None
        self.fds: list[int] = []
        if kind == "tcp":
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.path = str(self.listener.getsockname()[1])
        else:
            master, self.slave = os.openpty()
            tty.setraw(self.slave)
            self.fds = [master]
            self.path = os.ttyname(self.slave)

    def read(self, wait: float, output: int = -1) -> tuple[int, bytes]:
        """Return (descriptor, received bytes) within `wait` seconds; b"": nothing.

        `output` is a further descriptor, the output of the client.
        """
        watched: list[int] = list(self.fds)
        if output >= 0:
            watched.append(output)
        if self.listener is not None:
            watched.append(self.listener.fileno())
        ready = select.select(watched, [], [], wait)[0]
        for fd in ready:
            if self.listener is not None and fd == self.listener.fileno():
                sock = self.listener.accept()[0]
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.fds.append(sock.detach())
                continue
            try:
                data = os.read(fd, 512)
            except ConnectionResetError:
                data = b""
            if data or fd == output:
                return fd, data
            self.fds.remove(fd)
            os.close(fd)
        return -1, b""

    def close(self) -> None:
        """Close all descriptors."""
        for fd in self.fds:
            os.close(fd)
        if self.listener is not None:
            self.listener.close()
        else:
            os.close(self.slave)
