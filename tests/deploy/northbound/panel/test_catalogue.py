# SPDX-License-Identifier: Apache-2.0
"""Texts of the panel: each alarm and each point has both languages."""

import re

from agent.alarms.catalogue import catalogue
from deploy.northbound.panel.page_catalogue import catalogue_json, chinese_texts
from deploy.northbound.panel.qr_code import qr_svg
from deploy.northbound.points.point_table import point_table
from tests.support.repository import ROOT

STATIC = ROOT / "deploy/northbound/panel/static"


def test_each_alarm_has_chinese_texts() -> None:
    assert set(chinese_texts()) == set(catalogue().entries)
    for code, texts in chinese_texts().items():
        assert set(texts) == {"means", "cause", "consequence", "do"}, code
        assert all(re.search("[\u4e00-\u9fff]", text) for text in texts.values()), code


def test_each_point_has_a_chinese_title() -> None:
    text = (STATIC / "texts_zh.js").read_text(encoding="utf-8")
    keys = set(re.findall(r'(?m)"?([a-z{}n_0-9]+)"?: "[^"]*[\u4e00-\u9fff]', text))
    templates = {row.template for row in point_table().values()}
    assert templates - keys == set()


def test_an_alarm_has_all_texts_of_its_answer() -> None:
    entry = catalogue_json()["alarms"]["pump_trip"]
    assert entry["respond"] == "30 min"
    assert entry["do"].startswith("Read the fault")
    assert entry["zh"]["do"].startswith("读取变频器故障")


def test_a_qr_code_has_the_modules_of_its_version() -> None:
    svg = qr_svg("CDU-0042-26").decode()
    assert 'viewBox="0 0 29 29"' in svg, "version 1 (21 modules) and a quiet zone of 4"
