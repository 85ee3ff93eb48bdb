# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus raw`: send one request PDU as hexadecimal digits, and show the reply PDU.

Frames the PDU for the wire (unit, CRC or LRC or header). Does not check its content. A function
that can write asks for confirmation. For an unknown function on RTU, the CRC alone shows the end of
the reply. On a line, a read of register 0 goes before a request whose reply can be equal to it: the
reply to the read shows whether the line returns the sent bytes.
"""

import argparse

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
    print_error,
    print_json,
    print_line,
)
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from drivers.tools.modbus_read import check_unit
from protocols.modbus import pdu
from protocols.modbus.pdu import EXCEPTION, GOOD, MAX_PDU
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.bus import TransactionResult

EXAMPLE = "coldloop modbus raw /dev/ttyUSB0?baud=19200 12 '08 00 00 12 34'"
_HARMLESS = (*pdu.BIT_READS, *pdu.READS, pdu.REPORT_ID, pdu.DEVICE_ID, 7, 11, 12, 20, 24)
_RETURN_QUERY = b"\x08\x00\x00"
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


def _reply_bytes(request: bytes, result: "TransactionResult") -> bytes:
    """Return the reply PDU as received, as far as the values keep it."""
    function, values = request[0], result.values
    if result.status == EXCEPTION:
        return bytes((function | 0x80, result.code))
    if function in pdu.READS or function == pdu.READ_WRITE:
        words = b"".join(bytes((value >> 8, value & 0xFF)) for value in values)
        return bytes((function, len(words) & 0xFF)) + words
    if function in pdu.BIT_READS:
        packed = bytearray((len(values) + 7) // 8)
        for index, value in enumerate(values):
            packed[index >> 3] |= value << (index & 7)
        return bytes((function, len(packed))) + bytes(packed)
    if function == pdu.DEVICE_ID:
        return request[:2] + request[2:3] + bytes(values)
    if function == pdu.REPORT_ID:
        return bytes((function, len(values))) + bytes(values)
    if function in _MIN_LENGTHS:  # a confirmation: the start of the request
        return pdu.reply_prefix(request)
    return bytes((function, *values))


def run(arguments: argparse.Namespace) -> int:
    """Send and print; return 1 without a good reply."""
    address = port_address(arguments.port)
    check_unit(arguments.unit, address)
    request = _parse_pdu(arguments.pdu)
    device_text = describe_device(address, arguments.unit)
    if request[0] not in _HARMLESS and not request.startswith(_RETURN_QUERY):
        question = "%s: function %d can change the device. Send?" % (device_text, request[0])
        if not confirm(question, arguments.yes):
            print_line("nothing sent")
            return BAD_EXIT
    with BlockingModbusClient(address, arguments.timeout_ms * MILLISECOND) as client:
        if request[0] not in pdu.READS and not client.echo_is_known:
            # Any reply to this read shows whether the line returns the sent bytes.
            client.request(arguments.unit, pdu.read_holding(0, 1), retries=0)
        result = client.request(arguments.unit, request, retries=0)
    has_reply = result.status in (GOOD, EXCEPTION)
    reply = _reply_bytes(request, result) if has_reply else b""
    text = describe_result(result)
    if arguments.json:
        record = {"unit": arguments.unit, "request": request.hex(), "reply": reply.hex()}
        print_json({**record, "status": result.status, "text": text})
    elif has_reply:
        print_line("request  %s" % request.hex(" "))
        print_line("reply    %s  %s" % (reply.hex(" "), text))
    if result.status == GOOD:
        return GOOD_EXIT
    print_error("raw", "%s: %s" % (device_text, text))
    return BAD_EXIT
