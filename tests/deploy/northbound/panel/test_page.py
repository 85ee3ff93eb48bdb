# SPDX-License-Identifier: Apache-2.0
"""The panel in Chromium: touch, keyboard, small screens, both languages, hostile texts."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from deploy.northbound.access.types import Outcome, SetPointChange, TrialChange, UnitCommand
from deploy.northbound.snapshot import Identity, PointValue
from tests.deploy.northbound.panel.panel_server import (
    ALARMS,
    PASSWORD,
    PanelServer,
    make_alarm,
    typical_source,
)
from tests.support.cli_tools import wait_until
from tests.support.programs import require_program

TIMEOUT_MS = 60_000
FIRST_PAINT_MS = 1000
SIZES = {"touch 7 inch": (800, 480), "touch 15 inch": (1280, 800), "phone": (390, 844)}
VIEWS = ("overview", "alarms", "trends", "control", "unit")
SERIOUS = ("serious", "critical")
expect.set_options(timeout=TIMEOUT_MS)
NONE = "\u2013"
"""The text of a value that is not known."""
SMALLEST_TARGET = 44
HOSTILE = (
    "<img src=x onerror=document.title='owned'>",
    "</script><script>document.title='owned'</script>",
    "\"><svg onload=document.title='owned'>",
    "{{constructor.constructor('return 1')()}} &lt;b&gt; \u202e\u0000 '\"`",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = require_program("chromium")
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def running() -> Iterator[PanelServer]:
    server = PanelServer()
    yield server
    server.close()


@pytest.fixture
def server(running: PanelServer) -> PanelServer:
    """Give the server in its first state."""
    running.source.snapshot = typical_source().snapshot
    running.writer.requests.clear()
    running.logins.sessions.clear()
    running.logins.locked_s = 0
    running.streams = True
    return running


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(server: PanelServer, browser: Browser) -> Iterator[OpenPage]:
    """Give a function that opens the page; no page may report an error or a broken policy."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_it(view: str = "overview", size: str = "touch 7 inch", **options: object) -> Page:
        width, height = SIZES[size]
        touch = not options.pop("keyboard", False)
        context = browser.new_context(
            viewport={"width": width, "height": height},
            has_touch=touch,
            **{"locale": "en", **options},  # type: ignore[arg-type]
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.goto(f"{server.address}#{view}")
        expect(page.locator("#unitstate")).not_to_have_text(NONE)
        expect(page.locator("body[data-ready]")).to_be_attached()
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert [e for e in errors if "status of 4" not in e and "status of 503" not in e] == []


def find_violations(page: Page) -> list[str]:
    """Run axe-core; give its serious findings with their elements."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')[:200]}"
        for violation in violations
        if violation["impact"] in SERIOUS
        for node in violation["nodes"][:3]
    ]


def go_to(page: Page, view: str) -> None:
    page.locator(f"nav a[href='#{view}']").click()
    expect(page.locator(f"#{view}")).to_be_visible()


def tap_keys(page: Page, text: str) -> None:
    """Type with the keyboard on the screen."""
    for character in text:
        if character.isupper():
            page.locator("#keys button", has_text="⇧").tap()
        page.locator("#keys").get_by_role("button", name=character, exact=True).tap()
        if character.isupper():
            page.locator("#keys button", has_text="⇧").tap()


def sign_in(page: Page, user: str = "operator") -> None:
    page.locator("#account").click()
    page.locator("input[name=user]").fill(user)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("#account")).to_have_text(f"Sign out {user}")


def test_first_paint_is_quick(open_page: OpenPage) -> None:
    page = open_page()
    script = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert page.evaluate(script) <= FIRST_PAINT_MS


def test_values_have_units_and_quality(server: PanelServer, open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator("#v-supply")).to_contain_text("32.1 °C")
    expect(page.locator("#v-fws_return")).to_contain_text("33.1 °C ?")
    expect(page.locator("#v-filter")).to_contain_text(NONE + " ✗")
    expect(page.locator("#v-filter title")).to_contain_text("bad")
    expect(page.locator("#pump1")).to_have_class("part ok")
    expect(page.locator("#pump2")).to_have_class("part off")
    server.source.set_point("supply_temperature", 35_500)
    expect(page.locator("#v-supply")).to_contain_text("35.5 °C", timeout=3000)


def test_no_data_is_shown_and_no_old_value_stays(server: PanelServer, open_page: OpenPage) -> None:
    page = open_page()
    server.source.stop()
    expect(page.locator("#stale")).to_contain_text("No data from the controller")
    expect(page.locator("#unitstate")).to_have_text("Not known")
    expect(page.locator("#v-supply")).to_contain_text(NONE)
    expect(page.locator("#topalarms")).to_have_text("Alarms are not known")


def test_a_lost_server_is_shown(browser: Browser) -> None:
    panel = PanelServer()
    page = browser.new_page()
    page.goto(panel.address)
    expect(page.locator("#v-supply")).to_contain_text("°C")
    expect(page.locator("#clocktext")).to_contain_text(" UTC")
    panel.close()
    expect(page.locator("#stale")).to_contain_text("No connection", timeout=TIMEOUT_MS)
    expect(page.locator("#v-supply")).to_contain_text(NONE)
    expect(page.locator("#clocktext")).to_have_text("UTC not known")
    expect(page.locator("#topalarms")).to_have_text("Alarms are not known")
    page.evaluate("location.hash = '#unit'")
    expect(page.locator("#unit")).to_contain_text("UTC not known")
    page.close()


def test_polling_replaces_the_stream(server: PanelServer, open_page: OpenPage) -> None:
    server.streams = False
    page = open_page()
    server.source.set_point("supply_temperature", 36_600)
    expect(page.locator("#v-supply")).to_contain_text("36.6 °C")


def test_an_alarm_is_answered_in_three_touches(server: PanelServer, open_page: OpenPage) -> None:
    """Touches without the sign-in: the alarm, Acknowledge; a risk takes one more."""
    page = open_page()
    sign_in(page)
    page.locator(".alarm:visible").first.tap()
    dialog = page.locator("#alarmdialog")
    expect(dialog.locator(".todo")).to_have_text(
        "Read the fault on the drive. Repair it. Reset the drive."
    )
    expect(dialog).to_contain_text("Act within 30 min")
    expect(dialog).to_contain_text("The next pump fault stops the flow.")
    dialog.get_by_role("button", name="Acknowledge").tap()
    expect(dialog).to_be_hidden()
    wait_until("a request", lambda: server.writer.requests)
    assert server.writer.requests[0][0] == UnitCommand("acknowledge", {"code": ALARMS[0].id})
    server.writer.results["1"] = Outcome("confirmed")
    expect(page.locator("#toast")).to_contain_text("done")


def test_touch_only_from_the_start_to_a_mode(server: PanelServer, open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#account").tap()
    page.locator("#showkeys").tap()
    tap_keys(page, "operator")
    page.locator("input[name=password]").tap()
    tap_keys(page, "right")
    page.locator("#keys button", has_text="#+=").tap()
    tap_keys(page, "-")
    page.locator("#keys button", has_text="abc").tap()
    tap_keys(page, PASSWORD.removeprefix("right-"))
    page.locator("#logindialog button[value=yes]").tap()
    expect(page.locator("#account")).to_contain_text("operator")
    page.locator("nav a[href='#control']").tap()
    page.get_by_text("hand", exact=True).tap()
    page.get_by_role("button", name="more: Valve").tap()
    page.get_by_text("5 min", exact=True).tap()
    page.get_by_role("button", name="Start…", exact=True).tap()
    dialog = page.locator("#confirmdialog")
    expect(dialog).to_contain_text("Manual control for 5 min: valve 55 %, pumps 50 %")
    assert server.writer.requests == []
    dialog.get_by_role("button", name="Confirm").tap()
    wait_until("a request", lambda: server.writer.requests)
    arguments: dict[str, int | str] = {
        "mode": "hand",
        "minutes": 5,
        "valve_pct": 55,
        "pump_pct": 50,
    }
    assert server.writer.requests[0][0] == UnitCommand("override", arguments)


def press_until(page: Page, selector: str, key: str = "Tab", limit: int = 60) -> None:
    """Press a key until the element has the focus."""
    for _ in range(limit):
        page.keyboard.press(key)
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached with {key}")


def test_keyboard_only_from_the_start_to_a_set_point(
    server: PanelServer, open_page: OpenPage
) -> None:
    page = open_page(keyboard=True)
    press_until(page, "nav a[href='#control']")
    page.keyboard.press("Enter")
    expect(page.locator("#control")).to_be_focused()
    press_until(page, ".setpoint input[type=number]")
    page.keyboard.press("Control+a")
    page.keyboard.type("31.5")
    press_until(page, ".setpoint > button:not(.plain)")
    page.keyboard.press("Enter")
    expect(page.locator("input[name=user]")).to_be_focused()
    page.keyboard.type("operator")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    dialog = page.locator("#confirmdialog")
    expect(dialog).to_contain_text("from 32 to 31.5 °C")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert server.writer.requests == []
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    press_until(page, "#confirmdialog button:not(.plain)", "Shift+Tab", 4)
    page.keyboard.press("Enter")
    wait_until("a request", lambda: server.writer.requests)
    page.keyboard.press("Escape")
    press_until(page, "nav a[href='#alarms']", "Shift+Tab", 80)
    page.keyboard.press("Enter")
    press_until(page, ".alarm")
    page.keyboard.press("Enter")
    expect(page.locator("#alarmdialog button").first).to_be_focused()
    page.keyboard.press("Enter")
    wait_until("a second request", lambda: len(server.writer.requests) == 2)


def test_an_alarm_of_priority_1_is_never_shelved(server: PanelServer, open_page: OpenPage) -> None:
    server.source.replace(alarms=(make_alarm("flow_low"), *ALARMS))
    page = open_page("alarms")
    page.locator(".alarm:visible").first.click()
    expect(page.locator("#alarmdialog")).to_contain_text("Priority 1: act now")
    expect(page.locator("#alarmdialog details")).to_have_count(0)
    page.keyboard.press("Escape")
    sign_in(page)
    page.locator(".alarm:visible", has_text="filter_high").click()
    page.locator("#alarmdialog summary").click()
    page.locator("#alarmdialog").get_by_role("button", name="Shelve").click()
    wait_until("a request", lambda: server.writer.requests)
    arguments: dict[str, int | str] = {"code": "filter_high", "minutes": 60, "reason": "work"}
    assert server.writer.requests[0][0] == UnitCommand("shelve", arguments)


def test_alarms_are_ordered_by_state_and_priority(server: PanelServer, open_page: OpenPage) -> None:
    server.source.replace(alarms=(*ALARMS, make_alarm("flow_low")))
    page = open_page("alarms")
    codes = page.locator("#alarmlists .alarm small").all_text_contents()
    assert [code.split(" ")[0] for code in codes] == [
        "flow_low",
        "pump_trip:pump-b",
        "filter_high",
        "device_lost:valve",
        "optics_warm",
    ]


def test_a_role_without_the_right_is_shown(server: PanelServer, open_page: OpenPage) -> None:
    page = open_page("control")
    sign_in(page, "reader")
    page.get_by_role("button", name="Back to automatic").click()
    expect(page.locator("#toast")).to_contain_text("Your role may not do this.")
    assert server.writer.requests == []


def test_a_wrong_password_and_a_lock_out_are_shown(
    server: PanelServer, open_page: OpenPage
) -> None:
    page = open_page()
    page.locator("#account").click()
    page.locator("input[name=user]").fill("operator")
    page.locator("input[name=password]").fill("wrong")
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("#logindialog .problem")).to_have_text("User or password is wrong.")
    server.logins.locked_s = 42
    page.locator("input[name=password]").fill("wrong")
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("#logindialog .problem")).to_contain_text("Try again in 42 s.")


def test_the_first_sign_in_sets_a_password(server: PanelServer, open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#account").click()
    page.locator("input[name=user]").fill("new")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("#logintitle")).to_have_text("Set a new password")
    page.locator("input[name=password]").fill("a longer password")
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("#logindialog")).to_be_hidden()


def test_a_result_after_the_sign_out_is_not_known(server: PanelServer, open_page: OpenPage) -> None:
    page = open_page("control")
    sign_in(page)
    page.locator(".setpoint > button:not(.plain)").first.click()
    page.locator("#confirmdialog button:not(.plain)").click()
    wait_until("a request", lambda: server.writer.requests)
    server.writer.results["1"] = Outcome("trial", "health")
    expect(page.locator("#myactions")).to_contain_text("on trial")
    page.locator("#account").click()
    expect(page.locator("#myactions")).to_contain_text("not known")


def test_a_confirmation_is_for_the_value_that_was_shown(
    server: PanelServer, open_page: OpenPage
) -> None:
    page = open_page("control")
    sign_in(page)
    page.locator(".setpoint > button:not(.plain)").first.click()
    expect(page.locator("#confirmdialog")).to_be_visible()
    points = server.source.snapshot.setpoints
    changed = dataclasses.replace(points["supply_setpoint"], configured=30_000)
    server.source.replace(setpoints={**points, "supply_setpoint": changed})
    page.locator("#confirmdialog button:not(.plain)").click()
    expect(page.locator("#toast")).to_contain_text("has changed since you looked")
    assert server.writer.requests == []


def test_a_rollback_is_for_the_trial_that_was_shown(
    server: PanelServer, open_page: OpenPage
) -> None:
    shown = SetPointChange("supply_setpoint", 31_500)
    server.writer.trial = TrialChange(7, shown, "redfish", "otto")
    server.source.replace(details={"remote": {"trial": 7}})
    page = open_page("control")
    card = page.locator("section.card", has_text="Change on trial")
    expect(card).to_contain_text("31.5 °C")
    expect(card).not_to_contain_text("otto")
    sign_in(page, "admin")
    expect(card).to_contain_text("by otto (redfish)")
    page.route("**/panel/events", lambda route: route.abort())
    page.route("**/panel/api/state", lambda route: route.abort())  # the page is late
    server.source.replace(details={"remote": {"trial": 8}})
    card.locator("button").click()
    expect(page.locator("#toast")).to_contain_text("has changed since you looked")
    assert server.writer.requests == []
    server.source.replace(details={"remote": {"trial": 7}})
    card.locator("button").click()
    wait_until("a request", lambda: server.writer.requests)
    arguments = {"of": "", "any_user": 1, "shown": 7}
    assert server.writer.requests[0][0] == UnitCommand("rollback", arguments)


def test_a_reload_ends_the_access(server: PanelServer, open_page: OpenPage) -> None:
    page = open_page()
    sign_in(page)
    assert server.logins.sessions
    page.reload()
    wait_until("the end of the session", lambda: not server.logins.sessions)
    expect(page.locator("#account")).to_have_text("Sign in")
    stored = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert "operator" not in stored


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("touch 7 inch", "light"),
        ("phone", "dark"),
        pytest.param("touch 7 inch", "dark", marks=pytest.mark.soak),
        pytest.param("touch 15 inch", "light", marks=pytest.mark.soak),
        pytest.param("touch 15 inch", "dark", marks=pytest.mark.soak),
        pytest.param("phone", "light", marks=pytest.mark.soak),
    ],
)
def test_axe_finds_no_serious_violation(open_page: OpenPage, size: str, scheme: str) -> None:
    page = open_page(size=size, color_scheme=scheme, reduced_motion="reduce")
    for view in VIEWS:
        go_to(page, view)
        assert find_violations(page) == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    for opener in ("#account", ".alarm:visible"):
        go_to(page, "alarms")
        page.locator(opener).first.click()
        assert find_violations(page) == [], opener
        page.keyboard.press("Escape")


@pytest.mark.parametrize("size", ["touch 7 inch", "phone"])
def test_targets_are_large_enough_for_a_finger(open_page: OpenPage, size: str) -> None:
    page = open_page(size=size)
    page.locator("#account").click()
    page.locator("#showkeys").click()
    small = []
    for view in VIEWS:
        small += page.evaluate(
            """limit => [...document.querySelectorAll("button,nav a,select,summary,.choice span")]
               .map(e => [e.textContent || e.ariaLabel, e.getBoundingClientRect()])
               .filter(([, r]) => r.width && (r.height < limit || r.width < 24))
               .map(([name, r]) => `${name} ${r.width}x${r.height}`)""",
            SMALLEST_TARGET - 0.5,
        )
        page.keyboard.press("Escape")
        go_to(page, view)
    assert small == []


@pytest.mark.parametrize("size", ["touch 7 inch", "phone"])
def test_a_view_opened_by_its_address_keeps_the_header(open_page: OpenPage, size: str) -> None:
    for view in ("control", "unit"):
        page = open_page(view, size=size)
        page.reload()
        expect(page.locator("body[data-ready]")).to_be_attached()
        expect(page.locator("header")).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.body.scrollHeight <= innerHeight")


def test_hostile_texts_never_become_markup(server: PanelServer, open_page: OpenPage) -> None:
    alarms = [
        dataclasses.replace(
            make_alarm("pump_trip", name=text, text=text, action=text), code=f"x{number}"
        )
        for number, text in enumerate(HOSTILE)
    ]
    identity = Identity(*HOSTILE, HOSTILE[0], HOSTILE[1][:100], *HOSTILE[:2], HOSTILE[3])
    server.source.replace(
        alarms=tuple(alarms),
        identity=identity,
        software=HOSTILE[0],
        clock={text: text for text in HOSTILE},
        link={HOSTILE[0]: [{HOSTILE[1]: HOSTILE[2]}]},
        details={text: {"a": {text: text}} for text in HOSTILE},
    )
    page = open_page()
    sign_in(page)
    for view in VIEWS:
        go_to(page, view)
        for summary in page.locator(f"#{view} summary").all():
            summary.click()
    go_to(page, "alarms")
    for number in range(len(HOSTILE)):
        page.locator(".alarm:visible").nth(number).click()
        expect(page.locator("#alarmdialog .todo")).to_be_visible()
        page.keyboard.press("Escape")
    assert "owned" not in page.title() or "onerror" in page.title()
    counts = page.evaluate(
        """['img:not(.qr)', 'main script', 'svg[onload]', 'iframe', 'b b']
           .map(s => document.querySelectorAll(s).length)"""
    )
    assert counts == [0, 0, 0, 0, 0]


def test_the_policy_stops_injected_markup(server: PanelServer, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(server.address)
    blocked = page.evaluate(
        """() => { try { document.body.innerHTML = '<b>x</b>'; return 'done'; }
                   catch (error) { return error.name; } }"""
    )
    page.close()
    assert blocked == "TypeError"


def test_the_language_is_chosen_and_kept(open_page: OpenPage) -> None:
    page = open_page(size="phone")
    page.locator("#language").select_option("zh-CN")
    expect(page.locator("nav a").first).to_have_text("总览")
    expect(page.locator("#unitstate")).to_have_text("降级")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.locator(".alarm:visible").first.click()
    expect(page.locator("#alarmdialog .todo")).to_contain_text("变频器")
    page.reload()
    expect(page.locator("nav a").first).to_have_text("总览")
    assert find_violations(page) == []


def test_a_chinese_browser_gets_chinese_with_all_texts(open_page: OpenPage) -> None:
    page = open_page(locale="zh-CN")
    expect(page.locator("nav a").first).to_have_text("总览")
    assert page.evaluate("Texts.missing()") == []
    used = page.evaluate(
        """[...document.querySelectorAll("[data-t],[data-t-label]")]
           .map(e => e.dataset.t || e.dataset.tLabel)"""
    )
    assert [key for key in used if not page.evaluate("key => Texts.has(key)", key)] == []
    for view in VIEWS:
        go_to(page, view)
        latin = page.evaluate(
            """view => [...document.querySelectorAll(`#${view} h2, #${view} button, #${view} th`)]
               .map(e => e.textContent).filter(text => /[a-z]{4}/.test(text))""",
            view,
        )
        assert [t for t in latin if not any(a.id in t for a in ALARMS)] == [], view


def test_trends_of_24_hours_with_a_gap(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("trends")
    expect(page.locator("#plots figure")).to_have_count(5)
    expect(page.locator("#plots figure").first).to_contain_text("Secondary supply temperature")
    before = page.evaluate("Plots.range")
    assert 23 * 3600 < before["max"] - before["min"] <= 24 * 3600 + 60
    page.locator("#plottools select").select_option("3600")
    after = page.evaluate("Plots.range")
    assert after["max"] - after["min"] <= 3660
    with page.expect_download() as download:
        page.locator("[data-do=csv]").click()
    download.value.save_as(tmp_path / "trend.csv")
    assert len((tmp_path / "trend.csv").read_text(encoding="utf-8").splitlines()) > 1300


def test_who_holds_each_actuator_and_the_unit_view(
    server: PanelServer, open_page: OpenPage
) -> None:
    page = open_page("control", size="touch 15 inch")
    expect(page.locator("#holders tr").first).to_contain_text("supply loop")
    expect(page.locator("#holders tr").first).to_contain_text("control loop")
    go_to(page, "unit")
    for text in ("CDU-0042-26", "coldloop 0.2.0", "± 1.9 ms", "receiver", "budget"):
        expect(page.locator("#unit")).to_contain_text(text)
    qr = page.locator("#unit img.qr")
    wait_until("the QR code", lambda: qr.evaluate("e => e.complete && e.naturalWidth > 0"))
    page.locator("#unit summary", has_text="All values").click()
    expect(page.locator("#unit tbody tr", has_text="Relative humidity")).to_be_hidden()
    expect(page.locator("#unit tbody tr", has_text="Heat removed")).to_contain_text("92.4 kW")


PAIR = {"pair_role": 5, "pair_peer_role": 2, "pair_takeover_reason": 1, "pair_standby_ready": 1}
GROUP = {"group_runs": 1, "group_is_lead": 0, "group_lead": 2, "group_number": 1, "group_units": 3,
         "group_selected": 2, "group_reason": 2, "group_load": 183_000}  # fmt: skip


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_pair_and_group_are_shown_when_there(
    server: PanelServer, open_page: OpenPage, locale: str
) -> None:
    page = open_page("unit", size="touch 15 inch", locale=locale)
    expect(page.locator("#unit h2").first).to_be_visible()
    pair, group = page.locator("#unit .card.pair"), page.locator("#unit .card.group")
    expect(pair).to_have_count(0)
    expect(group).to_have_count(0)
    for key, raw in {**PAIR, **GROUP}.items():
        server.source.set_point(key, raw)
    facts = {"lead": "cdu02", "selected": ["cdu01", "cdu02"], "received": ["cdu02", "cdu03"]}
    details = {**server.source.snapshot.details, "pair": {"node": "a"}, "group": facts}
    server.source.replace(details=details)
    wanted = {
        "en": (("Active", "Standby", "Silence of the other controller"),
               ("Heat load", "183.0 kW", "Lead", "cdu01, cdu02", "cdu02, cdu03")),
        "zh-CN": (("主控", "备用", "对侧静默"), ("热负荷", "183.0 kW", "主导设备", "cdu01, cdu02")),
    }[locale]  # fmt: skip
    for card, texts in zip((pair, group), wanted, strict=True):
        for text in texts:
            expect(card).to_contain_text(text)
        assert "state." not in (card.text_content() or "")
    expect(group.locator("dd").nth(2)).to_have_text("2"), "the number of the lead, not yes"
    assert find_violations(page) == []
    server.source.replace(details={})
    expect(group).to_have_count(0)


def test_a_button_under_a_finger_is_not_replaced(server: PanelServer, open_page: OpenPage) -> None:
    """New values each second keep the elements: a touch hits what the person saw."""
    page = open_page("control")
    page.evaluate("window.kept = document.querySelector('#control .stepper input')")
    page.locator("#control .stepper input").first.fill("63")
    page.evaluate("window.alarm = document.querySelector('#alarmlists .alarm')")
    for raw in (32_500, 32_600, 32_700):
        value = PointValue("supply_temperature", raw, "good", 100)
        points = {**server.source.snapshot.points, "supply_temperature": value}
        identity = dataclasses.replace(server.source.snapshot.identity, unit=f"CDU-{raw}")
        server.source.replace(points=points, identity=identity)
        expect(page.locator("#unitname")).to_contain_text(f"CDU-{raw}")
    assert page.evaluate("window.kept.isConnected && window.kept.value") == "63"
    assert page.evaluate("window.alarm.isConnected")


def test_nothing_external_is_loaded(server: PanelServer, browser: Browser) -> None:
    urls: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: urls.append(request.url))
    page.goto(server.address)
    expect(page.locator("#v-supply")).to_contain_text("°C")
    page.close()
    assert len(urls) > 10
    assert [url for url in urls if not url.startswith((server.origin, "data:"))] == []
    assert json.dumps(urls).count("panel/static") > 8
