# SPDX-License-Identifier: Apache-2.0
"""The HTTPS server: strict requests, limits, half-open connections, kept connections, TLS."""

import asyncio
import base64
import contextlib
import dataclasses
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from microdot import Microdot, Response

from deploy.northbound.access.accounts import Accounts
from deploy.northbound.access.sessions import Sessions
from deploy.northbound.access.types import FakeAudit, Refusal, Session
from deploy.northbound.http.connections import _BLOCKED_S, ConnectionGate, HttpConnection
from deploy.northbound.http.limits import HttpLimits, HttpRateLimit, mark_known, run_in_thread
from deploy.northbound.http.login import Authenticator
from tests.deploy.northbound.redfish.service_bench import (
    LIMITS,
    METRICS_TOKEN,
    PASSWORD,
    ServiceBench,
)
from tests.support.cli_tools import wait_until
from tests.support.programs import require_program

SHORT = HttpLimits(
    handshake_s=1.0, request_s=1.0, idle_s=1.0, address_rate=5000, address_burst=5000,
    total_rate=5000, total_burst=5000, work_ms=1e6, other_work_ms=1e6,
    known_work_ms=1e6,
)  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceBench]:
    with ServiceBench(tmp_path_factory.mktemp("http"), limits=SHORT) as found:
        yield found


def connect(bench: ServiceBench) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", bench.server.port), 5)
    return context.wrap_socket(plain)


def exchange(bench: ServiceBench, data: bytes) -> bytes:
    """Send bytes, return all that comes until the server ends the connection."""
    with connect(bench) as link:
        link.sendall(data)
        answer = b""
        with contextlib.suppress(OSError):
            while part := link.recv(65536):
                answer += part
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


HEAD = b"Host: x\r\nConnection: close\r\n"
BAD = {
    "no method": (b"/redfish HTTP/1.1\r\n\r\n", 400),
    "version": (b"GET /redfish HTTP/2.0\r\n\r\n", 400),
    "no host": (b"GET /redfish HTTP/1.1\r\n\r\n", 400),
    "absolute": (b"GET http://x/redfish HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
    "folded field": (b"GET /redfish HTTP/1.1\r\n" + HEAD + b"A: b\r\n c\r\n\r\n", 400),
    "bare cr": (b"GET /redfish HTTP/1.1\r\n" + HEAD + b"A: b\rc\r\n\r\n", 400),
    "nul": (b"GET /redfish HTTP/1.1\r\n" + HEAD + b"A: \0\r\n\r\n", 400),
    "two lengths": (
        b"POST /redfish HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
    ),
    "sign": (b"POST /redfish HTTP/1.1\r\n" + HEAD + b"Content-Length: +1\r\n\r\n", 400),
    "chunked": (b"POST /redfish HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 501),
    "large body": (b"POST /redfish HTTP/1.1\r\n" + HEAD + b"Content-Length: 65537\r\n\r\n", 413),
    "large head": (b"GET /redfish HTTP/1.1\r\n" + HEAD + b"A: " + b"b" * 9000 + b"\r\n\r\n", 431),
    "many fields": (b"GET /redfish HTTP/1.1\r\n" + HEAD + b"A: b\r\n" * 70 + b"\r\n", 431),
    "long target": (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 414),
    "percent": (b"GET /redfish?a=%zz HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
}


@pytest.mark.parametrize("name", BAD)
def test_a_request_that_is_not_valid_gets_its_status(bench: ServiceBench, name: str) -> None:
    data, expected = BAD[name]
    assert status(exchange(bench, data)) == expected


def test_an_unknown_path_and_method_are_answered(bench: ServiceBench) -> None:
    assert status(exchange(bench, b"GET /x HTTP/1.1\r\n" + HEAD + b"\r\n")) == 404
    assert status(exchange(bench, b"BREW /redfish HTTP/1.1\r\n" + HEAD + b"\r\n")) == 405


def test_a_connection_is_kept_and_requests_in_one_packet_are_answered(bench: ServiceBench) -> None:
    first = b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /redfish HTTP/1.1\r\n" + HEAD + b"\r\n"
    answer = exchange(bench, first * 3 + last)
    assert answer.count(b'{"v1":"/redfish/v1/"}') == 4


def test_a_head_has_no_body_and_a_slow_body_ends(bench: ServiceBench) -> None:
    answer = exchange(bench, b"HEAD /redfish HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 21" in answer
    start = time.monotonic()
    answer = exchange(bench, b"POST /redfish HTTP/1.1\r\n" + HEAD + b"Content-Length: 9\r\n\r\n{")
    assert answer == b""
    assert time.monotonic() - start < 8


def test_a_client_that_waits_for_continue_gets_it(bench: ServiceBench) -> None:
    curl = require_program("curl")
    done = subprocess.run(
        [curl, "-sk", "-H", "Expect: 100-continue", "--json", "{}", "-o", "/dev/null",
         "-w", "%{http_code}", f"{bench.url}/redfish/v1/SessionService/Sessions"],
        capture_output=True, text=True, timeout=20, check=True,
    )  # fmt: skip
    assert done.stdout == "400"  # the user is missing


def test_half_open_connections_are_bounded_and_stop_no_client(tmp_path: Path) -> None:
    with ServiceBench(tmp_path, limits=HttpLimits()) as bench:
        address = ("127.0.0.1", bench.server.port)
        kept = connect(bench)  # a client that has shown a request keeps its place
        kept.sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(4096).startswith(b"HTTP/1.1 200")
        silent = []
        for _number in range(1000):
            silent.append(socket.create_connection(address, 5))
            silent[-1].setblocking(False)
        try:
            for _number in range(5):
                answer = exchange(bench, b"GET /redfish HTTP/1.1\r\n" + HEAD + b"\r\n")
                assert status(answer) == 200
            kept.sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n")
            assert kept.recv(4096).startswith(b"HTTP/1.1 200")
            assert bench.server.gate.open_count <= 32
            assert bench.server.gate.counters["evicted"] >= 900
        finally:
            kept.close()
            for entry in silent:
                entry.close()


def test_streams_have_a_limit_for_each_group_and_address() -> None:
    gate = ConnectionGate(Microdot(), None, LIMITS)
    ours, theirs = socket.socketpair()

    def opened(group: str, address: str) -> bool:
        connection = HttpConnection(ours, address)
        gate._open[connection] = None
        request: Any = SimpleNamespace(g=SimpleNamespace(connection=connection))
        return gate.open_stream(request, group)

    assert [opened("panel", "10.0.0.1") for _n in range(4)] == [True, True, True, False]
    assert [opened("panel", "10.0.0.2") for _n in range(2)] == [True, False]
    assert [opened("redfish", f"10.0.0.{n}") for n in range(5)] == [True] * 4 + [False]
    ours.close()
    theirs.close()


class BasicBench:
    """An authenticator with real accounts; `status` is that of a request with Basic."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        accounts = Accounts(folder, FakeAudit())
        accounts.add("otto", PASSWORD, "Operator")
        self.login = Authenticator(Sessions(accounts), "redfish")
        accounts.observe(lambda _user: self.login.forget())

    def identify(self, password: str = PASSWORD) -> Session | Refusal | None:
        value = base64.b64encode(f"otto:{password}".encode()).decode()
        g = SimpleNamespace()
        request = SimpleNamespace(headers={"authorization": f"Basic {value}"}, g=g)
        return asyncio.run(self.login.identify(request, "10.0.0.9"))  # type: ignore[arg-type]


def test_a_change_by_another_process_ends_a_known_password(tmp_path: Path) -> None:
    bench = BasicBench(tmp_path)
    assert isinstance(bench.identify(), Session)
    other = Accounts(tmp_path, FakeAudit())
    other.change("otto", role="ReadOnly")
    found = bench.identify()
    assert isinstance(found, Session)
    assert found.role == "ReadOnly"
    other.remove("otto")
    assert isinstance(bench.identify(), Refusal)


def test_a_lock_out_holds_for_a_known_password(tmp_path: Path) -> None:
    bench = BasicBench(tmp_path)
    assert isinstance(bench.identify(), Session)
    for _n in range(5):
        assert isinstance(bench.identify("wrong-password"), Refusal)
    found = bench.identify()
    assert isinstance(found, Refusal)
    assert found.retry_s > 0


def test_a_client_that_speaks_no_tls_is_dropped(bench: ServiceBench) -> None:
    with socket.create_connection(("127.0.0.1", bench.server.port), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        plain.settimeout(5)
        with contextlib.suppress(OSError):
            while part := plain.recv(1024):
                assert b"HTTP/1.1" not in part
    counters = bench.server.gate.counters
    wait_until("the failure is counted", lambda: counters["handshake_failed"] >= 1)


def test_old_tls_is_refused(bench: ServiceBench) -> None:
    openssl = require_program("openssl")
    done = subprocess.run(
        [openssl, "s_client", "-connect", f"127.0.0.1:{bench.server.port}", "-tls1_1"],
        capture_output=True, text=True, timeout=20, check=False, input="",
    )  # fmt: skip
    assert "Cipher is (NONE)" in done.stdout + done.stderr or done.returncode != 0


def test_a_flood_of_one_address_is_refused_and_another_address_is_served() -> None:
    limiter = HttpRateLimit(HttpLimits(address_rate=1, address_burst=5))
    granted = sum(limiter.permit("10.0.0.1", 1.0) for _number in range(100))
    assert granted == 5
    assert limiter.permit("10.0.0.2", 1.0)
    assert limiter.permit("10.0.0.1", 2.0)
    assert limiter.refused == 95


def test_the_table_of_addresses_is_bounded() -> None:
    limiter = HttpRateLimit(HttpLimits(total_rate=1e6, total_burst=1e6))
    for number in range(5000):
        limiter.permit(f"10.0.{number // 256}.{number % 256}", 1.0)
    assert limiter.addresses == 1024


def test_too_many_requests_get_429(tmp_path: Path) -> None:
    limits = HttpLimits(address_rate=0.001, address_burst=2)
    with ServiceBench(tmp_path, limits=limits) as bench:
        request = b"GET /redfish HTTP/1.1\r\n" + HEAD + b"\r\n"
        found = [exchange(bench, request) for _number in range(3)]
        assert [status(answer) for answer in found] == [200, 200, 429]
        assert b"Retry-After: 1" in found[2]


def test_metrics_need_their_token(bench: ServiceBench) -> None:
    request = b"GET /metrics HTTP/1.1\r\n" + HEAD
    assert status(exchange(bench, request + b"\r\n")) == 401
    assert status(exchange(bench, request + b"Authorization: Bearer wrong\r\n\r\n")) == 401
    token = f"Authorization: Bearer {METRICS_TOKEN}\r\n\r\n".encode()
    assert status(exchange(bench, request + token)) == 200


@contextlib.contextmanager
def _gate(limits: HttpLimits) -> Iterator[tuple[ConnectionGate, int]]:
    """Serve a short and a long answer without TLS, in a thread."""
    app: Any = Microdot()

    async def short(_request: Any) -> str:  # not in a thread, as all routes of the servers
        return "short"

    app.get("/short")(short)
    app.get("/long")(lambda _request: "x" * 16_000_000)

    async def stream(request: Any) -> Any:
        async def parts() -> AsyncIterator[str]:
            while True:
                yield "part"
                await asyncio.sleep(0.01)

        return Response(parts() if gate.open_stream(request, "x") else "full")  # type: ignore[arg-type]

    app.get("/stream")(stream)

    async def login(request: Any) -> str:
        mark_known(request)
        return "welcome"

    app.get("/login")(login)

    def use_processor() -> None:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    async def work(_request: Any) -> str:
        use_processor()
        await asyncio.sleep(0.01)
        return "worked"

    async def thread_work(request: Any) -> str:
        await run_in_thread(request, None, use_processor)
        return "worked"

    app.get("/work")(work)
    app.get("/thread")(thread_work)
    gate = ConnectionGate(app, None, limits)
    listener = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()
    task = loop.create_task(gate.serve(listener))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield gate, listener.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()
        listener.close()


def _open(port: int, source: str, stack: contextlib.ExitStack) -> socket.socket:
    """Open a connection. Its buffer does not grow, so a client that does not read blocks."""
    found = stack.enter_context(socket.socket())
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    found.settimeout(20)
    found.bind((source, 0))
    found.connect(("127.0.0.1", port))
    return found


def _get(sock: socket.socket, path: str = "short", count: int = 5000) -> bytes:
    sock.sendall(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock.recv(count)


def test_a_long_answer_counts_as_several_requests() -> None:
    limits = dataclasses.replace(SHORT, address_rate=0.001, address_burst=3)
    with _gate(limits) as (_, port), contextlib.ExitStack() as stack:
        sock = _open(port, "127.0.0.9", stack)
        for status_line in (b"200", b"200", b"200", b"429"):
            assert _get(sock).startswith(b"HTTP/1.1 " + status_line)
        assert _get(_open(port, "127.0.0.8", stack), "long").startswith(b"HTTP/1.1 200")
        assert _get(_open(port, "127.0.0.8", stack)).startswith(b"HTTP/1.1 429")


def test_new_connections_of_an_address_are_limited() -> None:
    limits = dataclasses.replace(SHORT, address_rate=0.001, address_burst=5)
    with _gate(limits) as (gate, port), contextlib.ExitStack() as stack:
        for _ in range(13):
            _open(port, "127.0.0.9", stack)
        wait_until("all connections", lambda: gate.counters["accepted"] == 13)
        assert gate.counters["limited"] == 3
        assert _get(_open(port, "127.0.0.8", stack)).startswith(b"HTTP/1.1 200")


def test_clients_that_do_not_read_keep_no_other_out() -> None:
    limits = dataclasses.replace(  # a long answer is worth thousands of requests
        SHORT, connections=6, address_connections=3, answer_s=60, idle_s=60,
        address_burst=50_000, total_burst=50_000,
    )  # fmt: skip
    with _gate(limits) as (_, port), contextlib.ExitStack() as stack:
        kept = _open(port, "127.0.0.9", stack)
        assert _get(kept).startswith(b"HTTP/1.1 200")
        for number in range(5):
            sock = _open(port, f"127.0.0.{2 + number % 2}", stack)
            assert _get(sock, "long", 12) == b"HTTP/1.1 200"
        time.sleep(_BLOCKED_S + 0.1)  # by definition
        for number in range(4):
            assert _get(_open(port, f"127.0.0.{20 + number}", stack)).startswith(b"HTTP/1.1 200")
        assert _get(kept), "the one that waits is not the cause"


def test_a_stream_that_waits_is_closed_with_its_connection() -> None:
    """The server ends a connection, or all, while the stream has no news."""
    ended = []

    async def parts() -> AsyncIterator[str]:
        try:
            yield "part"
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def stream(request: Any) -> Any:
        assert gate.open_stream(request, "x")
        return Response(parts())  # type: ignore[arg-type]

    async def follow() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            task = asyncio.create_task(gate.serve(listener))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET /stream HTTP/1.1\r\n" + HEAD + b"\r\n")
            await reader.readuntil(b"part")
            task.cancel()
            await asyncio.wait({task})
            writer.close()
            assert ended == [True]

    app: Any = Microdot()
    app.get("/stream")(stream)
    gate = ConnectionGate(app, None, SHORT)
    asyncio.run(follow())


def test_a_known_address_gets_the_stream_of_another_one() -> None:
    """Anonymous clients hold all places of a group; they take none of a known address."""
    with _gate(SHORT) as (_, port), contextlib.ExitStack() as stack:
        streams = [_open(port, f"127.0.0.{2 + number % 2}", stack) for number in range(4)]
        for sock in streams:
            assert b"full" not in _get(sock, "stream")
        assert b"full" in _get(_open(port, "127.0.0.5", stack), "stream")
        known = _open(port, "127.0.0.9", stack)
        assert b"welcome" in _get(known, "login")
        assert b"full" not in _get(known, "stream")
        with contextlib.suppress(ConnectionError):
            while streams[0].recv(5000):
                pass  # the oldest one ends
        for number in range(4):
            other = _open(port, f"127.0.0.{10 + number}", stack)
            assert b"full" in _get(other, "stream")
        assert known.recv(5000)


def test_connections_of_a_known_address_are_closed_last() -> None:
    limits = dataclasses.replace(SHORT, connections=4, idle_s=60)
    with _gate(limits) as (_, port), contextlib.ExitStack() as stack:
        known = [_open(port, "127.0.0.9", stack) for _ in range(3)]
        for sock in known:
            assert b"welcome" in _get(sock, "login")
        for number in range(10):
            assert b"200 OK" in _get(_open(port, f"127.0.0.{10 + number}", stack))
        for sock in known:
            assert b"200 OK" in _get(sock)


@pytest.mark.parametrize("path", ["work", "thread"])
def test_the_work_of_an_address_is_measured(path: str) -> None:
    """0.05 s of the processor for each request; the pause in it costs nothing."""
    limits = dataclasses.replace(SHORT, work_ms=0.001, work_burst_s=200_000)
    with _gate(limits) as (_, port), contextlib.ExitStack() as stack:
        sock = _open(port, "127.0.0.9", stack)
        answers = [_get(sock, path)[9:12] for _ in range(6)]
        assert answers == [b"200"] * 4 + [b"429"] * 2
        assert b"200 OK" in _get(_open(port, "127.0.0.8", stack), path)


def test_records_of_one_byte_are_work_of_their_address(tmp_path: Path) -> None:
    """A body of 60,000 records is one request, and takes as much of the processor as 3,000."""
    limits = dataclasses.replace(LIMITS, other_work_ms=10, work_ms=10, work_burst_s=10)
    with ServiceBench(tmp_path, limits=limits) as bench:
        with connect(bench) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.sendall(b"POST /redfish HTTP/1.1\r\nHost: x\r\nContent-Length: 60001\r\n\r\n")
            sent = 0
            with contextlib.suppress(OSError):
                for sent in range(60_000):  # noqa: B007 - where it ends
                    link.sendall(b" ")
        assert sent < 59_999
        wait_until("the connection has ended", lambda: bench.server.gate.open_count == 0)
        with socket.create_connection(
            ("127.0.0.1", bench.server.port), 5, source_address=("127.0.0.7", 0)
        ) as plain:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(plain) as other:
                other.sendall(b"GET /redfish HTTP/1.1\r\nHost: x\r\n\r\n")
                assert status(other.recv(200)) == 200


def test_a_known_address_waits_for_its_budget() -> None:
    """A program that asks one by one is slowed down; each request is 0.05 s of work."""
    limits = dataclasses.replace(
        SHORT, work_ms=50, known_work_ms=1000, work_burst_s=1, spared_work_ms=50
    )
    with _gate(limits) as (_, port), contextlib.ExitStack() as stack:
        known = _open(port, "127.0.0.9", stack)
        assert b"welcome" in _get(known, "login")
        assert [_get(known, "work")[9:12] for _ in range(5)] == [b"200"] * 5


def test_requests_of_a_known_address_that_wait_keep_no_other_out() -> None:
    limits = dataclasses.replace(
        SHORT, connections=4, address_rate=1, address_burst=5, total_rate=1e4, total_burst=1e4,
        idle_s=60,
    )  # fmt: skip
    with _gate(limits) as (gate, port), contextlib.ExitStack() as stack:
        known = [_open(port, "127.0.0.9", stack) for _ in range(4)]
        assert b"welcome" in _get(known[0], "login")
        for sock in known:
            sock.sendall(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        for number in range(10):
            assert b"200 OK" in _get(_open(port, f"127.0.0.{20 + number}", stack))
        wait_until("refusals", lambda: gate.counters["limited"] > 0)


def test_connections_without_a_request_push_no_other_client_out() -> None:
    limits = dataclasses.replace(
        SHORT, connections=6, address_connections=5, request_s=60, idle_s=60
    )
    with _gate(limits) as (gate, port), contextlib.ExitStack() as stack:
        kept = _open(port, "127.0.0.9", stack)
        assert _get(kept)
        new = _open(port, "127.0.0.8", stack)
        for number in range(40):
            _open(port, f"127.0.0.{2 + number % 2}", stack)
        wait_until("all connections", lambda: gate.counters["accepted"] == 42)
        assert _get(kept)
        assert _get(new)
