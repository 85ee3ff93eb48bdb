# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus raw`: send one request PDU as hexadecimal digits, and show the reply PDU.

Frames the PDU for the wire (unit, CRC or LRC or header). Does not check its content. A function
that can write asks for confirmation, and goes out once: neither a closed connection nor "busy"
repeats it. For an unknown function on RTU, the CRC alone shows the end of the reply. A read of
register 0 goes before: it shows whether the line returns the sent bytes, and whether the device is
a reply behind.

The reply is shown as received, also one that does not fit the request. That of a sub-function of 8
is good with any data: it can be a counter.
"""

import argparse

from drivers.errors import PortError
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    UsageError,
    add_port,
    add_timeout,
    bounded,
    confirm,
    describe_device,
    describe_result,
    interrupted_exit,
    print_error,
    print_json,
    print_line,
)
from drivers.tools.lib.exchange.other_reads import is_read_only
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from drivers.tools.modbus_read import check_unit
from protocols.modbus import pdu
from protocols.modbus.pdu import EXCEPTION, GOOD, MAX_PDU
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.bus import TransactionResult
    from drivers.tools.lib.exchange.wire_record import WireRecord

EXAMPLE = "coldloop modbus raw /dev/ttyUSB0?baud=19200 12 '08 00 00 12 34'"
_SUB_FUNCTION_SIZE = 3
# function -> bytes of the request that give the shape of its reply
_MIN_LENGTHS = {1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 8: 5, 15: 5, 16: 5, 22: 7, 23: 10, 43: 4}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    parser.add_argument("unit", type=bounded("UNIT", 0, 255), metavar="UNIT", help="1 to 247")
    parser.add_argument("pdu", metavar="HEX", help="function code and data, in hexadecimal digits")
    parser.add_argument("--yes", action="store_true", help="send without confirmation")
    add_timeout(parser, 300)


def _parse_pdu(text: str) -> bytes:
    """Return the PDU. Raises `UsageError`."""
    try:
        data = bytes.fromhex(text.replace(":", " "))
    except ValueError:
        raise UsageError("%r: not hexadecimal digits, such as 03 00 00 00 01" % text)
    if not data or len(data) > MAX_PDU or not 1 <= data[0] < 0x80:
        raise UsageError("%r: not a function code (1 to 127) and at most 252 bytes" % text)
    if len(data) < _MIN_LENGTHS.get(data[0], 1):
        raise UsageError("function %d: needs at least %d bytes" % (data[0], _MIN_LENGTHS[data[0]]))
    return data


def _received_reply(
    record: "WireRecord", unit: int, request: bytes, result: "TransactionResult"
) -> bytes:
    """Return the reply PDU as received; empty if there is none.

    A frame that is equal to the request can be the echo of the line: it counts only if the bus has
    taken it for the reply.
    """
    replies = record.replies(unit, request[0])
    if result.status == GOOD:
        expected = (GOOD, 0, result.values)
        known = [reply for reply in replies if pdu.check_reply(request, reply) == expected]
        return (known or replies or [b""])[0]
    if result.status == EXCEPTION:
        return bytes((request[0] | 0x80, result.code))
    return ([reply for reply in replies if reply != request] or [b""])[0]


def _is_counter(request: bytes, reply: bytes) -> bool:
    """Return whether this is a good reply of function 8 with data of the device."""
    sub_function = request[:_SUB_FUNCTION_SIZE]
    is_other = request[0] == pdu.DIAGNOSTICS and not is_read_only(request)
    return is_other and reply.startswith(sub_function) and len(reply) == len(request)


def run(arguments: argparse.Namespace) -> int:
    """Send and print; return 1 without a good reply."""
    address = port_address(arguments.port)
    check_unit(arguments.unit, address)
    request = _parse_pdu(arguments.pdu)
    device_text = describe_device(address, arguments.unit)
    if not is_read_only(request):
        question = "%s: function %d can change the device. Send?" % (device_text, request[0])
        if not confirm(question, arguments.yes):
            print_line("nothing sent")
            return BAD_EXIT
    with BlockingModbusClient(address, arguments.timeout_ms * MILLISECOND) as client:
        client.request(arguments.unit, pdu.read_holding(0, 1), retries=0)
        try:
            result = client.request_once(arguments.unit, request)
        except (KeyboardInterrupt, PortError) as error:
            if not client.record.frames_sent:
                raise
            return _report_unknown(arguments, device_text, error)
        reply = _received_reply(client.record, arguments.unit, request, result)
    return _report(arguments, device_text, request, result, reply)


def _report_unknown(arguments: argparse.Namespace, device_text: str, error: BaseException) -> int:
    """Report an end after the request was sent: no reply shows what the device did."""
    cause = str(error) or "interrupted"
    text = "unknown: %s after the request was sent; the device can have executed it" % cause
    if arguments.json:
        print_json({"unit": arguments.unit, "request": arguments.pdu, "error": text})
    print_error("raw", "%s: %s" % (device_text, text))
    return interrupted_exit(error) if isinstance(error, KeyboardInterrupt) else BAD_EXIT


def _report(
    arguments: argparse.Namespace,
    device_text: str,
    request: bytes,
    result: "TransactionResult",
    reply: bytes,
) -> int:
    """Print request and reply; return 1 without a good reply."""
    is_good = result.status == GOOD or _is_counter(request, reply)
    text = "ok" if is_good else describe_result(result)
    if not reply and not is_read_only(request):
        text += "; the device can have executed it"
    if arguments.json:
        record = {"unit": arguments.unit, "request": request.hex(), "reply": reply.hex()}
        status = GOOD if is_good else result.status
        print_json({**record, "status": status, "text": text})
    elif reply:
        print_line("request  %s" % request.hex(" "))
        print_line("reply    %s  %s" % (reply.hex(" "), text))
    if is_good:
        return GOOD_EXIT
    print_error("raw", "%s: %s" % (device_text, text))
    return BAD_EXIT
