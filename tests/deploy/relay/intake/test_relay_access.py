# SPDX-License-Identifier: Apache-2.0
"""Access to the relay: certificates at the broker, signatures at the webhook, tokens, TLS."""

import base64
import contextlib
import json
import shutil
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.errors import DeployError
from deploy.ops.pki import authority as pki
from deploy.relay import command
from deploy.relay.intake.http_server import HttpSettings, RelayHttpServer
from deploy.relay.intake.webhook_auth import WebhookAuth, read_public_key
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.options import RelayOptions
from deploy.relay.relay import Relay
from protocols.telemetry import receipt
from tests.deploy.relay.relay_rig import ALARM, UNIT, bulk, pack, write_secret
from tests.deploy.test_broker_security import SecureBroker, TlsClient, running_broker

_KEY = generate_private_key(65537, 2048)
_OTHER_KEY = generate_private_key(65537, 2048)
_FIELDS = {"imei": "3001", "data": "0102"}


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(key: RSAPrivateKey, claims: object, algorithm: str = "RS256") -> str:
    """Return a JSON Web Token as a provider signs it."""
    head = encode(json.dumps({"alg": algorithm}).encode())
    text = f"{head}.{encode(json.dumps(claims).encode())}"
    return f"{text}.{encode(key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def test_only_a_signed_message_is_authentic(tmp_path: Path) -> None:
    auth = WebhookAuth([_OTHER_KEY.public_key(), _KEY.public_key()])
    good = token(_KEY, _FIELDS)
    assert auth.message({"JWT": good, "data": "ffff"}, "") == ("3001", "0102"), "claims count"
    head, body, signature = good.split(".")
    unsigned = encode(b'{"alg":"none"}')
    unknown_key = generate_private_key(65537, 2048)
    for bad in (
        "",
        "a.b",
        "é.é.é",
        f"{unsigned}.{body}.",
        f"{head}.{encode(json.dumps({**_FIELDS, 'data': 'ff'}).encode())}.{signature}",
        f"{head}.{body}.{signature[:-4]}",
        token(unknown_key, _FIELDS),
        token(_KEY, _FIELDS, "HS256"),
        token(_KEY, ["3001"]),
    ):
        assert auth.message({**_FIELDS, "JWT": bad}, "") is None, bad
    assert auth.message(_FIELDS, "") is None
    with_token = WebhookAuth([], write_secret(tmp_path))
    assert with_token.message(_FIELDS, "Bearer secret") == ("3001", "0102")
    for header in ("", "Bearer", "Bearer secre", "Basic secret", "Bearer secrét"):
        assert with_token.message(_FIELDS, header) is None


def test_the_key_of_a_provider_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(
        _KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    assert read_public_key(path).key_size == 2048
    words = ["--broker", "h:1", "--store", "s", "--http", "h:1"]
    options = command.parse_options([*words, "--sbd-key", str(path)])
    assert options.http is not None
    assert options.http.webhook is not None
    plain = command.parse_options(words)
    assert plain.http is not None
    assert plain.http.webhook is None, "without a key the webhook takes nothing"
    path.write_text("no key")
    with pytest.raises(DeployError):
        read_public_key(path)


def status(url: str, body: bytes | None, tls: ssl.SSLContext | None, bearer: str = "") -> int:
    request = urllib.request.Request(url, body)
    if bearer:
        request.add_header("Authorization", f"Bearer {bearer}")
    try:
        with urllib.request.urlopen(request, timeout=10, context=tls) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[SecureBroker]:
    with running_broker(tmp_path) as created:
        yield created


def test_the_http_server_with_tls_and_tokens(broker: SecureBroker, tmp_path: Path) -> None:
    folder, received = broker.pki, []

    def take(imei: str, message: bytes) -> bool:
        received.append((imei, message))
        return True

    settings = HttpSettings(
        *("127.0.0.1", 0, str(folder / "broker.pem"), str(folder / "broker.key")),
        write_secret(tmp_path, "pages"),
        WebhookAuth([_KEY.public_key()]),
    )
    server = RelayHttpServer(settings, {"/metrics": lambda query: ("text/plain", query)}, take)
    assert server.address is not None
    base = f"https://localhost:{server.address[1]}"
    tls = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    try:
        assert status(f"{base}/metrics", None, tls, "pages") == 200
        assert status(f"{base}/metrics", None, tls) == 401
        write_secret(tmp_path, "new")
        assert status(f"{base}/metrics", None, tls, "pages") == 401
        assert status(f"{base}/metrics", None, tls, "new") == 200
        body = urllib.parse.urlencode({"JWT": token(_KEY, _FIELDS)}).encode()
        assert status(f"{base}/sbd", body, tls) == 200
        assert status(f"{base}/sbd", b"imei=3001&data=0102", tls) == 401
        assert received == [("3001", b"\x01\x02")]
        with pytest.raises(OSError, match=r"(?i)certificate"):
            status(f"{base}/metrics", None, ssl.create_default_context())
    finally:
        server.close()


def test_a_body_that_is_cut_off_is_no_message() -> None:
    received: list[bytes] = []
    server = RelayHttpServer(
        HttpSettings("127.0.0.1", 0, webhook=WebhookAuth([])),
        {},
        lambda _, message: not received.append(message),
    )
    assert server.address is not None
    try:
        for head, answer in (
            ("Content-Length: 22", b"400"),
            ("Transfer-Encoding: chunked", b"411"),
            ("Content-Length: 19", b"200"),
        ):
            with socket.create_connection(server.address, 10) as client:
                request = f"POST /sbd HTTP/1.0\r\n{head}\r\n\r\nimei=3001&data=0102"
                client.sendall(request.encode())
                with contextlib.suppress(OSError):  # it has answered the head, and closed
                    client.shutdown(socket.SHUT_WR)
                assert client.recv(100).split(b" ")[1] == answer
    finally:
        server.close()
    assert received == [b"\x01\x02"]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def make_relay(broker: SecureBroker, name: str | None, output_name: str | None = None) -> Relay:
    """Make a relay with JSON; without `output_name` both of its connections have one name."""

    def settings(of: str | None) -> BrokerSettings:
        paths = [
            None if of is None else str(broker.pki / f"{of}.{kind}") for kind in ("pem", "key")
        ]
        authority = str(broker.pki / "ca.pem")
        return BrokerSettings(("localhost", broker.port), None, None, authority, *paths)

    output_broker = None if output_name is None else settings(output_name)
    return Relay(
        RelayOptions(
            settings(name),
            broker.folder / "relay.db",
            outputs={"json": "fleet"},
            output_broker=output_broker,
        )
    )


def test_a_relay_with_certificates_works_at_the_shipped_broker(
    broker: SecureBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rights of the role relay are enough, and no connection ends the other one."""
    relay = make_relay(broker, "ground", "ground-outputs")
    unit, reader = (TlsClient(broker, name) for name in (UNIT.replace("/", "."), "ground-reader"))
    unit.subscribe(f"coldloop/v1/{UNIT}/ack")
    reader.subscribe("fleet/#")
    relay.start()
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        wait_until(relay.ready.is_set)
        unit.paho.publish(f"coldloop/v1/{UNIT}/tele", pack(ALARM, bulk(1)), 1)
        found: set[tuple[int, int]] = set()
        while (3, 1) not in found:
            _, data = unit.received.get(timeout=20)
            found |= {(g, last) for g, _, last in receipt.parse_receipt(data, UNIT, b"").ranges}
        topic, data = reader.received.get(timeout=20)
        assert (topic, json.loads(data)["record"]) == (f"fleet/{UNIT}/rows", 7)
    finally:
        relay.stop()
        thread.join()
        relay.close()
        for client in (unit, reader):
            client.paho.disconnect()
            client.paho.loop_stop()
    assert capsys.readouterr().err == ""


def test_one_certificate_is_enough_without_outputs_at_the_broker(
    broker: SecureBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(broker.pki / f"ground.{kind}") for kind in ("pem", "key")]
    authority = str(broker.pki / "ca.pem")
    settings = BrokerSettings(("localhost", broker.port), None, None, authority, *names)
    fleet = {"fleet": str(broker.folder / "fleet.db")}
    relay = Relay(RelayOptions(settings, broker.folder / "relay.db", outputs=fleet))
    relay.start()
    try:
        wait_until(relay.ready.is_set)
        assert not relay._output_connection.is_connected()
    finally:
        relay.stop()
        relay.close()
    assert capsys.readouterr().err == ""


def test_one_certificate_for_both_connections_says_why(broker: SecureBroker) -> None:
    wait_for_problem(make_relay(broker, "ground"), "--output-cert")


def wait_for_problem(relay: Relay, text: str) -> None:
    """Run a relay until it names a problem with this text."""
    relay.start()
    try:
        wait_until(lambda: text in relay.problem)
    finally:
        relay.close()


def replace_all_certificates(broker: SecureBroker) -> None:
    """Another authority, as after a lost key: nothing of the first one is valid any more."""
    other = broker.folder / "other"
    other.mkdir()
    pki.create(other, "test")
    pki.issue(other, "broker", "broker", ["localhost", "127.0.0.1"])
    for name in ("ground", "ground-outputs"):
        pki.issue(other, name, "relay", [])
    shutil.copytree(other, broker.pki, dirs_exist_ok=True)


def test_a_relay_takes_renewed_certificates_without_a_restart(broker: SecureBroker) -> None:
    relay = make_relay(broker, "ground", "ground-outputs")
    certificate, key = (broker.pki / f"broker.{kind}" for kind in ("pem", "key"))
    settings = HttpSettings("127.0.0.1", 0, str(certificate), str(key))
    server = RelayHttpServer(settings, {"/metrics": lambda _: ("text/plain", "")}, no_message)
    relay.start()
    try:
        wait_until(relay.ready.is_set)
        replace_all_certificates(broker)
        broker.stop()
        wait_until(lambda: not relay._is_connected.is_set())
        broker.start()
        wait_until(relay._is_connected.is_set)
        wait_until(relay._output_connection.is_connected)
        assert server.address is not None
        tls = ssl.create_default_context(cafile=str(broker.pki / "ca.pem"))
        address = f"https://localhost:{server.address[1]}/metrics"
        assert status(address, None, tls) == 200
        certificate.write_text("a file that is being written")
        assert status(address, None, tls) == 200
    finally:
        server.close()
        relay.close()


@pytest.mark.parametrize("is_tls", [False, True])
def test_connections_that_send_nothing_are_few_and_keep_out_no_other(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], is_tls: bool
) -> None:
    settings = HttpSettings("127.0.0.1", 0)
    if is_tls:
        pki.create(tmp_path, "test")
        pki.issue(tmp_path, "relay", "broker", ["localhost"])
        certificate, key = (str(tmp_path / f"relay.{kind}") for kind in ("pem", "key"))
        settings = HttpSettings("127.0.0.1", 0, certificate, key)
    server = RelayHttpServer(settings, {"/metrics": lambda _: ("text/plain", "")}, no_message)
    assert server.address is not None
    base = f"http{'s' * is_tls}://localhost:{server.address[1]}"
    tls = ssl.create_default_context(cafile=str(tmp_path / "ca.pem")) if is_tls else None
    threads = threading.active_count()
    idle_ones = []
    try:
        for number in range(200):
            idle = socket.create_connection(server.address)
            if number % 2:
                idle.sendall(b"GET /metrics HTTP/1.1\r\n")
            idle_ones.append(idle)
        assert status(f"{base}/metrics", None, tls) == 200
        http: Any = server._server._server
        assert len(http._connections) <= 64  # all 200 are accepted: they come in their order
        wait_until(lambda: threading.active_count() <= threads + 64)
        assert status(f"{base}/metrics", None, tls) == 200
    finally:
        for idle in idle_ones:
            idle.close()
        wait_until(lambda: threading.active_count() == threads)
        server.close()
    assert capfd.readouterr().err == ""


def no_message(*_: object) -> bool:
    return False


def test_a_relay_without_a_certificate_says_why(broker: SecureBroker) -> None:
    relay = make_relay(broker, None)
    try:
        with contextlib.suppress(DeployError):  # TLS 1.2: the handshake fails immediately
            relay.start()
            wait_until(lambda: "--cert" in relay.problem)
    finally:
        relay.close()
    with pytest.raises(DeployError, match=r"none\.pem"):
        make_relay(broker, "none")
