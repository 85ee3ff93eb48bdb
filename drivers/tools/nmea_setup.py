"""`coldloop nmea setup`: tell a receiver what to do, and see that it does it.

Each step is judged by what the receiver then sends, not by its acknowledgement.
"""

import argparse
import json
import sys
import termios
import time

from drivers.errors import DriverError, PortError
from drivers.gnss.receiver import Receiver
from drivers.gnss.setup_sequence import Outcome, Setup
from drivers.gnss.setup_step import KINDS, STARTS, SYSTEMS, Step, steps
from drivers.gnss.setup_vendors import MAKERS
from drivers.ports.base import failure
from drivers.tools.lib import byte_source
from drivers.tools.lib.open_port import Opened, clock

EXAMPLE = (
    "coldloop nmea setup serial:/dev/ttyUSB0?baud=9600 --maker casic "
    "--constellations BDS,GPS --baud 115200 --save"
)
_TURN_US = 100_000
_CHANGE_S = 0.1  # a receiver needs a moment between the command and its new speed


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop nmea setup`."""
    parser.add_argument("port", metavar="PORT", help="a device, or an address of a port")
    parser.add_argument(
        "--maker", required=True, choices=sorted(MAKERS), help="whose commands it understands"
    )
    parser.add_argument(
        "--constellations", metavar="LIST", help=f"the only ones, of {','.join(SYSTEMS)}"
    )
    parser.add_argument("--sentences", metavar="LIST", help=f"the only ones, of {','.join(KINDS)}")
    parser.add_argument("--rate-ms", type=int, default=0, metavar="N", help="time between fixes")
    parser.add_argument("--baud", type=int, default=0, metavar="N", help="speed of its line")
    parser.add_argument("--save", action="store_true", help="keep it over a loss of power")
    parser.add_argument("--start", choices=STARTS, default="", help="start it anew, at the end")
    parser.add_argument("--json", action="store_true", help="one JSON object a step")


def _words(text: "str | None", known: "tuple[str, ...]", what: str) -> "tuple[str, ...]":
    words = tuple(text.upper().split(",")) if text else ()
    for word in words:
        if word not in known:
            raise DriverError(f"{what}: {word!r} is none of {', '.join(known)}")
    return words


def _wished(arguments: argparse.Namespace) -> "list[Step]":
    found = steps(
        arguments.maker,
        _words(arguments.constellations, SYSTEMS, "--constellations"),
        _words(arguments.sentences, KINDS, "--sentences"),
        arguments.rate_ms,
        arguments.baud,
        arguments.save,
        arguments.start,
    )
    if not found:
        raise DriverError("nothing is wished; see --help")
    return found


def run(arguments: argparse.Namespace) -> int:
    """Run `coldloop nmea setup`: 0 all done, 1 something was not, 2 wrong use."""
    wished = _wished(arguments)
    address = byte_source.port_address(arguments.port)
    if address is None:
        raise DriverError(f"{arguments.port}: no port; name one such as /dev/ttyUSB0")
    opened = Opened(address)
    try:
        return _work(opened, Setup(wished, clock(), address.baud), arguments.json)
    finally:
        opened.port.close()


def _work(opened: Opened, setup: Setup, as_json: bool) -> int:
    address = opened.address
    receiver = Receiver(0, address.baud, address.bits_per_char, keep=16)
    told = 0
    while not setup.done:
        for op, data in setup.outbox():
            if op == "write":
                opened.write(data)
            else:
                _set(opened, data.decode())
                baud = opened.address.changed(data.decode()).baud
                receiver = Receiver(0, baud, address.bits_per_char, keep=16)
        opened.wait(min(clock() + _TURN_US, setup.deadline()))
        heard = opened.port.read()
        if heard is None:
            raise failure(address, "closed by the other side")
        now = clock()
        receiver.receive(heard, now)
        for epoch in receiver.epochs(now):
            setup.epoch(epoch, now)
        if now >= setup.deadline():
            setup.wake(now)
        for outcome in setup.outcomes[told:]:
            _show(outcome, as_json)
        told = len(setup.outcomes)
    return 0 if setup.good() else 1


def _set(opened: Opened, options: str) -> None:
    """Change the line's speed, once what was written is out."""
    descriptor = opened.port.pollable
    if isinstance(descriptor, int) and opened.address.kind == "serial":
        termios.tcdrain(descriptor)
        time.sleep(_CHANGE_S)
    try:
        opened.port.set(options)
    except PortError as error:
        sys.stderr.write(f"coldloop nmea setup: {error}\n")


def _show(outcome: Outcome, as_json: bool) -> None:
    wish = " ".join(outcome.wish)
    if as_json:
        record = {
            "step": outcome.name,
            "wish": wish,
            "verdict": outcome.verdict,
            "seen": outcome.seen,
            "acknowledged": outcome.acknowledged,
        }
        print(json.dumps(record), flush=True)
        return
    text = f"{outcome.name:<15}{wish:<24}{outcome.verdict}"
    if outcome.seen:
        text += f", seen: {outcome.seen}"
    if outcome.acknowledged and outcome.verdict == "refused":
        text += " (it was acknowledged, all the same)"
    print(text, flush=True)
