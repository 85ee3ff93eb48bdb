# SPDX-License-Identifier: Apache-2.0
"""Shipped broker configuration: clients need a certificate, and a unit has only its topics."""

import contextlib
import queue
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from paho.mqtt.enums import CallbackAPIVersion

from deploy.errors import OpsError
from deploy.ops.mqtt_session import disconnect
from deploy.ops.pki import authority as pki
from tests.support.cli_tools import TIMEOUT_S, wait_until
from tests.support.programs import free_port, require_program, wait_until_open

CONF = Path("deploy/broker/mosquitto.conf")
UNIT, OTHER = "s1.u1", "s1.u2"


class SecureBroker:
    """mosquitto with the shipped file; paths and port are replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pki = folder / "pki"
        self.pki.mkdir()
        pki.create(self.pki, "test")
        pki.issue(self.pki, "broker", "broker", ["localhost", "127.0.0.1"])
        pki.issue(self.pki, UNIT, "unit", [])
        pki.issue(self.pki, OTHER, "unit", [])
        pki.issue(self.pki, "alice", "operator", [])
        for name in ("ground", "ground-outputs", "ground-reader"):
            pki.issue(self.pki, name, "relay", [])
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        text = CONF.read_text().replace("/etc/mosquitto/coldloop", str(self.pki))
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        text = text.replace("/var/lib/mosquitto/", f"{self.folder}/")
        (self.folder / "m.conf").write_text(text + "user root\n")
        with (self.folder / "log").open("ab") as log:
            command = [require_program("mosquitto"), "-c", str(self.folder / "m.conf")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until_open(self.port)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    def context(self, name: str | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.pki / "ca.pem"))
        if name is not None:
            context.load_cert_chain(self.pki / f"{name}.pem", self.pki / f"{name}.key")
        return context


@contextlib.contextmanager
def running_broker(folder: Path) -> Iterator[SecureBroker]:
    """A broker with the shipped configuration during the block."""
    created = SecureBroker(folder)
    created.start()
    try:
        yield created
    finally:
        created.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SecureBroker]:
    with running_broker(tmp_path) as created:
        yield created


class TlsClient:
    """A paho client that stores received messages."""

    def __init__(self, broker: SecureBroker, name: str, identifier: str = "") -> None:
        self.received: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.connected: queue.Queue[str] = queue.Queue()
        self.granted: queue.Queue[int] = queue.Queue()
        make: Any = paho.Client
        self.paho = make(CallbackAPIVersion.VERSION2, identifier)
        self.paho.on_message = lambda _c, _d, m: self.received.put((m.topic, m.payload))
        self.paho.on_connect = lambda _c, _d, _f, code, _p: self.connected.put(str(code))
        self.paho.on_subscribe = lambda _c, _d, number, _r, _p: self.granted.put(number)
        self.paho.tls_set_context(broker.context(name))
        self.paho.connect("localhost", broker.port)
        self.paho.loop_start()
        assert self.connected.get(timeout=TIMEOUT_S) == "Success"

    def subscribe(self, topic: str) -> None:
        """Subscribe and wait for the grant or the rejection of the broker."""
        number = self.paho.subscribe(topic, 1)[1]
        assert self.granted.get(timeout=TIMEOUT_S) == number

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish and wait for the acknowledgement; it does not imply a delivery."""
        self.paho.publish(topic, payload, 1).wait_for_publish(TIMEOUT_S)

    def close(self) -> None:
        disconnect(self.paho)


def handshake(broker: SecureBroker, context: ssl.SSLContext) -> bytes:
    """Connect and send an MQTT CONNECT; return the reply."""
    with (
        socket.create_connection(("127.0.0.1", broker.port), 5) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as link,
    ):
        link.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x")
        return link.recv(4)


def check_rejected(broker: SecureBroker, context: ssl.SSLContext) -> bool:
    try:
        return handshake(broker, context) == b""
    except (ssl.SSLError, ConnectionResetError):
        return True


def test_no_certificate_no_connection(broker: SecureBroker) -> None:
    assert handshake(broker, broker.context(UNIT))[:2] == b"\x20\x02"
    assert check_rejected(broker, broker.context(None))


def test_openssl_is_rejected_without_a_certificate(broker: SecureBroker) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-quiet"]
    command += ["-CAfile", str(broker.pki / "ca.pem")]
    connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
    completed = subprocess.run(command, input=connect, capture_output=True, timeout=20, check=False)
    assert b"\x20\x02" not in completed.stdout
    assert b"alert" in completed.stderr


def test_a_certificate_of_another_authority_is_rejected(
    broker: SecureBroker, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    pki.create(tmp_path / "other", "other")
    pki.issue(tmp_path / "other", UNIT, "unit", [])
    context = ssl.create_default_context(cafile=str(broker.pki / "ca.pem"))
    context.load_cert_chain(tmp_path / "other" / f"{UNIT}.pem", tmp_path / "other" / f"{UNIT}.key")
    assert check_rejected(broker, context)


def test_a_broker_with_another_host_name_is_rejected(broker: SecureBroker) -> None:
    with (
        socket.create_connection(("127.0.0.1", broker.port), 5) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        broker.context(UNIT).wrap_socket(raw, server_hostname="broker.example")


def test_a_unit_reads_and_writes_only_its_topics(broker: SecureBroker) -> None:
    unit, other, alice = (TlsClient(broker, name) for name in (UNIT, OTHER, "alice"))
    for client, topic in (
        (unit, "coldloop/v1/#"),
        (unit, "coldloop/v1/s1/u1/cfg/desired"),
        (other, "coldloop/v1/s1/u1/cfg/desired"),
        (alice, "coldloop/v1/#"),
    ):
        client.subscribe(topic)
    alice.publish("coldloop/v1/s1/u1/cfg/desired", b"for u1")
    assert unit.received.get(timeout=TIMEOUT_S) == ("coldloop/v1/s1/u1/cfg/desired", b"for u1")
    other.publish("coldloop/v1/s1/u1/tele", b"a lie")
    other.publish("coldloop/v1/s1/u1/cfg/desired", b"an attack")
    unit.publish("coldloop/v1/s1/u1/cfg/desired", b"to myself")
    unit.publish("coldloop/v1/s1/u1/tele", b"true")
    observed = []
    while ("coldloop/v1/s1/u1/tele", b"true") not in observed:
        observed.append(alice.received.get(timeout=TIMEOUT_S))
    assert [payload for _, payload in observed] == [b"for u1", b"true"]
    assert other.received.empty()
    assert unit.received.empty()
    for client in (unit, other, alice):
        client.close()


def test_audit_records_and_update_chunks_have_topics(broker: SecureBroker) -> None:
    unit, other, alice = (TlsClient(broker, name) for name in (UNIT, OTHER, "alice"))
    for client in (unit, other):
        client.subscribe("coldloop/v1/s1/u1/cfg/chunk")
    alice.subscribe("coldloop/v1/s1/u1/cfg/record/+")
    other.publish("coldloop/v1/s1/u1/cfg/record/audit.0", b"a lie")
    unit.publish("coldloop/v1/s1/u1/cfg/record/audit.0", b"true")
    assert alice.received.get(timeout=TIMEOUT_S) == (
        "coldloop/v1/s1/u1/cfg/record/audit.0",
        b"true",
    )
    unit.publish("coldloop/v1/s1/u1/cfg/chunk", b"by itself")
    alice.publish("coldloop/v1/s1/u1/cfg/chunk", b"piece")
    assert unit.received.get(timeout=TIMEOUT_S) == ("coldloop/v1/s1/u1/cfg/chunk", b"piece")
    assert other.received.empty()
    for client in (unit, other, alice):
        client.close()


def test_a_client_does_not_disconnect_another_one(broker: SecureBroker) -> None:
    """The identifier of another unit in CONNECT has no effect."""
    unit = TlsClient(broker, UNIT)
    unit.subscribe("coldloop/v1/s1/u1/cmd")
    other = TlsClient(broker, OTHER, UNIT)
    alice = TlsClient(broker, "alice")
    alice.publish("coldloop/v1/s1/u1/cmd", b"one")
    assert unit.received.get(timeout=TIMEOUT_S) == ("coldloop/v1/s1/u1/cmd", b"one")
    assert unit.connected.empty(), "it was disconnected and has connected again"
    for client in (unit, other, alice):
        client.close()


@pytest.mark.parametrize(("keepalive_s", "answer"), [(3600, 0), (3601, 2), (0, 2)])
def test_a_session_that_would_never_end_is_refused(
    broker: SecureBroker, keepalive_s: int, answer: int
) -> None:
    """The packet of MQTT 3.1.1, 3.1: paho does not send each value."""
    name = UNIT.encode()
    body = b"\x00\x04MQTT\x04\x02" + keepalive_s.to_bytes(2) + len(name).to_bytes(2) + name
    with (
        socket.create_connection(("127.0.0.1", broker.port), 10) as plain,
        broker.context(UNIT).wrap_socket(plain, server_hostname="127.0.0.1") as link,
    ):
        link.sendall(bytes((0x10, len(body))) + body)
        assert link.recv(4) == bytes((0x20, 2, 0, answer))


def test_a_reader_only_reads_and_an_operator_has_its_site(tmp_path: Path) -> None:
    pki.create(tmp_path, "test")
    pki.issue(tmp_path, "eve", "reader", [])
    pki.issue(tmp_path, "bob", "operator", [], site="s1")
    blocks = (tmp_path / "acl").read_text().split("\n\n")
    assert blocks[1].splitlines() == ["user eve", "topic read coldloop/v1/#"]
    assert "topic write coldloop/v1/s1/+/cmd" in blocks[2]
    assert "topic read coldloop/v1/s1/#" in blocks[2]
    assert "v1/+/" not in blocks[2]


@pytest.mark.parametrize(
    ("name", "role", "hosts", "site"),
    [
        ("+.+", "unit", [], ""),
        ("#", "operator", [], ""),
        ("a\ntopic readwrite #", "operator", [], ""),
        ("s1.u1\n", "unit", [], ""),
        ("../x", "operator", [], ""),
        ("ca", "operator", [], ""),
        ("S1.u1", "unit", [], ""),
        ("s1.", "unit", [], ""),
        ("", "operator", [], ""),
        ("x" * 65, "operator", [], ""),
        ("b", "broker", ["a b"], ""),
        ("b", "broker", ["h\n"], ""),
        ("bob", "operator", [], "+"),
        ("s1.u1", "unit", [], "s1"),
    ],
)
def test_names_of_certificates_are_checked(
    tmp_path: Path, name: str, role: str, hosts: list[str], site: str
) -> None:
    pki.create(tmp_path, "test")
    before = (tmp_path / "acl").read_text()
    with pytest.raises(OpsError):
        pki.issue(tmp_path, name, role, hosts, site=site)
    with pytest.raises(OpsError):
        pki.revoke(tmp_path, name)
    assert (tmp_path / "acl").read_text() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["acl", "ca.key", "ca.pem", "crl.pem"]


def test_the_key_of_the_authority_is_encrypted(tmp_path: Path) -> None:
    pki.create(tmp_path, "test", "secret words")
    assert b"ENCRYPTED" in (tmp_path / "ca.key").read_bytes()
    for wrong in ("", "other"):
        with pytest.raises(OpsError, match="passphrase"):
            pki.issue(tmp_path, UNIT, "unit", [], wrong)
    pki.issue(tmp_path, UNIT, "unit", [], "secret words")
    pki.rotate(tmp_path, UNIT, [], "secret words")


def test_a_signing_request_keeps_its_key(tmp_path: Path) -> None:
    pki.create(tmp_path, "test")
    key, csr = tmp_path / "own", tmp_path / "own.csr"
    command = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(csr), "-subj", f"/CN={UNIT}"]
    subprocess.run(command, check=True, capture_output=True)
    issued = pki.issue(tmp_path, UNIT, "unit", [], request=csr.read_bytes())
    made = x509.load_pem_x509_certificate(issued.read_bytes()).public_key()
    assert made == x509.load_pem_x509_csr(csr.read_bytes()).public_key()
    assert not (tmp_path / f"{UNIT}.key").exists()
    for name, request in ((OTHER, csr.read_bytes()), (OTHER, b"x")):
        with pytest.raises(OpsError):
            pki.issue(tmp_path, name, "unit", [], request=request)
    pki.rotate(tmp_path, UNIT, [])


def test_a_revocation_keeps_the_earlier_ones(tmp_path: Path) -> None:
    pki.create(tmp_path, "test")
    serials = []
    for name in ("s1.u1", "s1.u2", "s1.u3"):
        issued = pki.issue(tmp_path, name, "unit", [])
        serials.append(x509.load_pem_x509_certificate(issued.read_bytes()).serial_number)
    for name in ("s1.u1", "s1.u2"):
        pki.revoke(tmp_path, name)
    pki.rotate(tmp_path, "s1.u3", [])
    revoked = x509.load_pem_x509_crl((tmp_path / "crl.pem").read_bytes())
    assert sorted(entry.serial_number for entry in revoked) == sorted(serials)


def test_a_revoked_certificate_is_rejected_and_a_rotated_one_accepted(broker: SecureBroker) -> None:
    old = broker.context(UNIT)
    pki.rotate(broker.pki, UNIT, [])
    broker.stop()
    broker.start()
    assert check_rejected(broker, old)
    assert handshake(broker, broker.context(UNIT))[:2] == b"\x20\x02"


def test_a_revocation_takes_the_rights_of_an_open_connection(broker: SecureBroker) -> None:
    """A reload (SIGHUP) is enough; the broker is not restarted."""
    unit, alice = TlsClient(broker, UNIT), TlsClient(broker, "alice")
    alice.subscribe("coldloop/v1/#")
    unit.subscribe("coldloop/v1/s1/u1/cmd")
    unit.publish("coldloop/v1/s1/u1/state", b"before")
    assert alice.received.get(timeout=TIMEOUT_S)[1] == b"before"
    old = broker.context(UNIT)
    pki.revoke(broker.pki, UNIT)
    other = TlsClient(broker, OTHER)
    assert broker.process is not None
    broker.process.send_signal(signal.SIGHUP)
    wait_until("new connections are refused", lambda: check_rejected(broker, old))
    with contextlib.suppress(RuntimeError):  # the broker can have closed the connection
        unit.publish("coldloop/v1/s1/u1/state", b"after")
    alice.publish("coldloop/v1/s1/u1/cmd", b"secret")
    other.publish("coldloop/v1/s1/u2/state", b"other")
    found = [alice.received.get(timeout=TIMEOUT_S)[1] for _ in range(2)]
    assert found == [b"secret", b"other"]
    assert unit.received.empty()
    for client in (unit, alice, other):
        client.close()


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    pki.create(tmp_path, "x")
    pki.issue(tmp_path, UNIT, "unit", [])
    for path in tmp_path.glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    for arguments in ((UNIT, "unit"), ("u1", "unit"), ("b", "broker"), ("x", "king")):
        with pytest.raises(OpsError):
            pki.issue(tmp_path, *arguments, [])
    with pytest.raises(OpsError):
        pki.create(tmp_path, "x")
    with pytest.raises(OpsError):
        pki.issue(tmp_path / "nowhere", UNIT, "unit", [])
