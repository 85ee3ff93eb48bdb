# SPDX-License-Identifier: Apache-2.0
"""The HTTPS server of the northbound process: one app, to which the rooms add their routes.

Does not know resources. `HttpServer.run` listens, and compares the snapshots for the events. A
listening socket of systemd (LISTEN_FDS) is used if there is one.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

from microdot import Microdot

from deploy.errors import OpsError
from deploy.northbound.http.connections import ConnectionGate
from deploy.northbound.http.limits import HttpLimits
from deploy.northbound.http.reply import plain_reply

_BACKLOG = 128
_SYSTEMD_FD = 3
_ALLOW = {"Allow": "GET, HEAD, POST, PATCH, DELETE"}


class HttpServer:
    """The server. `app` takes routes until `run`; `gate` opens streams."""

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, limits: HttpLimits | None = None
    ) -> None:
        self.app = Microdot()
        self.limits = limits or HttpLimits()
        self.gate = ConnectionGate(self.app, context, self.limits)
        routes: Any = self.app
        routes.errorhandler(404)(lambda _request: plain_reply(404, "no such resource"))
        routes.errorhandler(405)(
            lambda _request: plain_reply(405, "the method is not allowed", _ALLOW)
        )
        routes.errorhandler(500)(lambda _request: plain_reply(500, "internal error"))
        self._socket = open_listener(host, port)
        self._jobs: list[tuple[Callable[[], None], float]] = []
        self._stop: asyncio.Event | None = None

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        port: int = self._socket.getsockname()[1]
        return port

    def every(self, seconds: float, job: Callable[[], None]) -> None:
        """Call `job` at an interval while the server runs. An exception of it ends the server."""
        self._jobs.append((job, seconds))

    def stop(self, delay_s: float = 0.0) -> None:
        """End `run` soon; from the thread of the server."""
        if self._stop is not None:
            asyncio.get_running_loop().call_later(delay_s, self._stop.set)

    async def run(self) -> None:
        """Serve until `stop`."""
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.gate.serve(self._socket))]
        tasks += [loop.create_task(_repeat(job, seconds)) for job, seconds in self._jobs]
        stop = loop.create_task(self._wait())
        try:
            await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in [*tasks, stop]:
                task.cancel()
            await asyncio.gather(*tasks, stop, return_exceptions=True)
            self._socket.close()

    async def _wait(self) -> None:
        if self._stop is not None:
            await self._stop.wait()


async def _repeat(job: Callable[[], None], seconds: float) -> None:
    while True:
        job()
        await asyncio.sleep(seconds)


def open_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket: that of systemd, or a new one. Raises OpsError."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS"):
        return socket.socket(fileno=_SYSTEMD_FD)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OpsError(f"{host}:{port}: {error.strerror}") from None
    return listener
