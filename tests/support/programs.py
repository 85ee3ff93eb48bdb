# SPDX-License-Identifier: Apache-2.0
"""Test programs: other programs and libraries that tests need, free ports, servers in a thread.

A test that needs a program calls `require_program`. It skips the test and names a missing program.
With CI=true such a skip is a failure (tests/conftest.py), so that a missing program cannot hide a
failure.
"""

import ctypes.util
import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import TCPServer

import pytest

MISSING = "program missing: "
PATH = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


def require_program(program: str) -> str:
    """Return the path of a program, such as `mosquitto`; skip the calling test if it is missing."""
    path = shutil.which(program, path=PATH)
    if path is None:
        pytest.skip(MISSING + program)
    return path


def require_library(name: str) -> str:
    """Return the file name of a shared library, such as `modbus` (libmodbus.so.5), or skip."""
    result = ctypes.util.find_library(name)
    if result is None:
        pytest.skip(f"{MISSING}lib{name}")
    return result


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port that no socket has, for a server that starts later.

    It is below the range of Linux for outgoing connections (32768 to 60999): one of those could
    take it before the server does. The numbers are random, because tests run side by side.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_768)
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            probe.bind(("", port))
            return port


def free_udp_port() -> int:
    """Return a UDP port that no socket has; see `free_port`."""
    return free_port(socket.SOCK_DGRAM)


def wait_until_open(port: int, timeout_s: float = 10.0) -> None:
    """Wait until a loopback port accepts connections; a timeout fails the test."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"nothing listened on 127.0.0.1:{port} within {timeout_s:g} s")


@contextmanager
def running_mosquitto(config: Path, settings: str = "") -> Iterator[int]:
    """Run a broker on a free port of the loopback; give its port. `config` is its new file."""
    port = free_port()
    head = f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n"
    config.write_text(head + settings)
    command = [require_program("mosquitto"), "-c", str(config)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_open(port)
            yield port
        finally:
            process.kill()


@contextmanager
def served(server: TCPServer) -> Iterator[int]:
    """Serve in a thread; yield the port. The server is closed at the end."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
