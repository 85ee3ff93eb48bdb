# SPDX-License-Identifier: Apache-2.0
"""A broker that takes TLS 1.3 only: relay, agent and sessions of operators connect."""

import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.ops.mqtt_session import BrokerSession
from deploy.relay.mqtt.trial import try_broker
from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython import tcp
from tests.deploy import test_broker_security as shipped
from tests.deploy.relay.intake.test_relay_access import make_relay, wait_until

_SHIPPED = "tls_version tlsv1.2"


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[shipped.SecureBroker]:
    text = shipped.CONF.read_text()
    assert _SHIPPED in text
    conf = tmp_path / "shipped.conf"
    conf.write_text(text.replace(_SHIPPED, "tls_version tlsv1.3"))
    monkeypatch.setattr(shipped, "CONF", conf)
    with shipped.running_broker(tmp_path) as created:
        yield created


def address(broker: shipped.SecureBroker, name: str, more: str = "") -> str:
    files = [str(broker.pki / file) for file in ("ca.pem", f"{name}.pem", f"{name}.key")]
    options = "&".join(f"{a}={b}" for a, b in zip(("ca", "cert", "key"), files, strict=True))
    return f"tls:localhost:{broker.port}?{options}{more}"


def test_the_broker_takes_no_older_one(broker: shipped.SecureBroker) -> None:
    old = broker.context("ground")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shipped.check_rejected(broker, old)
    new = broker.context("ground")
    assert shipped.handshake(broker, new)[:2] == b"\x20\x02"


def test_a_relay_connects_with_both_certificates(broker: shipped.SecureBroker) -> None:
    relay = make_relay(broker, "ground", "ground-outputs")
    assert try_broker(relay.options.broker, "check", False, 10.0) == ""
    relay.start()
    try:
        wait_until(relay.ready.is_set)
        wait_until(relay._output_connection.is_connected)
    finally:
        relay.stop()
        relay.close()


def test_a_session_of_an_operator_connects(broker: shipped.SecureBroker) -> None:
    with BrokerSession(address(broker, "alice")) as session:
        session.publish("s1/u1/cmd", b"one", False)


def connect(text: str) -> tuple[tcp.TcpPort, bytes]:
    """Connect as an agent does and send CONNECT; return the port and the answer."""
    port = tcp.open_port(parse_address(text), lambda: None)
    try:
        return port, exchange(port)
    except PortError:
        port.close()
        raise


def exchange(port: tcp.TcpPort) -> bytes:
    """Wait for the connection and send CONNECT; return the answer."""
    end = time.monotonic() + 20
    while not port.continue_open():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert port.write(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x")
    answer: bytes | None = b""
    while not answer and time.monotonic() < end:
        answer = port.read()
        time.sleep(0.01)
    return answer or b""


def test_the_port_of_an_agent_connects(broker: shipped.SecureBroker) -> None:
    port, answer = connect(address(broker, shipped.UNIT))
    assert answer[:2] == b"\x20\x02"
    assert isinstance(port._socket, ssl.SSLSocket)
    assert port._socket.version() == "TLSv1.3"
    port.close()


def test_an_agent_says_why_it_cannot_connect(broker: shipped.SecureBroker) -> None:
    """A missing certificate is an alert after the handshake."""
    refusal = why_refused(address(broker, shipped.UNIT, "&tls=1.2"))
    assert re.search(r"TLS.*(?i:alert.protocol.version)", refusal)
    refusal = why_refused(f"tls:localhost:{broker.port}?ca={broker.pki / 'ca.pem'}")
    assert re.search(r"TLS.*(?i:certificate.required)", refusal)


def why_refused(text: str) -> str:
    """Connect until the broker's alert is read. It is lost if the broker has closed the connection
    before CONNECT is sent: then its system answers with a reset.
    """
    refusal = ""
    for _ in range(20):
        with pytest.raises(PortError) as error:
            connect(text)
        refusal = str(error.value)
        if "reset by the peer" not in refusal:
            break
    return refusal
