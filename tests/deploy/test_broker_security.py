"""The shipped broker configuration: no certificate, no entry; a unit keeps to its topics."""

import queue
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from deploy.errors import OpsError
from deploy.ops import pki
from deploy.ops.mqtt_session import leave
from tests.support.cli_tools import PATIENCE_S
from tests.support.peers import free_port, need, wait_until_open

CONF = Path("deploy/broker/mosquitto.conf")
UNIT, OTHER = "s1.u1", "s1.u2"


class Broker:
    """mosquitto with the shipped file; only paths and the port are ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pki = folder / "pki"
        self.pki.mkdir()
        pki.create(self.pki, "test")
        pki.issue(self.pki, "broker", "broker", ["localhost", "127.0.0.1"])
        pki.issue(self.pki, UNIT, "unit", [])
        pki.issue(self.pki, OTHER, "unit", [])
        pki.issue(self.pki, "alice", "operator", [])
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        text = CONF.read_text().replace("/etc/mosquitto/coldloop", str(self.pki))
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        text = text.replace("/var/lib/mosquitto/", f"{self.folder}/")
        (self.folder / "m.conf").write_text(text + "user root\n")
        with (self.folder / "log").open("ab") as log:
            command = [need("mosquitto"), "-c", str(self.folder / "m.conf")]
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


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    made.start()
    yield made
    made.stop()


class Client:
    """A paho client that keeps what it hears."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.connected: queue.Queue[str] = queue.Queue()
        self.granted: queue.Queue[int] = queue.Queue()
        make: Any = paho.Client
        self.paho = make(CallbackAPIVersion.VERSION2)
        self.paho.on_message = lambda _c, _d, m: self.heard.put((m.topic, m.payload))
        self.paho.on_connect = lambda _c, _d, _f, code, _p: self.connected.put(str(code))
        self.paho.on_subscribe = lambda _c, _d, number, _r, _p: self.granted.put(number)
        self.paho.tls_set_context(broker.context(name))
        self.paho.connect("localhost", broker.port)
        self.paho.loop_start()
        assert self.connected.get(timeout=PATIENCE_S) == "Success"

    def subscribe(self, topic: str) -> None:
        """Return when the broker has answered, with a grant or without."""
        number = self.paho.subscribe(topic, 1)[1]
        assert self.granted.get(timeout=PATIENCE_S) == number

    def say(self, topic: str, payload: bytes) -> None:
        """Return when the broker has answered, whether it hands that on or not."""
        self.paho.publish(topic, payload, 1).wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        leave(self.paho)


def handshake(broker: Broker, context: ssl.SSLContext) -> bytes:
    """Connect and send an MQTT CONNECT: what comes back."""
    with (
        socket.create_connection(("127.0.0.1", broker.port), 5) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as link,
    ):
        link.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x")
        return link.recv(4)


def refused(broker: Broker, context: ssl.SSLContext) -> bool:
    try:
        return handshake(broker, context) == b""
    except (ssl.SSLError, ConnectionResetError):
        return True


def test_no_certificate_no_connection(broker: Broker) -> None:
    assert handshake(broker, broker.context(UNIT))[:2] == b"\x20\x02"
    assert refused(broker, broker.context(None))


def test_openssl_is_turned_away_without_a_certificate(broker: Broker) -> None:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-quiet"]
    command += ["-CAfile", str(broker.pki / "ca.pem")]
    connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
    done = subprocess.run(command, input=connect, capture_output=True, timeout=20, check=False)
    assert b"\x20\x02" not in done.stdout
    assert b"alert" in done.stderr


def test_a_stranger_with_a_certificate_of_his_own_stays_out(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pki.create(tmp_path / "other", "other")
    pki.issue(tmp_path / "other", UNIT, "unit", [])
    context = ssl.create_default_context(cafile=str(broker.pki / "ca.pem"))
    context.load_cert_chain(tmp_path / "other" / f"{UNIT}.pem", tmp_path / "other" / f"{UNIT}.key")
    assert refused(broker, context)


def test_a_broker_by_another_name_is_not_believed(broker: Broker) -> None:
    with (
        socket.create_connection(("127.0.0.1", broker.port), 5) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        broker.context(UNIT).wrap_socket(raw, server_hostname="broker.example")


def test_a_unit_hears_and_says_only_its_own(broker: Broker) -> None:
    unit, other, alice = (Client(broker, name) for name in (UNIT, OTHER, "alice"))
    for client, topic in (
        (unit, "coldloop/v1/#"),
        (unit, "coldloop/v1/s1/u1/cfg/desired"),
        (other, "coldloop/v1/s1/u1/cfg/desired"),
        (alice, "coldloop/v1/#"),
    ):
        client.subscribe(topic)
    alice.say("coldloop/v1/s1/u1/cfg/desired", b"for u1")
    assert unit.heard.get(timeout=PATIENCE_S) == ("coldloop/v1/s1/u1/cfg/desired", b"for u1")
    other.say("coldloop/v1/s1/u1/tele", b"a lie")
    other.say("coldloop/v1/s1/u1/cfg/desired", b"an attack")
    unit.say("coldloop/v1/s1/u1/cfg/desired", b"to myself")
    unit.say("coldloop/v1/s1/u1/tele", b"true")
    seen = []
    while ("coldloop/v1/s1/u1/tele", b"true") not in seen:
        seen.append(alice.heard.get(timeout=PATIENCE_S))
    assert [payload for _, payload in seen] == [b"for u1", b"true"]
    assert other.heard.empty()
    assert unit.heard.empty()
    for client in (unit, other, alice):
        client.close()


def test_records_and_pieces_of_updates_have_their_topics(broker: Broker) -> None:
    unit, other, alice = (Client(broker, name) for name in (UNIT, OTHER, "alice"))
    for client in (unit, other):
        client.subscribe("coldloop/v1/s1/u1/cfg/chunk")
    alice.subscribe("coldloop/v1/s1/u1/cfg/record/+")
    other.say("coldloop/v1/s1/u1/cfg/record/audit.0", b"a lie")
    unit.say("coldloop/v1/s1/u1/cfg/record/audit.0", b"true")
    assert alice.heard.get(timeout=PATIENCE_S) == ("coldloop/v1/s1/u1/cfg/record/audit.0", b"true")
    unit.say("coldloop/v1/s1/u1/cfg/chunk", b"by itself")
    alice.say("coldloop/v1/s1/u1/cfg/chunk", b"piece")
    assert unit.heard.get(timeout=PATIENCE_S) == ("coldloop/v1/s1/u1/cfg/chunk", b"piece")
    assert other.heard.empty()
    for client in (unit, other, alice):
        client.close()


def test_a_revoked_unit_stays_out_and_a_rotated_one_comes_in(broker: Broker) -> None:
    old = broker.context(UNIT)
    pki.rotate(broker.pki, UNIT, [])
    broker.stop()
    broker.start()
    assert refused(broker, old)
    assert handshake(broker, broker.context(UNIT))[:2] == b"\x20\x02"


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    pki.create(tmp_path, "x")
    pki.issue(tmp_path, UNIT, "unit", [])
    for path in tmp_path.glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    for words in ((UNIT, "unit"), ("u1", "unit"), ("b", "broker"), ("x", "king")):
        with pytest.raises(OpsError):
            pki.issue(tmp_path, *words, [])
    with pytest.raises(OpsError):
        pki.create(tmp_path, "x")
    with pytest.raises(OpsError):
        pki.issue(tmp_path / "nowhere", UNIT, "unit", [])
