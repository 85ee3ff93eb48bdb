# SPDX-License-Identifier: Apache-2.0
"""`coldloop telemetry stats`: totals of a log folder.

Does not read the log; see `agent.tools.log_cat`.
"""

import argparse
import json
from typing import Any

from agent.tools.log_cat import BLOCK_KINDS, LogContents, report_damage
from protocols.telemetry.message import CLASSES

EXAMPLE = "coldloop telemetry stats /var/lib/coldloop/log --json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("log", metavar="LOG", help="folder of the log")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def stats(contents: LogContents) -> dict[str, Any]:
    """Return the totals of a log."""
    rows = values = block_bytes = 0
    for _, record in contents.records:
        decoded = contents.decode(record) if record.kind in BLOCK_KINDS else None
        if decoded is not None:
            rows += len(decoded[1].columns[0])
            values += len(decoded[1].columns[0]) * len(decoded[1].columns)
            block_bytes += len(record.payload)
    classes = {}
    for group, name in enumerate(CLASSES):
        class_records = [
            record for record_class, record in contents.records if record_class == group
        ]
        classes[name] = {
            "records": sum(record.last_ident - record.ident + 1 for record in class_records),
            "bytes": sum(len(record.payload) for record in class_records),
            "first": class_records[0].ident if class_records else None,
            "last": class_records[-1].last_ident if class_records else None,
        }
    return {
        "segments": len(contents.segments),
        "bytes": contents.bytes,
        "damaged": contents.damaged,
        "rows": rows,
        "values": values,
        "bits_per_value": round(8 * block_bytes / values, 4) if values else None,
        "classes": classes,
    }


def run(arguments: argparse.Namespace) -> int:
    """Print the totals; return 1 if a part is damaged."""
    contents = LogContents(arguments.log)
    record = stats(contents)
    if arguments.json:
        print(json.dumps(record))
    else:
        for name in ("segments", "bytes", "damaged", "rows", "values", "bits_per_value"):
            print(f"{name:<15} {record[name]}")
        for name, counts in record["classes"].items():
            print(f"{name:<15} {counts['records']} records, {counts['bytes']} bytes")
    return report_damage(contents)
