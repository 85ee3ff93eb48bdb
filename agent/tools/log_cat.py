# SPDX-License-Identifier: Apache-2.0
"""`coldloop telemetry cat`: the contents of a log folder, on any machine that has a copy.

Only reads. Prints the records class by class, in their order. Blocks are printed as rows in units
if the log has their schema, else without rows.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.core.errors import AgentError
from agent.log import segment
from protocols.errors import DecodeError
from protocols.telemetry import block, merged_block, message
from protocols.telemetry.message import CLASSES
from protocols.telemetry.schema import Schema, parse_schema

EXAMPLE = "coldloop telemetry cat /var/lib/coldloop/log --csv"
_KIND_NAMES = {
    message.SCHEMA: "schema",
    message.ROWS: "rows",
    message.JSON_EVENT: "note",
    message.SUMMARY: "summary",
    message.MERGED: "rows",
}
_ROW_KINDS = (message.ROWS, message.MERGED)
BLOCK_KINDS = (*_ROW_KINDS, message.SUMMARY)


class LogContents:
    """The records and schemas in the folder of a log."""

    def __init__(self, folder: str) -> None:
        path = Path(folder)
        if not path.is_dir():
            raise AgentError(f"{folder}: no such folder")
        named_files = [(segment.parse_name(file.name), file) for file in sorted(path.iterdir())]
        self.segments = [(parsed, file) for parsed, file in named_files if parsed is not None]
        if not self.segments:
            raise AgentError(f"{folder}: contains no log (files named log.…)")
        self.damaged = 0
        self.bytes = 0
        self.records: list[tuple[int, segment.LogRecord]] = []
        self.schemas: dict[bytes, Schema] = {}
        for (generation, priority_class, _), file in sorted(
            self.segments, key=lambda entry: entry[0][1:]
        ):
            data = file.read_bytes()
            scan = segment.scan(data, generation, priority_class)
            self.bytes += len(data)
            self.damaged += scan.damaged
            self.records += [(priority_class, record) for record in scan.records]
        for _, record in self.records:
            if record.kind == message.SCHEMA:
                self.add_schema(record.payload)

    def add_schema(self, text: bytes) -> None:
        """Add a schema; count it as damaged if it is invalid."""
        try:
            schema = parse_schema(text)
        except DecodeError:
            self.damaged += 1
            return
        self.schemas[schema.number] = schema

    def decode(self, record: segment.LogRecord) -> tuple[Schema, block.Block] | None:
        """Decode the record of a block; return None if it is damaged or its schema is unknown."""
        try:
            payload = record.payload
            if record.kind == message.MERGED:
                payload = merged_block.extract_block(payload)
            schema = self.schemas.get(block.read_schema_number(payload))
            return None if schema is None else (schema, block.decode(payload, len(schema.entries)))
        except DecodeError:
            return None

    def rows(self, record: segment.LogRecord) -> Iterator[dict[str, Any]]:
        """Yield the rows of a block: sequence number, then values in units by name."""
        decoded = self.decode(record)
        if decoded is None:
            return
        schema, data = decoded
        for index in range(len(data.columns[0])):
            row: dict[str, Any] = {"seq": data.seq + index}
            for (name, _, numerator, denominator), column in zip(
                schema.entries, data.columns, strict=True
            ):
                counts = column[index]
                scaled = numerator != 1 or denominator != 1
                row[name] = (
                    counts if counts is None or not scaled else counts * numerator / denominator
                )
            yield row


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("log", metavar="LOG", help="folder of the log")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print only rows, as CSV")
    form.add_argument(
        "--json", action="store_true", help="print a JSON object for each record (the default)"
    )


def _print_records(contents: LogContents) -> None:
    for priority_class, record in contents.records:
        head: dict[str, Any] = {
            "class": CLASSES[priority_class],
            "id": record.ident,
            "kind": _KIND_NAMES.get(record.kind, str(record.kind)),
        }
        if record.kind == message.JSON_EVENT:
            try:
                head["note"] = json.loads(record.payload)
            except ValueError:
                head["bytes"] = record.payload.hex()
        elif record.kind in BLOCK_KINDS:
            head["rows"] = list(contents.rows(record))
        print(json.dumps(head))


def _print_csv(contents: LogContents) -> None:
    rows = [
        row
        for _, record in contents.records
        if record.kind in _ROW_KINDS
        for row in contents.rows(record)
    ]
    names: list[str] = []
    for row in rows:
        names += [name for name in row if name not in names]
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: (row.get("t") or 0, row["seq"])))


def report_damage(contents: LogContents) -> int:
    """Report damage on stderr; return the exit code."""
    if contents.damaged:
        sys.stderr.write(
            f"{contents.damaged} places without a valid record: truncated or damaged\n"
        )
    return 1 if contents.damaged else 0


def run(arguments: argparse.Namespace) -> int:
    """Print the log; return 1 if a part is damaged."""
    contents = LogContents(arguments.log)
    (_print_csv if arguments.csv else _print_records)(contents)
    return report_damage(contents)
