# SPDX-License-Identifier: Apache-2.0
"""Discovery of the Redfish service by SSDP (DSP0266, section Discovery): replies to M-SEARCH.

Does not announce itself (NOTIFY), and is off unless `northbound.http.discovery` is `ssdp`. A reply
has the address of the service and its UUID, nothing else. It is for IPv4.

The source of a datagram can be forged. So a reply is at most 3 times as long as its request, goes
at most `_TTL` routers far and only to `networks`; and replies have a rate for all clients together.
A switch of the Redfish service (`ManagerNetworkProtocol.SSDP`) is kept in a file of the state.
"""

import contextlib
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.errors import OpsError
from deploy.northbound.access.networks import is_in_networks
from deploy.northbound.rate_limit import RequestBudget
from deploy.ops.private_file import replace_private

PORT = 1900
POLL_S = 0.1
_GROUP = "239.255.255.250"
_TARGET = "urn:dmtf-org:service:redfish-rest:1"
_ANY_TARGET = "ssdp:all"
_MINOR = 20
"""Minor version of the protocol, as in `RedfishVersion` of the service root."""
_TTL = 2
_MAX_AGE_S = 1800
_MAX_REQUEST_BYTES, _MIN_REQUEST_BYTES = 1024, 90
_RATE, _BURST = 5.0, 10.0
_MAX_PER_POLL = 32
_OFF_FILE = "ssdp-off"


class DiscoveryResponder:
    """Replies on the interface with `address`. Call `poll` each `POLL_S`.

    `url`: of the service root; `{host}` in it is the address that the client can use. `uuid`: of
    the service. `networks`: clients that get a reply; none: all. `state`: folder of the switch.

    Raises OpsError: `address` is not of IPv4, or the port.
    """

    def __init__(
        self,
        address: str,
        url: str,
        uuid: Callable[[], str],
        networks: Sequence[str],
        state: Path,
        port: int = PORT,
    ) -> None:
        self._url, self._uuid, self.port = url, uuid, port
        self._address = address
        self._networks = [ipaddress.ip_network(text, strict=False) for text in networks]
        self._off_file = state / _OFF_FILE
        self._budget = RequestBudget(_RATE, _BURST)
        self.is_on = not self._off_file.exists()
        try:
            self._request_socket = _join(address, port)
            self._reply_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._reply_socket.bind((address, 0))
        except OSError as error:
            raise OpsError(f"northbound.http.discovery: {address}:{port}: {error}") from None
        self._reply_socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, _TTL)
        self._reply_socket.setblocking(False)

    def switch(self, is_on: bool) -> None:
        """Switch the replies on or off, also for later starts. Raises OSError: nothing changed."""
        if is_on:
            self._off_file.unlink(missing_ok=True)
        else:
            replace_private(self._off_file, "")
        self.is_on = is_on

    def poll(self) -> None:
        """Reply to the requests that have come. Never raises."""
        for _ in range(_MAX_PER_POLL):
            try:
                data, (host, port) = self._request_socket.recvfrom(_MAX_REQUEST_BYTES + 1)
            except OSError:
                return
            if self.is_on and is_search(data) and self._take_permission(host):
                with contextlib.suppress(OSError):
                    self._reply_socket.sendto(self._reply(host), (host, port))

    def close(self) -> None:
        """Close the sockets."""
        self._request_socket.close()
        self._reply_socket.close()

    def _take_permission(self, host: str) -> bool:
        if self._networks and not is_in_networks(host, self._networks):
            return False
        return self._budget.take("", time.monotonic())

    def _reply(self, client: str) -> bytes:
        target = f"{_TARGET}:{_MINOR}"
        lines = (
            "HTTP/1.1 200 OK",
            f"CACHE-CONTROL: max-age={_MAX_AGE_S}",
            f"ST: {target}",
            f"USN: uuid:{self._uuid()}::{target}",
            f"AL: {self._url.format(host=own_address(self._address, client))}",
            "EXT:",
        )
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def own_address(address: str, client: str) -> str:
    """Return `address`; of a server on all interfaces that which its packets to a client have.

    Raises OSError: there is no way to the client.
    """
    if not ipaddress.ip_address(address).is_unspecified:
        return address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((client, 9))  # sends nothing
        found: str = probe.getsockname()[0]
    return found


def is_search(data: bytes) -> bool:
    """Return whether a datagram asks for Redfish services (M-SEARCH, DSP0266 and UPnP 1.1)."""
    if not _MIN_REQUEST_BYTES <= len(data) <= _MAX_REQUEST_BYTES:
        return False
    first, *lines = data.decode("latin-1").split("\r\n")
    if first.split() != ["M-SEARCH", "*", "HTTP/1.1"]:
        return False
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.strip().upper()] = value.strip()
    target = fields.get("ST", "")
    known = target in (_TARGET, _ANY_TARGET) or target.startswith(f"{_TARGET}:")
    return known and fields.get("MAN") == '"ssdp:discover"'


def _join(address: str, port: int) -> socket.socket:
    """Return a socket that gets the multicast requests on the interface with `address`."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((_GROUP, port))  # not the unicast address: fewer ways to misuse it
        member = socket.inet_aton(_GROUP) + socket.inet_aton(address)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
