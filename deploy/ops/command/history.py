"""`coldloop config history`: who changed or commanded what on a unit, when, and what came of it.

From the unit itself, which is asked by a signed command, or from a folder that was its store.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from agent.remote.storage.audit import SEGMENTS, key_of
from deploy.errors import OpsError
from deploy.ops import arguments as common
from deploy.ops import audit_reader, messages
from deploy.ops.audit_reader import History
from deploy.ops.mqtt_session import Session

EXAMPLE = "coldloop config history site/unit --broker tcp:broker:1883 --key alice.key"
RECORD = "cfg/record"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=common.unit_name, nargs="?")
    parser.add_argument("--store", metavar="FOLDER", help="read this store instead of asking")
    common.add_broker(parser, required=False)
    common.add_keys(parser, required=False)
    parser.add_argument(
        "--answer", type=common.duration, default=60, metavar="TIME", help="wait for it (1m)"
    )
    parser.add_argument("--json", action="store_true", help="print the entries as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show the log; 1 when its chain does not hold."""
    if arguments.store is not None:
        found = _stored(Path(arguments.store))
    elif arguments.unit is None or arguments.broker is None or not arguments.key:
        raise OpsError("name SITE/UNIT, --broker and --key, or a --store")
    else:
        found = asked(arguments)
    if arguments.json:
        print(json.dumps({"entries": found.entries, "faults": found.faults, "head": found.head}))
    else:
        print("\n".join([_line(entry) for entry in found.entries] + found.faults))
    return 1 if found.faults else 0


def _line(entry: dict[str, Any]) -> str:
    keys = ",".join(map(str, entry["keys"])) or "-"
    when = entry["when"] or "(time not known)    "
    return f"{entry['number']:6d} {when} key {keys}: {entry['what']}: {entry['result']}"


def _stored(folder: Path) -> History:
    if not folder.is_dir():
        raise OpsError(f"{folder}: no such folder; name the store of the section remote")
    paths = [folder / key_of(i) for i in range(SEGMENTS)]
    return audit_reader.joined(path.read_bytes() for path in paths if path.exists())


def asked(arguments: argparse.Namespace) -> History:
    """Ask the unit for its log, and check it. Raises `OpsError`."""
    keys = common.load_keys(arguments)
    unit = arguments.unit
    with common.session(arguments) as link:
        before = common.report_of(link, unit, 10)
        when = messages.Times(int(time.time()), 3600)
        message = messages.signed_command(unit, before, "fetch", [("what", "audit")], keys, when)[1]
        link.subscribe(f"{unit}/{RECORD}/+")
        link.publish(f"{unit}/{common.COMMAND}", message)
        segments = _records(link, unit, arguments.answer)
    return audit_reader.joined(segments, before.audit)


def _records(link: Session, unit: str, seconds: float) -> list[bytes]:
    """Gather every segment; an empty one is not there."""
    found: dict[str, bytes] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(found) < SEGMENTS:
        came = link.messages(0.2)
        found |= {topic: data for topic, data in came if topic.startswith(f"{unit}/{RECORD}/")}
    if len(found) < SEGMENTS:
        raise OpsError(f"{unit}: {len(found)} of {SEGMENTS} records within {seconds} s; try again")
    return [payload for payload in found.values() if payload]
