# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea setup`: change the settings of a receiver, and verify them.

The verdict of each step follows from the sentences that the receiver sends afterwards. The
acknowledgement is not sufficient.
"""

import argparse
import json
import sys
import termios
import time
from typing import Any

from drivers.errors import DriverError, PortError
from drivers.gnss.fix_rules import MIN_UTC_US
from drivers.gnss.receiver import ReceiverDriver
from drivers.gnss.setup_sequence import SetupResult, SetupSequence
from drivers.gnss.setup_step import KINDS, STARTS, SYSTEMS, SetupStep, build_steps
from drivers.gnss.setup_timing import timing_steps
from drivers.gnss.setup_vendors import VENDOR_COMMANDS
from drivers.ports.base import make_error
from drivers.tools.lib import byte_source
from drivers.tools.lib.open_port import OpenPort, monotonic_us

EXAMPLE = (
    "coldloop nmea setup serial:/dev/ttyUSB0?baud=9600 --maker casic "
    "--constellations BDS,GPS --baud 115200 --save"
)
_STEP_US = 100_000
_BAUD_CHANGE_S = 0.1  # time that a receiver needs to change its speed


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop nmea setup`."""
    parser.add_argument("port", metavar="PORT", help="a device, or the address of a port")
    parser.add_argument(
        "--maker",
        required=True,
        choices=sorted(VENDOR_COMMANDS),
        help="vendor whose commands the receiver understands",
    )
    parser.add_argument(
        "--constellations", metavar="LIST", help=f"constellations to use, of {','.join(SYSTEMS)}"
    )
    parser.add_argument(
        "--sentences", metavar="LIST", help=f"sentences to send, of {','.join(KINDS)}"
    )
    parser.add_argument("--rate-ms", type=int, default=0, metavar="N", help="time between fixes")
    parser.add_argument("--baud", type=int, default=0, metavar="N", help="new speed of the line")
    parser.add_argument(
        "--pulse-ms", type=int, default=0, metavar="N", help="length of the pulse at each second"
    )
    parser.add_argument(
        "--survey",
        metavar="SECONDS[,MM]",
        help="find the position of an antenna that does not move; least time, accuracy (2000)",
    )
    parser.add_argument(
        "--fixed",
        metavar="LAT,LON,HEIGHT_M[,MM]",
        help="position of an antenna that does not move, height above the ellipsoid, error (1000)",
    )
    parser.add_argument("--save", action="store_true", help="save the settings in the receiver")
    parser.add_argument(
        "--start", choices=STARTS, default="", help="restart the receiver at the end"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object for each step")


def _parse_list(text: "str | None", allowed: "tuple[str, ...]", option: str) -> "tuple[str, ...]":
    words = tuple(text.upper().split(",")) if text else ()
    for word in words:
        if word not in allowed:
            raise DriverError(f"{option}: {word!r} is not one of {', '.join(allowed)}")
    return words


def _timing_settings(arguments: argparse.Namespace) -> "dict[str, Any]":
    """Return pulse and position as in section `receiver_setup`."""
    settings: dict[str, Any] = {}
    if arguments.pulse_ms:
        settings["pulse_ms"] = arguments.pulse_ms
    for name, keys, accuracy_mm in (
        ("survey", ["seconds"], 2_000),
        ("fixed", ["latitude", "longitude", "height_m"], 1_000),
    ):
        text = getattr(arguments, name)
        if not text:
            continue
        words = text.split(",")
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = []
        if len(numbers) not in (len(keys), len(keys) + 1):
            raise DriverError(f"--{name}: {text!r} is not {', '.join(keys)}[, accuracy_mm]")
        found = dict(zip([*keys, "accuracy_mm"], [*numbers, accuracy_mm], strict=False))
        whole = {key: int(found[key]) for key in ("seconds", "accuracy_mm") if key in found}
        settings[name] = {**found, **whole}
    return settings


def _requested_steps(arguments: argparse.Namespace) -> "list[SetupStep]":
    found = build_steps(
        arguments.maker,
        _parse_list(arguments.constellations, SYSTEMS, "--constellations"),
        _parse_list(arguments.sentences, KINDS, "--sentences"),
        arguments.rate_ms,
        arguments.baud,
        arguments.save,
        arguments.start,
        tuple(timing_steps(arguments.maker, _timing_settings(arguments))),
    )
    if not found:
        raise DriverError("no setting requested; see --help")
    return found


def run(arguments: argparse.Namespace) -> int:
    """Run `coldloop nmea setup`; return 0 if all steps succeeded, else 1."""
    requested = _requested_steps(arguments)
    address = byte_source.find_address(arguments.port)
    if address is None:
        raise DriverError(f"{arguments.port}: not a port; use for example /dev/ttyUSB0")
    open_port = OpenPort(address)
    try:
        return _run_setup(
            open_port, SetupSequence(requested, monotonic_us(), address.baud), arguments.json
        )
    finally:
        open_port.port.close()


def _make_receiver(baud: int, bits_per_char: int) -> ReceiverDriver:
    """Return a driver that keeps UBX frames from the first byte on, for the replies to commands."""
    receiver = ReceiverDriver(0, baud, bits_per_char, max_epochs=16)
    receiver.decoder.set_min_utc(MIN_UTC_US)  # the first use makes the decoder
    return receiver


def _run_setup(open_port: OpenPort, setup: SetupSequence, as_json: bool) -> int:
    address = open_port.address
    receiver = _make_receiver(address.baud, address.bits_per_char)
    shown_count = 0
    while not setup.done:
        for op, data in setup.outbox():
            if op == "write":
                open_port.write(data)
            else:
                _set_port_options(open_port, data.decode())
                baud = open_port.address.with_options(data.decode()).baud
                receiver = _make_receiver(baud, address.bits_per_char)
        open_port.wait(min(monotonic_us() + _STEP_US, setup.deadline()))
        received = open_port.port.read()
        if received is None:
            raise make_error(address, "closed by the peer")
        now = monotonic_us()
        receiver.receive(received, now)
        for epoch in receiver.take_epochs(now):
            setup.take_epoch(epoch, now)
        if now >= setup.deadline():
            setup.wake(now)
        for result in setup.results[shown_count:]:
            _show(result, as_json)
        shown_count = len(setup.results)
    return 0 if setup.succeeded() else 1


def _set_port_options(open_port: OpenPort, options: str) -> None:
    """Change the speed of the line after the written bytes have left."""
    descriptor = open_port.port.pollable
    if isinstance(descriptor, int) and open_port.address.kind == "serial":
        termios.tcdrain(descriptor)
        time.sleep(_BAUD_CHANGE_S)
    try:
        open_port.port.set_options(options)
    except PortError as error:
        sys.stderr.write(f"coldloop nmea setup: {error}\n")


def _show(result: SetupResult, as_json: bool) -> None:
    requested = " ".join(result.requested)
    if as_json:
        record = {
            "step": result.name,
            "wish": requested,
            "verdict": result.outcome,
            "seen": result.observed,
            "acknowledged": result.acknowledged,
        }
        print(json.dumps(record), flush=True)
        return
    text = f"{result.name:<15}{requested:<24}{result.outcome}"
    if result.observed:
        text += f", observed: {result.observed}"
    if result.acknowledged and result.outcome == "refused":
        text += " (although acknowledged)"
    print(text, flush=True)
