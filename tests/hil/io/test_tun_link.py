# SPDX-License-Identifier: Apache-2.0
"""The IP link between two namespaces; skipped without root."""

import subprocess
import sys
import time

import pytest

from hil.io.tun_link import FAR, TunLink

_SERVER = """
import socket
server = socket.create_server(("%s", 7000))
print("ready", flush=True)
while True:
    client, _ = server.accept()
    while True:
        data = client.recv(4096)
        if not data:
            break
        client.sendall(b"ok")
"""
_CLIENT = """
import socket, time
began = time.monotonic()
client = socket.create_connection(("%s", 7000), timeout=30)
client.sendall(b"x" * 1000)
assert client.recv(2) == b"ok"
print(time.monotonic() - began, flush=True)
"""


def _read(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode()


_SENDER = """
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("%s", 7001))
"""


@pytest.mark.skipif(
    not TunLink.is_available(), reason="tunlink: needs root, network namespaces and /dev/net/tun"
)
def test_kernel_tcp_over_satellite_link() -> None:
    with TunLink(delay_s=0.1, up_bps=200_000, down_bps=200_000) as link:
        server = link.run(link.far, [sys.executable, "-c", _SERVER % FAR])
        try:
            assert _read(server) == "ready\n"
            client = link.run(link.near, [sys.executable, "-c", _CLIENT % FAR])
            took = float(_read(client))
            assert client.wait(30) == 0
            client.stdout.close()  # type: ignore[union-attr]
            assert took >= 0.4  # two round trips of 0.2 s, on any machine
            assert link.bytes[0] > 1000
            link.set_link_up(False)
            time.sleep(0.5)
            before = link.dropped
            sender = link.run(link.near, [sys.executable, "-c", _SENDER % FAR])
            assert sender.wait(30) == 0
            sender.stdout.close()  # type: ignore[union-attr]
            end = time.monotonic() + 20
            while link.dropped == before and time.monotonic() < end:
                time.sleep(0.05)
            assert link.dropped > before
        finally:
            server.kill()
            server.wait(30)
            server.stdout.close()  # type: ignore[union-attr]
