# SPDX-License-Identifier: Apache-2.0
"""Delivery of events to destinations of subscribers: HTTPS POST, only into permitted networks.

Does not make events. The address of the host is looked up once for each attempt and must be in a
permitted network; the connection goes to this address, so a second look-up cannot change it.
Redirects are not followed. After 3 failed attempts the subscription ends. With the policy
RetryForever the attempts go on, after pauses of at most 60 s. A destination with a user or a
password is refused, because each user can read the destinations.

Deliveries have their own threads: destinations that hang keep no login waiting. An attempt has
`deadline_s` from its begin to the status of the answer, also if each byte comes alone; only the
look-up of a name has the time of the system.
"""

import asyncio
import http.client
import io
import ipaddress
import itertools
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol
from urllib.parse import urlsplit

from deploy.northbound.access.networks import is_in_networks
from deploy.northbound.process.supervisor import keep_running
from deploy.northbound.redfish.event_log import UnitEvent

_DEADLINE_S = 10.0
_LONGEST_PAUSE_S = 60.0
_MAX_THREADS = 16
"""One for each subscription that can be; see `deploy.northbound.redfish.resources.events`."""


class DeliveryError(Exception):
    """An event was not delivered."""


def has_password(destination: str) -> bool:
    """Return whether an address has a user or a password before its host."""
    return "@" in urlsplit(destination).netloc


class PushTarget(Protocol):
    """A subscription. The queue ends with None. `delivered`: id of the last event that it has."""

    destination: str
    headers: dict[str, str]
    queue: "asyncio.Queue[UnitEvent | None]"
    alive: bool
    forever: bool
    delivered: int

    def payload(self, event: UnitEvent) -> str:
        """Return the body of a request."""
        ...


class EventPush:
    """Delivers events; `networks`: permitted destinations, such as 10.1.0.0/16. None: no push.

    `authorities`: PEM file with the issuers of the destinations; "": those of the system.
    `deadline_s`: longest time of an attempt.
    """

    ATTEMPTS = 3

    def __init__(
        self,
        networks: Sequence[str] = (),
        authorities: str = "",
        interval_s: float = 5.0,
        deadline_s: float = _DEADLINE_S,
    ) -> None:
        self._deadline_s = deadline_s
        self._threads = ThreadPoolExecutor(_MAX_THREADS, "push")
        self.interval_s = interval_s
        self._networks = [ipaddress.ip_network(text) for text in networks]
        self._authorities = authorities
        self._tasks: set[asyncio.Task[None]] = set()

    def refusal(self, destination: str) -> str:
        """Return why a destination is not permitted; "": it is, or its name needs a look-up."""
        parts = urlsplit(destination)
        if parts.scheme != "https":
            return "A destination must be an https address."
        if has_password(destination):
            return (
                "A destination has no user and no password: all users can read it. Use HttpHeaders."
            )
        if not self._networks:
            return "Push of events is off: http.event_networks permits no network."
        try:
            is_permitted = is_in_networks(parts.hostname or "", self._networks)
        except ValueError:
            return ""  # a name; each attempt looks it up
        return "" if is_permitted else "http.event_networks does not permit this address."

    def start(self, subscription: PushTarget, end: Callable[[], None]) -> None:
        """Deliver the events of a subscription in a task; `end`: called after the last failure."""
        work = keep_running("push of events", lambda: self._deliver(subscription, end))
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, subscription: PushTarget, end: Callable[[], None]) -> None:
        while subscription.alive:
            event = await subscription.queue.get()
            if event is None or not subscription.alive:
                return
            if await self._send(subscription, subscription.payload(event).encode()):
                subscription.delivered = event.id
            else:
                end()

    async def _send(self, subscription: PushTarget, body: bytes) -> bool:
        """Return whether one of the attempts has delivered an event."""
        loop, pause_s = asyncio.get_running_loop(), self.interval_s
        for attempt in itertools.count():
            if not subscription.alive or (attempt >= self.ATTEMPTS and not subscription.forever):
                break
            if attempt:
                await asyncio.sleep(pause_s)
            if attempt >= self.ATTEMPTS:
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            arguments = subscription.destination, body, dict(subscription.headers)
            try:
                await loop.run_in_executor(self._threads, self.post, *arguments)
            except Exception:  # noqa: BLE001, S112 - a name can also be a UnicodeError
                continue
            return True
        return False

    def post(self, destination: str, body: bytes, headers: dict[str, str]) -> None:
        """Send one event. Raises OSError, HTTPException or DeliveryError."""
        parts = urlsplit(destination)
        host, port = parts.hostname or "", parts.port or 443
        deadline = time.monotonic() + self._deadline_s
        connection = http.client.HTTPSConnection(host, port)
        raw = socket.create_connection((self._look_up(host, port), port), _remaining_s(deadline))
        try:
            context = ssl.create_default_context(cafile=self._authorities or None)
            raw.settimeout(_remaining_s(deadline))
            connection.sock = link = context.wrap_socket(raw, server_hostname=host)
            link.settimeout(_remaining_s(deadline))
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, {**headers, "Content-Type": "application/json"})
            status = _read_status(link, deadline)
        finally:
            raw.close()
            connection.close()
        if not 200 <= status < 300:
            raise DeliveryError(f"{destination}: status {status}")

    def _look_up(self, host: str, port: int) -> str:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for entry in found:
            address = str(entry[4][0])
            if is_in_networks(address.partition("%")[0], self._networks):
                return address
        raise DeliveryError(f"{host}: no address in a permitted network")


class _DeadlineReader(io.RawIOBase):
    """The bytes of an answer until a time; `http.client` reads them as from a socket."""

    def __init__(self, link: ssl.SSLSocket, deadline: float) -> None:
        self._link, self._deadline = link, deadline

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes. Raises TimeoutError: the time is over."""
        self._link.settimeout(_remaining_s(self._deadline))
        return self._link.recv_into(buffer)

    def makefile(self, *_mode: object) -> io.BufferedReader:
        """Return the file that `http.client` wants of a socket."""
        return io.BufferedReader(self)


def _read_status(link: ssl.SSLSocket, deadline: float) -> int:
    """Return the status of an answer; its body is not read."""
    reader: Any = _DeadlineReader(link, deadline)
    response = http.client.HTTPResponse(reader, method="POST")
    try:
        response.begin()
        return response.status
    finally:
        response.close()


def _remaining_s(deadline: float) -> float:
    """Return the time that an attempt has left, s. Raises TimeoutError: none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time of the attempt is over")
    return left
