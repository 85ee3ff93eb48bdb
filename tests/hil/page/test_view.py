# SPDX-License-Identifier: Apache-2.0
"""What the page shows: curves, zoom, export, satellites, and access for all persons."""

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from drivers.tools.nmea_decode import LETTERS
from tests.hil.page.test_page import TIMEOUT_MS, PageBench, bench, open_page, page
from tests.support.cli_tools import wait_until

__all__ = ["bench", "page"]  # fixtures
SERIOUS = ("serious", "critical")


def find_violations(page: Page) -> list[str]:
    """Run axe-core; give its serious findings with their elements."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')[:200]}"
        for violation in violations
        if violation["impact"] in SERIOUS
        for node in violation["nodes"][:3]
    ]


def wait_for_frames(page: Page, count: int) -> None:
    """Wait until the plots have more than `count` frames. (The page forbids eval.)"""
    wait_until("frames", lambda: page.evaluate("Plots.count") > count, TIMEOUT_MS / 1000)


@pytest.fixture(scope="module")
def shared_page(bench: PageBench, browser: Browser) -> Iterator[Page]:
    """Give one page for the tests of a file: to open and draw it takes a second of CPU."""
    with open_page(bench, browser) as opened:
        yield opened


@pytest.fixture
def full_page(shared_page: Page) -> Page:
    """Give the shared page when all lists are filled; a test leaves it as it was."""
    page = shared_page
    page.emulate_media(color_scheme="light")
    expect(page.locator(".fault").first).to_be_attached()
    expect(page.locator(".device").first).to_be_attached()
    expect(page.locator("#bars rect").first).to_be_attached()
    expect(page.locator("#v-supply")).to_contain_text("°C")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(full_page: Page, scheme: str) -> None:
    full_page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    assert find_violations(full_page) == []


def test_axe_finds_a_button_without_a_name(full_page: Page) -> None:
    full_page.evaluate("document.body.append(document.createElement('button'))")
    found = find_violations(full_page)
    full_page.evaluate("document.body.lastElementChild.remove()")
    assert any(line.startswith("button-name") for line in found)


def test_axe_finds_no_serious_violation_on_a_phone(bench: PageBench, browser: Browser) -> None:
    phone = browser.new_page(viewport={"width": 360, "height": 740}, has_touch=True)
    phone.goto(bench.address)
    expect(phone.locator(".fault").first).to_be_attached()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    assert find_violations(phone) == []
    phone.close()


def test_the_page_is_in_chinese_for_a_chinese_browser(bench: PageBench, browser: Browser) -> None:
    context = browser.new_context(locale="zh-CN")
    chinese = context.new_page()
    chinese.goto(bench.address)
    expect(chinese.locator("#mode")).to_have_text("空闲")
    expect(chinese.locator("#go")).to_have_text("开始")
    expect(chinese.locator("#loop")).to_contain_text("换热器")
    keys = chinese.evaluate(
        "[...document.querySelectorAll('[data-t]')].map(e => [e.dataset.t, e.textContent])"
    )
    assert [key for key, text in keys if key == text and key != "UTC"] == []
    assert find_violations(chinese) == []
    chinese.locator("#language").select_option("en")
    expect(chinese.locator("#go")).to_have_text("Start")
    context.close()


def test_each_button_and_field_has_a_name(full_page: Page) -> None:
    names = full_page.evaluate(
        """[...document.querySelectorAll("button,input,select")].filter(e => !(
           e.ariaLabel || e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim()
        )).map(e => e.outerHTML)"""
    )
    assert names == []
    buttons = full_page.locator("#faults button")
    labels = buttons.evaluate_all("list => list.map(b => b.ariaLabel)")
    assert len(labels) == len(set(labels)) > 60


def test_read_true_and_set_values_share_a_plot(full_page: Page) -> None:
    legend = full_page.locator("#plots figure[aria-label=supply] .u-legend")
    for label in ("supply, as read", "set-point", "supply, true"):
        expect(legend).to_contain_text(label)


def test_zoom_stays_and_follow_ends_it(full_page: Page) -> None:
    wait_for_frames(full_page, 20)
    full_page.locator("[data-do=closer]").click()
    before = full_page.evaluate("Plots.range")
    wait_for_frames(full_page, full_page.evaluate("Plots.count") + 25)
    assert full_page.evaluate("Plots.range") == before
    full_page.locator("#plottools button").first.focus()
    full_page.keyboard.press("ArrowLeft")
    moved = full_page.evaluate("Plots.range")
    assert moved["max"] < before["max"]
    full_page.keyboard.press("Home")
    assert full_page.evaluate("Plots.range.max") > before["max"]


def test_time_axis_is_utc_or_elapsed(full_page: Page) -> None:
    assert full_page.evaluate("Plots.range.max") > 1.7e9
    full_page.locator("[data-do=time]").click()
    expect(full_page.locator("[data-do=time]")).to_have_text("Elapsed")
    assert full_page.evaluate("Plots.range.max") < 1e7
    full_page.locator("[data-do=time]").click()


def test_csv_and_png_are_exported(full_page: Page, tmp_path: Path) -> None:
    wait_for_frames(full_page, 20)
    full_page.locator("[data-do=mark]").click()
    wait_for_frames(full_page, full_page.evaluate("Plots.count") + 3)
    with full_page.expect_download() as download:
        full_page.locator("[data-do=csv]").click()
    download.value.save_as(tmp_path / "curves.csv")
    with (tmp_path / "curves.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 20
    assert datetime.fromisoformat(rows[0]["UTC"]).tzinfo is not None
    assert 5 < float(rows[-1]["supply, true (°C)"]) < 60
    assert any(row["mark"] == "mark 1" for row in rows)
    with full_page.expect_download() as download:
        full_page.locator("[data-do=png]").click()
    download.value.save_as(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_png_names_time_unit_and_person(full_page: Page, tmp_path: Path) -> None:
    """In a narrow window, where the plots have no room for their titles."""
    wait_for_frames(full_page, 20)
    size = full_page.viewport_size
    full_page.set_viewport_size({"width": 420, "height": 720})
    full_page.fill("[name=serial]", "SN-0042")
    full_page.fill("[name=operator]", "Ada")
    with full_page.expect_download() as download:
        full_page.locator("[data-do=png]").click()
    download.value.save_as(tmp_path / "curves.png")
    width = int.from_bytes((tmp_path / "curves.png").read_bytes()[16:20])
    assert width >= 640
    lines = full_page.evaluate("Plots.written")
    assert re.fullmatch(r"(20\d\d-\d\d-\d\d \d\d:\d\d:\d\d( to )?){2} UTC", lines[0])
    assert lines[1:3] == ["Serial number: SN-0042", "Tested by: Ada"]
    assert "supply, as read · set-point · supply, true" in " ".join(lines)
    full_page.fill("[name=serial]", "")
    full_page.fill("[name=operator]", "")
    if size is not None:
        full_page.set_viewport_size(size)


def test_letters_of_satellites_are_those_of_the_command(full_page: Page) -> None:
    names = full_page.locator("#bars .name").all_text_contents()
    assert {name[0] for name in names} == {LETTERS["BDS"], LETTERS["GPS"]}
    expect(full_page.locator("#systems")).to_contain_text("C BeiDou")


def test_labels_of_the_sky_do_not_overlap(full_page: Page) -> None:
    overlaps = full_page.evaluate(
        """(() => { const boxes = [...document.querySelectorAll("#sky text:not(.mark)")]
           .map(t => t.getBBox()); let n = 0;
           boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
             if (a.x < b.x + b.width && b.x < a.x + a.width &&
                 a.y + 1 < b.y + b.height && b.y + 1 < a.y + a.height) n++; }));
           return n; })()"""
    )
    assert overlaps == 0


def test_arrows_point_with_the_flow(page: Page) -> None:
    """The return flows from the racks (right) to the exchanger (left)."""
    for name in ("arrow1", "arrow2"):
        path = str(page.locator(f"#{name}").get_attribute("d"))
        tip, base = path.removeprefix("M").split("l")[0], path.split("l")[1]
        assert float(base.split("-")[0]) > 0, (tip, "the base is to the right of the tip")


def test_an_empty_value_is_an_error_beside_its_button(bench: PageBench, full_page: Page) -> None:
    row = full_page.locator(".fault[data-name=it_load]")
    row.locator("button").click()
    expect(row.locator(".problem")).to_have_text("a value is needed: 0 to 200 kW")
    row.locator("input").fill("900")
    row.locator("button").click()
    expect(row.locator(".problem")).to_have_text("not a value from 0 to 200 kW")
    expect(full_page.locator("#v-load")).not_to_have_text("0.0 kW")
    expect(full_page.locator(".fault[data-name=bmc_busy]")).to_have_count(0)


def test_curves_stay_after_a_run_with_its_limits(bench: PageBench, full_page: Page) -> None:
    path = bench.records.parent / "stay.toml"
    text = (bench.records.parent / "glance.toml").read_text().replace("glance", "stay", 1)
    prompt = text[text.index("[[prompt]]") : text.index("[[expect]]")]
    path.write_text(text.replace(prompt, "").replace("seconds = 16", "seconds = 12"))
    bench.request("start", suite=str(path))
    expect(full_page.locator("#mode")).to_have_text("running stay")
    expect(full_page.locator("#mode")).to_have_text("free")
    expect(full_page.locator("#verdict")).to_contain_text("real time, 0 of 5 devices real")
    start = full_page.evaluate("Plots.toCsv().split('\\r\\n').length")
    assert start > 100, "the frames of the run are still there"
    full_page.reload()
    wait_for_frames(full_page, 12)
    state = full_page.evaluate("fetch('state').then(r => r.json())")
    assert state["run"]["name"] == "stay"
    assert {limit["curve"] for limit in state["run"]["limits"]} == {"supply", "dp"}


def test_a_number_is_demanded_by_a_question(bench: PageBench, full_page: Page) -> None:
    path = bench.records.parent / "gauge.toml"
    path.write_text(
        'name = "gauge"\ntitle = "a gauge"\nseconds = 4\n[[prompt]]\nat_s = 1\n'
        'text = "What does the gauge show?"\nask = "number"\nunit = "kPa"\nmin = 0\nmax = 900\n'
        '[[expect]]\nmeasure = "ticks"\nmin = 1\n'
    )
    bench.request("start", suite=str(path), operator="Ada")
    expect(full_page.locator("#asking")).to_be_visible()
    expect(full_page.locator("#asking button[value=no]")).to_be_hidden()
    field = full_page.locator("#asking input")
    field.fill("ok")
    field.press("Enter")
    expect(full_page.locator("#answerproblem")).to_have_text("'ok' is not a number in kPa")
    field.fill("212")
    field.press("Enter")
    expect(full_page.locator("#verdict strong")).to_have_text("PASS")
