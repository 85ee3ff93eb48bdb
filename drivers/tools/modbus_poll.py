"""`coldloop modbus poll`: a device's values by its profile: value, unit, quality and age, live.

Not the agent: nothing is controlled, nothing is written. On a terminal the table stays in place;
elsewhere each round is printed below the last; with --json a round is one line. A device that is
not the profile's model is shown all the same, and it is said. Requests are planned for the wire at
hand, and the plan learns from what the device refuses, as the agent's does.
"""

import argparse
import sys
import time

from drivers.device.device import NONE, Device
from drivers.device.identity import MISMATCH
from drivers.modbus.poll_plan import REFUSALS, Layout
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    add_port,
    add_timeout,
    bounded,
    complain,
    explain,
    raw_profile,
    show,
    show_json,
    table,
    where,
)
from drivers.tools.lib.identify import Model, Unit, probed
from drivers.tools.lib.modbus_client import Line, port_address
from drivers.tools.lib.open_port import clock
from drivers.tools.modbus_read import check_unit
from protocols.modbus.pdu import GOOD
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXAMPLE = "coldloop modbus poll /dev/ttyUSB0?baud=19200 --profile orv3_rpu --unit 12 --json"
_HOME = "\x1b[H"
_CLEAR = "\x1b[2J\x1b[H"
_REST_OF_LINE = "\x1b[K"
_BELOW = "\x1b[J"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    parser.add_argument("--profile", required=True, metavar="P", help="a profile's name or file")
    parser.add_argument("--unit", required=True, type=bounded("--unit", 0, 255), metavar="N")
    parser.add_argument(
        "--period-ms",
        type=bounded("--period-ms", 50, 3_600_000),
        default=1000,
        metavar="N",
        help="from round to round (1000)",
    )
    parser.add_argument(
        "--rounds", type=bounded("--rounds", 1, 1_000_000), metavar="N", help="end after N rounds"
    )
    parser.add_argument("--every", action="store_true", help="also what the agent never polls")
    add_timeout(parser, 300)


class Watch:
    """One device, polled round by round; `faults` are those of the last round, in words."""

    def __init__(self, line: Line, device: Device) -> None:
        profile = device.profile
        fixed = profile.fixed_blocks + (profile.blocks if profile.own_blocks else [])
        self.device = device
        self.faults: list[str] = []
        self.answered = 0
        self._line = line
        self._layout = Layout(
            profile.polled(), line.bus.wire, profile.holes, fixed, profile.max_block
        )
        device.arrange(self._layout.blocks)

    def round(self) -> None:
        """Read every block once; what is refused changes the plan of the next round."""
        self.faults = []
        layout, device = self._layout, self.device
        version = layout.version
        for request, tag in device.polls():
            result = self._line.ask(device.unit, request, retries=1)
            block = device.blocks[tag]
            if result.status == GOOD:
                device.accept(tag, result.values, result.at)
                layout.accept(block)
                self.answered += 1
                continue
            device.failed(tag, result.at)
            if result.code in REFUSALS:
                layout.refuse(block, result.at)
            function, address, count = block
            place = (function, address, address + count - 1, explain(result))
            self.faults.append("function %d, registers %d to %d: %s" % place)
        layout.retry(clock())
        if layout.version != version:
            device.arrange(layout.blocks)

    def rows(self, now: int) -> "list[dict[str, Any]]":
        """Name, value, unit, quality and age (s) of every point."""
        found = []
        for i, (point, reading) in enumerate(zip(self.device.profile.points, self.device.readings)):
            known = reading.quality != NONE
            found.append(
                {
                    "name": point.name,
                    "value": self.device.value(i) if known else None,
                    "unit": point.unit,
                    "quality": reading.quality,
                    "age_s": round((now - reading.at) / SECOND, 3) if known else None,
                }
            )
        return found

    def alarms(self) -> "list[str]":
        """The alarm bits that are on."""
        return self.device.alarm_bits()


def run(arguments: argparse.Namespace) -> int:
    """Poll until interrupted or --rounds; 1 when nothing ever answered, or the model is wrong."""
    address = port_address(arguments.port)
    check_unit(arguments.unit, address.kind)
    model = Model(raw_profile(arguments.profile), every=arguments.every)
    place = where(address, arguments.unit)
    with Line(address, arguments.timeout_ms * MILLISECOND) as line:
        unit = Unit(line, arguments.unit)
        device = probed(unit, model.at(unit))
        if device.identity == MISMATCH:
            complain("poll", "%s is no %s: %s" % (place, model.name, device.mismatch))
        watch = Watch(line, device)
        try:
            _loop(watch, place, arguments)
        except KeyboardInterrupt:
            show("")
    bad = device.identity == MISMATCH or not watch.answered
    return BAD_EXIT if bad else GOOD_EXIT


def _loop(watch: Watch, place: str, arguments: argparse.Namespace) -> None:
    live = sys.stdout.isatty() and not arguments.json
    done, due = 0, clock()
    if live:
        sys.stdout.write(_CLEAR)
    while True:
        watch.round()
        done += 1
        if arguments.json:
            show_json(_record(watch, done))
        else:
            _show(watch, place, done, live)
        if done == arguments.rounds:
            return
        due = max(due + arguments.period_ms * MILLISECOND, clock())
        time.sleep(max(due - clock(), 0) / SECOND)


def _record(watch: Watch, number: int) -> "dict[str, Any]":
    device = watch.device
    return {
        "round": number,
        "unit": device.unit,
        "profile": device.profile.model,
        "identity": device.identity,
        "requests": len(device.blocks),
        "points": watch.rows(clock()),
        "alarms": watch.alarms(),
        "faults": watch.faults,
    }


def _show(watch: Watch, place: str, number: int, live: bool) -> None:
    rows: list[tuple[str, ...]] = [("name", "value", "unit", "quality", "age")]
    for row in watch.rows(clock()):
        known = row["age_s"] is not None
        value = "%.6g" % row["value"] if known else "-"
        age = "%.1f s" % row["age_s"] if known else "never"
        rows.append((row["name"], value, row["unit"], row["quality"], age))
    lines = ["%s  %s  round %d" % (place, watch.device.profile.model, number)]
    if watch.device.identity == MISMATCH:
        lines.append("WRONG MODEL: %s" % watch.device.mismatch)
    lines += table(rows)
    lines.append("alarms: " + (", ".join(watch.alarms()) or "none"))
    lines += ["fault: " + fault for fault in watch.faults]
    if live:
        body = "".join(line + _REST_OF_LINE + "\n" for line in lines)
        sys.stdout.write(_HOME + body + _BELOW)
        sys.stdout.flush()
        return
    for line in lines:
        show(line)
    show("")
