# SPDX-License-Identifier: Apache-2.0
"""Modbus/TCP Security: certificates that expire, and files that are replaced while it serves."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from deploy.northbound.modbus.roles import ROLE_OID, encode_role, find_end, find_role
from deploy.northbound.modbus.server import ModbusClient, ModbusTcpServer
from deploy.northbound.modbus.service import TlsFiles, make_context
from tests.deploy.northbound.modbus.modbus_rig import ask
from tests.deploy.northbound.modbus.test_modbus_roles import Authority

WRITE = bytes((6, 1, 32, 0, 7))
SECTION = {"certificate": "server.pem", "key": "server.key", "client_ca": "ca.pem"}


class AheadTime:
    """The time of the system in the server."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class EchoHandler:
    """Answers each request with itself and counts it."""

    def __init__(self) -> None:
        self.count = 0

    def answer(self, pdu: bytes, _client: ModbusClient) -> bytes:
        self.count += 1
        return pdu


class SecureServer:
    """A server with TLS on the loopback, in the event loop of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.handler, self.time = folder, EchoHandler(), AheadTime()
        self.authority = Authority(folder)
        self.authority.issue("server")
        self.client = self.authority.issue("operator", encode_role("Operator"))
        self.files = TlsFiles(SECTION, folder)
        self.server = ModbusTcpServer(
            self.handler,
            tls=make_context(SECTION, folder),
            find_role=find_role,
            wall_clock=self.time,
        )
        self.port = 0

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        await self.server.start(sock)
        try:
            yield
        finally:
            await self.server.stop()

    def context(self, version: ssl.TLSVersion) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = version
        context.load_cert_chain(*self.client)
        return context

    def connect(
        self, context: ssl.SSLContext, session: ssl.SSLSession | None = None
    ) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self.port), 5)
        return context.wrap_socket(raw, session=session)


def run(folder: Path, test: Callable[[SecureServer], None]) -> SecureServer:
    """Run the part of the client in a thread."""

    async def main() -> SecureServer:
        found = SecureServer(folder)
        async with found.serve():
            await asyncio.to_thread(test, found)
        return found

    return asyncio.run(main())


def ask_or_end(sock: ssl.SSLSocket) -> bytes:
    """Return the reply to a write; b"": the server has ended the connection."""
    try:
        return ask(sock, WRITE)
    except OSError:
        return b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_expired_client_has_no_rights_on_any_connection(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    def test(server: SecureServer) -> None:
        context = server.context(version)
        with server.connect(context) as opened:
            assert ask_or_end(opened) == WRITE
            with server.connect(context, opened.session) as resumed:
                assert resumed.session_reused
                assert ask_or_end(resumed) == WRITE
            with server.connect(context, opened.session) as waiting:
                count = server.handler.count
                server.time.ahead_s = 2 * 86_400
                assert ask_or_end(opened) == b"", "the open connection"
                assert ask_or_end(waiting) == b"", "the resumed session"
            with server.connect(context, opened.session) as resumed:
                assert ask_or_end(resumed) == b"", "a session that is resumed later"
            assert server.handler.count == count

    assert run(tmp_path, test).server.counters.expired == 3


def test_the_first_certificate_of_a_chain_that_expires_counts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    time.sleep(1.1)  # the times in certificates are whole seconds
    later = Authority(tmp_path)
    chain = [found.certificate.public_bytes(Encoding.DER) for found in (later, authority)]
    assert find_end(chain) == authority.certificate.not_valid_after_utc.timestamp()
    assert find_end([]) == float("inf")


def serial(server: SecureServer) -> bytes:
    """Return the certificate that a new connection gets."""
    with server.connect(server.context(ssl.TLSVersion.TLSv1_2)) as sock:
        assert ask_or_end(sock) == WRITE
        return sock.getpeercert(binary_form=True) or b""


def test_a_certificate_that_is_replaced_on_the_disk_is_used(tmp_path: Path) -> None:
    async def main() -> None:
        server = SecureServer(tmp_path)
        async with server.serve():
            before = await asyncio.to_thread(serial, server)
            context = server.context(ssl.TLSVersion.TLSv1_2)
            with await asyncio.to_thread(server.connect, context) as opened:
                old_key = (tmp_path / "server.key").read_bytes()
                server.authority.issue("server")
                new_key = (tmp_path / "server.key").read_bytes()
                (tmp_path / "server.key").write_bytes(old_key)
                server.files.refresh(server.server)
                assert await asyncio.to_thread(serial, server) == before, "half of the pair"
                (tmp_path / "server.key").write_bytes(new_key)
                server.files.refresh(server.server)
                after = await asyncio.to_thread(serial, server)
                assert after != before
                assert await asyncio.to_thread(ask_or_end, opened) == WRITE
                server.files.refresh(server.server)
                assert await asyncio.to_thread(serial, server) == after

    asyncio.run(main())


def is_refused(
    server: SecureServer, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> bool:
    """Return whether a client gets no reply on a new connection."""
    try:
        with server.connect(context, session) as sock:
            return ask_or_end(sock) == b""
    except OSError:
        return True


def test_another_client_ca_ends_the_connections_of_the_old_one(tmp_path: Path) -> None:
    async def main() -> None:
        server = SecureServer(tmp_path)
        (tmp_path / "other").mkdir()
        async with server.serve():
            context = server.context(ssl.TLSVersion.TLSv1_2)
            with await asyncio.to_thread(server.connect, context) as opened:
                assert await asyncio.to_thread(ask_or_end, opened) == WRITE
                Authority(tmp_path / "other")
                shutil.copy(tmp_path / "other" / "ca.pem", tmp_path / "ca.pem")
                server.files.refresh(server.server)
                assert await asyncio.to_thread(ask_or_end, opened) == b""
                session = opened.session
                assert await asyncio.to_thread(is_refused, server, context, session)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("identifier", "content"),
    [
        ("2.5.29.17", "3009a507a105130361 6263"),  # ediPartyName
        ("2.5.29.17", "3004a3023000"),  # x400Address
        ("2.5.29.31", "300a3008a006a004a5023000"),  # a point of revocation lists, ediPartyName
        ("2.5.29.17", "ffff"),
        ("2.5.29.15", "0301"),
        ("2.5.29.32", "3000"),
    ],
)
def test_no_extension_of_a_client_raises(identifier: str, content: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5)
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    builder = builder.not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
    extensions = {ROLE_OID: encode_role("Operator"), identifier: bytes.fromhex(content)}
    for oid, value in extensions.items():
        kind = x509.ObjectIdentifier(oid)
        builder = builder.add_extension(x509.UnrecognizedExtension(kind, value), critical=False)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    role, common_name = find_role(certificate)
    assert role in ("", "Operator")
    assert common_name == "client"
