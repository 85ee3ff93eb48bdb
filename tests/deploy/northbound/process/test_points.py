# SPDX-License-Identifier: Apache-2.0
"""The point list: each point once, with its place in each protocol; CSV and EPICS can be read."""

import csv
import io
import re

import pytest

from deploy.commands import northbound
from deploy.northbound.command import points
from deploy.northbound.points.point_table import columns, point_table


def test_csv_has_each_point_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert northbound(["points", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["key"] for row in rows] == list(point_table())
    assert [row["modbus"] for row in rows if row["key"] == "supply_temperature"] == [
        points.place("modbus", point_table()["supply_temperature"])
    ]
    assert points.place("modbus", point_table()["supply_temperature"]).endswith("i16 x 0.01")


def test_no_protocol_has_a_place_twice() -> None:
    for protocol in points.protocols():
        places = [points.place(protocol, row) for row in point_table().values()]
        used = [place for place in places if place]
        assert len(used) == len(set(used)), protocol
        assert len(used) == len(columns(protocol))


def test_epics_has_the_objects(capsys: pytest.CaptureFixture[str]) -> None:
    assert northbound(["points", "--epics"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("PICS 0\n")
    assert text.count("{") == text.count("}")
    names = re.findall(r'object-name: "(\w+)"', text)
    assert names == (list(columns("bacnet")) if "bacnet" in points.protocols() else [])


def test_the_plain_list_names_all_protocols(capsys: pytest.CaptureFixture[str]) -> None:
    assert northbound(["points"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(point_table())
    assert len(list(points.table_rows())) == len({r.template for r in point_table().values()})
