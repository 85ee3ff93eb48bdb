# SPDX-License-Identifier: Apache-2.0
"""The Redfish client over a real socket to Python's own HTTP server.

The server is `http.server` with HTTP/1.1. It keeps the connection, or ends it after each response.
"""

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from drivers.redfish.client import SESSIONS, RedfishClient
from drivers.redfish.target import ENVIRONMENT, RedfishTarget

PATH = "/redfish/v1/Chassis/gpu/EnvironmentMetrics"
LOGIN = ("coldloop", "s3cret")
LIMIT_S = 20.0


class RedfishHandler(BaseHTTPRequestHandler):
    """A service with one limit; `keeps`: the connection stays open after a response."""

    protocol_version = "HTTP/1.1"
    limit = 700
    keeps = True
    token = ""

    def log_message(self, *_: Any) -> None:
        """Suppress the log."""

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status: int, shown: Any = None, token: str = "") -> None:
        body = b"" if shown is None else json.dumps(shown).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        if token:
            self.send_header("X-Auth-Token", token)
        if not self.keeps:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Log in."""
        good = self._body() == {"UserName": LOGIN[0], "Password": LOGIN[1]}
        if self.path == SESSIONS and good:
            type(self).token = "t0k"
            self._answer(201, {"Id": "1"}, "t0k")
        else:
            self._answer(401, {})

    def do_GET(self) -> None:
        """Return the limit."""
        if not self.token or self.headers["X-Auth-Token"] != self.token:
            self._answer(401, {})
            return
        limits = {"SetPoint": type(self).limit, "AllowableMin": 200, "AllowableMax": 700}
        self._answer(200, {"PowerLimitWatts": limits, "PowerWatts": {"Reading": 512.4}})

    def do_PATCH(self) -> None:
        """Set the limit."""
        type(self).limit = self._body()["PowerLimitWatts"]["SetPoint"]
        self._answer(204)


@pytest.fixture(params=[True, False], ids=["kept", "closed"])
def server(request: pytest.FixtureRequest) -> Iterator[int]:
    RedfishHandler.keeps, RedfishHandler.limit, RedfishHandler.token = request.param, 700, ""
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), RedfishHandler)
    http_server.daemon_threads = False
    thread = threading.Thread(target=http_server.serve_forever)
    thread.start()
    yield http_server.server_address[1]
    http_server.shutdown()
    http_server.server_close()
    thread.join()


def run_client(client: RedfishClient, port: int, condition: Any) -> None:
    """Carry bytes between client and server until `condition()`; reconnect on request."""
    sock: socket.socket | None = None
    end = time.monotonic() + LIMIT_S
    try:
        while not condition():
            assert time.monotonic() < end, client.fault
            now = time.monotonic_ns() // 1000
            if sock is None:
                sock = socket.create_connection(("127.0.0.1", port), LIMIT_S)
                client.connection_opened(now)
            for data in client.take_output():
                sock.sendall(data)
            if select.select([sock], [], [], 0.02)[0]:
                data = sock.recv(4096)
                now = time.monotonic_ns() // 1000
                if data:
                    client.receive(data, now)
                else:
                    client.connection_closed(now)
                    sock.close()
                    sock = None
                    continue
            client.wake(time.monotonic_ns() // 1000)
            if client.close_requested:
                client.take_close_request()
                sock.close()
                sock = None
    finally:
        if sock is not None:
            sock.close()


def test_limit_is_set_and_read_back(server: int) -> None:
    client = RedfishClient("127.0.0.1", [RedfishTarget(PATH, ENVIRONMENT)], LOGIN, True)
    target = client.targets[0]
    run_client(client, server, lambda: target.reported_w == 700)
    assert (target.min_w, target.max_w, target.power_w) == (200, 700, 512)
    client.set_limit(0, 450, time.monotonic_ns() // 1000)
    run_client(client, server, lambda: target.is_in_force)
    assert RedfishHandler.limit == 450
    assert client.fault == ""
