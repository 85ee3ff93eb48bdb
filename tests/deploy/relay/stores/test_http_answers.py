# SPDX-License-Identifier: Apache-2.0
"""Answers of an HTTP receiver: only 2xx without a body is an acknowledgement, few are a refusal."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from deploy.relay.intake.downlink import Downlink
from deploy.relay.outputs.base import AnsweredError, OutputError
from deploy.relay.outputs.http_client import HttpClient, RefusedError
from deploy.relay.outputs.influx_output import InfluxOutput
from tests.deploy.relay.stores.test_stores import ITEMS, context

_END = b"Content-Length: 0\r\nConnection: close\r\n\r\n"
_LOGIN = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\n<h1>Login</h1>"
_CUT = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n"


@contextmanager
def receiver(answer: bytes) -> Iterator[str]:
    """A receiver that gives `answer` to each POST, and a page of a login to each GET."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer, suppress(OSError):
                request = peer.recv(1 << 16)
                while b"\r\n\r\n" not in request:
                    request += peer.recv(1 << 16)
                peer.sendall(answer if request.startswith(b"POST") else _LOGIN)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1 << 16):
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/write"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n" + _END, None),
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", None),
        (_LOGIN, OutputError),
        (b"HTTP/1.1 301 Moved\r\nLocation: /login\r\n" + _END, OutputError),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n" + _END, OutputError),
        (b"HTTP/1.1 307 Temporary\r\nLocation: /login\r\n" + _END, OutputError),
        (b"HTTP/1.1 200 OK\r\n" + _CUT, OutputError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 57\r\nConnection: close\r\n\r\n", OutputError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 57\r\nConnection: close\r\n\r\n  ", OutputError),
        (b"HTTP/1.1 500 Error\r\n" + _CUT, AnsweredError),
        (b"HTTP/1.1 503 Busy\r\n" + _END, OutputError),
        (b"HTTP/1.1 400 Bad\r\n" + _CUT, RefusedError),
        (b"SSH-2.0-server\r\n", OutputError),
        (b"HTTP/1.1 20", OutputError),
        (b"", OutputError),
    ],
)
def test_what_is_an_acknowledgement(answer: bytes, error: type[Exception] | None) -> None:
    with receiver(answer) as url:
        client = HttpClient(url, context(""))
        if error is None:
            client.post(b"text", "text/plain")
            return
        with pytest.raises(error) as caught:
            client.post(b"text", "text/plain")
        assert caught.type is error


def test_a_receiver_that_does_not_speak_http_refuses_no_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiver(b"SSH-2.0-server\r\n") as url:
        output = InfluxOutput(context(url))
        with pytest.raises(OutputError):
            output.deliver(ITEMS)
    with receiver(b"") as url, monkeypatch.context() as patch:
        page = b"SSH-2.0-server\r\n"
        patch.setattr("tests.deploy.relay.stores.test_http_answers._LOGIN", page)
        output = InfluxOutput(context(url))
        with pytest.raises(OutputError):  # the page of its state
            output.deliver(ITEMS)


@pytest.mark.parametrize("wrong", ["", "gateway"])
def test_a_gateway_that_does_not_speak_http_ends_no_thread(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setattr("deploy.relay.intake.downlink._RETRY_DELAY_S", 0.0)
    with receiver(b"SSH-2.0-server\r\n") as url:
        downlink = Downlink(wrong or url, {"3001": "s/u"}, {"s/u": bytes(32)}, 0.0)
        for _ in range(2):
            downlink.send_receipt("s/u", b"x")
        downlink.close()
    assert downlink.failed == 2


def test_a_gateway_that_redirects_has_not_taken_the_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library would ask for the other page without the message, and its text can be "OK"."""
    monkeypatch.setattr("deploy.relay.intake.downlink._RETRY_DELAY_S", 0.0)
    good = b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nOK,1"
    monkeypatch.setattr("tests.deploy.relay.stores.test_http_answers._LOGIN", good)  # of each GET
    with receiver(good) as page:
        with receiver(f"HTTP/1.0 302 Found\r\nLocation: {page}\r\n\r\n".encode()) as url:
            downlink = Downlink(url, {"3001": "s/u"}, {}, 0.0)
            downlink.send_receipt("s/u", b"x")
            downlink.close()
        assert (downlink.posted, downlink.failed) == (0, 1)
        downlink = Downlink(page, {"3001": "s/u"}, {}, 0.0)
        downlink.send_receipt("s/u", b"x")
        downlink.close()
        assert (downlink.posted, downlink.failed) == (1, 0)
