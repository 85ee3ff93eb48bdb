# SPDX-License-Identifier: Apache-2.0
"""Modbus/TCP Security as a client: a device that takes the role from the certificate.

The device is a server of this test: ssl of Python, and cryptography as the reader of the role. The
certificates are made by openssl.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from drivers.commands import modbus
from drivers.ports.cpython.tls_role import describe_role, find_role
from tests.support.runtime_rig import CertificateAuthority

OID = "1.3.6.1.4.1.50316.802.1"
ROLES = {
    "operator": f"{OID}=ASN1:UTF8String:Operator",
    "viewer": f"{OID}=ASN1:UTF8String:Viewer",
    "critical": f"{OID}=critical,ASN1:UTF8String:Viewer",
    "unnamed": "",
    "odd": f"{OID}=ASN1:INTEGER:7",
}
WRITES = (5, 6, 15, 16, 22, 23)


def read_role(certificate: bytes) -> str:
    """Return the role that cryptography finds, without the two bytes before the text."""
    parsed = x509.load_der_x509_certificate(certificate)
    try:
        value = parsed.extensions.get_extension_for_oid(x509.ObjectIdentifier(OID)).value
    except x509.ExtensionNotFound:
        return ""
    assert isinstance(value, x509.UnrecognizedExtension)
    return value.value[2:].decode() if value.value[0] == 0x0C else ""


class SecureDevice(threading.Thread):
    """One register; an operator can write it, each other role can read it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.value = 5
        self._context = context

    def run(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as sock:
                    self._serve(sock)
            except OSError:
                continue

    def _serve(self, sock: ssl.SSLSocket) -> None:
        role = read_role(sock.getpeercert(binary_form=True) or b"")
        while frame := sock.recv(260):
            reply = self._reply(frame[7:], role)
            sock.sendall(frame[:4] + struct.pack(">HB", len(reply) + 1, frame[6]) + reply)

    def _reply(self, request: bytes, role: str) -> bytes:
        if request[0] in WRITES and role != "Operator":
            return bytes((request[0] | 0x80, 1))
        if request[0] == 6:
            self.value = int.from_bytes(request[3:5], "big")
            return request
        return bytes((request[0], 2)) + self.value.to_bytes(2, "big")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    authority = CertificateAuthority(tmp_path_factory.mktemp("roles"))
    made = {name: authority.issue(name, more=more) for name, more in ROLES.items()}
    return {
        **made,
        "ca": (authority.ca, authority.key),
        "server": authority.issue("127.0.0.1", "IP"),
    }


@contextmanager
def serve(files: dict[str, tuple[Path, Path]]) -> Iterator[SecureDevice]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files["ca"][0]))
    context.load_cert_chain(*files["server"])
    context.verify_mode = ssl.CERT_REQUIRED
    device = SecureDevice(context)
    device.start()
    try:
        yield device
    finally:
        device.listener.shutdown(socket.SHUT_RDWR)
        device.listener.close()
        device.join(10)


def test_role_is_that_of_cryptography(files: dict[str, tuple[Path, Path]]) -> None:
    found = {}
    for name in ROLES:
        parsed = x509.load_pem_x509_certificate(files[name][0].read_bytes())
        certificate = parsed.public_bytes(Encoding.DER)
        found[name] = find_role(certificate)
        assert found[name] == read_role(certificate)
        for end in range(0, len(certificate), 7):
            assert found[name].startswith(find_role(certificate[:end]))
    roles = {"operator": "Operator", "viewer": "Viewer", "critical": "Viewer"}
    assert found == {**roles, "unnamed": "", "odd": ""}


@pytest.mark.parametrize("name", ["operator", "viewer", "unnamed"])
def test_device_permits_by_the_role(
    name: str, files: dict[str, tuple[Path, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = files[name]
    with serve(files) as device:
        address = f"tls:127.0.0.1:{device.port}?ca={files['ca'][0]}&cert={certificate}&key={key}"
        words = ("--timeout-ms", "1000")
        assert modbus(["read", address, "1", "0", *words]) == 0
        assert capsys.readouterr().out.split() == ["0", "5", "(0005)"]
        may_write = name == "operator"
        assert modbus(["write", address, "1", "0", "7", "--yes", *words]) == int(not may_write)
        shown = capsys.readouterr()
        assert device.value == (7 if may_write else 5)
        if may_write:
            assert "done: the device holds the value" in shown.out
            return
        role = {"viewer": "the role Viewer", "unnamed": "no role"}[name]
        assert "refused" in shown.out + shown.err
        text = f"the device takes the role from the certificate, and {certificate} has {role}"
        assert text in shown.err


def test_file_without_a_certificate_gives_no_hint(tmp_path: Path) -> None:
    assert describe_role(str(tmp_path / "none.pem")) == ""
    (tmp_path / "empty.pem").write_text("no certificate", encoding="ascii")
    assert describe_role(str(tmp_path / "empty.pem")) == ""
    assert "the address has no cert" in describe_role("")
