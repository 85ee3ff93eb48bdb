# SPDX-License-Identifier: Apache-2.0
"""`coldloop northbound points`: the point list of all protocols as a table, CSV, EPICS or MIB.

Does not read a unit: the list is that of the software. It comes from the point table and from the
columns of each protocol. The EPICS is the list of objects in the form of ANSI/ASHRAE 135.1, clause
4; the PICS is docs/reference/bacnet_pics.md.
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from deploy.northbound.command import point_words
from deploy.northbound.modbus.layout import register_fields
from deploy.northbound.points.point_table import (
    SEVERAL,
    PointRow,
    columns,
    metric_id,
    point_table,
)
from deploy.northbound.snmp.mib_text import mib_text
from deploy.northbound.snmp.process import read_root
from deploy.northbound.snmp.tree import ROOT

EXAMPLE = "coldloop northbound points --csv > points.csv"
_PROTOCOLS = ("redfish", "prometheus", "modbus", "bacnet", "snmp")
_HEAD = ("key", "title", "unit", "kind", "scale", "low", "high")
_ANALOG = ("analog-input", "analog-value")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--epics", action="store_true", help="print the objects as a BACnet EPICS")
    form.add_argument("--mib", action="store_true", help="print the MIB of SNMP")
    form.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.add_argument(
        "--oid", metavar="OID", default="", help="root of the MIB, northbound.snmp.oid of the unit"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    if arguments.csv:
        sys.stdout.write(csv_text())
    elif arguments.epics:
        sys.stdout.write(epics_text())
    elif arguments.mib:
        root = read_root(arguments.oid) if arguments.oid else ROOT
        sys.stdout.write(mib_text(root))
    elif arguments.json:
        for row in point_table().values():
            fields = {name: getattr(row, name) for name in _HEAD}
            words = {name: point_words.numbered_words(name, row) for name in point_words.PROTOCOLS}
            shown = {"words": words} if point_words.words_of(row) else {}
            print(json.dumps({**fields, **_places(row), **shown}, ensure_ascii=False))
    else:
        for row in point_table().values():
            places = "  ".join(text for text in _places(row).values() if text)
            print(f"{row.key:<28} {row.unit:<6} {row.title}  [{places}]")
    return 0


def protocols() -> list[str]:
    """Return the protocols that have columns."""
    folder = resources.files("deploy.northbound.points")
    return [name for name in _PROTOCOLS if (folder / f"{name}.toml").is_file()]


def place(protocol: str, row: PointRow) -> str:
    """Return where a protocol has a point, in its own terms; empty: nowhere."""
    column = columns(protocol).get(row.key)
    if column is None:
        several = protocol == "redfish" and row.group in SEVERAL
        return f"MetricReports/All {metric_id(row.key)}" if several else ""
    if protocol == "modbus":
        field = register_fields()[row.key]
        return f"{field.address} {field.kind} x {field.scale:g}"
    if protocol == "bacnet":
        return f"{column['object']},{_instance(column, row)}"
    if protocol == "prometheus":
        total = "_total" if row.kind == "counter" else ""
        labels = f"{{{column['labels']}}}" if "labels" in column else ""
        return f"coldloop_{column['name']}{total}{labels}"
    if protocol == "snmp":
        return f"{column['name']}.{row.instance}"
    return " ".join(str(value) for value in column.values() if isinstance(value, str | int))


def _instance(column: Mapping[str, Any], row: PointRow) -> int:
    return int(column["instance"]) + max(0, row.instance - 1)


def _places(row: PointRow) -> dict[str, str]:
    return {protocol: place(protocol, row) for protocol in protocols()}


def csv_text() -> str:
    """Return the list as CSV (RFC 4180) with one line for each point.

    The last columns have the words of an enumeration or flag by their numbers in a protocol.
    """
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([*_HEAD, *protocols(), *(f"{name}_words" for name in point_words.PROTOCOLS)])
    for row in point_table().values():
        fields = (row.key, row.title, row.unit, row.kind, row.scale, row.low, row.high)
        words = [point_words.words_text(name, row) for name in point_words.PROTOCOLS]
        writer.writerow([*fields, *_places(row).values(), *words])
    return stream.getvalue()


def table_rows() -> Iterator[tuple[str, ...]]:
    """Return the rows of the page in docs/reference: one for each template."""
    seen = set()
    for row in point_table().values():
        if row.template in seen:
            continue
        seen.add(row.template)
        title = row.title.replace(" 1", " n") if row.instance else row.title
        key = f"`{row.template}`" + (f" ({_count(row.template)})" if row.instance else "")
        yield (
            key,
            title,
            row.unit,
            *(f"`{text}`" if text else "-" for text in _places(row).values()),
        )


def word_table() -> list[tuple[str, ...]]:
    """Return the rows of the words of all enumerations, for the page in docs/reference."""
    return point_words.word_rows([row for row in point_table().values() if row.kind == "enum"])


def flag_table() -> list[tuple[str, ...]]:
    """Return the rows of the words of a flag: those of the first one, as they are the same."""
    flag = next(row for row in point_table().values() if row.kind == "flag")
    return [cells[1:] for cells in point_words.word_rows([flag])]


def _count(template: str) -> str:
    return f"1 to {max(r.instance for r in point_table().values() if r.template == template)}"


def epics_text() -> str:
    """Return the objects of the BACnet device in the form of 135.1, clause 4."""
    lines = ["PICS 0", "BACnet Protocol Implementation Conformance Statement", ""]
    lines += ["List of Objects in Test Device:", "{"]
    if "bacnet" in protocols():
        for row in point_table().values():
            column = columns("bacnet").get(row.key)
            if column is not None:
                lines += _epics_object(row, column)
    lines += ["}", "End of BACnet Protocol Implementation Conformance Statement"]
    return "\n".join(lines) + "\n"


def _epics_object(row: PointRow, column: Mapping[str, Any]) -> Iterator[str]:
    kind = str(column["object"])
    yield "  {"
    yield f"    object-identifier: ({kind}, {_instance(column, row)})"
    yield f'    object-name: "{row.key}"'
    yield f"    object-type: {kind}"
    yield f'    description: "{row.title}"'
    yield "    present-value: ?"
    if kind in _ANALOG:
        yield f"    units: {column['units']}"
        yield f"    cov-increment: {column['cov']}"
    if kind == "multi-state-value":
        yield f"    number-of-states: {len(row.words)}"
        yield "    state-text: {" + ", ".join(f'"{word}"' for word in row.words) + "}"
    if kind == "binary-input":
        yield "    polarity: normal"
        yield '    inactive-text: "off"'
        yield '    active-text: "on"'
    yield "  }"
