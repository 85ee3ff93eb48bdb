# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea monitor`: fix, time and satellites of a receiver, live on the terminal.

The screen changes with each epoch: fix, time error, satellites with bars of C/N0, findings of the
integrity checks. Without a terminal the screens follow each other.
"""

import argparse
import json
import sys
import time

from drivers.errors import DriverError
from drivers.gnss.epoch import Epoch
from drivers.gnss.receiver import ReceiverDriver
from drivers.tools import nmea_decode
from drivers.tools.capture.json_line import format_utc
from drivers.tools.capture.record import build_record
from drivers.tools.lib import byte_source
from drivers.tools.lib.open_port import monotonic_us
from drivers.tools.nmea_integrity import EpochChecks
from protocols.nmea.satellite_view import SatelliteInView
from protocols.time_units import SECOND

EXAMPLE = "coldloop nmea monitor serial:/dev/ttyUSB0?baud=115200"
_HOME = "\x1b[H"
_CLEAR_LINE = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"
_CLEAR_ALL = "\x1b[2J"
_BAR_FROM = 10  # dBHz at the left end of a bar
_BAR_TO = 55
_MODES = {1: "no fix", 2: "2D fix", 3: "3D fix"}


def clock_error_us(epoch: Epoch) -> "int | None":
    """Return system clock less receiver, in us; None without a valid epoch with a time."""
    if epoch.utc_us is None or not epoch.valid:
        return None
    age_us = monotonic_us() - epoch.mono_us
    return time.time_ns() // 1000 - age_us - epoch.utc_us


def render(
    epoch: Epoch,
    receiver: ReceiverDriver,
    error_us: "int | None",
    checks: "EpochChecks | None" = None,
) -> "list[str]":
    """Return the lines of one screen; `checks` knows the earlier epochs."""
    lines = [_fix_line(epoch), _time_line(epoch, error_us), _port_line(epoch, receiver), ""]
    lines += [
        _satellite_line(satellite)
        for satellite in sorted(epoch.satellite_view.satellites, key=_sort_key)
    ]
    findings = list(epoch.all_flags())
    if checks is not None:
        findings += checks.check_epoch(epoch, error_us)
    lines += ["", f"findings   {', '.join(findings) or 'none'}"]
    return lines


def write_epoch(epoch: Epoch, error_us: "int | None", checks: EpochChecks) -> str:
    """Return an epoch as a JSON object: as `nmea decode --json`, and with error and findings."""
    findings = [*epoch.all_flags(), *checks.check_epoch(epoch, error_us)]
    record = {**build_record(epoch), "clock_error_us": error_us, "findings": findings}
    return json.dumps(record)


def _fix_line(epoch: Epoch) -> str:
    text = f"fix        {_MODES[epoch.mode]}"
    if epoch.valid and epoch.lat_e7 is not None and epoch.lon_e7 is not None:
        text += f"  {epoch.lat_e7 / 1e7:.7f} {epoch.lon_e7 / 1e7:.7f}"
        if epoch.alt_mm is not None:
            text += f"  {epoch.alt_mm / 1000:.1f} m"
        if epoch.horizontal_mm is not None:
            text += f"  +-{epoch.horizontal_mm / 1000:.2f} m"
    used, visible = epoch.used, epoch.visible
    incomplete_text = "" if epoch.complete else ", list incomplete"
    return text + f"  {used if used is not None else '?'} of {visible or '?'} used{incomplete_text}"


def _time_line(epoch: Epoch, error_us: "int | None") -> str:
    text = f"time       {format_utc(epoch) or 'unknown'}"
    if error_us is None:
        return text
    return text + f"  system clock {error_us / SECOND:+.3f} s, with the latency of the receiver"


def _port_line(epoch: Epoch, receiver: ReceiverDriver) -> str:
    load = epoch.group.occupancy_permille
    text = f"line       {'?' if load is None else load // 10} % full"
    text += f"  {receiver.framer.sentences} sentences, {receiver.framer.bad_checksum} bad"
    return text + f"  antenna {epoch.antenna or '?'}  jamming {epoch.jamming or '?'}"


def _sort_key(satellite: SatelliteInView) -> "tuple[int, int]":
    return (list(nmea_decode.LETTERS).index(satellite.gnss), satellite.sv or 0)


def _satellite_line(satellite: SatelliteInView) -> str:
    """Return one satellite: name, used, direction, bar of the strongest signal, all signals."""
    strongest = satellite.cn0
    length = max(0, min(strongest or 0, _BAR_TO) - _BAR_FROM)
    direction = "".join(
        "   ?" if angle is None else f"{angle:>4}"
        for angle in (satellite.elevation, satellite.azimuth)
    )
    signals = " ".join(f"{name or number or '-'}:{cn0}" for number, name, cn0 in satellite.signals)
    mark = "*" if satellite.used else " "
    bar = "#" * length
    name = nmea_decode.satellite_name(satellite)
    return f"{name} {mark}{direction}  {bar:<{_BAR_TO - _BAR_FROM}} {signals}"


def _draw(lines: "list[str]", first: bool) -> None:
    if not sys.stdout.isatty():
        print("\n".join(lines) + "\n", flush=True)
        return
    body = "".join(line + _CLEAR_LINE + "\n" for line in lines)
    print((_CLEAR_ALL if first else "") + _HOME + body + _CLEAR_BELOW, end="", flush=True)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop nmea monitor`."""
    parser.add_argument("port", metavar="PORT", help="a device, or the address of a port")
    nmea_decode.add_common(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object for each epoch")


def run(arguments: argparse.Namespace) -> int:
    """Run `coldloop nmea monitor`."""
    return watch_port(
        arguments.port,
        vendor=arguments.vendor,
        seconds=arguments.seconds,
        as_json=arguments.json,
    )


def watch_port(
    text: str,
    *,
    vendor: "str | None" = None,
    seconds: "float | None" = None,
    as_json: bool = False,
) -> int:
    """Show a port until SIGINT or `seconds`; return 1 without a sentence, 2 for a port error."""
    try:
        if byte_source.find_address(text) is None:
            print(
                f"coldloop nmea monitor: {text}: not a port; use for example /dev/ttyUSB0 or "
                "serial:/dev/ttyUSB0?baud=115200",
                file=sys.stderr,
            )
            return 2
        receiver = nmea_decode.make_receiver(text, vendor)
        first = True
        checks = EpochChecks()
        for epoch in nmea_decode.iter_epochs(receiver, byte_source.read_chunks(text, seconds)):
            error_us = clock_error_us(epoch)
            if as_json:
                print(write_epoch(epoch, error_us, checks), flush=True)
                continue
            _draw(render(epoch, receiver, error_us, checks), first)
            first = False
    except DriverError as error:
        print(f"coldloop nmea monitor: {error}", file=sys.stderr)
        return 2
    if not receiver.framer.sentences:
        print(f"coldloop nmea monitor: {text}: no sentence; check the baud rate", file=sys.stderr)
        return 1
    return 0
