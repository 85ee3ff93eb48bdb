# SPDX-License-Identifier: Apache-2.0
"""The report in Chromium: paper size, legends, axes by limits, phone width, axe-core."""

import re
from pathlib import Path
from unittest.mock import patch

import pytest
from playwright.sync_api import sync_playwright

from hil.commands import hil
from hil.report.html import _find_limits
from hil.report.pdf import print_pdf
from tests.hil.page.test_view import find_violations
from tests.support.programs import require_program

A4_PT = (595, 842)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    with patch("hil.report.write.print_pdf", return_value=False):
        hil(["run", "look", "--report", str(folder / "look"), "--key", str(folder / "key")])
    return folder / "look" / "report.html"


def test_the_paper_is_a4(report: Path, tmp_path: Path) -> None:
    require_program("chromium")
    assert print_pdf(report, tmp_path / "x.pdf")
    boxes = re.findall(rb"/MediaBox\s*\[([\d. ]+)\]", (tmp_path / "x.pdf").read_bytes())
    assert boxes
    for box in boxes:
        width, height = (round(float(value)) for value in box.split()[2:])
        assert abs(width - A4_PT[0]) <= 1
        assert abs(height - A4_PT[1]) <= 1


def test_the_report_fits_a_phone_and_has_legends(report: Path) -> None:
    path = require_program("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        phone = chromium.new_page(viewport={"width": 360, "height": 740})
        phone.goto(report.as_uri())
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360
        assert phone.locator(".u-legend").count() == phone.locator(".plots > div").count() > 3
        assert find_violations(phone) == []
        phone.emulate_media(media="print")
        assert phone.locator(".u-legend").first.is_visible()
        chromium.close()


def test_limits_of_all_forms_are_read() -> None:
    texts = (">= 31 and <= 33", "<= -2.5", ">= 1e-05", "80")
    run = {"findings": [{"measure": "x", "limits": text} for text in texts]}
    assert _find_limits(run) == {"x": [31.0, 33.0, -2.5, 1e-05, 80.0]}
