# SPDX-License-Identifier: Apache-2.0
"""Sockets of the servers: those that systemd has opened, else own ones.

Ports below 1024 need a right that the servers do not have. A systemd socket unit opens them and
names them (`FileDescriptorName`); see sd_listen_fds(3).
"""

import os
import socket
from collections.abc import Mapping

from deploy.errors import OpsError

_FIRST = 3
_BACKLOG = 64


def activated(environment: Mapping[str, str] = os.environ) -> dict[str, list[int]]:
    """Return the descriptors that systemd passed to this process, by name."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    try:
        count = int(environment.get("LISTEN_FDS", "0"))
    except ValueError:
        return {}
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[int]] = {}
    for i in range(count):
        name = names[i] if i < len(names) else ""
        found.setdefault(name, []).append(_FIRST + i)
    return found


def listen(name: str, host: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a socket for `name`: of systemd, else bound to `host` and `port`. Raises `OpsError`.

    A socket of systemd has the address of its unit; `host` and `port` are then not used.
    """
    for descriptor in activated().get(name, []):
        sock = socket.socket(fileno=descriptor)
        if sock.type == kind:
            sock.setblocking(False)
            return sock
        sock.detach()
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=kind, flags=socket.AI_NUMERICHOST | socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind)
    except OSError as error:
        raise OpsError(f"northbound.{name}: {host}:{port}: {error}") from None
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise OpsError(f"northbound.{name}: {host}:{port}: {error.strerror}") from None
    sock.setblocking(False)
    return sock
