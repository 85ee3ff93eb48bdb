# SPDX-License-Identifier: Apache-2.0
"""Modbus TCP: connections, framing and limits of the server.

Does not know registers; see `deploy.northbound.modbus.requests`. Framing follows the "MODBUS
Messaging on TCP/IP Implementation Guide" V1.0b, section 3.1: seven bytes of header, then the PDU.
A header with another protocol or an impossible length ends the connection, because the start of the
next frame is not known.

Memory is bounded: a connection holds one frame, and a client that does not read its replies is
closed. Each address has a budget of requests, and so has each share, see
`deploy.northbound.rate_limit`; a request above it waits.

If all places are taken, a new connection gets the place of the oldest one without a request, else
of one that is idle for `gives_way_s`: first of the address with the most connections. So silent
clients and the half-open connections of a master that lost power keep no master out. A host owns
all IPv6 addresses of its /64: these leave `per_address` places to others. The last `kept` places
are for permitted clients, if there are networks of them.

A connection ends at its next request after the certificate of its client has expired.
"""

import asyncio
import contextlib
import math
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from deploy.northbound.access.networks import client_network
from deploy.northbound.modbus.roles import find_end
from deploy.northbound.rate_limit import OTHERS, ClientBudget, Quantity, ShareLimits

_HEADER = struct.Struct(">HHHB")
_MIN_LENGTH, _MAX_LENGTH = 2, 254  # unit and PDU of 1 to 253 bytes
_BUFFER_BYTES = 1024
_FRAME_S = 10.0
_HANDSHAKE_S = 5.0
_PAUSE_S = 0.02
_PERMITTED = "permitted"
_GATEWAY_TARGET = 11  # exception 0B: the unit id is not ours
_MAX_ENDS = 64
_ANY_UNIT = (0, 255)
"""Unit ids of a server that is no gateway (section 4.4.2.1 of the guide)."""


@dataclass(frozen=True, slots=True)
class ModbusClient:
    """Who sends a request. `role`: of the certificate, "" without rights. `name`: its subject."""

    address: str
    role: str = "ReadOnly"
    name: str = ""
    tls: bool = False

    @property
    def user(self) -> str:
        """The name for rights and the audit log: of the certificate, or the address."""
        return self.name or self.address


class RequestHandler(Protocol):
    """Executes the requests of all connections."""

    def answer(self, pdu: bytes, client: ModbusClient) -> bytes:
        """Return the reply to a request of at least one byte; never raises."""


@dataclass(frozen=True, slots=True)
class ModbusLimits:
    """Limits of the server. Times in s; `requests_per_s` and `burst` are for one address.

    `first_s`: until the first request; `idle_s`: between two requests. `kept`: places of the
    permitted clients. `total_per_s`: of all addresses of a share; `spared_per_s`: rate of one
    address that it spares.
    """

    connections: int = 16
    per_address: int = 4
    first_s: float = 5.0
    idle_s: float = 60.0
    gives_way_s: float = 5.0
    requests_per_s: float = 50.0
    burst: float = 50.0
    total_per_s: float = 400.0
    spared_per_s: float = 20.0
    kept: int = 4


def _share(limits: ModbusLimits) -> ShareLimits:
    total = limits.total_per_s
    spared = limits.spared_per_s
    return ShareLimits(Quantity(limits.requests_per_s, limits.burst, total, total, spared))


@dataclass(slots=True)
class ServerCounters:
    """What the server refused, since its start."""

    connections: int = 0
    refused: int = 0
    evicted: int = 0
    requests: int = 0
    delayed: int = 0
    bad_frames: int = 0
    handshakes_failed: int = 0
    expired: int = 0


@dataclass(slots=True)
class ModbusConnection:
    """An open connection. `since`: s of the event loop, its begin or its newest request.

    `valid_until`: end of the client's certificates, s since 1970.
    """

    address: str
    since: float
    task: asyncio.Task[Any] | None = None
    requests: int = 0
    valid_until: float = math.inf


class ModbusTcpServer:
    """Serves on one socket.

    `is_permitted`: whether an address can write; None: the server knows no such networks.
    `find_role` returns role and name in a client's certificate (DER). `is_allowed` decides on
    the address of a client. `unit`: accepted unit id, beside 0 and 255. `wall_clock`: as OpenSSL
    reads it to check certificates, s since 1970.
    """

    def __init__(
        self,
        handler: RequestHandler,
        limits: ModbusLimits | None = None,
        tls: ssl.SSLContext | None = None,
        find_role: Callable[[bytes], tuple[str, str]] | None = None,
        is_allowed: Callable[[str], bool] | None = None,
        unit: int = 1,
        wall_clock: Callable[[], float] = time.time,
        is_permitted: Callable[[str], bool] | None = None,
    ) -> None:
        self.counters = ServerCounters()
        self._handler = handler
        self._limits = limits or ModbusLimits()
        self._tls, self._find_role = tls, find_role
        self._is_allowed = is_allowed or (lambda _address: True)
        self._units = (*_ANY_UNIT, unit)
        self._open: dict[asyncio.StreamWriter, ModbusConnection] = {}
        self._is_permitted = is_permitted
        share = _share(self._limits)
        self._budget = ClientBudget({OTHERS: share, _PERMITTED: share}, self._share_of)
        self._server: asyncio.Server | None = None
        self._wall_clock = wall_clock
        self._ends: dict[bytes, float] = {}

    def replace_tls(self, tls: ssl.SSLContext, *, end_all: bool) -> None:
        """Use other settings for new connections. `end_all`: the open ones end, too."""
        self._tls = tls
        self._ends.clear()
        for connection in list(self._open.values()) if end_all else ():
            if connection.task is not None:
                connection.task.cancel()

    async def start(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket."""
        self._server = await asyncio.start_server(
            self._serve, sock=sock, limit=_BUFFER_BYTES, backlog=128
        )

    async def stop(self) -> None:
        """Close the socket and all connections."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if not self._is_allowed(address) or not self._make_room(address):
            self.counters.refused += 1
            writer.transport.abort()
            return
        now = asyncio.get_running_loop().time()
        connection = ModbusConnection(address, now, asyncio.current_task())
        self._open[writer] = connection
        self.counters.connections += 1
        try:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                client = await self._identify(writer, connection)
                if client is not None:
                    await self._answer_requests(reader, writer, client, connection)
        finally:
            self._open.pop(writer, None)
            writer.transport.abort()

    def _make_room(self, address: str) -> bool:
        """Return whether an address has a place for one more; close another connection for it."""
        every = list(self._open.items())
        own = [entry for entry in every if entry[1].address == address]
        if len(own) >= self._limits.per_address:
            return self._close_one(own)
        if self._share_of(address) == OTHERS:
            others = [entry for entry in every if self._share_of(entry[1].address) == OTHERS]
            network = client_network(address)
            near = [entry for entry in others if client_network(entry[1].address) == network]
            most = self._limits.connections - self._limits.per_address
            if network.endswith("/64") and len(near) >= max(most, self._limits.per_address):
                return self._close_one(near)
            kept = 0 if self._is_permitted is None else self._limits.kept
            if len(others) >= self._limits.connections - kept:
                return self._close_one(others)
        return len(every) < self._limits.connections or self._close_one(every)

    def _share_of(self, address: str) -> str:
        is_known = self._is_permitted is not None and self._is_permitted(address)
        return _PERMITTED if is_known else OTHERS

    def _close_one(self, candidates: list[tuple[asyncio.StreamWriter, ModbusConnection]]) -> bool:
        """Close one without a request, else an idle one; return whether there was one.

        Of them the oldest one of the client network that has most connections, then the address.
        """
        now = asyncio.get_running_loop().time()
        addresses = [connection.address for connection in self._open.values()]
        networks = [client_network(address) for address in addresses]
        giving_way = [
            (
                c.requests > 0,
                -networks.count(client_network(c.address)),
                -addresses.count(c.address),
                c.since,
                number,
            )
            for number, (_, c) in enumerate(candidates)
            if not c.requests or now - c.since >= self._limits.gives_way_s
        ]
        if not giving_way:
            return False
        writer, connection = candidates[min(giving_way)[-1]]
        del self._open[writer]
        if connection.task is not None:  # its end closes the connection, also in a handshake
            connection.task.cancel()
        self.counters.evicted += 1
        return True

    async def _identify(
        self, writer: asyncio.StreamWriter, connection: ModbusConnection
    ) -> ModbusClient | None:
        """Start TLS if it is configured; return the client, None: no certificate."""
        address = connection.address
        if self._tls is None or self._find_role is None:
            return ModbusClient(address)
        try:
            await asyncio.wait_for(
                writer.start_tls(self._tls, ssl_handshake_timeout=_HANDSHAKE_S), _HANDSHAKE_S + 1
            )
        except (OSError, TimeoutError):
            self.counters.handshakes_failed += 1
            return None
        tls = writer.get_extra_info("ssl_object")
        certificate = tls.getpeercert(True)
        connection.valid_until = self._end_of(certificate, tls)
        return ModbusClient(address, *self._find_role(certificate), tls=True)

    def _end_of(self, certificate: bytes, tls: ssl.SSLObject) -> float:
        """Return when the chain of a client expires. A resumed session has no chain any more.

        Python before 3.13 does not give the chain; then it is the certificate of the client alone.
        """
        found: list[bytes] = getattr(tls, "get_verified_chain", list)()
        end = min(find_end([certificate, *found]), self._ends.pop(certificate, math.inf))
        if len(self._ends) >= _MAX_ENDS:
            del self._ends[next(iter(self._ends))]
        self._ends[certificate] = end
        return end

    async def _answer_requests(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: ModbusClient,
        connection: ModbusConnection,
    ) -> None:
        """Answer requests until the client closes, is idle or sends a bad frame."""
        clock = asyncio.get_running_loop().time
        while True:
            wait_s = self._limits.idle_s if connection.requests else self._limits.first_s
            header = await asyncio.wait_for(reader.readexactly(_HEADER.size), wait_s)
            transaction, protocol, length, unit = _HEADER.unpack(header)
            if protocol or not _MIN_LENGTH <= length <= _MAX_LENGTH:
                self.counters.bad_frames += 1
                return
            pdu = await asyncio.wait_for(reader.readexactly(length - 1), _FRAME_S)
            if self._wall_clock() > connection.valid_until:
                self.counters.expired += 1
                return
            self.counters.requests += 1
            connection.requests += 1
            connection.since = clock()
            if not self._budget.take(client.address, clock()):
                self.counters.delayed += 1
                while not self._budget.take(client.address, clock()):  # noqa: ASYNC110 - of time
                    await asyncio.sleep(_PAUSE_S)
            if unit in self._units:
                reply = self._handler.answer(pdu, client)
            else:
                reply = bytes((pdu[0] | 0x80, _GATEWAY_TARGET))
            writer.write(_HEADER.pack(transaction, 0, len(reply) + 1, unit) + reply)
            await asyncio.wait_for(writer.drain(), _FRAME_S)
