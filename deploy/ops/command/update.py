# SPDX-License-Identifier: Apache-2.0
"""`coldloop config update`: send an application update to one unit, over any number of windows.

Two keys sign the manifest. The command sends the chunks that the unit reports as missing. The same
command with the same file continues an interrupted update. The file is a wheel for a server, or the
`app.bin` of `coldloop firmware build` for a board.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from agent.remote.message import manifest
from agent.remote.message.counter import seconds_of
from agent.remote.message.header import EPOCH_S
from deploy.errors import LocalError, OpsError
from deploy.firmware import memory_layout
from deploy.ops import messages
from deploy.ops.arguments import (
    DESIRED,
    REPORTED,
    add_broker,
    add_keys,
    add_time,
    add_times,
    add_unit,
    load_keys,
    message_times,
    open_enrolled,
    open_ledger,
    open_session,
    wait_for_report,
)
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.report.unit_report import UnitReport
from protocols.signed_message import MANIFEST

EXAMPLE = (
    "coldloop config update site/unit coldloop-1.2.0-py3-none-any.whl --release 12 "
    "--broker tls:broker:8883?ca=ca.pem --key alice.key --key bob.key"
)
CHUNK = "cfg/chunk"
_RESEND_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_unit(parser)
    parser.add_argument("file", metavar="FILE", help="a wheel, or the app.bin of a board")
    parser.add_argument(
        "--release", type=int, required=True, metavar="N", help="number of the release"
    )
    parser.add_argument(
        "--chunk",
        type=int,
        default=0,
        metavar="BYTES",
        help="bytes of a chunk (by the size of the bundle)",
    )
    add_broker(parser)
    add_keys(parser)
    add_times(parser)
    add_time(parser, "--wait", 3600, "time for the chunks (1h)")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Send the update; return 0 when the unit has all chunks and starts it. `config confirm` keeps
    it.
    """
    bundle = _read(Path(arguments.file), arguments.release)
    keys = load_keys(arguments)
    chunk_size = arguments.chunk or _chunk_size_for(len(bundle))
    times = message_times(arguments)
    with open_session(arguments) as session:
        before = wait_for_report(session, arguments.unit, 10)
        counter = _counter_in_progress(before, bundle, arguments.release)
        if counter is None:
            ledger = open_ledger()
            last = ledger.last_counter(arguments.unit, MANIFEST)
            counter = messages.next_counter(MANIFEST, [before], times.now_s, last)
            end_s = times.now_s + times.expires_s
            body = manifest.encode_manifest(
                EPOCH_S + counter, end_s, arguments.release, bundle, chunk_size, times.confirm_s
            )
            message = messages.sign_message(MANIFEST, arguments.unit, b"", body, keys, ledger)
            session.publish(f"{arguments.unit}/{DESIRED}", message, retain=True)
        sent = _send_chunks(session, arguments, bundle, chunk_size, counter, before)
        session.publish(f"{arguments.unit}/{DESIRED}", b"", retain=True)
    outcome = {"unit": arguments.unit, "counter": counter, "pieces": sent, "bytes": len(bundle)}
    if arguments.json:
        print(json.dumps(outcome))
    else:
        print(f"{arguments.unit}: has release {arguments.release}, counter {counter}; on trial")
    return 0


def _read(path: Path, release: int) -> bytes:
    try:
        bundle = path.read_bytes()
        if (
            bundle.startswith(memory_layout.MAGIC)
            and memory_layout.read_header(bundle)[1] != release
        ):
            raise OpsError(f"{path}: release {memory_layout.read_header(bundle)[1]}, not {release}")
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise OpsError(f"{path}: {error}") from None
    return bundle


def _chunk_size_for(size: int) -> int:
    """Return the smallest chunk size for which one message can hold the hashes of all chunks."""
    for chunk_size in (1024, 2048, 4096, manifest.MAX_CHUNK_BYTES):
        if size <= chunk_size * manifest.MAX_CHUNKS:
            return chunk_size
    max_bytes = manifest.MAX_CHUNKS * manifest.MAX_CHUNK_BYTES
    raise OpsError(f"a bundle of {size} bytes; the maximum is {max_bytes}")


def _counter_in_progress(report: UnitReport, bundle: bytes, release: int) -> int | None:
    """Return the counter of a manifest for the same bundle that the unit still fetches."""
    digest = hashlib.sha256(bundle).hexdigest()[:16]
    update = report.update
    if update and update[4] == "fetching" and update[8:10] == [release, digest]:
        return int(update[1])
    return None


def _send_chunks(
    session: BrokerSession,
    arguments: argparse.Namespace,
    bundle: bytes,
    chunk_size: int,
    counter: int,
    before: UnitReport,
) -> int:
    """Send chunks until the unit has all of them; return the number of sent chunks."""
    sent, last_sent, sent_at = 0, -1, 0.0
    received, count = -1, -(-len(bundle) // chunk_size)
    end = time.monotonic() + arguments.wait
    report, enrolled = before, open_enrolled()
    session.subscribe(f"{arguments.unit}/{REPORTED}")
    while time.monotonic() < end:
        for topic, payload in session.messages(0.05):
            if topic == f"{arguments.unit}/{REPORTED}" and payload:
                try:
                    report = enrolled.read(arguments.unit, payload)
                except LocalError:
                    raise
                except OpsError:
                    pass  # the next report can be complete
                received = _received_chunks(report, counter, received)
        if received >= count:
            return sent
        resend_due = time.monotonic() - sent_at > _RESEND_S
        if received >= 0 and (received != last_sent or resend_due):
            data = bundle[received * chunk_size : (received + 1) * chunk_size]
            header = seconds_of(counter).to_bytes(4, "big") + received.to_bytes(2, "big")
            session.publish(f"{arguments.unit}/{CHUNK}", header + data)
            sent, last_sent, sent_at = sent + 1, received, time.monotonic()
            if sys.stderr.isatty():
                print(f"\r{received} of {count} chunks", end="", file=sys.stderr, flush=True)
    raise OpsError(
        f"{arguments.unit}: {max(received, 0)} of {count} chunks; the same command continues"
    )


def _received_chunks(report: UnitReport, counter: int, received: int) -> int:
    """Return the number of chunks of the update `counter` that the unit has."""
    update: list[Any] | None = report.update
    if update is not None and update[1] == counter:
        return int(update[2])
    if report.last_refusal[0] and received < 0 and report.counters[MANIFEST - 1] >= counter:
        raise OpsError(f"rejected: {': '.join(report.last_refusal)}")
    return received
