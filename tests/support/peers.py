"""Programs and libraries that the tests talk to, and free ports to talk over.

A test that needs one calls `require_program`, which skips it by name where the peer is missing.
With CI=true such a skip is a failure (tests/conftest.py), so that CI cannot go green by absence.
"""

import ctypes.util
import os
import shutil
import socket
import time

import pytest

MISSING = "peer missing: "
PATH = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


def require_program(program: str) -> str:
    """The path of a program, such as `mosquitto`; skips the test that asks when it is missing."""
    path = shutil.which(program, path=PATH)
    if path is None:
        pytest.skip(MISSING + program)
    return path


def require_library(name: str) -> str:
    """The file name of a shared library, such as `modbus` (libmodbus.so.5); skips likewise."""
    result = ctypes.util.find_library(name)
    if result is None:
        pytest.skip(f"{MISSING}lib{name}")
    return result


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until_open(port: int, timeout_s: float = 10.0) -> None:
    """Return when something accepts connections on a loopback port; fail the test if never."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"nothing listened on 127.0.0.1:{port} within {timeout_s:g} s")
