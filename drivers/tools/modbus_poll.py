# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus poll`: values of a device by its profile, live, with unit, quality and age.

Does not control and does not write. On a terminal the table stays in place. Elsewhere each round is
printed below the last one. With --json each round is one line. A device that is not the model of
the profile is shown with a warning. As in the agent, the plan of the requests is made for the wire
and learns from rejected reads.
"""

import argparse
import sys
import time

from drivers.device.device import NONE, ModbusDevice
from drivers.device.identity import MISMATCH
from drivers.errors import PortError
from drivers.modbus.plan.poll_plan import ILLEGAL_DATA_CODES
from drivers.modbus.transaction import TIMEOUT
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    add_number,
    add_port,
    add_timeout,
    bounded,
    checked_profile,
    describe_device,
    describe_result,
    format_table,
    interrupted_exit,
    print_error,
    print_json,
    print_line,
)
from drivers.tools.lib.identify import Model, ProbedUnit, probe_device
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from drivers.tools.lib.open_port import monotonic_us
from drivers.tools.lib.values.point_value import is_write_only, reading_value
from drivers.tools.lib.values.register_values import format_value
from drivers.tools.lib.values.tool_device import make_plan
from drivers.tools.modbus_read import check_unit
from drivers.tools.terminal.printable import printable
from protocols.modbus.pdu import GOOD
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXAMPLE = "coldloop modbus poll /dev/ttyUSB0?baud=19200 --profile orv3_rpu --unit 12 --json"
_HOME = "\x1b[H"
_CLEAR = "\x1b[2J\x1b[H"
_REST_OF_LINE = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    parser.add_argument("--profile", required=True, metavar="P", help="name or file of a profile")
    parser.add_argument("--unit", required=True, type=bounded("--unit", 0, 255), metavar="N")
    add_number(parser, "--period-ms", 50, 3_600_000, 1000, "time between rounds (1000)")
    add_number(parser, "--rounds", 1, 1_000_000, None, "end after N rounds")
    parser.add_argument(
        "--every", action="store_true", help="also show points that the agent never polls"
    )
    add_timeout(parser, 300)


class PollView:
    """One device and its polls; `faults` are the faults of the last round as text."""

    def __init__(self, client: BlockingModbusClient, device: ModbusDevice) -> None:
        self.device = device
        self.faults: list[str] = []
        self.answered_count = 0
        self._silent_before = False
        self._client = client
        self._plan = make_plan(device.profile, client.bus.wire_time)
        device.set_blocks(self._plan.blocks)

    def poll_round(self) -> None:
        """Read every block once. Without the port all fail; the next round opens it again."""
        try:
            self._poll_blocks()
        except PortError as error:
            self._client.drop_port()
            self.faults = [str(error)]
            for tag in range(len(self.device.blocks)):
                self._fail_block(tag, monotonic_us())

    def _poll_blocks(self) -> None:
        """Read every block once; a rejected block changes the plan of the next round."""
        self.faults = []
        plan, device = self._plan, self.device
        version = plan.version
        for request, tag in device.poll_requests():
            result = self._client.request(device.unit, request, retries=1)
            block = device.blocks[tag]
            if result.status == GOOD:
                device.store_block(tag, result.values, result.done_at)
                plan.block_answered(block)
                self.answered_count += 1
                self._silent_before = False
                continue
            self._fail_block(tag, result.done_at)
            is_silent = result.status == TIMEOUT
            if result.code in ILLEGAL_DATA_CODES:
                plan.exclude(block, result.done_at)
            last = block.address + block.count - 1
            details = (block.function, block.address, last, describe_result(result))
            self.faults.append("function %d, registers %d to %d: %s" % details)
            if is_silent and self._silent_before:
                self._skip_rest(tag)
                break
            self._silent_before = is_silent
        plan.retry_excluded(monotonic_us())
        self._silent_before = self._silent_before and len(self.faults) > 0
        if plan.version != version:
            device.set_blocks(plan.blocks)

    def _skip_rest(self, tag: int) -> None:
        """Two blocks in a row without a reply: the unit is offline, the rest is not asked."""
        skipped = range(tag + 1, len(self.device.blocks))
        for other in skipped:
            self._fail_block(other, monotonic_us())
        if skipped:
            self.faults.append("unit is offline: %d more blocks not asked" % len(skipped))

    def _fail_block(self, tag: int, now: int) -> None:
        """The values stay and show their age; bits and alarms show none, so they are unknown."""
        self.device.block_failed(tag, now)
        self.device.forget_bits(tag)

    def rows(self, now: int) -> "list[dict[str, Any]]":
        """Return name, value, unit, quality and age (s) of every point."""
        found = []
        for i, (point, reading) in enumerate(zip(self.device.profile.points, self.device.readings)):
            is_known = reading.quality != NONE and not is_write_only(point)
            found.append(
                {
                    "name": point.name,
                    "value": reading_value(self.device, i) if is_known else None,
                    "unit": point.unit,
                    "quality": reading.quality if is_known else NONE,
                    "age_s": round((now - reading.read_at) / SECOND, 3) if is_known else None,
                }
            )
        return found

    def bit_rows(self) -> "list[dict[str, Any]]":
        """Return name and state (None: not read) of every bit, also of status words."""
        found: list[dict[str, Any]] = []
        for bit in self.device.profile.bits:
            is_known = self.device.register_value(bit) is not None
            is_on = self.device.is_bit_on(bit.name) if is_known else None
            found.append({"name": bit.name, "on": is_on, "alarm": bit.alarm})
        return found

    def alarms(self) -> "list[str]":
        """Return the names of the active alarm bits."""
        return self.device.active_alarm_bits()


def run(arguments: argparse.Namespace) -> int:
    """Poll until SIGINT or --rounds; return 1 without any reply, or for another model."""
    address = port_address(arguments.port)
    check_unit(arguments.unit, address)
    model = Model(checked_profile(arguments.profile), include_unpolled=arguments.every)
    device_text = describe_device(address, arguments.unit)
    view = None
    try:
        with BlockingModbusClient(address, arguments.timeout_ms * MILLISECOND) as client:
            view = _make_view(client, model, device_text, arguments)
            _poll_loop(view, device_text, arguments)
    except KeyboardInterrupt as error:
        print_line("")
        if view is None or not view.answered_count:
            return interrupted_exit(error)
    is_bad = view.device.identity == MISMATCH or not view.answered_count
    return BAD_EXIT if is_bad else GOOD_EXIT


def _make_view(
    client: BlockingModbusClient, model: Model, device_text: str, arguments: argparse.Namespace
) -> PollView:
    """Probe the device and plan its polls; another model is an error line."""
    unit = ProbedUnit(client, arguments.unit)
    profile = model.profile_for(unit)
    device = probe_device(unit, profile, planned=make_plan(profile, client.bus.wire_time).blocks)
    if device.identity == MISMATCH:
        details = (device_text, model.name, device.mismatch_reason)
        print_error("poll", "%s: is not model %s: %s" % details)
    return PollView(client, device)


def _poll_loop(view: PollView, device_text: str, arguments: argparse.Namespace) -> None:
    is_live = sys.stdout.isatty() and not arguments.json
    round_count, due = 0, monotonic_us()
    if is_live:
        sys.stdout.write(_CLEAR)
    while True:
        view.poll_round()
        round_count += 1
        if arguments.json:
            print_json(_record(view, round_count))
        else:
            _show(view, device_text, round_count, is_live)
        if round_count == arguments.rounds:
            return
        due = max(due + arguments.period_ms * MILLISECOND, monotonic_us())
        time.sleep(max(due - monotonic_us(), 0) / SECOND)


def _record(view: PollView, number: int) -> "dict[str, Any]":
    device = view.device
    return {
        "round": number,
        "unit": device.unit,
        "profile": device.profile.model,
        "identity": device.identity,
        "requests": len(device.blocks),
        "points": view.rows(monotonic_us()),
        "bits": view.bit_rows(),
        "alarms": view.alarms(),
        "faults": view.faults,
    }


def _show(view: PollView, device_text: str, number: int, is_live: bool) -> None:
    rows: list[tuple[str, ...]] = [("name", "value", "unit", "quality", "age")]
    for row in view.rows(monotonic_us()):
        is_known = row["age_s"] is not None
        value = format_value(row["value"]) if is_known else "-"
        age = "%.1f s" % row["age_s"] if is_known else "never"
        rows.append((row["name"], value, row["unit"], row["quality"], age))
    lines = ["%s  %s  round %d" % (device_text, view.device.profile.model, number)]
    if view.device.identity == MISMATCH:
        lines.append("WRONG MODEL: %s" % view.device.mismatch_reason)
    lines += format_table(rows)
    states = {True: "on", False: "off", None: "unknown"}
    bits = ["%s %s" % (row["name"], states[row["on"]]) for row in view.bit_rows()]
    lines += ["bits: " + ", ".join(bits)] if bits else []
    unread = len([1 for row in view.bit_rows() if row["alarm"] and row["on"] is None])
    alarms = view.alarms() + (["%d not read" % unread] if unread else [])
    lines.append("alarms: " + (", ".join(alarms) or "none"))
    lines += ["fault: " + fault for fault in view.faults]
    if is_live:
        body = "".join(printable(line) + _REST_OF_LINE + "\n" for line in lines)
        sys.stdout.write(_HOME + body + _CLEAR_BELOW)
        sys.stdout.flush()
        return
    for line in lines:
        print_line(line)
    print_line("")
