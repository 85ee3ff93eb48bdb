# SPDX-License-Identifier: Apache-2.0
"""The panel in the process `web` over TLS, with the record of an agent: Chromium as the client."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from microdot import Microdot
from microdot.test_client import TestClient
from playwright.sync_api import Page, expect, sync_playwright

from deploy.northbound.access.audit import verify
from deploy.northbound.panel.routes import PanelRoutes
from deploy.northbound.panel.services import PanelServices
from deploy.northbound.record import SnapshotSource
from deploy.ops import keys
from tests.deploy.northbound.access.test_writes import ALARM, SiteBench
from tests.deploy.northbound.panel.panel_server import PASSWORD as OPERATOR_PASSWORD
from tests.deploy.northbound.panel.panel_server import FakeLogins
from tests.deploy.northbound.test_web_process import WebProcess
from tests.portable.agent.northbound.test_component import SITE, WRITES
from tests.support.programs import require_program

FIRST_PAINT_MS = 1000
TIMEOUT_MS = 60_000
PASSWORD = "a-long-Password-7"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path_factory.mktemp("panel"), "panel")
    raw = json.loads(process.config.read_text(encoding="utf-8"))
    raw["northbound"]["writes"] = {**WRITES, "key": "site.key"}
    process.config.write_text(json.dumps(raw), encoding="utf-8")
    keys.make_key(process.folder, "site", SITE, "site", "")
    with process as found:
        yield found


@pytest.fixture
def page(web: WebProcess) -> Iterator[Page]:
    with sync_playwright() as playwright:
        path = require_program("chromium")
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = chromium.new_context(ignore_https_errors=True, locale="en")
        opened = context.new_page()
        opened.set_default_timeout(TIMEOUT_MS)
        opened.goto(f"https://127.0.0.1:{web.port}/panel")
        yield opened
        chromium.close()


def least_first_paint(page: Page) -> float:
    """Return the time to the first paint, ms: the least of at most four on a busy machine."""
    found = []
    for attempt in range(4):
        if attempt:
            page.reload()
            expect(page.locator("#unitstate")).not_to_have_text("\u2013", timeout=TIMEOUT_MS)
        entry = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        found.append(float(page.evaluate(entry)))
        if found[-1] <= FIRST_PAINT_MS:
            break
    return min(found)


def test_values_of_the_agent_and_the_first_sign_in(web: WebProcess, page: Page) -> None:
    expect(page.locator("#unitstate")).not_to_have_text("\u2013", timeout=TIMEOUT_MS)
    expect(page.locator("#stale")).to_be_hidden()
    assert least_first_paint(page) <= FIRST_PAINT_MS
    before = page.evaluate("fetch('/panel/api/state').then(r => r.json()).then(s => s.sequence)")
    deadline = time.monotonic() + 20
    while page.evaluate("fetch('/panel/api/state').then(r => r.json())")["sequence"] == before:
        assert time.monotonic() < deadline
    initial = (web.state / "initial_password").read_text(encoding="utf-8").strip()
    page.locator("#account").click()
    page.locator("input[name=user]").fill("admin")
    page.locator("input[name=password]").fill(initial)
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("#logintitle")).to_have_text("Set a new password", timeout=TIMEOUT_MS)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("#logindialog")).to_be_hidden(timeout=TIMEOUT_MS)
    expect(page.locator("#account")).to_have_text("Sign out admin")
    assert not (web.state / "initial_password").exists()
    page.goto(f"https://127.0.0.1:{web.port}/panel#unit")
    expect(page.locator("#unit")).to_contain_text("SN-1", timeout=TIMEOUT_MS)
    for log, action in (("web", "password"), ("web-sessions", "login")):
        entries, faults = verify(web.state, log)
        actions = {entry["action"] for entry in entries if entry["protocol"] == "panel"}
        assert (action in actions, list(faults)) == (True, [])


class SitePanel:
    """The routes of the panel before a real agent."""

    def __init__(self, site: SiteBench) -> None:
        app = Microdot()
        source = SnapshotSource(site.folder)
        PanelRoutes(PanelServices(source, site.audit, FakeLogins(), site.writer)).register(app)
        self._client = TestClient(app)
        self.token = ""
        user = {"user": "operator", "password": OPERATOR_PASSWORD}
        self.token = self.post("login", user)[1]["token"]

    def post(self, path: str, fields: Any) -> tuple[int, Any]:
        headers = {"X-Coldloop": "1", "X-Auth-Token": self.token}
        reply = asyncio.run(self._client.post(f"/panel/api/{path}", headers=headers, body=fields))
        return reply.status_code, reply.json

    def result(self, number: str) -> Any:
        headers = {"X-Auth-Token": self.token}
        path = f"/panel/api/result/{number}"
        return asyncio.run(self._client.get(path, headers=headers)).json["state"]


def test_actions_of_the_panel_reach_a_real_agent(tmp_path: Path) -> None:
    site = SiteBench(tmp_path, WRITES)
    try:
        panel = SitePanel(site)
        arguments: dict[str, Any] = {"key": "supply_setpoint", "value": 31.5}
        _, prepared = panel.post("prepare", {"action": "setpoint", "arguments": arguments})
        site.run(2)
        assert site.setpoint() == 32, "the first step changes nothing"
        status, sent = panel.post("act", {"code": prepared["code"]})
        assert status == 202
        site.run(3)
        assert (panel.result(sent["id"]), site.setpoint()) == ("trial", 31.5)
        site.run(40)
        assert panel.result(sent["id"]) == "confirmed"
        site.rig.agent.alarms.update(ALARM, "valve", True, site.rig.now)
        site.run(1)
        arguments = {"code": "device_lost:valve"}
        _, sent = panel.post("act", {"action": "acknowledge", "arguments": arguments})
        site.run(3)
        assert panel.result(sent["id"]) == "confirmed"
        (alarm,) = (a for a in SnapshotSource(tmp_path).read().alarms if a.code == "device_lost")
        assert alarm.state == "active_acknowledged"
        fields = {"action": "mode", "arguments": {"mode": "off", "minutes": 5}}
        assert panel.post("prepare", fields)[0] == 403, "the configuration does not permit it"
        users = {(entry[0], entry[2]) for entry in site.audit.entries}
        assert users == {("operator", "panel")}
    finally:
        site.socket.close()
