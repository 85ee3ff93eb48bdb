"""`coldloop telemetry stats`: a log's folder summed up.

Not the reading of it (`agent.tools.log_cat`).
"""

import argparse
import json
from typing import Any

from agent.tools.log_cat import BLOCKS, Contents, damage
from protocols.telemetry.message import CLASSES

EXAMPLE = "coldloop telemetry stats /var/lib/coldloop/log --json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("log", metavar="LOG", help="the log's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def stats(contents: Contents) -> dict[str, Any]:
    """Sum a log up."""
    rows = values = block_bytes = 0
    for _, record in contents.records:
        found = contents.decoded(record) if record.kind in BLOCKS else None
        if found is not None:
            rows += len(found[1].columns[0])
            values += len(found[1].columns[0]) * len(found[1].columns)
            block_bytes += len(record.payload)
    classes = {}
    for group, name in enumerate(CLASSES):
        mine = [record for each, record in contents.records if each == group]
        classes[name] = {
            "records": sum(record.last - record.ident + 1 for record in mine),
            "bytes": sum(len(record.payload) for record in mine),
            "first": mine[0].ident if mine else None,
            "last": mine[-1].last if mine else None,
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
    """Print; 1 when something is damaged."""
    contents = Contents(arguments.log)
    record = stats(contents)
    if arguments.json:
        print(json.dumps(record))
    else:
        for name in ("segments", "bytes", "damaged", "rows", "values", "bits_per_value"):
            print(f"{name:<15} {record[name]}")
        for name, said in record["classes"].items():
            print(f"{name:<15} {said['records']} records, {said['bytes']} bytes")
    return damage(contents)
