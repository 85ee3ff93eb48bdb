# SPDX-License-Identifier: Apache-2.0
"""The diagram of the page for other layouts, in Chromium: its parts, its arrows, its qualities."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from hil.page.curves import CURVES
from hil.page.layout import find_layout, find_qualities
from tests.support.repository import ROOT

_SHARED = ROOT / "agent" / "tools" / "web" / "static"
_OWN = ROOT / "hil" / "page" / "static"
_SENSORS = {"supply": {"sensor": "cdu"}, "dp": {"sensor": "cdu"}}
_PUMPS = ["pump1", "pump2", "pump3"]


def control(supply: dict[str, Any], dp: dict[str, Any]) -> dict[str, Any]:
    """Return the control section of a unit with both sensors and set-points."""
    return {
        "supply": {"sensor": "cdu", "setpoint_c": 32, **supply},
        "dp": {"sensor": "cdu", "setpoint_kpa": 80, **dp},
    }


LAYOUTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "one address": (control({"valve": "cdu"}, {"pumps": ["cdu"]}), {"valve", "pump1"}),
    "two addresses": (
        control({"valve": "cdu"}, {"pumps": ["cdu", "pump2"]}),
        {"valve", "pump1", "pump2"},
    ),
    "separate addresses": (
        control({"valve": "valve"}, {"pumps": _PUMPS[:2]}),
        {"valve", "pump1", "pump2"},
    ),
    "controls itself": (control({"cdu": "cdu"}, {"cdu": "cdu"}), {"own"}),
    "monitoring only": (_SENSORS, set()),
    "no valve": (control({}, {"pumps": ["pump1"]}), {"pump1"}),
    "three pumps": (
        control({"valve": "valve"}, {"pumps": _PUMPS}),
        {"valve", "pump1", "pump2", "pump3"},
    ),
    "supply only": ({"supply": {"sensor": "cdu"}}, set()),
}
_MARKED = {"supply": "uncertain", "dp": "bad", "return": "absent"}


def draw(page: Page, layout: dict[str, Any], narrow: bool = False) -> None:
    """Draw a layout with values that are all known but the return."""
    style = (_SHARED / "base.css").read_text(encoding="utf-8")
    page.set_content(f"<style>{style}</style><svg id='loop'></svg><p id='loopvalues'></p>")
    names = (_SHARED / "dom.js", _SHARED / "texts.js", _OWN / "texts_zh.js", _SHARED / "pid.js")
    page.evaluate("window.Plots = {DIGITS: {}}")
    text = "\n".join(path.read_text(encoding="utf-8") for path in (*names, _OWN / "loop.js"))
    text = text.replace('"use strict";', "")
    curves = [asdict(curve) for curve in CURVES]
    row = [0.0, *(None if curve.key in ("return_read", "return") else 50.0 for curve in CURVES)]
    page.evaluate(
        f"(() => {{ {text}; window.Loop = Loop; Loop.draw({json.dumps(layout)}, "
        f"{json.dumps(narrow)}); if (!{json.dumps(narrow)}) Loop.show({json.dumps(curves)}, "
        f"{json.dumps(row)}, {json.dumps(layout)}, {json.dumps(_MARKED)}); }})()"
    )


@pytest.fixture(scope="module")
def page(browser: Browser) -> Any:
    """Give one page for all layouts: `draw` writes its whole content."""
    found = browser.new_page(viewport={"width": 1000, "height": 600})
    yield found
    found.close()


@pytest.mark.parametrize("narrow", [False, True], ids=["screen", "phone"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_only_the_parts_that_exist_are_drawn(page: Page, name: str, narrow: bool) -> None:
    raw, parts = LAYOUTS[name]
    draw(page, find_layout({"control": raw}), narrow)
    ids = set(page.evaluate("[...document.querySelectorAll('#loop [id]')].map(e => e.id)"))
    known = {"valve", "own", "pump1", "pump2", "pump3"}
    assert ids & known == parts
    values = {found.removeprefix("v-") for found in ids if found.startswith("v-")}
    assert values & {"valve", *_PUMPS} == parts - {"own"}
    assert ("dp" in values) == ("sensor" in raw.get("dp", {}))
    assert ("setpoint" in values) == ("own" in parts)
    assert page.locator("#loop text", has_text="controls itself").count() == ("own" in parts)
    assert outside(page) == []
    assert overlaps(page) == []


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrows_point_with_the_flow(page: Page, name: str) -> None:
    """Cold water flows to the right at the top, warm water to the left at the bottom.

    A path is "M x y l dx dy …": the tip, and the way to the base, which is against the flow.
    """
    raw, parts = LAYOUTS[name]
    draw(page, find_layout({"control": raw}))
    arrows = page.evaluate(
        "[...document.querySelectorAll('#loop .flow, #loop [id^=arrow]')]"
        ".map(e => e.getAttribute('d'))"
    )
    assert len(arrows) == 4 + sum(part.startswith("pump") for part in parts)
    for arrow in arrows:
        match = re.match(r"M([\d.]+) ([\d.]+)l(-?[\d.]+)", arrow)
        assert match is not None, arrow
        is_top = float(match[2]) < 120
        assert (float(match[3]) < 0) == is_top, arrow


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_value_has_its_quality(page: Page, name: str) -> None:
    raw, _ = LAYOUTS[name]
    layout = find_layout({"control": raw})
    draw(page, layout)
    classes: dict[str, str] = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#loop .value text')]"
        ".map(e => [e.id.slice(2), [e.getAttribute('class'), e.textContent].join(' ')]))"
    )
    assert all(re.search(r"\b(good|uncertain|bad|absent)\b", text) for text in classes.values())
    assert "absent" in classes["return"]
    assert "\u2013" in classes["return"]
    assert "uncertain" in classes["supply"]
    assert " ?" in classes["supply"]
    if layout["dp"]:
        assert "bad" in classes["dp"]
        assert "✗" in classes["dp"]
    if layout["pumps"] == 3:
        assert "absent" in classes["pump3"]  # no curve: its drive is not of this bench
    assert "good" in classes["load"]


def test_qualities_of_a_status() -> None:
    status = {
        "supply": {
            "quality": "stale",
            "milli_c": 1,
            "return_milli_c": None,
            "valve_milli_pct": 0,
        },
        "dp": {"quality": "good", "milli_kpa": None, "pumps_milli_pct": [1, None]},
    }
    assert find_qualities(status) == {
        "supply": "bad",
        "return": "absent",
        "valve": "good",
        "dp": "absent",
        "pump1": "good",
        "pump2": "absent",
    }
    assert set(find_qualities({}).values()) == {"absent"}


def outside(page: Page) -> list[str]:
    """Return the texts and parts that are not within the picture."""
    return list(
        page.evaluate(
            """(() => { const box = document.getElementById("loop").viewBox.baseVal;
               return [...document.querySelectorAll("#loop text, #loop .part")].filter((e) => {
                 const b = e.getBBox();
                 return b.width && (b.x < 0 || b.x + b.width > box.width ||
                   b.y < box.y - 1 || b.y + b.height > box.y + box.height + 4);
               }).map((e) => e.id || e.textContent); })()"""
        )
    )


def overlaps(page: Page) -> list[str]:
    """Return the pairs of pumps, valve and racks that are drawn over each other."""
    return list(
        page.evaluate(
            """(() => { const parts = [...document.querySelectorAll("#loop .part")];
               const found = [];
               parts.forEach((a, i) => parts.slice(i + 1).forEach((b) => {
                 const p = a.getBBox(), q = b.getBBox();
                 if (p.x + 1 < q.x + q.width && q.x + 1 < p.x + p.width &&
                     p.y + 1 < q.y + q.height && q.y + 1 < p.y + p.height)
                   found.push(a.id + " " + b.id);
               })); return found; })()"""
        )
    )


def test_the_files_of_the_page_are_those_that_are_tested() -> None:
    index = (Path(_OWN) / "index.html").read_text(encoding="utf-8")
    assert index.index("static/pid.js") < index.index("static/loop.js")
