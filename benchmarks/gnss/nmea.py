# SPDX-License-Identifier: Apache-2.0
"""NMEA sentences a second, framed and parsed, beside pynmea2.

    python -m benchmarks.gnss.nmea [--epochs 500] [--rounds 7]

The stream is that of the emulated receiver: complete epochs of RMC, GGA, GSA, GSV and ZDA. Ours
cuts the bytes into sentences (`Framer`), checks and parses each (`parse`), with all fields of RMC,
GGA and ZDA as integers. pynmea2 takes lines of text, so its time includes splitting and decoding.
It decodes a field at its first read. The second figure of pynmea2 reads time, position and quality,
as ours does. The times are those of the process, so that other processes disturb less.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable

import pynmea2

from benchmarks.common import Record, describe_machine, show, summarise
from hil.bench.testbed import SITE_E7
from hil.devices.gnss.basic_receiver import BasicReceiver
from hil.run.virtual import START_UTC
from protocols.nmea.framing import Framer
from protocols.nmea.sentences import parse

_FIELDS = {
    "RMC": ("timestamp", "datestamp", "latitude", "longitude"),
    "GGA": ("timestamp", "latitude", "longitude", "altitude", "gps_qual"),
    "ZDA": ("timestamp", "day", "month", "year"),
}


def stream(epochs: int) -> list[bytes]:
    """Return `epochs` epochs of the emulated receiver, one chunk each."""
    receiver = BasicReceiver(SITE_E7, lambda mono: START_UTC + mono, random.Random(1))
    chunks: list[bytes] = []
    while len(chunks) < epochs:
        chunks += [data for _, data in receiver.wake(receiver.deadline())]
    return chunks


def run_coldloop(chunks: list[bytes]) -> int:
    """Frame and parse; return the number of sentences."""
    framer = Framer()
    count = 0
    for chunk in chunks:
        for _, body in framer.feed(chunk):
            count += parse(body)[0] is not None
    return count


def pynmea2_parsed(chunks: list[bytes]) -> int:
    """Split and parse; return the number of sentences."""
    count = 0
    for chunk in chunks:
        for line in chunk.decode("ascii").splitlines():
            count += pynmea2.parse(line, check=True) is not None
    return count


def pynmea2_read(chunks: list[bytes]) -> int:
    """Split, parse and read the fields that ours decodes."""
    count = 0
    for chunk in chunks:
        for line in chunk.decode("ascii").splitlines():
            sentence = pynmea2.parse(line, check=True)
            for field in _FIELDS.get(sentence.sentence_type, ()):
                getattr(sentence, field)
            count += 1
    return count


SIDES: dict[str, Callable[[list[bytes]], int]] = {
    "pynmea2": pynmea2_parsed,
    "pynmea2, fields read": pynmea2_read,
    "coldloop": run_coldloop,
}


def measure(epochs: int, rounds: int) -> tuple[int, dict[str, Record]]:
    """Run the sides in turns; return the sentences of a round and thousands of them a second."""
    chunks = stream(epochs)
    count = sum(chunk.count(b"\r\n") for chunk in chunks)
    speeds: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, side in SIDES.items():
            started_at = time.process_time()
            taken = side(chunks)
            speeds[name].append(count / (time.process_time() - started_at) / 1000)
            assert taken == count, f"{name} took {taken} of {count} sentences"
    return count, {name: summarise(speed, 1) for name, speed in speeds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gnss.nmea",
        description="Framing and parsing of NMEA sentences beside pynmea2.",
        epilog="example: python -m benchmarks.gnss.nmea --rounds 15",
    )
    parser.add_argument("--epochs", type=int, default=500, metavar="N", help="a round (500)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="of each side (7)")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    about = describe_machine()
    count, speeds = measure(arguments.epochs, arguments.rounds)
    base = speeds["pynmea2"]["max"]
    record: Record = {"machine": about, "sentences": count, "thousand_per_s": speeds}
    record["ratio"] = {name: round(speed["max"] / base, 2) for name, speed in speeds.items()}
    head = ["", "1000 sentences/s, best", "median", "ratio"]
    rows = [[n, s["max"], s["median"], f"{record['ratio'][n]:.2f}"] for n, s in speeds.items()]
    show(record, arguments.json, head, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
