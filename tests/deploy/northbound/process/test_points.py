# SPDX-License-Identifier: Apache-2.0
"""The point list: each point once, with its place in each protocol; CSV and EPICS can be read."""

import asyncio
import csv
import io
import json
import re
from pathlib import Path

import pytest

from deploy.commands import northbound
from deploy.northbound.bacnet.point_objects import PointObject
from deploy.northbound.command import point_words, points
from deploy.northbound.modbus.layout import register_fields
from deploy.northbound.points.point_table import PointRow, columns, point_table
from deploy.northbound.snapshot import PointValue
from deploy.northbound.snmp.mib_text import mib_text
from deploy.northbound.snmp.tree import ROOT, snmp_points

ROOT_FOLDER = Path(__file__).parents[4]


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
        if protocol == "redfish":  # the others are values of the metric report
            used = [place for place in used if not place.startswith("MetricReports/")]
        assert len(used) == len(columns(protocol))


def test_epics_has_the_objects(capsys: pytest.CaptureFixture[str]) -> None:
    assert northbound(["points", "--epics"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("PICS 0\n")
    assert text.count("{") == text.count("}")
    names = re.findall(r'object-name: "(\w+)"', text)
    assert names == (list(columns("bacnet")) if "bacnet" in points.protocols() else [])
    for row in point_table().values():
        if row.key in columns("bacnet") and row.kind == "enum":
            block = text.partition(f'"{row.key}"')[2].partition("}\n  }")[0]
            found = re.search(r"state-text: \{(.*)$", block, re.MULTILINE)
            assert found is not None, row.key
            assert re.findall(r'"(\w+)"', found[1]) == list(row.words)
    assert text.count('active-text: "on"') == text.count("object-type: binary-input")


async def bacnet_state(row: PointRow, raw: int) -> tuple[int, str]:
    """Return Present_Value of the object of the server, and its text."""
    point = PointObject(row, dict(columns("bacnet")[row.key]))
    point.update(PointValue(row.key, raw, "good", 0), stale=False)
    number = int(point.object.presentValue)
    return number, point.object.stateText[number - 1] if row.words else ""


def words_of_servers(row: PointRow) -> dict[str, dict[int, str]]:
    """Return the words by the numbers that the servers send, for each value of a point."""
    shown: dict[str, dict[int, str]] = {"modbus": {}, "bacnet": {}, "snmp": {}}
    names = row.words or ("no", "yes")
    flags = {"bacnet": ("inactive", "active"), "snmp": ("false", "true")}
    for raw, word in enumerate(names):
        shown["modbus"][register_fields()[row.key].counts(raw)] = word
        number, state = asyncio.run(bacnet_state(row, raw))
        value = snmp_points()[row.key].value(raw)
        assert value is not None
        if row.words:
            assert state == word
            shown["bacnet"][number] = shown["snmp"][int(value.text)] = word
        else:
            shown["bacnet"][number] = flags["bacnet"][raw]
            shown["snmp"][int(value.text)] = flags["snmp"][raw]
    return shown


@pytest.mark.parametrize(
    "row", [row for row in point_table().values() if row.kind == "enum"], ids=lambda row: row.key
)
def test_each_word_has_the_number_that_the_servers_send(row: PointRow) -> None:
    wanted = words_of_servers(row)
    csv_row = next(r for r in csv.DictReader(io.StringIO(points.csv_text())) if r["key"] == row.key)
    for protocol, words in wanted.items():
        cell = csv_row[protocol + "_words"]
        assert dict(pair.split("=") for pair in cell.split(";")) == {
            str(number): word for number, word in words.items()
        }
        column = 2 + list(wanted).index(protocol)
        lines = [line for line in points.word_table() if line[0] == f"`{row.key}`"]
        assert {int(line[column]): line[1].strip("`") for line in lines} == words
    syntax = mib_text(ROOT).partition(f"{snmp_points()[row.key].name} OBJECT-TYPE")[2]
    for number, word in wanted["snmp"].items():
        assert f"{word}({number})" in syntax or snmp_points()[row.key].type == "UnitState"


def test_flags_have_the_numbers_that_the_servers_send() -> None:
    for row in point_table().values():
        if row.kind == "flag":
            for protocol, words in words_of_servers(row).items():
                assert point_words.numbered_words(protocol, row) == words, row.key
    assert points.flag_table() == [("`no`", "0", "0", "2"), ("`yes`", "1", "1", "1")]


def test_each_point_with_words_is_on_the_page_and_in_the_lists(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A new kind of point must not come without its numbers."""
    assert northbound(["points", "--json"]) == 0
    for line in capsys.readouterr().out.splitlines():
        entry = json.loads(line)
        assert ("words" in entry) == (entry["kind"] in ("enum", "flag")), entry["key"]
        assert entry["kind"] in ("analog", "counter", "enum", "flag")
    page = (ROOT_FOLDER / "docs/reference/northbound_points.md").read_text(encoding="utf-8")
    for cells in points.word_table():
        assert "| " + " | ".join(cells) + " |\n" in page


def test_the_plain_list_names_all_protocols(capsys: pytest.CaptureFixture[str]) -> None:
    assert northbound(["points"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(point_table())
    assert len(list(points.table_rows())) == len({r.template for r in point_table().values()})
