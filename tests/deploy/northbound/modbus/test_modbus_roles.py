# SPDX-License-Identifier: Apache-2.0
"""Modbus/TCP Security: roles of certificates, and connections without a right."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pymodbus.client import ModbusTcpClient, ModbusTlsClient
from pymodbus.exceptions import ModbusException

from deploy.northbound.access.types import FakeWriter
from deploy.northbound.modbus import layout
from deploy.northbound.modbus.roles import ROLE_OID, decode_role, encode_role, make_tls_context
from deploy.northbound.modbus.set_points import ModbusWriteRules
from tests.deploy.northbound.modbus.modbus_rig import ModbusRig, wait_for


class Authority:
    """Certificates of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self.key.public_key(), None, True)
        (folder / "ca.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str, role: bytes | None = None) -> tuple[Path, Path]:
        """Return the files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key.public_key(), role, False)
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return paths

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, role: bytes | None, authority: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )  # fmt: skip
        if authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if role is not None:
            builder = builder.add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier(ROLE_OID), role), critical=False
            )
        return builder.sign(self.key, SHA256())


def test_roles_of_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = authority.issue("server")
    context = make_tls_context(*server, tmp_path / "ca.pem")
    expected = {
        "reader": (encode_role("ReadOnly"), True, False),
        "operator": (encode_role("Operator"), True, True),
        "none": (None, False, False),
        "unknown": (encode_role("Root"), False, False),
        "broken": (b"\x0c\x20Operator", False, False),
    }
    rig = ModbusRig(FakeWriter(), ModbusWriteRules())
    with rig.serve(tls=context) as port:
        for name, (role, reads, writes) in expected.items():
            with _tls_client(port, authority.issue(name, role), tmp_path / "ca.pem") as client:
                read = client.read_holding_registers(0, count=2, device_id=1)
                assert read.isError() != reads, name
                written = client.write_register(layout.KEEP_ALIVE, hash(name) & 0xFFFF | 1)
                assert written.isError() != writes, name
    users = {entry[0] for entry in rig.audit.entries}
    assert users == {"reader", "none", "broken", "unknown"}, "each attempt has an entry"


def test_connections_without_a_handshake_keep_no_master_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    context = make_tls_context(*authority.issue("server"), tmp_path / "ca.pem")
    rig = ModbusRig()
    reader = authority.issue("reader", encode_role("ReadOnly"))
    with rig.serve(tls=context) as port, contextlib.ExitStack() as stack:
        for number in range(16):
            source = (f"127.0.0.{2 + number % 4}", 0)
            sock = socket.create_connection(("127.0.0.1", port), 5, source)
            stack.enter_context(sock)
        server = rig.server
        assert server is not None
        wait_for(lambda: server.counters.connections == 16)
        with _tls_client(port, reader, tmp_path / "ca.pem") as client:
            assert not client.read_holding_registers(0, count=2, device_id=1).isError()
        assert server.counters.evicted == 1
    assert caplog.records == []


def test_foreign_and_missing_certificates(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    context = make_tls_context(*authority.issue("server"), tmp_path / "ca.pem")
    rig = ModbusRig()
    with rig.serve(tls=context) as port:
        foreign = other.issue("operator", encode_role("Operator"))
        for files in (foreign, None):
            client = _tls_client(port, files, tmp_path / "ca.pem")
            client.connect()
            with pytest.raises((ModbusException, OSError)):
                client.read_holding_registers(0, count=2, device_id=1)
            client.close()
        plain = ModbusTcpClient("127.0.0.1", port=port, timeout=1, retries=0)
        with plain, pytest.raises((ModbusException, OSError)):
            plain.read_holding_registers(0, count=2, device_id=1)
    assert rig.server is not None
    assert rig.server.counters.requests == 0


def test_role_text() -> None:
    assert decode_role(encode_role("Operator")) == "Operator"
    for data in (b"", b"\x0c", b"\x0c\x05abc", b"\x13\x03abc", b"\x0c\x81\x03abc"):
        assert decode_role(data) == ""
    assert decode_role(b"\x0c\x02\xff\xfe") == "\ufffd\ufffd"


def _tls_client(port: int, files: tuple[Path, Path] | None, ca: Path) -> ModbusTlsClient:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(ca)
    if files:
        context.load_cert_chain(*files)
    return ModbusTlsClient("127.0.0.1", port=port, sslctx=context, timeout=3, retries=0)
