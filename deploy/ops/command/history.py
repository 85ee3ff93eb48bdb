# SPDX-License-Identifier: Apache-2.0
"""`coldloop config history`: changes and commands of a unit with signer, time and result.

The log comes from the unit, after a signed command, or from a copy of the folder of its store.
With `--syslog` each entry also goes to a central log, in the form of RFC 5424.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from agent.remote.storage.audit import SEGMENTS, key_of
from deploy.errors import OpsError
from deploy.ops import keys, ledger, messages
from deploy.ops.arguments import (
    COMMAND,
    add_broker,
    add_keys,
    add_time,
    load_keys,
    open_ledger,
    open_session,
    parse_unit_name,
    wait_for_report,
)
from deploy.ops.audit.reader import History, join_segments
from deploy.ops.audit.syslog import send_history
from deploy.ops.mqtt_session import BrokerSession
from deploy.relay.terminal_text import printable

EXAMPLE = "coldloop config history site/unit --broker tcp:broker:1883 --key alice.key"
RECORD = "cfg/record"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=parse_unit_name, nargs="?")
    parser.add_argument("--store", metavar="FOLDER", help="read this folder instead of the unit")
    parser.add_argument("--ledger", metavar="FILE", help="check this ledger of an operator instead")
    parser.add_argument(
        "--trust",
        metavar="NAME.json",
        action="append",
        default=[],
        help="public key that may have signed the ledger",
    )
    add_broker(parser, required=False)
    add_keys(parser, required=False)
    add_time(parser, "--answer", 60, "wait so long (1m)")
    parser.add_argument(
        "--syslog",
        metavar="ADDRESS",
        help="also send the entries to this log server: tcp:HOST:PORT or tls:HOST:PORT?ca=FILE",
    )
    parser.add_argument("--json", action="store_true", help="print the entries as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the log; return 1 if its hash chain is not valid."""
    if arguments.ledger is not None:
        return _show_ledger(arguments)
    if arguments.store is not None:
        audit_log = _read_store(Path(arguments.store))
    elif arguments.unit is None or arguments.broker is None or not arguments.key:
        raise OpsError("use SITE/UNIT, --broker and --key, or --store")
    else:
        audit_log = fetch_history(arguments)
    if arguments.syslog is not None:
        send_history(arguments.syslog, arguments.unit or arguments.store, audit_log)
    if arguments.json:
        print(
            json.dumps(
                {"entries": audit_log.entries, "faults": audit_log.faults, "head": audit_log.head}
            )
        )
    else:
        lines = [_format_entry(entry) for entry in audit_log.entries] + audit_log.faults
        print("\n".join(map(printable, lines)))
    return 1 if audit_log.faults else 0


def _show_ledger(arguments: argparse.Namespace) -> int:
    trusted = [keys.read_public_key(Path(path)) for path in arguments.trust]
    try:
        data = Path(arguments.ledger).read_bytes()
        by_number = {int(str(k["number"])): bytes.fromhex(str(k["public"])) for k in trusted}
    except OSError as error:
        raise OpsError(f"{arguments.ledger}: {error.strerror}") from None
    except (ValueError, KeyError):
        raise OpsError("--trust: not a public key made by `config keygen`") from None
    records, faults = ledger.verify(data, by_number)
    if arguments.json:
        print(json.dumps({"entries": records, "faults": faults}))
        return 1 if faults else 0
    for record in records:
        signers = ",".join(map(str, record["keys"]))
        line = f"{record['number']:6d} {record['when']} key {signers}: {record['target']}: "
        print(printable(f"{line}{record['what']} ({record['counter']})"))
    print("\n".join(faults) or f"{len(records)} messages, the chain is valid")
    return 1 if faults else 0


def _format_entry(entry: dict[str, Any]) -> str:
    keys = ",".join(map(str, entry["keys"])) or "-"
    when = entry["when"] or "(time not known)    "
    return f"{entry['number']:6d} {when} key {keys}: {entry['what']}: {entry['result']}"


def _read_store(folder: Path) -> History:
    if not folder.is_dir():
        raise OpsError(f"{folder}: no such folder; use the store of the section remote")
    paths = [folder / key_of(i) for i in range(SEGMENTS)]
    return join_segments(path.read_bytes() for path in paths if path.exists())


def fetch_history(arguments: argparse.Namespace) -> History:
    """Fetch the log from the unit and check it. Raises `OpsError`."""
    signers = load_keys(arguments)
    unit, book = arguments.unit, open_ledger()
    with open_session(arguments) as session:
        before = wait_for_report(session, unit, 10)
        times = messages.MessageTimes(int(time.time()), 3600)
        message = messages.sign_command(
            unit, before, "fetch", [("what", "audit")], signers, times, book
        )[1]
        session.subscribe(f"{unit}/{RECORD}/+")
        session.publish(f"{unit}/{COMMAND}", message)
        segments = _collect_segments(session, unit, arguments.answer)
    return join_segments(segments, before.audit)


def _collect_segments(session: BrokerSession, unit: str, seconds: float) -> list[bytes]:
    """Collect all segments. A unit publishes an empty segment as an empty message."""
    segments: dict[str, bytes] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(segments) < SEGMENTS:
        received = session.messages(0.2)
        segments |= {
            topic: data for topic, data in received if topic.startswith(f"{unit}/{RECORD}/")
        }
    if len(segments) < SEGMENTS:
        raise OpsError(
            f"{unit}: {len(segments)} of {SEGMENTS} records within {seconds} s; try again"
        )
    return [payload for payload in segments.values() if payload]
