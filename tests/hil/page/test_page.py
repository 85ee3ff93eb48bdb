# SPDX-License-Identifier: Apache-2.0
"""The live page in Chromium: runs, faults, swaps, prompts, reload, keyboard, small screens."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from hil.page.server import LOOPBACK
from hil.record.record import RECORD_FILE, find_problems, read
from tests.hil.bench.test_device_swap import DRIVE2, Cable
from tests.support.cli_tools import wait_until
from tests.support.libmodbus import LibmodbusDevice
from tests.support.modbus_master import with_crc
from tests.support.programs import require_program
from tests.support.repository import ROOT

TIMEOUT_MS = 60_000
expect.set_options(timeout=TIMEOUT_MS)
SERIAL = "EMU0000000012"
SHORT = """
name = "glance"
title = "a glance at the loop"
seconds = 16
[[prompt]]
at_s = 2
text = "Is the flow meter's arrow with the flow?"
[[expect]]
measure = "supply_c"
unit = "Cel"
min = 20
max = 40
from_s = 8
[[expect]]
measure = "dp_kpa"
unit = "kPa"
min = 10
max = 200
from_s = 8
marginal = 1
"""
FAILING = SHORT.replace("glance", "hopeless", 1).replace("max = 40", "max = 25")


class PageBench:
    """`coldloop bench --page` as a process; `address` is the address of the page."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        for name, text in (("glance", SHORT), ("hopeless", FAILING)):
            (folder / f"{name}.toml").write_text(text)
        command = [sys.executable, str(ROOT / "coldloop.py"), "bench", "--page", "--json"]
        files = [str(folder / f"{name}.toml") for name in ("glance", "hopeless")]
        command += ["--page-port", "0", "--key", str(folder / "key")]
        command += ["--records", str(folder / "records"), *arguments, *files]
        self.records = folder / "records"
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        first_line = json.loads(self.process.stdout.readline())
        self.address = first_line["page"]
        self.ports = first_line["ports"]

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)

    def request(self, request_name: str, **arguments: object) -> Any:
        http_request = urllib.request.Request(
            f"{self.address}ask/{request_name}",
            json.dumps(arguments).encode(),
            {"X-Coldloop": "1", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(http_request, timeout=20) as reply:
            return json.load(reply)["answer"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageBench]:
    require_program("chromium")
    page_bench = PageBench(tmp_path_factory.mktemp("page"))
    yield page_bench
    page_bench.close()


@contextmanager
def open_page(bench: PageBench, browser: Browser) -> Iterator[Page]:
    """Open the page of the bench in free operation; it may report no error until its end."""
    browser_page = browser.new_page(viewport={"width": 1400, "height": 1000})
    browser_page.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    browser_page.on("pageerror", lambda error: errors.append(str(error)))
    browser_page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    browser_page.goto(bench.address)
    expect(browser_page.locator("#mode")).to_have_text("free")
    yield browser_page
    browser_page.close()
    assert [w for w in errors if "409" not in w] == []


@pytest.fixture
def page(bench: PageBench, browser: Browser) -> Iterator[Page]:
    with open_page(bench, browser) as opened:
        yield opened


def choose(page: Page, name: str) -> None:
    option = page.locator(f"select[name=suite] option[value$='{name}.toml']")
    value = option.get_attribute("value")
    page.locator("select[name=suite]").select_option(value)


def test_page_shows_live_values(page: Page) -> None:
    expect(page.locator("#v-supply")).to_contain_text("°C")
    expect(page.locator("#clock")).to_have_text("sync")
    expect(page.locator("#plots canvas")).to_have_count(10)
    assert page.locator("#sky circle").count() > 8


def test_keyboard_run_survives_reload_and_is_signed(bench: PageBench, page: Page) -> None:
    expect(page.locator("select[name=suite] option").first).to_be_attached(timeout=TIMEOUT_MS)
    page.keyboard.type(SERIAL)  # the field has the focus; a scanner types, then sends Enter
    page.keyboard.press("Tab")
    page.keyboard.type("Ada")
    page.keyboard.press("Tab")
    choose(page, "glance")
    page.keyboard.press("Enter") if page.evaluate("document.activeElement.id") == "go" else None
    page.locator("#go").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#mode")).to_have_text("running glance")
    expect(page.locator("#asking")).to_be_visible(timeout=TIMEOUT_MS)
    page.reload()
    expect(page.locator("#asking p")).to_have_text("Is the flow meter's arrow with the flow?")
    page.keyboard.press("Enter")  # the button Yes has the focus
    expect(page.locator(".limit")).to_have_count(2)
    expect(page.locator("#verdict strong")).to_have_text("PASS")
    expect(page.locator("#mode")).to_have_text("free")
    record = read(next(bench.records.glob(f"*glance/{RECORD_FILE}")))
    assert find_problems(record) == []
    assert (record["serial"], record["operator"], record["verdict"]) == (SERIAL, "Ada", "pass")
    assert record["runs"][0]["answers"][0]["answer"] == "yes"
    assert len(record["runs"][0]["series"]["at_s"]) >= 7
    expect(page.locator("#history a")).to_contain_text(["glance"])


def test_failing_run_shows_next_step(bench: PageBench, page: Page) -> None:
    bench.request("start", suite=str(bench.records.parent / "hopeless.toml"))
    expect(page.locator("#asking")).to_be_visible(timeout=TIMEOUT_MS)
    page.locator("#asking button[value=yes]").click()
    expect(page.locator("#verdict strong")).to_have_text("FAIL")
    expect(page.locator("#verdict .next")).to_contain_text("valve's stroke")
    expect(page.locator("#verdict")).to_contain_text("supply_c: not >= 20 and <= 25")


def test_value_close_to_limit_is_shown_as_marginal(bench: PageBench, page: Page) -> None:
    path = bench.records.parent / "close.toml"
    text = SHORT.replace("glance", "close", 1).replace("max = 40", "max = 40\nmarginal = 9", 1)
    prompt = text[text.index("[[prompt]]") : text.index("[[expect]]")]
    path.write_text(text.replace(prompt, "").replace("seconds = 16", "seconds = 12"))
    bench.request("start", suite=str(path))
    limit = page.locator(".limit", has_text="true supply temperature")
    expect(limit).to_contain_text("20 to 40 °C", timeout=TIMEOUT_MS)
    expect(limit).to_contain_text("MARGINAL")
    expect(limit).to_contain_text("worst so far")
    expect(page.locator("#verdict strong")).to_have_text("PASS, MARGINAL")
    expect(page.locator("#verdict")).to_contain_text("closer than 9 to >= 20 and <= 40")


def test_scenario_list_shows_duration_and_title(page: Page) -> None:
    look = page.locator("select[name=suite] option[value=look]")
    expect(look).to_have_text("look, 40 s")
    page.locator("select[name=suite]").select_option("look")
    expect(page.locator("#about")).to_have_text(str(look.get_attribute("title")))


def test_legend_shows_last_value(page: Page) -> None:
    legend = page.locator("#plots .u-legend").first
    expect(legend).to_contain_text("°C")
    expect(legend).not_to_contain_text("--")


def test_wrong_serial_number_fails_immediately(bench: PageBench, page: Page) -> None:
    bench.request("start", suite=str(bench.records.parent / "glance.toml"), serial="OTHER")
    expect(page.locator("#verdict")).to_contain_text(f"scanned OTHER, but the CDU gives {SERIAL}")


def test_aborted_run_is_recorded_as_failed(bench: PageBench, page: Page) -> None:
    bench.request("start", suite=str(bench.records.parent / "glance.toml"))
    expect(page.locator("#abort")).to_be_enabled(timeout=TIMEOUT_MS)
    page.locator("#abort").click()
    expect(page.locator("#verdict")).to_contain_text("aborted")
    expect(page.locator("#verdict strong")).to_have_text("FAIL")


def test_fault_is_set_and_cleared_and_invalid_fault_refused(bench: PageBench, page: Page) -> None:
    page.locator("#find").fill("the RPU does not reply")
    row = page.locator(".fault[data-name=rpu_dead]")
    row.locator("button").click()
    expect(page.locator("#alarms")).to_contain_text("device_lost:rpu")
    expect(row).to_have_class("fault on")
    row.locator("button").click()
    expect(page.locator("#alarms")).not_to_contain_text("device_lost")
    for arguments in (
        {"name": "nonsense"},
        {"name": "it_load"},
        {"name": "it_load", "value": 9999},
    ):
        with pytest.raises(urllib.error.HTTPError, match="409"):
            bench.request("fault", on=True, **arguments)


def test_the_text_of_a_fault_has_its_value(page: Page) -> None:
    row = page.locator(".fault[data-name=pump_trip]")
    expect(row.locator("span")).to_have_text("the drive of pump number … trips")
    row.locator("input").fill("2")
    expect(row.locator("span")).to_have_text("the drive of pump number 2 trips")


def test_failed_device_swap_changes_nothing(page: Page) -> None:
    row = page.locator(".device", has_text="drive1")
    row.locator("input").fill("serial:/dev/nothing")
    row.locator("button").click()
    expect(row.locator(".problem")).to_contain_text("/dev/nothing")
    expect(row.locator("button")).to_have_text("Swap in")


def test_page_fits_a_phone(bench: PageBench, browser: Browser) -> None:
    phone = browser.new_page(viewport={"width": 380, "height": 800}, color_scheme="dark")
    phone.goto(bench.address)
    expect(phone.locator("#v-supply")).to_contain_text("°C")
    width = phone.evaluate("document.documentElement.scrollWidth")
    phone.close()
    assert width <= 380


def test_page_is_small_and_loads_nothing_external(bench: PageBench, browser: Browser) -> None:
    urls: list[str] = []
    size = 0
    browser_page = browser.new_page()
    browser_page.on("request", lambda request: urls.append(request.url))
    browser_page.goto(bench.address)
    expect(browser_page.locator("#mode")).to_have_text("free")
    browser_page.close()
    assert urls
    assert all(url.startswith((bench.address, "data:")) for url in urls)
    folders = (ROOT / "hil" / "page" / "static", ROOT / "agent" / "tools" / "web" / "static")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files if path.name != "LICENSE")
    assert size <= 130 * 1024


def http_status(address: str, **headers: str) -> int:
    """Return the HTTP status of a simple request."""
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address, headers=headers), timeout=20
        ) as r:
            return int(r.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_foreign_requests_are_refused(bench: PageBench) -> None:
    assert http_status(bench.address + "state") == 200
    assert http_status(bench.address + "state", Host="evil.example:80") == 403
    assert http_status(bench.address + "static/../server.py") == 404
    assert http_status(bench.address + "reports/../page.js") == 404
    assert http_status(bench.address + f"reports/..%2f/{RECORD_FILE}") == 404
    plain = urllib.request.Request(bench.address + "ask/abort", b"{}")
    with pytest.raises(urllib.error.HTTPError, match="415"):
        urllib.request.urlopen(plain, timeout=20)
    plain.add_header("Origin", "http://evil.example")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(plain, timeout=20)


def test_token_is_required_beyond_loopback(tmp_path: Path) -> None:
    assert "0.0.0.0" not in LOOPBACK
    page_bench = PageBench(tmp_path, "--page-host", "127.0.0.2")
    try:
        bare, token = page_bench.address.split("?token=")
        assert http_status(bare) == 403
        assert http_status(bare + "?token=x") == 403
        assert http_status(page_bench.address) == 200
        assert http_status(bare + "state", **{"X-Token": token}) == 200
    finally:
        page_bench.close()


def store_record(bench: PageBench, serial: str) -> None:
    """Write a record and a report of an earlier day."""
    folder = bench.records / f"20260101T000000Z-{serial}"
    folder.mkdir(parents=True)
    fields = {"suite": f"suite of {serial}", "operator": "Ada", "ended_utc": "2026-01-01T00:00:00Z"}
    record = {**fields, "serial": serial, "verdict": "marginal"}
    (folder / RECORD_FILE).write_text(json.dumps(record), encoding="utf-8")
    (folder / "report.html").write_text(f"<h1>{serial}</h1>", encoding="utf-8")


def test_history_filters_by_serial_number_and_opens_report(bench: PageBench, page: Page) -> None:
    for serial in ("CDU-A", "CDU-B"):
        store_record(bench, serial)
    field = page.locator("[name=serial]")
    field.fill("NOBODY")
    field.press("Tab")
    expect(page.locator("#history")).to_have_text("no records of NOBODY")
    field.fill("CDU-A")
    field.press("Tab")
    links = page.locator("#history a")
    expect(links).to_have_count(1)
    expect(links).to_contain_text("suite of CDU-A")
    expect(links).to_contain_text("2026-01-01 00:00")
    with page.expect_popup() as popup:
        links.click()
    expect(popup.value.locator("h1")).to_have_text("CDU-A")
    popup.value.close()
    assert {row["serial"] for row in bench.request("history", serial="")} >= {"CDU-A", "CDU-B"}


def test_prompts_are_queued_and_run_waits_for_answers(bench: PageBench, page: Page) -> None:
    """Two prompts at the same time, near the end: both are answered before the run ends."""
    text = SHORT.replace("glance", "asked", 1).replace("seconds = 16", "seconds = 10")
    second_prompt = '[[prompt]]\nat_s = 2\ntext = "And is the pan dry?"\n[[expect]]'
    path = bench.records.parent / "asked.toml"
    path.write_text(text.replace("[[expect]]", second_prompt, 1))
    bench.request("start", suite=str(path))
    question = page.locator("#asking p")
    expect(question).to_have_text("Is the flow meter's arrow with the flow?")
    expect(page.locator("#mode")).to_have_text("running asked")
    page.locator("#asking button[value=yes]").click()
    expect(question).to_have_text("And is the pan dry?")
    page.locator("#asking button[value=yes]").click()
    expect(page.locator("#mode")).to_have_text("free")
    record = read(next(bench.records.glob(f"*asked/{RECORD_FILE}")))
    assert [a["answer"] for a in record["runs"][0]["answers"]] == ["yes", "yes"]


def received_bytes(bench: PageBench, name: str) -> int:
    """Return the number of bytes from the real device that replaces `name`."""
    with urllib.request.urlopen(bench.address + "state", timeout=20) as reply:
        devices = json.load(reply)["devices"]
    return int(next(d for d in devices if d["name"] == name).get("received", 0))


def test_libmodbus_server_is_attached_and_restored(bench: PageBench, page: Page) -> None:
    # By then all devices are identified: the server of libmodbus does not support that.
    expect(page.locator("#agent")).to_contain_text("normal", timeout=TIMEOUT_MS)
    cable = Cable()
    device = LibmodbusDevice("rtu", cable.ends[1], str(DRIVE2))
    try:
        row = page.locator(".device", has_text="drive2")
        row.locator("input").fill(f"serial:{cable.ends[0]}")
        row.locator("button").click()
        expect(row.locator("b")).to_have_class("pass")
        wait_until("a reply of the real device", lambda: received_bytes(bench, "drive2"))
        request = device.request()
        assert (request[0], with_crc(request[:-2])) == (DRIVE2, request), "the agent's own requests"
        expect(row.locator("button")).to_have_text("Emulate")
        row.locator("button").click()
        expect(row.locator("button")).to_have_text("Swap in")
    finally:
        device.stop()
        cable.close()
