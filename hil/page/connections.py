# SPDX-License-Identifier: Apache-2.0
"""The connections of the page's web server: bounded in number and in time.

Does not answer requests; see `hil.page.server`. A client that sends nothing, or slowly, or reads
nothing holds a connection. So a request must be complete `REQUEST_S` after the start, and an answer
must be read `ANSWER_S` later. Streams of events have no limit of time, but of number. If all places
are taken, the oldest connection without a complete request is closed.
"""

import asyncio
import contextlib
import json
from types import MethodType
from typing import Any

from microdot import Microdot, Request, Response

from agent.tools.web.page_rule import PageRefusal, dispatch

MAX_CONNECTIONS = 256
MAX_STREAMS = 64
REQUEST_S = 10.0
ANSWER_S = 60.0


async def _write_and_drain(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def _refuse(_request: Request, why: PageRefusal) -> Response:
    body = json.dumps({"error": why.text})
    return Response(body, why.status, {"Content-Type": "application/json"})


class ConnectionPool:
    """Serves the connections of one app. All methods run in the thread of the web server."""

    def __init__(self, app: Microdot) -> None:
        self._app: Any = app
        self._waiting: dict[asyncio.StreamWriter, asyncio.TimerHandle] = {}
        self._answering: dict[asyncio.StreamWriter, asyncio.TimerHandle] = {}
        self._streams: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        self._make_room()
        loop = asyncio.get_running_loop()
        self._waiting[writer] = loop.call_later(REQUEST_S, self._close, writer)
        writer.awrite = MethodType(_write_and_drain, writer)  # type: ignore[attr-defined]
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client is gone
        finally:
            self._forget(writer)
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        try:
            request = await Request.create(self._app, reader, writer, peer)
        except (ValueError, IndexError, asyncio.LimitOverrunError):
            request = None  # the app answers it with 400
        timer = self._waiting.pop(writer, None)
        if timer is None or writer.is_closing():
            return  # closed while the request was read
        timer.cancel()
        loop = asyncio.get_running_loop()
        self._answering[writer] = loop.call_later(ANSWER_S, self._close, writer)
        response = await dispatch(self._app, request, "http", _refuse)
        if response is not Response.already_handled:
            await response.write(writer)

    def open_stream(self, request: Request) -> bool:
        """Make the answer to `request` a stream without a limit of time; False: too many."""
        if len(self._streams) >= MAX_STREAMS:
            return False
        writer = request.sock[1]
        timer = self._answering.get(writer)
        if timer is not None:
            timer.cancel()
        self._streams.add(writer)
        return True

    def _make_room(self) -> None:
        while len(self._waiting) + len(self._answering) >= MAX_CONNECTIONS:
            places = self._waiting or {
                writer: timer
                for writer, timer in self._answering.items()
                if writer not in self._streams
            }
            self._close(next(iter(places)))

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._forget(writer)
        writer.transport.abort()

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        for timers in (self._waiting, self._answering):
            timer = timers.pop(writer, None)
            if timer is not None:
                timer.cancel()
        self._streams.discard(writer)
