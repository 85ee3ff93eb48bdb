# SPDX-License-Identifier: Apache-2.0
"""Requests to the webhook in all forms that HTTP allows, and mailbox checks without data."""

import base64
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from deploy.relay.intake.http_server import HttpSettings, RelayHttpServer
from deploy.relay.intake.webhook_auth import WebhookAuth
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.relay import Relay, RelayOptions

FORM = "application/x-www-form-urlencoded"
OBJECT = json.dumps({"imei": 3001, "data": "0102"}).encode()
KEY = generate_private_key(65537, 2048)


class WebhookRig:
    """A server; `received` has the messages."""

    def __init__(self, auth: WebhookAuth) -> None:
        self.received: list[tuple[str, bytes]] = []
        settings = HttpSettings("127.0.0.1", 0, webhook=auth)
        self.server = RelayHttpServer(
            settings, {"/metrics": lambda query: ("text/plain", query)}, self._take
        )

    def _take(self, imei: str, message: bytes) -> bool:
        self.received.append((imei, message))
        return True

    def ask(self, body: bytes, kind: str = FORM, path: str = "/sbd", method: str = "POST") -> int:
        """Return the status."""
        assert self.server.address is not None
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n"
        if method == "POST":
            head += f"Content-Length: {len(body)}\r\n" + (f"Content-Type: {kind}\r\n" * bool(kind))
        with socket.create_connection(self.server.address, 10) as client:
            client.sendall(head.encode() + b"\r\n" + body)
            return int(client.recv(100).split(b" ")[1])


@pytest.fixture
def webhook() -> Iterator[WebhookRig]:
    created = WebhookRig(WebhookAuth([]))
    yield created
    created.server.close()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", OBJECT),
        ("Application/JSON", OBJECT),
        ("APPLICATION/JSON; Charset=UTF-8", OBJECT),
        ("application/cloudevents+json", OBJECT),
        ("text/plain", OBJECT),
        ("", OBJECT),
        ("application/json", b'\xef\xbb\xbf {"imei":"3001","data":"0102"}\r\n'),
        ("application/json", b'{"imei":"3001","data":"0102","note":"\xe9"}'),
        (FORM, b"imei=3001&data=0102"),
        (FORM.upper(), b"imei=3001&data=0102&transmit_time=\xe9"),
        ("", b"imei=3001&data=0102&note=%E9&x=%zz"),
        (FORM, b"data=01+02&imei=3001\r\n"),
    ],
)
def test_a_body_is_read_in_each_form(webhook: WebhookRig, kind: str, body: bytes) -> None:
    assert webhook.ask(body, kind) == 200
    assert webhook.received == [("3001", b"\x01\x02")]


@pytest.mark.parametrize(
    "path",
    ["/sbd", "/sbd?x=1", "/sbd?", "http://127.0.0.1:99/sbd", "HTTPS://relay.invalid/sbd?a=b"],
)
def test_the_path_is_read_in_each_form(webhook: WebhookRig, path: str) -> None:
    assert webhook.ask(b"imei=3001&data=0102", path=path) == 200
    assert webhook.ask(b"", path=path.replace("sbd", "metrics"), method="GET") == 200
    assert webhook.ask(b"imei=3001&data=0102", path=path.replace("sbd", "other")) == 404
    assert len(webhook.received) == 1


@pytest.mark.parametrize("path", ["http://[/sbd", "//[x/sbd", "*", "?", "/sbd/../sbd"])
def test_a_path_that_is_none_ends_nothing(webhook: WebhookRig, path: str) -> None:
    assert webhook.ask(b"imei=3001&data=0102", path=path) == 404
    assert webhook.ask(b"", path=path, method="GET") == 404
    assert webhook.received == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, b"imei=3001&momsn=5&data="),
        ("application/json", b'{"imei":"3001","data":""}'),
        ("application/json", b'{"imei":"3001","data":null}'),
    ],
)
def test_a_mailbox_check_has_no_data_and_is_taken(
    webhook: WebhookRig, kind: str, body: bytes
) -> None:
    """A session without a message; a gateway repeats what gets an error."""
    assert webhook.ask(body, kind) == 200
    assert webhook.received == [("3001", b"")]


def test_a_mailbox_check_is_counted_and_stored_nowhere(tmp_path: Path) -> None:
    options = RelayOptions(BrokerSettings(("127.0.0.1", 1)), tmp_path / "relay.db")
    options.outputs = {"fleet": str(tmp_path / "fleet.db")}
    relay = Relay(options)
    assert relay._on_gateway_message("3001", b"")
    relay.process()
    counts = relay.pipeline.counts()
    assert (counts["mailbox_checks"], counts["unknown_modems"], counts["datagrams"]) == (1, 0, 0)
    assert relay.pipeline.quarantine.find() == []
    relay.close()


@pytest.mark.parametrize(
    "body", [b"", b"imei=3001", b"data=0102", b"imei=&data=", b"imei=3001&data=xy", b"[]", b"{}"]
)
def test_a_body_without_the_fields_is_an_error(webhook: WebhookRig, body: bytes) -> None:
    assert webhook.ask(body) == 400
    assert webhook.received == []


def test_a_request_costs_little_before_its_sender_is_known() -> None:
    """Fields and parts without number in 256 KiB: the relay has other work."""
    webhook = WebhookRig(WebhookAuth([KEY.public_key()]))
    try:
        for body in (b"a=1&" * 65_000, b"JWT=" + b"." * 262_000, b"JWT=YQ" + b".YQ" * 80_000):
            start = time.process_time()
            assert webhook.ask(body[: 1 << 18]) in (400, 401)
            assert time.process_time() - start < 0.1
    finally:
        webhook.server.close()


# Signed requests.


def token(head_fields: dict[str, object] | None = None, **claims: object) -> str:
    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "RS256", **(head_fields or {})}).encode()) + "."
    head += part(json.dumps({"imei": "3001", "data": "0102", **claims}).encode())
    return head + "." + part(KEY.sign(head.encode(), PKCS1v15(), SHA256()))


@pytest.mark.parametrize(
    ("claim", "after_s", "status"),
    [
        ("iat", -(10**8), 200),
        ("exp", 60, 200),
        ("exp", -60, 200),  # clocks differ
        ("exp", -600, 401),
        ("nbf", 60.5, 200),
        ("nbf", 600, 401),
    ],
)
def test_the_times_of_a_token_are_kept(claim: str, after_s: float, status: int) -> None:
    check_token({claim: int(time.time()) + after_s}, status)


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 200),
        ({"data": ""}, 200),
        ({"exp": "never"}, 401),
        ({"exp": True}, 401),
        ({"imei": None}, 400),
        ({"head_fields": {"typ": "JWT", "kid": "7"}}, 200),
        ({"head_fields": {"crit": ["b64"], "b64": False}}, 401),  # RFC 7515, 4.1.11
    ],
)
def test_a_token_without_a_time(claims: dict[str, object], status: int) -> None:
    check_token(claims, status)


def check_token(claims: dict[str, Any], status: int) -> None:
    webhook = WebhookRig(WebhookAuth([KEY.public_key()]))
    try:
        assert webhook.ask(f"JWT={token(**claims)}".encode()) == status
        assert len(webhook.received) == (status == 200)
    finally:
        webhook.server.close()
