# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea decode` beside gpsdecode: comparison of the results for the captures of vendors.

    python -m benchmarks.gnss.gpsd [CAPTURE…] [--seconds 600] [--damage 400] [--json]

Without captures the emulated receivers of the bench make one in each dialect. Both decoders decode
each capture, and again with one byte in `--damage` changed at random. The figures: framed sentences
of those with a correct checksum, typed sentences of those, fixes equal to those of gpsdecode, and
the differences: position in 1e-7 degrees, UTC, mode. Satellites of the last epoch: distinct ones in
both, and the number of gpsdecode, which counts signals. The first three fixes are left out, because
gpsd does not know the end of an epoch yet.
"""

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

from benchmarks.common import describe_machine, show
from drivers.tools import nmea_decode
from hil.bench.testbed import SITE_E7
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.gnss.receiver import GnssReceiver
from hil.run.virtual import START_UTC
from protocols.calendar import iso8601, parse_iso8601

_GNSS = {0: "GPS", 1: "SBAS", 2: "GAL", 3: "BDS", 5: "QZS", 6: "GLO", 7: "IRN"}
_LEARNING = 3


def capture(name: str, seconds: int) -> bytes:
    """Return the bytes of the emulated receiver of a vendor in that time."""
    receiver = GnssReceiver(SITE_E7, lambda now: START_UTC + now, random.Random(1), DIALECTS[name])
    return b"".join(data for _ in range(seconds) for _, data in receiver.wake(receiver.deadline()))


def damage(stream: bytes, every: int) -> bytes:
    """Return the same bytes with one byte in `every` changed."""
    rng = random.Random(2)
    out = bytearray(stream)
    for _ in range(len(out) // every):
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


def count_valid(stream: bytes) -> int:
    """Count the valid sentences with a simple parser: from each `$` to the next `*`."""
    count = 0
    for part in stream.split(b"$")[1:]:
        body, star, rest = part.partition(b"*")
        if star and body and all(32 <= code < 127 for code in body):
            count += rest[:2].upper() == b"%02X" % reduce(xor, body)
    return count


def decode_ours(path: Path) -> tuple[list[Any], dict[str, int]]:
    """Return epochs and summary, as the command prints them."""
    out = io.StringIO()
    with redirect_stdout(out):
        nmea_decode.print_epochs(str(path), as_json=True)
    rows = [json.loads(text) for text in out.getvalue().splitlines()]
    return rows[:-1], rows[-1]["summary"]


def run_gpsdecode(path: Path) -> list[Any]:
    """Return the reports of gpsdecode."""
    with path.open("rb") as file:
        completed = subprocess.run(["gpsdecode"], stdin=file, capture_output=True, check=True)
    return [json.loads(text) for text in completed.stdout.splitlines() if text.startswith(b"{")]


def distinct_satellites(satellites: list[Any]) -> set[tuple[str, int]]:
    """Return system and number of each satellite that gpsd can name."""
    return {(_GNSS[s["gnssid"]], s["svid"]) for s in satellites if "gnssid" in s}


def compare(stream: bytes) -> dict[str, Any]:
    """Compare both decoders on one capture."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "capture.nmea")
        path.write_bytes(stream)
        epochs, totals = decode_ours(path)
        reports = run_gpsdecode(path)
    fixes = [r for r in reports if r["class"] == "TPV" and "time" in r and "lat" in r]
    epoch_by_utc = {e["utc"]: e for e in epochs if e["valid"]}
    worst = same_mode = result = 0
    for fix in fixes[_LEARNING:]:
        epoch = epoch_by_utc.get(iso8601(*parse_iso8601(fix["time"])))
        if epoch is None:
            continue
        result += 1
        deviation = max(abs(epoch["lat"] - fix["lat"]), abs(epoch["lon"] - fix["lon"])) * 1e7
        worst = max(worst, deviation)
        same_mode += epoch["mode"] == fix["mode"]
    sky_reports = [r for r in reports if r["class"] == "SKY" and r.get("satellites")]
    whole = [e for e in epochs if e["complete"]]
    satellites = {(s["gnss"], s["sv"]) for s in whole[-1]["satellites"]} if whole else set()
    return {
        "sentences": totals["sentences"],
        "right": count_valid(stream),
        "typed": totals["typed"],
        "epochs": len(epochs),
        "fixes": len(fixes[_LEARNING:]),
        "found": result,
        "worst_e7": round(worst, 1),
        "mode": same_mode,
        "satellites": len(satellites),
        "gpsd_distinct": len(distinct_satellites(sky_reports[-1]["satellites"]))
        if sky_reports
        else 0,
        "gpsd_counts": len(sky_reports[-1]["satellites"]) if sky_reports else 0,
    }


def row(name: str, c: dict[str, Any]) -> list[Any]:
    """Return one row of the table."""
    framed = 100.0 * c["sentences"] / max(1, c["right"])
    typed = 100.0 * c["typed"] / max(1, c["sentences"])
    return [
        name,
        c["sentences"],
        f"{framed:.2f}",
        f"{typed:.2f}",
        f"{c['found']} of {c['fixes']}",
        c["worst_e7"],
        f"{c['mode']} of {c['found']}",
        f"{c['satellites']}/{c['gpsd_distinct']}/{c['gpsd_counts']}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gnss.gpsd",
        description="nmea decode beside gpsdecode, on captures of every dialect.",
    )
    parser.add_argument("captures", nargs="*", type=Path, metavar="CAPTURE")
    parser.add_argument("--seconds", type=int, default=600, metavar="N", help="of each (600)")
    parser.add_argument("--damage", type=int, default=400, metavar="N", help="one byte in N (400)")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    streams = {path.name: path.read_bytes() for path in arguments.captures}
    if not streams:
        streams = {name: capture(name, arguments.seconds) for name in DIALECTS}
    record: dict[str, Any] = {"machine": describe_machine(), "captures": {}}
    for name, stream in streams.items():
        record["captures"][name] = compare(stream)
        record["captures"][name + ", damaged"] = compare(damage(stream, arguments.damage))
    head = ["", "sentences", "framed %", "typed %", "UTC", "worst 1e-7 deg", "mode", "satellites"]
    show(record, arguments.json, head, [row(n, c) for n, c in record["captures"].items()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
