# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea decode`: print one line for each epoch of a receiver, with its integrity flags.

Does not judge over several epochs; `agent.tools.clock.capture_verdicts` adds that.
"""

import argparse
import json
import sys
from collections.abc import Iterator

from drivers.errors import DriverError
from drivers.gnss.epoch import Epoch
from drivers.gnss.receiver import ReceiverDriver
from drivers.tools.capture.command import PROG, print_capture
from drivers.tools.capture.json_line import count_totals, format_utc
from drivers.tools.capture.kept_sentences import KeptSentences
from drivers.tools.capture.record import build_record
from drivers.tools.lib import byte_source
from protocols.nmea.satellite_id import VENDORS
from protocols.nmea.satellite_view import SatelliteInView

TYPE_CHECKING = False
if TYPE_CHECKING:  # a short command does not wait for `typing`
    from typing import Protocol

    class Judge(Protocol):
        """Checks over the epochs of a stream. `counts`: epochs with a verdict, by check."""

        counts: "dict[str, int]"

        def judge_epoch(self, epoch: Epoch) -> "list[str]":
            """Return the verdicts on the next epoch."""
            ...

        def summary(self) -> "dict[str, object]":
            """Return what the summary adds."""
            ...


EXAMPLE = "coldloop nmea decode /dev/ttyUSB0 --seconds 10"

_MAX_EPOCHS = 4096  # more epochs than one chunk can close
_BATCH = 64
"""Epochs of a file that are printed together."""
_MODES = {1: "no fix", 2: "2D", 3: "3D"}
_ANY_BAUD = 115_200  # for a file, whose line speed is unknown and unused
LETTERS = {
    "GPS": "G",
    "GLO": "R",
    "GAL": "E",
    "BDS": "C",
    "QZS": "J",
    "IRN": "I",
    "SBAS": "S",
}
"""The RINEX letters of the satellite systems."""


def make_receiver(text: str, vendor: "str | None") -> ReceiverDriver:
    """Return the receiver driver for a file, standard input or port.

    Raises:
        AddressError: an invalid address.
    """
    address = None if text == "-" else byte_source.find_address(text)
    if address is None:
        return ReceiverDriver(
            0, _ANY_BAUD, max_epochs=_MAX_EPOCHS, vendor=vendor, timing_valid=False
        )
    return ReceiverDriver(
        0, address.baud, address.bits_per_char, max_epochs=_MAX_EPOCHS, vendor=vendor
    )


def iter_epochs(receiver: ReceiverDriver, chunks: byte_source.Chunks) -> Iterator[Epoch]:
    """Yield the complete epochs of a stream, the last one at its end or at SIGINT."""
    try:
        for data, now in chunks:
            receiver.receive(data, now)
            yield from receiver.take_epochs(now)
    except KeyboardInterrupt:
        pass
    yield from receiver.finish_stream()


def satellite_name(satellite: SatelliteInView) -> str:
    """Return the RINEX name, such as C06; `R??` if the receiver does not give the number."""
    number = "??" if satellite.sv is None else f"{satellite.sv:02d}"
    return LETTERS[satellite.gnss] + number


def _format_epoch(epoch: Epoch) -> str:
    """Return an epoch as one line of text."""
    parts = [format_utc(epoch) or "time unknown".ljust(24), f"{_MODES[epoch.mode]:<6}"]
    if epoch.valid and epoch.lat_e7 is not None and epoch.lon_e7 is not None:
        parts.append(f"{epoch.lat_e7 / 1e7:.7f} {epoch.lon_e7 / 1e7:.7f}")
        if epoch.alt_mm is not None:
            parts.append(f"{epoch.alt_mm / 1000:.1f} m")
    visible_text = "?" if epoch.visible is None else epoch.visible
    parts.append(f"{'?' if epoch.used is None else epoch.used} of {visible_text} satellites used")
    best = sorted(epoch.satellite_view.satellites, key=lambda s: -(s.cn0 or 0))[:4]
    strongest = " ".join(f"{satellite_name(s)}:{s.cn0}" for s in best if s.cn0)
    if strongest:
        parts.append(strongest)
    if epoch.antenna is not None:
        parts.append(f"antenna {epoch.antenna}")
    flags = epoch.all_flags()
    return "  ".join(parts) + (f"  [{', '.join(flags)}]" if flags else "")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop nmea decode`."""
    parser.add_argument(
        "source",
        nargs="?",
        default="-",
        metavar="FILE|-|PORT",
        help="a capture, standard input (the default), or a port such as "
        "serial:/dev/ttyUSB0?baud=115200",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each epoch")
    add_common(parser)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that decode and monitor share."""
    parser.add_argument(
        "--vendor",
        choices=VENDORS,
        help="vendor of the receiver, if its satellite numbers are not standard",
    )
    parser.add_argument(
        "--seconds", type=_parse_seconds, metavar="N", help="end after N seconds (port only)"
    )


def _parse_seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return seconds


def print_epochs(
    text: str,
    *,
    as_json: bool = False,
    vendor: "str | None" = None,
    seconds: "float | None" = None,
    judge: "Judge | None" = None,
) -> int:
    """Print the epochs and the summary of a file or port.

    Return 1 without a sentence or with a verdict of `judge`, 2 if the file or port cannot be read.
    """
    count = 0
    lines: list[str] = []
    try:
        receiver = make_receiver(text, vendor)
        if as_json and judge is None and not receiver.timing_valid:
            return print_capture(text, vendor)
        receiver.decoder.use_parser(KeptSentences().parse)
        batch = 1 if receiver.timing_valid else _BATCH
        for epoch in iter_epochs(receiver, byte_source.read_chunks(text, seconds)):
            count += 1
            verdicts = None if judge is None else judge.judge_epoch(epoch)
            lines.append((_format_record if as_json else _format_line)(epoch, verdicts))
            if len(lines) >= batch:
                print("\n".join(lines), flush=receiver.timing_valid)
                lines.clear()
        if lines:
            print("\n".join(lines))
    except DriverError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"{PROG}: {text}: {error.strerror}", file=sys.stderr)
        return 2
    totals = count_totals(receiver.framer, receiver.decoder, count)
    if as_json:
        print(json.dumps({"summary": {**totals, **(judge.summary() if judge else {})}}))
    else:
        print(", ".join(f"{value} {key.replace('_', ' ')}" for key, value in totals.items()))
        if judge is not None:
            counts = ", ".join(f"{name} {value}" for name, value in judge.counts.items())
            print(f"verdicts: {counts or 'none'}; clock {judge.summary()['clock']}")
    if not totals["sentences"]:
        print(f"{PROG}: {text}: no sentence with a checksum", file=sys.stderr)
        return 1
    return 1 if judge is not None and judge.counts else 0


def _format_line(epoch: Epoch, verdicts: "list[str] | None") -> str:
    return _format_epoch(epoch) + (f"  VERDICT {', '.join(verdicts)}" if verdicts else "")


def _format_record(epoch: Epoch, verdicts: "list[str] | None") -> str:
    record = build_record(epoch)
    return json.dumps(record if verdicts is None else {**record, "verdicts": verdicts})
