# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus read`: read registers or bits of one unit once, and decode them.

ADDRESS is the address on the wire (0-based). COUNT is the number of values, not of registers. A
long range takes several requests.
"""

import argparse

from drivers.ports.address import FRAMINGS
from drivers.tools.lib import register_values
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    UNITS,
    UsageError,
    add_port,
    add_timeout,
    bounded,
    describe_device,
    describe_result,
    print_error,
    print_json,
    print_line,
)
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from protocols.modbus import pdu
from protocols.modbus.pdu import GOOD
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.bus import TransactionResult
    from drivers.ports.address import Address

EXAMPLE = "coldloop modbus read '/dev/ttyUSB0?baud=19200' 1 0x34 --type f32 --function 4"
_MAX_COUNT = {1: pdu.MAX_READ_BITS, 2: pdu.MAX_READ_BITS, 3: pdu.MAX_READ, 4: pdu.MAX_READ}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    add_target(parser)
    parser.add_argument(
        "count",
        type=bounded("COUNT", 1, 65536),
        nargs="?",
        default=1,
        metavar="COUNT",
        help="number of values (1)",
    )
    parser.add_argument(
        "--function",
        type=int,
        choices=(1, 2, 3, 4),
        default=3,
        help="1 coils, 2 discrete inputs, 3 holding registers (default), 4 input registers",
    )
    add_type(parser)
    add_timeout(parser, 300)


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add UNIT and ADDRESS."""
    parser.add_argument("unit", type=bounded("UNIT", 0, 255), metavar="UNIT", help="1 to 247")
    parser.add_argument(
        "address",
        type=bounded("ADDRESS", 0, 65535),
        metavar="ADDRESS",
        help="0 to 65535, as on the wire (register 40001 is 0); 0x… is hexadecimal",
    )


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
    if FRAMINGS[address.kind] != "tcp" and not UNITS[0] <= unit <= address.max_unit:
        hint = "" if address.max_unit > UNITS[1] else "; units=255 in the address permits more"
        raise UsageError("unit %d is not 1 to %d (serial line%s)" % (unit, address.max_unit, hint))


def read_values(
    client: BlockingModbusClient, unit: int, function: int, address: int, count: int
) -> "tuple[list[int], TransactionResult | None]":
    """Read `count` registers or bits; return (values, failed result or None).

    Uses several requests if necessary. Raises `EncodeError` if the last address is above 65535.
    """
    found: list[int] = []
    while len(found) < count:
        size = min(count - len(found), _MAX_COUNT[function])
        result = client.request(unit, pdu.read(function, address + len(found), size))
        if result.status != GOOD:
            return found, result
        found.extend(result.values)
    return found, None


def run(arguments: argparse.Namespace) -> int:
    """Read and print the values; return 1 without a good reply."""
    address = port_address(arguments.port)
    check_unit(arguments.unit, address)
    bits = arguments.function in (1, 2)
    kind = "bit" if bits else arguments.type
    order = "" if bits else register_values.check_order(arguments.order, kind)
    size = 1 if bits else register_values.register_width(kind)
    first, count = arguments.address, arguments.count * size
    if first + count > 65536:
        raise UsageError(
            "address %d with %d values: ends after address 65535" % (first, arguments.count)
        )
    with BlockingModbusClient(address, arguments.timeout_ms * MILLISECOND) as client:
        words, failed_result = read_values(client, arguments.unit, arguments.function, first, count)
    if failed_result is not None:
        return _report_failed(
            arguments, address, first + len(words), describe_result(failed_result)
        )
    decoded = list(words) if bits else register_values.decode_values(kind, order, words)
    _show(arguments, kind, size, words, decoded)
    return GOOD_EXIT


def _report_failed(arguments: argparse.Namespace, address: "Any", at: int, text: str) -> int:
    location = "%s, function %d, address %d" % (
        describe_device(address, arguments.unit),
        arguments.function,
        at,
    )
    if arguments.json:
        print_json({"unit": arguments.unit, "address": at, "error": text})
    hint = "; `coldloop modbus scan` finds the units that reply" if text == "no reply" else ""
    print_error("read", "%s: %s%s" % (location, text, hint))
    return BAD_EXIT


def _show(
    arguments: argparse.Namespace, kind: str, size: int, words: "list[int]", decoded: "list[Any]"
) -> None:
    if arguments.json:
        record = {"unit": arguments.unit, "function": arguments.function}
        location = {"address": arguments.address, "type": kind}
        print_json({**record, **location, "raw": words, "values": decoded})
        return
    if kind == register_values.TEXT:
        print_line("%d  %s" % (arguments.address, decoded[0]))
        return
    for i, value in enumerate(decoded):
        raw = " ".join("%04X" % word for word in words[i * size : i * size + size])
        number = arguments.address + i * size
        text = register_values.format_value(value)
        print_line(
            "%d  %s" % (number, text) if kind == "bit" else "%d  %s  (%s)" % (number, text, raw)
        )
