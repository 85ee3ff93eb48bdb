# SPDX-License-Identifier: Apache-2.0
"""Requests of foreign pages reach no route of any HTTP server, also with the password of a person.

A page can choose the method, the path and the body; the browser adds Origin and Sec-Fetch-Site.
"""

import ast
import http.server
import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from agent.tools.web.page_rule import FOREIGN, NO_JSON, PageRefusal, find_refusal
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.panel.routes import PanelRoutes
from deploy.northbound.panel.services import PanelServices
from deploy.northbound.redfish.resource import ROOT
from tests.deploy.northbound.redfish.service_bench import PASSWORD, ServiceBench
from tests.support.programs import require_program
from tests.support.repository import PACKAGES, repo_files
from tests.support.repository import ROOT as REPOSITORY

RULE = "agent/tools/web/page_rule.py"
ACCOUNTS = f"{ROOT}/AccountService/Accounts"
JSON = {"Content-Type": "application/json"}
OWN = {"Host": "cdu.test", "Origin": "https://cdu.test", "Sec-Fetch-Site": "same-origin"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
EVIL: list[dict[str, str]] = [
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://other.cdu.test", "Sec-Fetch-Site": "same-site"},
    {"Origin": "https://cdu.test", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://cdu.test"},
    {"Origin": "https://cdu.test:8443"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-origin, cross-site"},
]


@pytest.mark.parametrize("evil", EVIL)
def test_a_foreign_page_is_refused_for_each_method(evil: dict[str, str]) -> None:
    for method in ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "BREW"):
        fields = {"Host": "cdu.test", **JSON, **evil}
        assert find_refusal(method, fields, 2, "https") == FOREIGN


@pytest.mark.parametrize(
    ("method", "fields", "length", "expected"),
    [
        ("GET", {}, 0, None),
        ("GET", LINK, 0, None),
        ("GET", LINK | {"Sec-Fetch-Dest": "iframe"}, 0, FOREIGN),
        ("POST", LINK | JSON, 2, FOREIGN),
        ("GET", OWN, 0, None),
        ("POST", OWN | JSON, 2, None),
        ("POST", OWN | {"Content-Type": "Application/JSON; charset=utf-8"}, 2, None),
        ("POST", {"Sec-Fetch-Site": "none", **JSON}, 2, None),
        ("POST", {}, 0, None),
        ("POST", {}, 1, NO_JSON),
        ("PATCH", {"Content-Type": "text/plain"}, 1, NO_JSON),
        ("POST", {"Content-Type": "application/x-www-form-urlencoded"}, 0, NO_JSON),
        ("POST", {"Content-Type": "multipart/form-data; a=application/json"}, 9, NO_JSON),
        ("DELETE", {}, 0, None),
    ],
)
def test_the_own_page_and_programs_are_served(
    method: str, fields: dict[str, str], length: int, expected: PageRefusal | None
) -> None:
    assert find_refusal(method, fields, length, "https") == expected


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceBench]:
    with ServiceBench(tmp_path_factory.mktemp("rule")) as found:
        services = PanelServices(FakeSource(1), found.audit)
        PanelRoutes(services).register(found.server.app)
        yield found


def _routes(bench: ServiceBench) -> list[tuple[str, str]]:
    """Return method and path of each route of the app: Redfish, metrics, panel."""
    app: Any = bench.server.app
    return [
        (method, re.sub("<[^>]*>", "v1", pattern.url_pattern))
        for methods, pattern, *_rest in app.url_map
        for method in methods
    ]


def test_no_route_of_the_server_answers_a_foreign_page(
    bench: ServiceBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All routes of the app over its real port; the rule is asked before the app is."""
    app: Any = bench.server.app
    reached = []

    async def dispatch_request(request: Any) -> Any:
        reached.append(request.path)
        return await type(app).dispatch_request(app, request)

    monkeypatch.setattr(app, "dispatch_request", dispatch_request)
    routes = _routes(bench)
    assert {path.split("/")[1] for _, path in routes} >= {"redfish", "metrics", "panel"}
    context = ssl._create_unverified_context()
    link = HTTPSConnection("127.0.0.1", bench.server.port, timeout=20, context=context)
    for method, path in routes:
        before = len(bench.audit.entries)
        link.request(method, path, headers={"Origin": "https://evil.example", **JSON})
        reply = link.getresponse()
        reply.read()
        assert reply.status == 403, (method, path)
        entries = bench.audit.entries[before:]
        if method != "GET":
            assert [entry[1:5] for entry in entries] == [("127.0.0.1", "http", method, path)]
            assert entries[0][-1].startswith("refused")
    assert reached == []
    link.close()


def test_curl_with_the_fields_of_a_page_makes_no_account(bench: ServiceBench) -> None:
    """What a browser sends for fetch(…, {mode: "no-cors", body: new Blob([…])})."""
    curl = require_program("curl")
    body = json.dumps({"UserName": "evil", "Password": PASSWORD, "RoleId": "Administrator"})
    login = ["-u", f"admin:{PASSWORD}", "-H", "Content-Type:"]
    attempts = [
        ["-H", "Origin: https://evil.example", "-d", body],
        ["-H", "Sec-Fetch-Site: cross-site", "-d", body],
        ["-d", body],  # without its type, as a Blob has none
    ]
    for attempt in attempts:
        done = subprocess.run(
            [curl, "-sk", "-o", "/dev/null", "-w", "%{http_code}", *login, *attempt,
             f"{bench.url}{ACCOUNTS}"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        assert done.stdout in ("403", "415"), attempt
    for action in ("Managers/1/Actions/Manager.Reset",
                   "Managers/1/LogServices/Events/Actions/LogService.ClearLog"):  # fmt: skip
        done = subprocess.run(
            [curl, "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", *login[:2],
             "-H", "Origin: https://evil.example", f"{bench.url}{ROOT}/{action}"],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        assert done.stdout == "403", action
    assert bench.restarts == 0
    assert "evil" not in [view.user for view in bench.accounts.all()]


_PAGE = """<body><p id="end"></p><script>(async () => {
  for (const [path, body] of %s) {
    try {
      await fetch("%s" + path, {method: "POST", mode: "no-cors", credentials: "include",
        body: body === null ? undefined : new Blob([body])});
    } catch (error) { document.getElementById("end").append(error); }
  }
  document.getElementById("end").append("done");
})()</script>"""


class _EvilPage(http.server.BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None:
        """Write no log."""


def test_a_page_of_the_same_host_does_nothing_in_a_browser(
    bench: ServiceBench, tmp_path: Path
) -> None:
    """The browser knows the password of an administrator; the page has another port."""
    program = require_program("chromium")
    evil = {"UserName": "evil", "Password": PASSWORD, "RoleId": "Administrator"}
    calls: list[tuple[str, str | None]] = [
        (ACCOUNTS, json.dumps(evil)),
        (f"{ROOT}/Managers/1/Actions/Manager.Reset", None),
    ]
    handler = type("EvilPage", (_EvilPage,),
                   {"page": (_PAGE % (json.dumps(calls), bench.url)).encode()})  # fmt: skip
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    https = bench.folder / "https"
    context.load_cert_chain(https / "certificate.pem", https / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    before = len(bench.audit.entries)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=program,
                args=["--no-sandbox", "--ignore-certificate-errors"],
                env={"HOME": str(tmp_path)},
            )
            page = browser.new_context(ignore_https_errors=True).new_page()
            login = bench.url.replace("https://", f"https://admin:{PASSWORD}@")
            opened = page.goto(f"{login}{ACCOUNTS}", timeout=60_000)
            assert opened is not None
            assert opened.status == 200
            page.goto(f"https://127.0.0.1:{server.server_port}/", timeout=60_000)
            page.locator("#end", has_text="done").wait_for(timeout=60_000)
            browser.close()
    finally:
        server.shutdown()
        server.server_close()
    refused = [entry for entry in bench.audit.entries[before:] if entry[2] == "http"]
    assert [entry[4] for entry in refused] == [path for path, _body in calls]
    assert bench.restarts == 0
    assert "evil" not in [view.user for view in bench.accounts.all()]


def test_each_server_asks_the_rule() -> None:
    """Only the rule calls a route, so no server of microdot has another way to them."""
    direct = {"dispatch_request", "start_server", "run"}
    calls = []
    for name in repo_files():
        if name.split("/")[0] not in PACKAGES or not name.endswith(".py"):
            continue
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        if "microdot" not in text and "dispatch" not in text:
            continue
        calls += [
            (name, node.func.attr)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in direct
            and ast.unparse(node.func.value).endswith(("app", "_app", "Microdot()"))
        ]
    assert calls == [(RULE, "dispatch_request")]
