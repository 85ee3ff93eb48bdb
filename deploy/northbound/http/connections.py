# SPDX-License-Identifier: Apache-2.0
"""Connections of the HTTPS server: bounded in number, in time and in rate, before TLS begins.

Does not know resources; the app answers. The server accepts plain sockets and counts them. The TLS
handshake runs in the task of its connection and has a deadline, so a silent client stops no other.
If all places are taken, the oldest connection without a complete request is closed: first one of
the same address. Connections are kept for further requests.

What a client sends is work of its address, also without a complete request; see `handshake`. A
connection ends in the middle of a request if there is no rest of work for it.
"""

import asyncio
import contextlib
import functools
import gc
import ipaddress
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from microdot import Microdot, Request, Response

from agent.tools.web.page_rule import PageRefusal, dispatch
from deploy.northbound.access.networks import client_network, is_in_networks
from deploy.northbound.http.limits import WHOLE_READ, HttpLimits, HttpRateLimit, thread_time_of
from deploy.northbound.http.reply import encode_head, encode_reply, plain_reply
from deploy.northbound.http.request_reader import BadRequest, parse_head, read_head, set_body
from deploy.northbound.rate_limit import measured

_COLLECT_EVERY = 16
"""Closed connections until a collection: asyncio leaves a cycle with a TLS buffer of 256 KiB."""


_BLOCKED_S = 1.0
"""Time for which a client may not read; then its connection can give way to one of another."""


_PAUSE_S, _LONGEST_WAIT_S = 0.02, 2.0
"""Looks at a budget that is used up, and the longest wait for it."""

_READ_MS = 5.0
"""Work of reads after which the budgets are asked; a request of usual records has less."""


class HttpConnection:
    """One accepted socket. `busy`: it has a complete request. `stream`: its group; no deadline.

    `started`: its task runs. `blocked_at`: since then the client reads nothing, monotonic s.
    `read_ms`: work of what it has sent that is not in the budgets yet.
    """

    __slots__ = (
        "address",
        "blocked_at",
        "busy",
        "read_ms",
        "reader",
        "requests",
        "socket",
        "started",
        "stream",
        "task",
        "writer",
    )

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.socket = sock
        self.address = address
        self.busy = False
        self.blocked_at: float | None = None
        self.stream = ""
        self.started = False
        self.requests = 0
        self.read_ms = 0.0
        self.task: asyncio.Task[None] | None = None
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None


class ConnectionGate:
    """Accepts and serves the connections of one listening socket.

    `refused`: called with each request of a foreign page, which reaches no route; see `page_rule`.
    """

    def __init__(
        self,
        app: Microdot,
        context: ssl.SSLContext | None,
        limits: HttpLimits,
        networks: Sequence[str] = (),
        *,
        collects: bool = False,
        refused: Callable[[Request, PageRefusal], object] = lambda _request, _why: None,
    ) -> None:
        self._app: Any = app
        self._refused = refused
        self._scheme = "http" if context is None else "https"
        self._context = context
        self._limits = limits
        self._rate = HttpRateLimit(limits)
        self._networks = [ipaddress.ip_network(text, strict=False) for text in networks]
        self._open: dict[HttpConnection, None] = {}
        self._closed = 0
        self._collects = collects
        self.counters = {"accepted": 0, "evicted": 0, "handshake_failed": 0, "limited": 0}

    @property
    def open_count(self) -> int:
        """Number of open connections."""
        return len(self._open)

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until the task is cancelled; then close all."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        try:
            while True:
                try:
                    sock, peer = await loop.sock_accept(listener)
                except OSError:  # no file descriptor, or the client is gone
                    await asyncio.sleep(0.05)
                    continue
                self._admit(sock, str(peer[0]))
        finally:
            tasks = [connection.task for connection in self._open if connection.task]
            for connection in tuple(self._open):
                self._cancel(connection)
            await asyncio.gather(*tasks, return_exceptions=True)

    def open_stream(self, request: Request, group: str) -> bool:
        """Make the answer to `request` a stream without a deadline; False: too many streams.

        Each group has its own places. If they are taken, a known address gets that of another one.
        """
        connection: HttpConnection = request.g.connection
        others = [entry for entry in self._open if entry.stream == group]
        own = [entry for entry in others if entry.address == connection.address]
        if len(own) >= self._limits.address_streams:
            return False
        if len(others) >= self._limits.streams:
            unknown = [entry for entry in others if not self._is_known(entry.address)]
            if not unknown or not self._is_known(connection.address):
                return False
            self._open.pop(unknown[0])
            self._cancel(unknown[0])
        connection.stream = group
        return True

    def _is_known(self, address: str) -> bool:
        return self._rate.is_known(address, time.monotonic())

    def _admit(self, sock: socket.socket, address: str) -> None:
        self.counters["accepted"] += 1
        is_foreign = self._networks and not is_in_networks(
            address.partition("%")[0], self._networks
        )
        if is_foreign or not self._rate.permit_connection(address, time.monotonic()):
            sock.close()
            self.counters["limited"] += 1
            return
        sock.setblocking(False)
        own = [c for c in self._open if c.address == address]
        full = len(own) >= self._limits.address_connections
        if (full or len(self._open) >= self._limits.connections) and not self._evict(
            own if full else list(self._open)
        ):
            sock.close()
            self.counters["limited"] += 1
            return
        connection = HttpConnection(sock, address)
        self._open[connection] = None
        connection.task = asyncio.get_running_loop().create_task(self._run(connection))

    def _evict(self, candidates: list[HttpConnection]) -> bool:
        """Close one of the client network, then address, with most of them; False: there is none.

        Those of known addresses are closed last; see `limits`. Of the others one whose client does
        not read, then the oldest one without any request, then the oldest one that waits for a
        request. So a client loses none to others that open many.
        """
        now, counts = time.monotonic(), Counter(entry.address for entry in self._open)
        networks = Counter(client_network(entry.address) for entry in self._open)
        found = [entry for entry in candidates if entry.task is not None and _is_idle(entry, now)]
        if not found:
            return False
        connection = min(
            found,
            key=lambda c: (
                self._rate.is_known(c.address, now),
                -networks[client_network(c.address)],
                -counts[c.address],
                c.blocked_at is None,
                c.requests > 0,
            ),
        )
        self._open.pop(connection, None)
        self._cancel(connection)
        self.counters["evicted"] += 1
        return True

    @staticmethod
    def _cancel(connection: HttpConnection) -> None:
        """End the task; a task that did not start yet closes nothing itself."""
        if connection.task is not None:
            connection.task.cancel()
        if not connection.started:
            connection.socket.close()

    async def _run(self, connection: HttpConnection) -> None:
        connection.started = True
        try:
            reader, writer = await self._start_tls(connection)
            connection.reader, connection.writer = reader, writer
            await self._serve_requests(connection, reader, writer)
        except (OSError, asyncio.IncompleteReadError):  # TimeoutError and SSLError included
            pass
        finally:
            self._open.pop(connection, None)
            self._rate.spend(connection.address, time.monotonic(), 0, connection.read_ms)
            if connection.writer is not None:
                connection.writer.transport.abort()
            else:
                connection.socket.close()
            self._closed += 1
            if self._collects and self._closed % _COLLECT_EVERY == 0:
                gc.collect()

    async def _start_tls(
        self, connection: HttpConnection
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=self._limits.head)
        arguments: dict[str, Any] = {}
        if self._context is not None:
            arguments = {
                "ssl": self._context,
                "ssl_handshake_timeout": self._limits.handshake_s,
                "ssl_shutdown_timeout": 1.0,
            }
        used_s = [0.0]
        accept = loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader), connection.socket, **arguments
        )
        try:
            async with asyncio.timeout(self._limits.handshake_s):
                transport, protocol = await measured(accept, time.thread_time, used_s.append)
        except (OSError, ssl.SSLError):
            self.counters["handshake_failed"] += 1
            raise
        tls = transport.get_extra_info("ssl_object")
        self._rate.note_handshake(1000 * (sum(used_s) + getattr(tls, "work_s", 0.0)))
        if tls is not None:
            tls.on_read = functools.partial(self._note_read, connection)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def _note_read(self, connection: HttpConnection, used_s: float) -> None:
        """Take what a read has used. Raises OSError: no rest of work; it ends the connection."""
        connection.read_ms += 1000 * WHOLE_READ * used_s
        if connection.read_ms >= _READ_MS:
            now, used_ms, connection.read_ms = time.monotonic(), connection.read_ms, 0.0
            self._rate.spend(connection.address, now, 0, used_ms)
            if not self._rate.has_work(connection.address, now):
                self.counters["limited"] += 1
                raise ConnectionAbortedError("no rest of work for what the client sends")

    async def _serve_requests(
        self, connection: HttpConnection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        keep = True
        while keep:
            wait_s = self._limits.idle_s if connection.requests else self._limits.request_s
            connection.busy = False
            request = None
            try:
                async with asyncio.timeout(wait_s):
                    head = await read_head(reader, self._limits)
                if not head:
                    return
                request = parse_head(self._app, head, (connection.address, 0), self._limits)
                async with asyncio.timeout(self._limits.request_s):
                    await self._read_body(request, reader, writer)
            except BadRequest as error:
                await self._write(writer, plain_reply(error.status, str(error)), None)
                await self._linger(reader, writer)
                return
            connection.busy = True
            connection.requests += 1
            keep = await self._answer(connection, request, writer)
        await self._linger(reader, writer)

    async def _read_body(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not request.content_length:
            return
        if request.headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        set_body(request, await reader.readexactly(request.content_length))

    async def _answer(
        self, connection: HttpConnection, request: Request, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; True: the connection is kept."""
        if not await self._is_permitted(connection):
            self.counters["limited"] += 1
            response = plain_reply(429, "too many requests", {"Retry-After": "1"})
        else:
            request.g.connection = connection
            response = await self._dispatch(connection.address, request)
        close = request.headers.get("connection", "").lower() == "close"
        keep = request.http_version == "1.1" and not close
        if connection.stream:
            chunked = request.http_version == "1.1"
            gone = asyncio.get_running_loop().create_task(_wait_for_end(connection.reader))
            try:
                await self._write_stream(writer, response, gone, chunked=chunked)
            finally:
                gone.cancel()
            return False
        connection.blocked_at = time.monotonic()
        await self._write(writer, response, request, keep=keep)
        connection.blocked_at = None
        return keep

    async def _is_permitted(self, connection: HttpConnection) -> bool:
        """Take one request. A known address waits for it a little, one that is not known does not.

        So a program that asks one by one is slowed down and gets no 429. A connection that waits
        can give way.
        """
        now = time.monotonic()
        until = now + (_LONGEST_WAIT_S if self._rate.is_known(connection.address, now) else 0)
        while not self._rate.permit(connection.address, now):
            if now >= until:
                return False
            connection.busy = False
            await asyncio.sleep(_PAUSE_S)
            now = time.monotonic()
        connection.busy = True
        return True

    async def _dispatch(self, address: str, request: Request) -> Response:
        """Return the answer of the app; its budgets have what the answer has used."""
        used_s = [0.0]
        work = dispatch(self._app, request, self._scheme, self._refuse)
        try:
            async with asyncio.timeout(self._limits.answer_s):
                response: Response = await measured(work, time.thread_time, used_s.append)
        finally:
            now = time.monotonic()
            self._rate.spend(address, now, 0, 1000 * (sum(used_s) + thread_time_of(request)))
        if getattr(request.g, "is_known", False):
            self._rate.prove(address, now)
        body: Any = response.body
        self._rate.spend(address, now, len(body) if isinstance(body, bytes) else 0, 0.0)
        return response

    def _refuse(self, request: Request, why: PageRefusal) -> Response:
        self._refused(request, why)
        return plain_reply(why.status, why.text)

    async def _write(
        self,
        writer: asyncio.StreamWriter,
        response: Response,
        request: Request | None,
        *,
        keep: bool = False,
    ) -> None:
        head_only = request is not None and request.method == "HEAD"
        writer.write(encode_reply(response, keep=keep, head_only=head_only))
        async with asyncio.timeout(self._limits.answer_s):
            await writer.drain()

    async def _write_stream(
        self,
        writer: asyncio.StreamWriter,
        response: Response,
        gone: asyncio.Task[None],
        *,
        chunked: bool,
    ) -> None:
        """Write the parts of a stream until its end, or until the client is gone."""
        writer.write(encode_head(response, None, keep=False, chunked=chunked))
        body: Any = response.body
        part: asyncio.Future[Any] | None = None
        try:
            while True:
                part = asyncio.ensure_future(anext(body, None))
                await asyncio.wait({part, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not part.done():
                    return
                data = part.result()
                if data is None:
                    break
                data = data.encode() if isinstance(data, str) else data
                writer.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
                async with asyncio.timeout(self._limits.answer_s):
                    await writer.drain()
            if chunked:
                writer.write(b"0\r\n\r\n")
        finally:
            if part is not None and not part.done():  # a generator that runs cannot be closed
                part.cancel()
                await asyncio.wait({part})
            await body.aclose()

    async def _linger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """End the connection so that the client gets the whole answer."""
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            async with asyncio.timeout(1.0):
                await writer.wait_closed()


def _is_idle(connection: HttpConnection, now: float) -> bool:
    """Return whether a connection can give way: no answer is made, or its client reads none."""
    blocked_at = connection.blocked_at
    return not connection.busy or (blocked_at is not None and now - blocked_at > _BLOCKED_S)


async def _wait_for_end(reader: asyncio.StreamReader | None) -> None:
    """Return when the client has ended the connection; what it sends is dropped."""
    with contextlib.suppress(OSError):
        while reader is not None and await reader.read(1024):
            pass
