# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus read`: read registers or bits of one unit once, and decode them.

ADDRESS is the address on the wire (0-based). COUNT is the number of values, not of registers. A
long range takes several requests. With --profile, ADDRESS is the name of a point or bit, and the
command reads only the registers that it needs.

--every repeats the read: a line for each round, as text, CSV or JSON. A round without a reply is a
line with the error, and the command goes on.
"""

import argparse
import csv
import datetime as dt
import sys
import time

from drivers.errors import PortError
from drivers.ports.address import modbus_framing
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    UNITS,
    UsageError,
    add_number,
    add_port,
    add_timeout,
    bounded,
    checked_profile,
    describe_device,
    describe_result,
    interrupted_exit,
    print_error,
    print_json,
    print_line,
)
from drivers.tools.lib.identify import Model, ProbedUnit
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address, read_values
from drivers.tools.lib.open_port import monotonic_us
from drivers.tools.lib.values import register_values
from drivers.tools.lib.values.point_value import reading_value
from drivers.tools.lib.values.tool_device import make_device, needed_blocks
from drivers.tools.terminal.printable import printable
from protocols.modbus import pdu
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.ports.address import Address

EXAMPLE = "coldloop modbus read '/dev/ttyUSB0?baud=19200' 1 0x34 --type f32 --function 4"

_FORMULA_STARTS = ("=", "+", "-", "@")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    parser.add_argument("unit", type=bounded("UNIT", 0, 255), metavar="UNIT", help="1 to 247")
    parser.add_argument(
        "address",
        metavar="ADDRESS",
        help="0 to 65535, as on the wire (register 40001 is 0), 0x… is hexadecimal; or a name",
    )
    parser.add_argument(
        "count",
        type=bounded("COUNT", 1, 65536),
        nargs="?",
        metavar="COUNT",
        help="number of values (1)",
    )
    parser.add_argument(
        "--function",
        type=int,
        choices=(*pdu.BIT_READS, *pdu.READS),
        default=3,
        help="1 coils, 2 discrete inputs, 3 holding registers (default), 4 input registers",
    )
    add_type(parser)
    parser.add_argument("--profile", metavar="P", help="profile whose names ADDRESS can be")
    add_number(parser, "--every", 10, 3_600_000, None, "repeat, with N ms between the rounds")
    add_number(parser, "--rounds", 1, 1_000_000_000, None, "end after N rounds")
    parser.add_argument("--csv", action="store_true", help="print CSV: time, values, error")
    add_timeout(parser, 300)


def add_type(parser: argparse.ArgumentParser) -> None:
    """Add --type and --order."""
    parser.add_argument(
        "--type", choices=register_values.KINDS, default="u16", help="type of the values (u16)"
    )
    parser.add_argument(
        "--order",
        default="",
        metavar="ABCD",
        help="order of the bytes, A the most significant: ABCD (default), CDAB, BADC, DCBA, …",
    )


def check_unit(unit: int, address: "Address") -> None:
    """Check that the line can address the unit. Raises `UsageError`."""
    if modbus_framing(address.kind) != "tcp" and not UNITS[0] <= unit <= address.max_unit:
        hint = "" if address.max_unit > UNITS[1] else "; units=255 in the address permits more"
        raise UsageError("unit %d is not 1 to %d (serial line%s)" % (unit, address.max_unit, hint))


class ReadRound:
    """One round: the lines, the JSON record and the values; `error` is empty for a good one."""

    def __init__(
        self, record: "dict[str, Any]", lines: "list[str]", values: "list[Any]", error: str = ""
    ) -> None:
        self.record = record
        self.lines = lines
        self.values = values
        self.error = error


class AddressReader:
    """Reads registers or bits by address. Raises `UsageError` for a wrong range."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        try:
            self._first = bounded("ADDRESS", 0, 65535)(arguments.address)
        except argparse.ArgumentTypeError as error:
            raise UsageError("%s; a name also needs --profile" % error)
        self._unit: int = arguments.unit
        self._function: int = arguments.function
        is_bit = self._function in pdu.BIT_READS
        self._kind: str = "bit" if is_bit else arguments.type
        self._order = "" if is_bit else register_values.check_order(arguments.order, self._kind)
        self._size = 1 if is_bit else register_values.register_width(self._kind)
        self._count: int = arguments.count * self._size
        if self._first + self._count > 65536:
            raise UsageError(
                "address %d with %d values: ends after address 65535"
                % (self._first, arguments.count)
            )
        is_text = self._kind == register_values.TEXT
        step = self._count if is_text else self._size
        self.columns = [str(self._first + at) for at in range(0, self._count, step)]

    def read(self, client: BlockingModbusClient) -> ReadRound:
        """Read once."""
        place_of = (self._unit, self._function, self._first, self._count)
        words, failed = read_values(client, *place_of, self._size)
        if failed is not None:
            at = self._first + len(words)
            text = describe_result(failed)
            record = {"unit": self._unit, "address": at, "error": text}
            place = "function %d, address %d: %s" % (self._function, at, text)
            return ReadRound(record, [], [], place)
        values: list[Any] = list(words)
        if self._kind != "bit":
            values = list(register_values.decode_values(self._kind, self._order, words))
        record = {"unit": self._unit, "function": self._function, "address": self._first}
        record.update({"type": self._kind, "raw": words, "values": values})
        return ReadRound(record, self._lines(words, values), values)

    def _lines(self, words: "list[int]", values: "list[Any]") -> "list[str]":
        if self._kind == register_values.TEXT:
            return ["%d  %s" % (self._first, values[0])]
        lines = []
        for i, value in enumerate(values):
            line = "%d  %s" % (self._first + i * self._size, register_values.format_value(value))
            if self._kind != "bit":
                raw = words[i * self._size : (i + 1) * self._size]
                line += "  (%s)" % " ".join("%04X" % word for word in raw)
            lines.append(line)
        return lines


class NameReader:
    """Reads one point or bit of a profile. Raises `UsageError` for an unknown name."""

    def __init__(
        self, arguments: argparse.Namespace, client: BlockingModbusClient, raw: "Any"
    ) -> None:
        model = Model(raw, include_unpolled=True)
        profile = model.profile_for(ProbedUnit(client, arguments.unit))
        self._name: str = arguments.address
        if not profile.has_point(self._name) and not profile.has_bit(self._name):
            raise UsageError("%s: no point or bit is named %s" % (profile.model, self._name))
        blocks = needed_blocks(profile, self._name)
        self._device = make_device(self._name, arguments.unit, profile, blocks)
        self.columns = [self._name]

    def read(self, client: BlockingModbusClient) -> ReadRound:
        """Read the blocks of the device up to a value: a point can need others (a scale factor)."""
        device, profile = self._device, self._device.profile
        device.forget_values()  # a value of an earlier round is none of this one
        error = ""
        for request, tag in device.poll_requests():
            result = client.request(device.unit, request)
            if result.status == GOOD:
                device.store_block(tag, result.values, result.done_at)
                continue
            error = error or describe_result(result)
            if result.status != EXCEPTION:
                break
        record: dict[str, Any] = {"unit": device.unit, "name": self._name}
        if profile.has_bit(self._name):
            bit = profile.bits[profile.bit_index(self._name)]
            if device.register_value(bit) is None:
                return ReadRound({**record, "error": error}, [], [], "%s: %s" % (self._name, error))
            is_on = device.is_bit_on(self._name)
            return ReadRound({**record, "value": is_on}, [_line(self._name, is_on, "")], [is_on])
        index = profile.point_index(self._name)
        quality, unit = device.readings[index].quality, profile.points[index].unit
        if quality != "good":
            error = "quality %s%s" % (quality, ", " + error if error else "")
            return ReadRound({**record, "error": error}, [], [], "%s: %s" % (self._name, error))
        value = reading_value(device, index)
        shown = _line(self._name, register_values.format_value(value), "" if unit == "1" else unit)
        return ReadRound({**record, "value": value, "measure": unit}, [shown], [value])


def _line(name: str, value: "Any", unit: str) -> str:
    text = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
    return ("%s  %s %s" % (name, text, unit)).rstrip()


def run(arguments: argparse.Namespace) -> int:
    """Read and print the values; return 1 without a good reply.

    A signal ends a repeated read with the code until then; before any value it is 130, after
    SIGTERM 143.
    """
    address = port_address(arguments.port)
    check_unit(arguments.unit, address)
    if arguments.csv and arguments.json:
        raise UsageError("--csv and --json: choose one of them")
    reader: AddressReader | NameReader | None = None
    raw = None if arguments.profile is None else checked_profile(arguments.profile)
    if raw is not None and arguments.count is not None:
        raise UsageError("COUNT %d: a name is one value; leave COUNT out" % arguments.count)
    if raw is None:
        arguments.count = arguments.count or 1
        reader = AddressReader(arguments)
    device_text = describe_device(address, arguments.unit)
    rounds = ReadRounds(arguments, device_text)
    try:
        with BlockingModbusClient(address, arguments.timeout_ms * MILLISECOND) as client:
            rounds.run(reader or NameReader(arguments, client, raw), client)
    except KeyboardInterrupt as error:
        if not rounds.has_value:
            return interrupted_exit(error)
    return GOOD_EXIT if rounds.has_value else BAD_EXIT


class ReadRounds:
    """Reads once, or each --every milliseconds; `has_value`: a round had a good reply."""

    def __init__(self, arguments: argparse.Namespace, device_text: str) -> None:
        self.has_value = False
        self._arguments = arguments
        self._device_text = device_text

    def run(self, reader: "AddressReader | NameReader", client: BlockingModbusClient) -> None:
        """Read and print all rounds."""
        arguments = self._arguments
        rounds = arguments.rounds or (1 if arguments.every is None else 0)
        writer = csv.writer(sys.stdout, lineterminator="\n") if arguments.csv else None
        if writer is not None:
            writer.writerow([_cell(text) for text in ("time", *reader.columns, "error")])
        number, due = 0, monotonic_us()
        while True:
            reading = _read_round(reader, client, arguments)
            number += 1
            if writer is not None:
                blanks = [""] * (len(reader.columns) - len(reading.values))
                cells = [_cell(value) for value in (*reading.values, *blanks, reading.error)]
                writer.writerow([_utc_text(), *cells])
                sys.stdout.flush()
            else:
                _print_reading(reading, arguments, self._device_text)
            self.has_value = self.has_value or not reading.error
            if number == rounds:
                return
            due = max(due + (arguments.every or 0) * MILLISECOND, monotonic_us())
            time.sleep(max(due - monotonic_us(), 0) / SECOND)


def _cell(value: "Any") -> "Any":
    """Return a value for CSV. A spreadsheet must not take a text of a device for a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


def _read_round(
    reader: "AddressReader | NameReader",
    client: BlockingModbusClient,
    arguments: argparse.Namespace,
) -> ReadRound:
    """Read once. A repeated read goes on without its port: each round tries to open it again."""
    try:
        return reader.read(client)
    except PortError as error:
        if arguments.every is None:
            raise
        client.drop_port()
        text = str(error)
        return ReadRound({"unit": arguments.unit, "error": text}, [], [], text)


def _utc_text() -> str:
    now = dt.datetime.now(dt.timezone.utc)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _print_reading(reading: ReadRound, arguments: argparse.Namespace, device_text: str) -> None:
    is_repeated = arguments.every is not None
    if arguments.json:
        print_json({"time": _utc_text(), **reading.record} if is_repeated else reading.record)
    if reading.error:
        is_silent = reading.error.endswith("no reply")
        hint = "; `coldloop modbus scan` finds the units that reply" if is_silent else ""
        print_error("read", "%s, %s%s" % (device_text, reading.error, hint))
        return
    if not arguments.json:
        if is_repeated:
            print_line(_utc_text())
        for line in reading.lines:
            print_line(line)
