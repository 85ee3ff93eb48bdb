# SPDX-License-Identifier: Apache-2.0
"""Discovery by SSDP: the client of the DMTF finds the service; who gets a reply, and how many."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redfish

from deploy.errors import OpsError
from deploy.northbound.http.discovery import DiscoveryResponder, is_search, own_address
from tests.deploy.northbound.redfish.service_bench import ServiceBench, set_state
from tests.deploy.northbound.redfish.test_service import ROOT, ApiClient
from tests.support.programs import free_udp_port

UUID = "a1a2a3a4-0000-4000-8000-0123456789ab"
URL = "https://127.0.0.1:8443/redfish/v1/"
TEMPLATE = "https://{host}:8443/redfish/v1/"
SEARCH = (
    b'M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nMan: "ssdp:discover"\r\n'
    b"ST: urn:dmtf-org:service:redfish-rest:1\r\nMX: 1\r\n\r\n"
)


@contextlib.contextmanager
def responder(folder: Path, networks: tuple[str, ...] = ()) -> Iterator[DiscoveryResponder]:
    """A responder on the loopback with a free port; `poll` is called as by the server."""
    found = DiscoveryResponder(
        "127.0.0.1", TEMPLATE, lambda: UUID, networks, folder, free_udp_port()
    )
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.01):
            found.poll()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join(10)
        found.close()


@contextlib.contextmanager
def client(wait_s: float = 5.0) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sock.settimeout(wait_s)
        yield sock


def replies(sock: socket.socket, port: int, *requests: bytes) -> list[bytes]:
    """Send requests; return the replies until none comes."""
    for request in requests:
        sock.sendto(request, ("239.255.255.250", port))
    found = []
    with contextlib.suppress(TimeoutError):
        while True:
            found.append(sock.recv(2048))
    return found


def test_the_client_of_the_dmtf_finds_the_service(tmp_path: Path) -> None:
    with responder(tmp_path) as found:
        services = redfish.discover_ssdp(
            port=found.port, response_time=1, iface="lo", address="127.0.0.1"
        )
    assert services == {UUID: URL}


def test_a_reply_is_short_and_replies_have_a_rate(tmp_path: Path) -> None:
    with responder(tmp_path) as found, client(1.0) as sock:
        got = replies(sock, found.port, *[SEARCH] * 100)
    assert 10 <= len(got) <= 20
    assert max(map(len, got)) <= 3 * len(SEARCH)


def test_other_networks_get_no_reply(tmp_path: Path) -> None:
    with responder(tmp_path, ("10.0.0.0/8",)) as found, client(0.5) as sock:
        assert replies(sock, found.port, SEARCH) == []
    with responder(tmp_path, ("127.0.0.0/8",)) as found, client(0.5) as sock:
        assert len(replies(sock, found.port, SEARCH)) == 1


def test_the_switch_lasts_over_a_start(tmp_path: Path) -> None:
    with responder(tmp_path) as found:
        found.switch(False)
    with responder(tmp_path) as found, client(0.5) as sock:
        assert not found.is_on
        assert replies(sock, found.port, SEARCH) == []
        found.switch(True)
        assert len(replies(sock, found.port, SEARCH)) == 1
        (tmp_path / "ssdp-off.new").mkdir()  # as a full disk
        with pytest.raises(OSError, match="ssdp-off"):
            found.switch(False)
        assert found.is_on


def test_which_datagrams_ask_for_redfish() -> None:
    assert is_search(SEARCH)
    assert is_search(SEARCH.replace(b"redfish-rest:1", b"redfish-rest:1:20"))
    assert is_search(
        SEARCH.replace(b"urn:dmtf-org:service:redfish-rest:1", b"ssdp:all") + b" " * 20
    )
    for wrong in (
        b"",
        SEARCH[:60],
        SEARCH.replace(b"M-SEARCH", b"NOTIFY  "),
        SEARCH.replace(b"ssdp:discover", b"ssdp:alive   "),
        SEARCH.replace(b"redfish-rest:1", b"redfish-rest:2"),
        SEARCH.replace(b"redfish-rest:1", b"redfish-rest:10"),
        SEARCH + b"x" * 2000,
    ):
        assert not is_search(wrong)
    rng = random.Random(5)
    for _ in range(5_000):
        data = bytearray(SEARCH)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        is_search(bytes(data))


def test_the_address_for_a_client() -> None:
    assert own_address("10.0.0.5", "127.0.0.1") == "10.0.0.5"
    assert own_address("0.0.0.0", "127.0.0.1") == "127.0.0.1"


def test_an_address_of_ipv6_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="discovery"):
        DiscoveryResponder("::1", URL, lambda: UUID, (), tmp_path, free_udp_port())


def test_an_administrator_switches_discovery(tmp_path: Path) -> None:
    path = f"{ROOT}/Managers/1/NetworkProtocol"
    port = free_udp_port()
    found = DiscoveryResponder("127.0.0.1", "https://x/", lambda: "", (), tmp_path, port)
    with ServiceBench(tmp_path, discovery=found) as bench:
        set_state(bench, "normal")
        admin, operator = ApiClient(bench, "admin"), ApiClient(bench, "operator")
        assert admin.get(path)["SSDP"] == {"ProtocolEnabled": True, "Port": port}
        off = {"SSDP": {"ProtocolEnabled": False}}
        assert operator.call("PATCH", path, off)[0] == 403
        for wrong in ({"Port": 1}, {}, 7, {"ProtocolEnabled": "no"}, {**off["SSDP"], "Port": 1}):
            assert admin.call("PATCH", path, {"SSDP": wrong})[0] == 400
        assert found.is_on
        assert admin.call("PATCH", path, off)[0] == 200
        assert not admin.get(path)["SSDP"]["ProtocolEnabled"]
        admin.link.close()
        operator.link.close()
    assert not found.is_on
    found.close()


def test_without_discovery_the_network_protocol_is_read_only(tmp_path: Path) -> None:
    path = f"{ROOT}/Managers/1/NetworkProtocol"
    with ServiceBench(tmp_path) as bench:
        admin = ApiClient(bench, "admin")
        assert "SSDP" not in admin.get(path)
        assert admin.call("PATCH", path, {"SSDP": {"ProtocolEnabled": True}})[0] == 405
        admin.link.close()
