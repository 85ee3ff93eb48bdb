# SPDX-License-Identifier: Apache-2.0
"""The bench under the page survives each request, each port and each number of clients."""

import contextlib
import http.client
import json
import os
import random
import resource
import socket
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hil.page.connections import MAX_CONNECTIONS
from hil.page.session_manager import SessionManager
from tests.hil.page.test_page import PageBench
from tests.support.cli_tools import wait_until

HEADERS = {"X-Coldloop": "1", "Content-Type": "application/json"}
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        1.5,
        1e308,
        -1e308,
        10**400,
        "",
        "1",
        "x",
        "\0",
        "..",
        "é" * 500,
    ),
    *([], [1], {}, {"a": 1}, float("nan"), float("inf"), "serial:/dev/null", "tcp:127.0.0.1:1"),
)
NAMES = (
    *("catalogue", "faults", "start", "abort", "fault", "swap", "answer", "serial", "history"),
    *("", "x", "__init__", "%00", "a/b"),
)
KEYS = ("name", "value", "on", "port", "text", "suite", "serial", "operator", "x")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageBench]:
    page_bench = PageBench(tmp_path_factory.mktemp("survival"))
    wait_until("the first state", lambda: read_state(page_bench))
    yield page_bench
    page_bench.close()


def ask_raw(bench: PageBench, path: str, body: bytes, method: str = "POST") -> int:
    """Send one request; give its HTTP status."""
    connection = http.client.HTTPConnection(urlsplit(bench.address).netloc, timeout=30)
    try:
        connection.request(method, path, body, HEADERS)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "foreign",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
def test_a_foreign_page_reaches_no_route(bench: PageBench, foreign: dict[str, str]) -> None:
    """Also no stream: each page could take their places."""
    for method, path in (("POST", "/ask/abort"), ("GET", "/state"), ("GET", "/events")):
        connection = http.client.HTTPConnection(urlsplit(bench.address).netloc, timeout=30)
        connection.request(method, path, b"{}" if method == "POST" else None, HEADERS | foreign)
        assert connection.getresponse().status == 403, path
        connection.close()


def assert_lives(bench: PageBench) -> None:
    assert bench.process.poll() is None
    assert "devices" in json.loads(json.dumps(read_state(bench)))
    assert bench.request("catalogue")["suites"]


def read_state(bench: PageBench) -> dict[str, Any]:
    connection = http.client.HTTPConnection(urlsplit(bench.address).netloc, timeout=30)
    try:
        connection.request("GET", "/state")
        state: dict[str, Any] = json.load(connection.getresponse())
        return state
    finally:
        connection.close()


@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b'"x"', b"{", b"\xff", b"[" * 9000, b"NaN"])
def test_a_body_that_is_no_object_is_refused(bench: PageBench, body: bytes) -> None:
    assert ask_raw(bench, "/ask/fault", body) == 400
    assert_lives(bench)


def test_random_requests(bench: PageBench) -> None:
    """500 requests with random names, keys and values."""
    rng = random.Random(18)
    for _ in range(500):
        arguments = {rng.choice(KEYS): rng.choice(VALUES) for _ in range(rng.randrange(5))}
        name = rng.choice(NAMES)
        if name == "start":
            arguments["suite"] = rng.choice(("nothing", "../x.toml", "", 5, None))
        status = ask_raw(bench, f"/ask/{name}", json.dumps(arguments).encode())
        assert status in {200, 400, 404, 409}, (name, arguments)
    assert_lives(bench)


def test_requests_that_are_not_http(bench: PageBench) -> None:
    address = urlsplit(bench.address)
    rng = random.Random(5)
    heads = [rng.randbytes(rng.randrange(1, 400)) for _ in range(40)]
    heads += [b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"GET\r\n\r\n", b"\r\n\r\n"]
    heads += [
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    ]
    for head in heads:
        client = socket.create_connection((str(address.hostname), address.port or 80), 10)
        with client, contextlib.suppress(OSError):
            client.sendall(head)
            client.shutdown(socket.SHUT_WR)
            client.recv(100)
    assert_lives(bench)


def test_each_fault_with_each_wrong_value(bench: PageBench) -> None:
    """A wrong value is refused with the range; the fault is not started."""
    faults = bench.request("faults")
    assert len(faults) > 60
    names = {fault["name"] for fault in faults}
    assert not names & {"bmc_busy", "modem_dead", "fan_trip", "receiver_jump", "power_cut"}
    for fault in faults:
        wrong: list[Any] = [True, "1", [], 1e300, -1e300]
        if fault["limits"] is not None:
            wrong += [None, fault["limits"][1] + 1, fault["limits"][0] - 1]
        for value in wrong:
            arguments = {"name": fault["name"], "value": value, "on": True}
            status = ask_raw(bench, "/ask/fault", json.dumps(arguments).encode())
            assert status == 409, arguments
    assert read_state(bench)["faults"] == []
    assert_lives(bench)


def test_each_fault_starts_and_ends(bench: PageBench) -> None:
    for fault in bench.request("faults"):
        value = None if fault["limits"] is None else fault["limits"][0]
        bench.request("fault", name=fault["name"], value=value, on=True)
        bench.request("fault", name=fault["name"], on=False)
    assert_lives(bench)


def open_slow_clients(bench: PageBench, count: int) -> list[socket.socket]:
    """Connect clients of which each sends a part of a request and then nothing."""
    address = urlsplit(bench.address)
    clients = []
    for number in range(count):
        client = socket.create_connection((str(address.hostname), address.port or 80), 10)
        clients.append(client)
        with contextlib.suppress(OSError):
            client.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n"[: 5 + number % 40])
    return clients


@pytest.mark.parametrize("count", [2 * MAX_CONNECTIONS, pytest.param(2000, marks=pytest.mark.soak)])
def test_slow_clients_leave_room_for_others(bench: PageBench, count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    clients = open_slow_clients(bench, count)
    try:
        assert_lives(bench)
        files = len(os.listdir(f"/proc/{bench.process.pid}/fd"))
        assert files < MAX_CONNECTIONS + 150
    finally:
        for client in clients:
            client.close()
    assert_lives(bench)


def test_streams_without_a_reader_are_bounded(bench: PageBench) -> None:
    address = urlsplit(bench.address)
    clients = []
    for _ in range(100):
        client = socket.create_connection((str(address.hostname), address.port or 80), 10)
        client.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        clients.append(client)
    assert_lives(bench)
    for client in clients:
        client.close()
    assert_lives(bench)


def test_the_same_port_is_swapped_in_many_times(bench: PageBench) -> None:
    """200 swaps of a port that comes and goes."""
    for number in range(100):
        master, slave = os.openpty()
        tty.setraw(slave)
        port = f"serial:{os.ttyname(slave)}"
        name = ("valve", "drive1", "drive2")[number % 3]
        bench.request("swap", name=name, port=port)
        bench.request("swap", name=name, port=port)  # the port is open already
        for options in ("baud=9600", "baud=1", "baud=4000000&parity=O", "parity=N&stop=2"):
            other = {"name": "rpu", "port": f"{port}?{options}"}
            assert ask_raw(bench, "/ask/swap", json.dumps(other).encode()) in {200, 409}
        bench.request("swap", name="rpu", port="")
        if number % 2:
            bench.request("swap", name=name, port="")
        os.close(master)
        os.close(slave)
        arguments = {"name": name, "port": port}
        assert ask_raw(bench, "/ask/swap", json.dumps(arguments).encode()) in {200, 409}
        bench.request("swap", name=name, port="")
    assert_lives(bench)
    wait_until(
        "all devices emulated", lambda: not any(d["real"] for d in read_state(bench)["devices"])
    )


def test_a_real_device_that_is_lost_fails_the_run(bench: PageBench, tmp_path: Path) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    port = tmp_path / "port"  # the kernel gives the number of a closed terminal to the next one
    port.symlink_to(os.ttyname(slave))
    bench.request("swap", name="valve", port=f"serial:{port}")
    port.unlink()
    os.close(master)
    os.close(slave)
    bench.request("start", suite=str(bench.records.parent / "glance.toml"))
    last = wait_until("a verdict", lambda: read_state(bench)["last"])
    assert last["verdict"] == "fail"
    assert "valve=serial:" in last["text"]
    assert_lives(bench)


def test_a_request_of_a_browser_that_has_gone_is_dropped(tmp_path: Path) -> None:
    from hil.page.hub import BroadcastHub  # noqa: PLC0415

    manager = SessionManager(BroadcastHub(()), tmp_path)
    future = manager.submit("catalogue", {})
    future.cancel()
    manager._process_requests()
