# SPDX-License-Identifier: Apache-2.0
"""The page by keyboard only, and what a screen reader gets; runs of before over the present one."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.hil.page.test_page import TIMEOUT_MS, PageBench, bench, page
from tests.hil.page.test_survival import ask_raw
from tests.hil.page.test_view import find_violations, full_page, shared_page, wait_for_frames
from tests.support.cli_tools import wait_until

__all__ = ["bench", "full_page", "page", "shared_page"]  # fixtures
QUICK = """
name = "quick"
title = "a quick look"
seconds = 6
[[expect]]
measure = "supply_c"
unit = "Cel"
min = 10
max = 50
"""
_FOCUSED = "document.activeElement"


def press_until(page: Page, test: str, key: str = "Tab") -> None:
    """Press a key until the focused element fulfils `test`, an expression of `e`."""
    for _ in range(400):
        if page.evaluate(f"(() => {{ const e = {_FOCUSED}; return Boolean({test}); }})()"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"no focus with {test}")


def quick_file(bench: PageBench) -> str:
    path = bench.records.parent / "quick.toml"
    path.write_text(QUICK)
    return str(path)


def run_quick(bench: PageBench, page: Page) -> None:
    """Run the scenario `quick`, and wait for its end."""
    count = len(bench.request("history", serial=""))
    bench.request("start", suite=quick_file(bench))
    expect(page.locator("#history .record")).to_have_count(count + 1, timeout=TIMEOUT_MS)
    expect(page.locator("#mode")).to_have_text("free")


def test_each_control_is_reached_by_the_tab_key_and_shows_its_focus(full_page: Page) -> None:
    seen: list[str] = []
    wanted = full_page.evaluate(
        """[...document.querySelectorAll("a[href],button,input,select")].filter(e =>
           !e.disabled && e.checkVisibility()).map((e, i) => { e.dataset.number = i; return i; })"""
    )
    full_page.evaluate("document.activeElement.blur()")
    for _ in range(len(wanted) + 30):
        full_page.keyboard.press("Tab")
        found: dict[str, Any] = full_page.evaluate(
            """(() => { const e = document.activeElement, s = getComputedStyle(e);
               return {number: e.dataset.number ?? "", seen: s.outlineStyle !== "none"}; })()"""
        )
        if found["number"]:
            assert found["seen"], full_page.evaluate(f"{_FOCUSED}.outerHTML")
            seen.append(found["number"])
    assert set(map(int, seen)) == set(wanted)


def test_a_fault_starts_and_ends_by_the_keyboard(full_page: Page) -> None:
    full_page.locator("#find").focus()
    full_page.keyboard.type("it_load")
    full_page.evaluate("document.querySelector('#find').value = ''")
    full_page.locator("#find").dispatch_event("input")
    press_until(full_page, "e.tagName === 'INPUT' && e.closest('[data-name=it_load]')")
    full_page.keyboard.type("900")
    full_page.keyboard.press("Tab")
    full_page.keyboard.press("Enter")
    problem = full_page.locator(".fault[data-name=it_load] .problem")
    expect(problem).to_have_text("not a value from 0 to 200 kW")
    assert full_page.evaluate(f"{_FOCUSED}.tagName") == "INPUT", "the focus goes to the field"
    full_page.keyboard.press("Control+A")
    full_page.keyboard.type("77")
    full_page.keyboard.press("Tab")
    full_page.keyboard.press("Space")
    expect(full_page.locator("#v-load")).to_have_text("77.0 kW")


def test_a_swap_without_a_port_says_what_is_missing(full_page: Page) -> None:
    full_page.locator("#devices input").first.focus()
    full_page.keyboard.press("Tab")
    full_page.keyboard.press("Enter")
    expect(full_page.locator(".device .problem").first).to_have_text(
        "type the port of the real device"
    )
    assert full_page.evaluate(f"{_FOCUSED}.tagName") == "INPUT"


def test_the_curves_are_moved_by_keys(full_page: Page) -> None:
    wait_for_frames(full_page, 20)
    press_until(full_page, "e.dataset.do === 'closer'")
    before = full_page.evaluate("Plots.range")
    full_page.keyboard.press("+")
    closer = full_page.evaluate("Plots.range")
    assert closer["max"] - closer["min"] < before["max"] - before["min"]
    full_page.keyboard.press("ArrowLeft")
    assert full_page.evaluate("Plots.range.max") < closer["max"]
    full_page.keyboard.press("Home")


def test_a_screen_reader_gets_values_states_and_alarms(bench: PageBench, full_page: Page) -> None:
    """Roles and names of the accessibility tree, and the regions that are read when they change."""
    expect(full_page.locator("#loopvalues")).to_contain_text("supply")
    assert "°C; " in str(full_page.locator("#loopvalues").text_content())
    tree = full_page.locator("body").aria_snapshot()
    for line in (
        "- status: free",
        '- heading "Alarms" [level=2]',
        '- img "cooling loop"',
        '- toolbar "curves"',
        '- button "Start"',
        '- textbox "port of the real rpu"',
    ):
        assert line in tree, line
    live = full_page.evaluate(
        """[...document.querySelectorAll("[aria-live],[role=alert],[role=status],output")]
           .map(e => e.id)"""
    )
    assert {"mode", "verdict", "alarms", "problem", "overlays", "answerproblem"} <= set(live)
    bench.request("fault", name="bus_silent", value=None, on=True)
    expect(full_page.locator("#alarms li").first).to_be_attached()
    bench.request("fault", name="bus_silent", on=False)


def test_an_alarm_that_stays_is_not_read_again(full_page: Page) -> None:
    """Its element stays, also if another alarm comes before it or leaves."""
    assert full_page.evaluate(
        """(() => { const a = {line: "a"}, b = {line: "b"}, items = () =>
             [...document.querySelectorAll("#alarms li")];
           View.showList("alarms", [a]); const first = items()[0];
           View.showList("alarms", [b, a]); const both = items();
           View.showList("alarms", [a]);
           return both.length === 2 && both[1] === first && items()[0] === first; })()"""
    )


def test_runs_are_overlaid_by_the_keyboard(bench: PageBench, full_page: Page) -> None:
    run_quick(bench, full_page)
    run_quick(bench, full_page)
    buttons = full_page.locator("#history .record button")
    press_until(full_page, "e.closest('.record') && e.tagName === 'BUTTON'")
    full_page.keyboard.press("Enter")
    expect(buttons.first).to_have_attribute("aria-pressed", "true")
    full_page.keyboard.press("Tab")
    full_page.keyboard.press("Tab")
    full_page.keyboard.press("Space")
    expect(buttons.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(full_page.locator("#overlays")).to_contain_text("1 quick")
    assert full_page.evaluate("Plots.overlays") == ["quick", "quick"]
    assert find_violations(full_page) == []
    buttons.first.click()
    assert full_page.evaluate("Plots.overlays") == ["quick"]


def wait_for_still(page: Page, expression: str) -> object:
    """Wait until an expression has the same value twice, half a second apart; give the value."""
    values: list[object] = [None]

    def is_still() -> bool:
        values.append(page.evaluate(expression))
        page.wait_for_timeout(500)
        return bool(values[-1] == page.evaluate(expression))

    wait_until("a still picture", is_still, TIMEOUT_MS / 1000)
    return values[-1]


def test_the_lines_of_a_run_are_drawn(bench: PageBench, full_page: Page) -> None:
    """The pixels of the plot differ with and without the overlay, while nothing else changes."""
    if not any(record["curves"] for record in bench.request("history", serial="")):
        run_quick(bench, full_page)
    wait_for_frames(full_page, 20)
    full_page.locator("[data-do=pause]").click()
    shot = "document.querySelector('#plots figure[aria-label=supply] canvas').toDataURL()"
    before = wait_for_still(full_page, shot)
    full_page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    full_page.locator("#history .record button").first.click()
    wait_until("the lines", lambda: full_page.evaluate(shot) != before, TIMEOUT_MS / 1000)


def ask_curves(bench: PageBench, report: str) -> int:
    """Ask for the curves of a record; give the HTTP status."""
    body = json.dumps({"report": report, "scenario": "quick"}).encode()
    return ask_raw(bench, "/ask/curves", body)


def test_a_record_that_is_not_there_or_damaged_is_an_error(bench: PageBench) -> None:
    for report in ("..", "x/y", "", "no-such", "\0", "x" * 401):
        assert ask_curves(bench, report) == 409, report
    for number, text in enumerate(("{}", '{"runs": 5}', '{"runs": [{"series": {}}]}', "[", "")):
        folder: Path = bench.records / f"zz-damaged-{number}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(text)
        assert ask_curves(bench, folder.name) == 409, text
        (folder / "record.json").unlink()


def test_the_page_of_a_phone_has_no_wider_overlay_line(bench: PageBench, browser: Browser) -> None:
    phone = browser.new_page(viewport={"width": 360, "height": 740}, has_touch=True)
    phone.goto(bench.address)
    expect(phone.locator("#history .record").first).to_be_attached(timeout=TIMEOUT_MS)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    phone.close()
