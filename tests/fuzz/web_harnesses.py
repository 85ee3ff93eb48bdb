# SPDX-License-Identifier: Apache-2.0
"""Harness of the web server: bytes to a request, and the request to the routes of Redfish.

Does not open connections. Each input is sent three times: without login, as a reader and as an
administrator. An answer 500, or a write by the reader, is a failure.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

from deploy.northbound.http.limits import HttpLimits
from deploy.northbound.http.reply import encode_reply
from deploy.northbound.http.request_reader import BadRequest, parse_head, set_body
from deploy.northbound.redfish.resource import ROOT
from deploy.northbound.redfish.resources.events import STREAM
from tests.deploy.northbound.redfish.service_bench import PASSWORD, ServiceBench, set_state
from tests.fuzz.harness import Harness, HarnessError

_UNIT = f"{ROOT}/ThermalEquipment/CDUs/1"
_READS = (
    "/redfish", ROOT, f"{ROOT}/$metadata", f"{ROOT}/odata", f"{_UNIT}?$select=Status",
    f"{ROOT}/Chassis?only", f"{ROOT}/Chassis/1/Sensors?$expand=.($levels=2)&$top=3&$skip=1",
    f"{ROOT}/Managers/1/LogServices/Events/Entries", f"{ROOT}/Registries/Coldloop", "/metrics",
    f"{ROOT}/EventService/Subscriptions/1", f"{ROOT}/TaskService/TaskMonitors/1",
)  # fmt: skip
_WRITES = (
    ("PATCH", f"{ROOT}/Chassis/1/Controls/SupplyTemperature", {"SetPoint": 30}),
    ("PATCH", f"{ROOT}/AccountService/Accounts/reader", {"Password": "x", "@odata.etag": "1"}),
    ("POST", f"{ROOT}/AccountService/Accounts", {"UserName": "a", "Password": "b", "RoleId": "c"}),
    ("POST", f"{ROOT}/EventService/Subscriptions", {
        "Destination": "https://192.168.1.9/", "Protocol": "Redfish", "Context": "x",
        "HttpHeaders": [{"A": "b"}], "MessageIds": ["x"]}),
    ("POST", f"{ROOT}/Managers/1/Actions/Manager.Reset", {"ResetType": "ForceRestart"}),
    ("POST", f"{ROOT}/CertificateService/Actions/CertificateService.GenerateCSR", {
        "CommonName": "a", "CertificateCollection": {"@odata.id": "x"}}),
    ("POST", f"{ROOT}/CertificateService/Actions/CertificateService.ReplaceCertificate", {
        "CertificateString": "x", "CertificateType": "PEM", "CertificateUri": {"@odata.id": "x"}}),
    ("DELETE", f"{ROOT}/SessionService/Sessions/1", {}),
)  # fmt: skip

SEED_BODIES = tuple(body for _method, _path, body in _WRITES)


class WebRoutes:
    """The routes of the web server without its network."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        bench = ServiceBench(Path(self._folder.name))
        set_state(bench, "normal")
        self.service, self.tree = bench.service, bench.tree
        self._bench = bench
        self._loop = asyncio.new_event_loop()
        self._limits = HttpLimits()
        self.actions = [(path, body) for method, path, body in _WRITES if method == "POST"]
        login = bench.sessions.login
        self._tokens = ["", *(login(user, PASSWORD, "", "").token for user in ("reader", "admin"))]

    def close(self) -> None:
        """Close the socket and the loop."""
        self._bench.server.close()
        self._loop.close()
        self._folder.cleanup()

    def feed(self, data: bytes) -> None:
        """Send one input to the routes."""
        head, _, body = data.partition(b"\r\n\r\n")
        app = self._bench.server.app
        for token in self._tokens:
            request = parse_head(app, head + b"\r\n\r\n", ("::1", 0), self._limits)
            if request.path == STREAM:
                return
            set_body(request, body[: self._limits.body])
            if token:
                request.headers["x-auth-token"] = token
            before = len(self._bench.writer.requests)
            response = self._loop.run_until_complete(app.dispatch_request(request))
            if response.status_code == 500:
                raise HarnessError("the answer is 500")
            if token == self._tokens[1] and len(self._bench.writer.requests) != before:
                raise HarnessError("a reader has written")
            encode_reply(response, keep=True)
        # What the stand-ins note is not state of the service; see `retained`.
        self._bench.audit.entries.clear()
        self._bench.writer.requests.clear()


def make_harnesses() -> list[Harness]:
    """Return the harness."""
    seeds = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in _READS]
    for method, path, body in _WRITES:
        text = json.dumps(body)
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        seeds.append(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())

    def make() -> tuple[object, object]:
        routes = WebRoutes()
        return routes.feed, routes

    return [Harness("web_routes", make, (BadRequest,), seeds)]  # type: ignore[arg-type]
