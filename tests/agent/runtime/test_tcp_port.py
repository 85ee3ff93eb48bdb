# SPDX-License-Identifier: Apache-2.0
"""Both runtimes over TCP and TLS, against sockets of the test and against OpenSSL."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython import tcp
from tests.support.programs import free_port
from tests.support.runtime_rig import INTERPRETERS, TIMEOUT_S, CertificateAuthority, run_toy
from tests.support.toy_agent import LAST_BYTES, pattern

each = pytest.mark.parametrize("interpreter", INTERPRETERS)


@contextmanager
def listener(port: int = 0) -> Iterator[socket.socket]:
    """A listening socket on the loopback with a time-out for each wait."""
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(TIMEOUT_S)
        yield server


def accept(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.settimeout(TIMEOUT_S)
    return connection


def read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        got = connection.recv(count - len(data))
        assert got, f"closed after {len(data)} of {count} bytes"
        data += got
    return data


@each
def test_refused_then_connected_then_again(interpreter: str, tmp_path: Path) -> None:
    port = free_port()
    with run_toy(interpreter, tmp_path, f"tcp:127.0.0.1:{port}") as agent:
        agent.expect("event 0 failed")
        agent.expect("event 0 failed")
        assert agent.errors().count("\n") == 1
        assert f"tcp:127.0.0.1:{port}: refused: nothing listens there" in agent.errors()
        with listener(port) as server:
            with accept(server) as connection:
                agent.expect("event 0 opened")
                connection.sendall(b"hello")
                assert read(connection, 5) == b"hello"
            agent.expect("event 0 closed")
            with accept(server) as connection:
                agent.expect("event 0 opened")
                connection.sendall(b"!quit")
                assert read(connection, len(LAST_BYTES)) == LAST_BYTES
                agent.expect("end 0")


@each
def test_reset_is_failed_or_closed(interpreter: str, tmp_path: Path) -> None:
    with (
        listener() as server,
        run_toy(interpreter, tmp_path, f"tcp:127.0.0.1:{server.getsockname()[1]}") as agent,
    ):
        connection = accept(server)
        agent.expect("event 0 opened")
        linger_no_time = b"\x01\0\0\0\0\0\0\0"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_no_time)
        connection.close()
        agent.expect("event 0 failed")
        assert "reset by the peer" in agent.errors()
        agent.expect("event 0 opened")


@each
def test_unknown_name(interpreter: str, tmp_path: Path) -> None:
    with run_toy(interpreter, tmp_path, "tcp:no-such-host.invalid:1883") as agent:
        agent.expect("event 0 failed")
        assert "tcp:no-such-host.invalid:1883: no such host" in agent.errors()


@each
def test_name_is_looked_up(interpreter: str, tmp_path: Path) -> None:
    with (
        listener() as server,
        run_toy(interpreter, tmp_path, f"tcp:localhost:{server.getsockname()[1]}") as agent,
        accept(server),
    ):
        agent.expect("event 0 opened")


@each
def test_slow_reader_gets_every_byte(interpreter: str, tmp_path: Path) -> None:
    with listener() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with (
            run_toy(interpreter, tmp_path, f"tcp:127.0.0.1:{server.getsockname()[1]}") as agent,
            accept(server) as connection,
        ):
            agent.expect("event 0 opened")
            for _ in range(3):
                connection.sendall(b"!more 60000")
                agent.expect("data 0 11")
                assert read(connection, 60000) == pattern(60000)


@each
def test_reader_that_never_reads_fails(interpreter: str, tmp_path: Path) -> None:
    with listener() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with (
            run_toy(interpreter, tmp_path, f"tcp:127.0.0.1:{server.getsockname()[1]}") as agent,
            accept(server) as connection,
        ):
            agent.expect("event 0 opened")
            for _ in range(200):  # 12 MB: more than the kernel buffers
                with suppress(OSError):
                    connection.sendall(b"!more 60000")
                if agent.expect_either("data 0 11", "event 0 failed") == "event 0 failed":
                    break
            assert "the peer accepts no data" in agent.errors()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


class EchoServer:
    """A TLS echo server for one connection after the other."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.refusals: list[str] = []
        self.resumed: list[tuple[str | None, bool | None]] = []
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while True:
            try:
                raw, _ = self._server.accept()
            except OSError:
                return
            with raw:
                raw.settimeout(TIMEOUT_S)
                try:
                    self._echo(raw)
                except OSError as error:
                    self.refusals.append(str(error))

    def _echo(self, raw: socket.socket) -> None:
        with self._context.wrap_socket(raw, server_side=True) as connection:
            self.resumed.append((connection.version(), connection.session_reused))
            while data := connection.recv(65536):
                if data == b"bye\n":
                    return
                connection.sendall(data)

    def stop(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(TIMEOUT_S)


@contextmanager
def tls_server(
    authority: CertificateAuthority, name: str, client_ca: bool = False, kind: str = "DNS"
) -> Iterator[EchoServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name, kind))
    if client_ca:
        context.load_verify_locations(authority.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    server = EchoServer(context)
    try:
        yield server
    finally:
        server.stop()


def secure(server: EchoServer, authority: CertificateAuthority, name: str, more: str = "") -> str:
    return f"tls:{name}:{server.port}?ca={authority.ca}{more}"


@each
def test_tls(interpreter: str, tmp_path: Path, authority: CertificateAuthority) -> None:
    with (
        tls_server(authority, "localhost") as server,
        run_toy(interpreter, tmp_path, secure(server, authority, "localhost")) as agent,
    ):
        agent.expect("event 0 opened")
        assert agent.errors() == f"port 0: opened: {agent.arguments[-1]}\n"


@each
def test_tls_of_another_ca_is_refused(
    interpreter: str, tmp_path: Path, authority: CertificateAuthority
) -> None:
    (tmp_path / "other").mkdir()
    other = CertificateAuthority(tmp_path / "other")
    with (
        tls_server(authority, "localhost") as server,
        run_toy(interpreter, tmp_path, secure(server, other, "localhost")) as agent,
    ):
        agent.expect("event 0 failed")
        agent.expect("event 0 failed")
        assert f"tls:localhost:{server.port}: certificate refused: " in agent.errors()
        assert agent.errors().count("\n") == 1


@each
def test_tls_for_another_host_is_refused(
    interpreter: str, tmp_path: Path, authority: CertificateAuthority
) -> None:
    with (
        tls_server(authority, "elsewhere") as server,
        run_toy(interpreter, tmp_path, secure(server, authority, "localhost")) as agent,
    ):
        agent.expect("event 0 failed")
        assert "certificate refused: " in agent.errors()


@each
@pytest.mark.parametrize("kind", ["DNS", "IP"])
def test_tls_to_an_ip_address_needs_its_certificate(
    interpreter: str, tmp_path: Path, authority: CertificateAuthority, kind: str
) -> None:
    name = {"DNS": "localhost", "IP": "127.0.0.1"}[kind]
    with (
        tls_server(authority, name, kind=kind) as server,
        run_toy(interpreter, tmp_path, secure(server, authority, "127.0.0.1")) as agent,
    ):
        agent.expect("event 0 opened" if kind == "IP" else "event 0 failed")
        assert ("certificate refused" in agent.errors()) == (kind == "DNS")


@each
def test_tls_with_a_client_certificate(
    interpreter: str, tmp_path: Path, authority: CertificateAuthority
) -> None:
    certificate, key = authority.issue("unit-7")
    more = f"&cert={certificate}&key={key}"
    with tls_server(authority, "localhost", client_ca=True) as server:
        with run_toy(interpreter, tmp_path, secure(server, authority, "localhost", more)) as agent:
            agent.expect("event 0 opened")
        with run_toy(interpreter, tmp_path, secure(server, authority, "localhost")) as agent:
            agent.expect("event 0 failed")
            assert "TLS: " in agent.errors()


def connected(text: str) -> None:
    """Open a port in this process, send some bytes and close it, like a lost link."""
    woken = threading.Event()
    port = tcp.open_port(parse_address(text), woken.set)
    try:
        until = time.monotonic() + TIMEOUT_S
        while not port.continue_open():
            assert time.monotonic() < until
            time.sleep(0.005)
        port.write(b"echo")
        while not port.read():
            assert time.monotonic() < until
            time.sleep(0.005)
    finally:
        port.close()


def test_a_session_of_tls_1_2_is_resumed(authority: CertificateAuthority) -> None:
    certificate, key = authority.issue("unit-8")
    more = f"&cert={certificate}&key={key}&tls=1.2&utc="
    with tls_server(authority, "localhost", client_ca=True) as server:
        for utc in (0, int(time.time()), int(time.time()) + 1):
            connected(secure(server, authority, "localhost", f"{more}{utc}"))
        assert server.resumed == [("TLSv1.2", reused) for reused in (False, True, True)]
        late = secure(server, authority, "localhost", f"{more}{int(time.time()) + 10**9}")
        with pytest.raises(PortError, match="has expired"):
            connected(late)  # the dates are checked for a resumed session too
        Path(certificate).touch()
        connected(secure(server, authority, "localhost", f"{more}0"))
        assert server.resumed[-1] == ("TLSv1.2", False)
        connected(secure(server, authority, "localhost", f"&cert={certificate}&key={key}"))
        assert server.resumed[-1] == ("TLSv1.3", False)


def test_session_that_the_server_rejects_ends(authority: CertificateAuthority) -> None:
    with tls_server(authority, "localhost") as server:
        text = secure(server, authority, "localhost", "&tls=1.2")
        connected(text)
        server._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # no ciphers of the session
        server._context.load_cert_chain(*authority.issue("localhost", "DNS"))
        server._context.set_ciphers("ECDHE+CHACHA20")
        connected(text)
        assert [reused for _, reused in server.resumed] == [False, False]


@each
def test_tls_carries_more_than_a_record(
    interpreter: str, tmp_path: Path, authority: CertificateAuthority
) -> None:
    """select does not see data that TLS has decrypted: it must be read to the end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost"))
    with listener() as server:
        address = f"tls:localhost:{server.getsockname()[1]}?ca={authority.ca}"
        with (
            run_toy(interpreter, tmp_path, address) as agent,
            context.wrap_socket(accept(server), server_side=True) as connection,
        ):
            agent.expect("event 0 opened")
            text = pattern(48000)
            connection.sendall(text)
            assert read(connection, len(text)) == text
            connection.sendall(b"!quit")
            assert read(connection, len(LAST_BYTES)) == LAST_BYTES
            agent.expect("end 0")


@each
def test_peer_without_tls(
    interpreter: str, tmp_path: Path, authority: CertificateAuthority
) -> None:
    with listener() as server:
        address = f"tls:localhost:{server.getsockname()[1]}?ca={authority.ca}"
        with run_toy(interpreter, tmp_path, address) as agent:
            with accept(server) as connection:
                connection.sendall(b"220 mail.example ESMTP\r\n")
                agent.expect("event 0 failed")
                assert "TLS: " in agent.errors()
            with accept(server):
                pass
            agent.expect("event 0 failed")


@each
def test_silent_peer_does_not_stop_the_clock(
    interpreter: str, tmp_path: Path, authority: CertificateAuthority
) -> None:
    """A handshake without a reply must not delay a tick."""
    with listener() as server:
        address = f"tls:localhost:{server.getsockname()[1]}?ca={authority.ca}"
        with run_toy(interpreter, tmp_path, "--tick", "20000", address) as agent, accept(server):
            agent.expect("tick 20")
            assert not any("event" in line for line in agent.lines)


@each
def test_missing_certificate_file(interpreter: str, tmp_path: Path) -> None:
    with listener() as server:
        port = server.getsockname()[1]
        with run_toy(
            interpreter, tmp_path, f"tls:localhost:{port}?ca={tmp_path}/none.pem"
        ) as agent:
            agent.expect("event 0 failed")
            assert f"tls:localhost:{port}: ca {tmp_path}/none.pem: " in agent.errors()


def test_helpers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        release.wait(TIMEOUT_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    address = parse_address("tcp:slow.example:1")
    woken: list[int] = []
    begun = time.monotonic()
    ports = [tcp.open_port(address, lambda: woken.append(1)) for _ in range(4)]
    assert not any(port.continue_open() for port in ports)
    with pytest.raises(PortError, match="look-ups do not return"):
        tcp.open_port(address, lambda: None)
    assert time.monotonic() - begun < TIMEOUT_S
    release.set()
    end = time.monotonic() + TIMEOUT_S
    while len(woken) < 4 and time.monotonic() < end:
        time.sleep(0.005)
    assert len(woken) == 4
