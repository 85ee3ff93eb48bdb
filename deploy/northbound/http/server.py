# SPDX-License-Identifier: Apache-2.0
"""The HTTPS server of the northbound process: one app; packages add their routes.

Does not know resources. It gets its listening socket. `networks`: clients that may
connect; none: all. `every` adds work at an interval.
`collects`: free closed connections soon; for a process that serves nothing else. `refused`: see
`deploy.northbound.http.connections`.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from microdot import Microdot, Request

from agent.tools.web.page_rule import PageRefusal
from deploy.northbound.http.connections import ConnectionGate
from deploy.northbound.http.limits import HttpLimits
from deploy.northbound.http.reply import plain_reply

_ALLOW = {"Allow": "GET, HEAD, POST, PATCH, DELETE"}


class HttpServer:
    """The server. `app` takes routes until `run`; `gate` opens streams."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext | None,
        limits: HttpLimits | None = None,
        networks: Sequence[str] = (),
        *,
        collects: bool = False,
        refused: Callable[[Request, PageRefusal], object] = lambda _request, _why: None,
    ) -> None:
        self.app = Microdot()
        self.limits = limits or HttpLimits()
        self.gate = ConnectionGate(
            self.app, context, self.limits, networks, collects=collects, refused=refused
        )
        routes: Any = self.app
        routes.errorhandler(404)(lambda _request: plain_reply(404, "no such resource"))
        routes.errorhandler(405)(
            lambda _request: plain_reply(405, "the method is not allowed", _ALLOW)
        )
        routes.errorhandler(500)(lambda _request: plain_reply(500, "internal error"))
        self._socket = listener
        self._jobs: list[tuple[Callable[[], None], float]] = []
        self._stop: asyncio.Event | None = None

    @property
    def port(self) -> int:
        """The port on which the server listens."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def address(self) -> str:
        """The address on which the server listens: of the configuration, or of systemd's socket."""
        address: str = self._socket.getsockname()[0]
        return address

    def every(self, seconds: float, job: Callable[[], None]) -> None:
        """Call `job` at an interval while the server runs. An exception of it ends the server."""
        self._jobs.append((job, seconds))

    def close(self) -> None:
        """Close the listening socket of a server that does not run."""
        self._socket.close()

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
