# SPDX-License-Identifier: Apache-2.0
"""Modbus PDUs: builds requests and checks replies. Common to RTU and TCP framing.

A PDU is a function code and its data, without unit, CRC or header ("MODBUS Application Protocol
Specification V1.1b3", section 4.1; all section numbers below refer to it). The module has the
requests of functions 1 to 6, 8/0, 15 to 17, 22, 23 and 43/14, and the start of a good reply to
each. Does not frame and keeps no state; see `protocols.modbus.rtu` and `protocols.modbus.tcp`.

A reply is checked as follows. `reply_prefix` is the part of a reply that the request determines:
function and byte count of a read, or the echo of a write. A reply with this prefix and the right
length is good. Otherwise a table names the difference. There are two tables: functions with a byte
count and functions with an echo. The length of a reply to 17 or 43/14 is not known in advance; its
own bytes determine it (`expected_length`). For a function outside the tables the caller must know
the end of the reply.
"""

import struct

from protocols.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    ReplyResult = tuple[str, int, tuple[int, ...]]

READ_COILS = 1
READ_DISCRETE = 2
READ_HOLDING = 3
READ_INPUT = 4
WRITE_COIL = 5
WRITE_SINGLE = 6
DIAGNOSTICS = 8
WRITE_COILS = 15
WRITE_MULTIPLE = 16
REPORT_ID = 17
MASK_WRITE = 22
READ_WRITE = 23
DEVICE_ID = 43
READS = (READ_HOLDING, READ_INPUT)
"""The functions that only read registers."""
BIT_READS = (READ_COILS, READ_DISCRETE)
"""The functions that read single bits."""
WRITES = (WRITE_COIL, WRITE_SINGLE, WRITE_COILS, WRITE_MULTIPLE, MASK_WRITE, READ_WRITE)
"""The functions that write coils or registers."""

MAX_READ = 125
"""Registers in one read (section 6.3)."""
MAX_WRITE = 123
"""Registers in one write (section 6.12)."""
MAX_READ_BITS = 2000
"""Coils or discrete inputs in one read (section 6.1)."""
MAX_WRITE_BITS = 1968
"""Coils in one write (section 6.11)."""
MAX_READ_WRITE = 121
"""Registers written by function 23 (section 6.17)."""
MAX_PDU = 253

GOOD = "ok"
EXCEPTION = "exception"

MEI = 14
"""Interface of function 43 that reads the identification of a device (section 6.21)."""
UNSIZED = (REPORT_ID, DEVICE_ID)
"""Functions whose reply gives its own length."""
_REPORT_SIZE = 2
_ID_HEADER_SIZE = 7  # function, interface, code, conformity, more, next object, number of objects
FORMATS: "dict[int, str]" = {}
"""`struct` format by number of registers; filled on demand to save heap on a board."""
_BYTE_BITS: "list[tuple[int, ...]]" = []


def struct_format(count: int) -> str:
    """Return the `struct` format of `count` registers."""
    if count not in FORMATS:
        FORMATS[count] = ">%dH" % count
    return FORMATS[count]


def _check(name: str, value: int, low: int, high: int) -> None:
    """Reject a value that `struct` on MicroPython wraps without an error."""
    if type(value) is not int or not low <= value <= high:
        raise EncodeError("%s %r is not %d to %d" % (name, value, low, high))


def _check_span(address: int, count: int, max_count: int) -> None:
    _check("address", address, 0, 65535)
    _check("count", count, 1, max_count)
    _check("last address", address + count - 1, 0, 65535)


def _check_values(values: "Sequence[int]", high: int) -> None:
    for value in values:
        _check("value", value, 0, high)


def read(function: int, address: int, count: int) -> bytes:
    """Functions 1 to 4: `count` coils, discrete inputs (up to 2000), holding or input registers (up
    to 125) from `address` (0 to 65535, as on the wire). Raises `EncodeError` that names the limit.
    """
    _check("function", function, READ_COILS, READ_INPUT)
    _check_span(address, count, MAX_READ if function in READS else MAX_READ_BITS)
    return struct.pack(">BHH", function, address, count)


def read_coils(address: int, count: int) -> bytes:
    """Function 1: `count` (1 to 2000) coils from `address`. Raises `EncodeError`."""
    return read(READ_COILS, address, count)


def read_discrete(address: int, count: int) -> bytes:
    """Function 2: `count` (1 to 2000) discrete inputs from `address`. Raises `EncodeError`."""
    return read(READ_DISCRETE, address, count)


def read_holding(address: int, count: int) -> bytes:
    """Function 3: `count` (1 to 125) holding registers from `address`. Raises `EncodeError`."""
    return read(READ_HOLDING, address, count)


def read_input(address: int, count: int) -> bytes:
    """Function 4: `count` (1 to 125) input registers from `address`. Raises `EncodeError`."""
    return read(READ_INPUT, address, count)


def write_coil(address: int, value: int) -> bytes:
    """Function 5: one coil, `value` 0 or 1. Raises `EncodeError`."""
    _check("address", address, 0, 65535)
    _check("value", value, 0, 1)
    return struct.pack(">BHH", WRITE_COIL, address, 0xFF00 * value)


def write_single(address: int, value: int) -> bytes:
    """Function 6: one register, `value` 0 to 65535. Raises `EncodeError`."""
    _check("address", address, 0, 65535)
    _check("value", value, 0, 65535)
    return struct.pack(">BHH", WRITE_SINGLE, address, value)


def write_coils(address: int, values: "Sequence[int]") -> bytes:
    """Function 15: 1 to 1968 coils from `address`, each 0 or 1. Raises `EncodeError`."""
    count = len(values)
    _check_span(address, count, MAX_WRITE_BITS)
    _check_values(values, 1)
    body = bytearray((count + 7) // 8)
    for index, value in enumerate(values):
        body[index >> 3] |= value << (index & 7)
    return struct.pack(">BHHB", WRITE_COILS, address, count, len(body)) + bytes(body)


def write_multiple(address: int, values: "Sequence[int]") -> bytes:
    """Function 16: 1 to 123 registers from `address`, each 0 to 65535. Raises `EncodeError`."""
    count = len(values)
    _check_span(address, count, MAX_WRITE)
    _check_values(values, 65535)
    head = struct.pack(">BHHB", WRITE_MULTIPLE, address, count, 2 * count)
    return head + struct.pack(struct_format(count), *values)


def mask_write(address: int, and_mask: int, or_mask: int) -> bytes:
    """Function 22: register = (register AND `and_mask`) OR (`or_mask` AND NOT `and_mask`), section
    6.16. Raises `EncodeError`.
    """
    _check("address", address, 0, 65535)
    _check("and mask", and_mask, 0, 65535)
    _check("or mask", or_mask, 0, 65535)
    return struct.pack(">BHHH", MASK_WRITE, address, and_mask, or_mask)


def read_write(address: int, count: int, write_address: int, values: "Sequence[int]") -> bytes:
    """Function 23: write `values` (1 to 121) from `write_address`, then read `count` (1 to 125)
    registers from `address`, in one transaction. Raises `EncodeError`.
    """
    _check_span(address, count, MAX_READ)
    _check_span(write_address, len(values), MAX_READ_WRITE)
    _check_values(values, 65535)
    size = len(values)
    head = struct.pack(">BHHHHB", READ_WRITE, address, count, write_address, size, 2 * size)
    return head + struct.pack(struct_format(size), *values)


def read_device_id(code: int = 1, first_object: int = 0) -> bytes:
    """Function 43/14: read device identification, from object `first_object` (0 to 255) on.

    `code`: 1 basic (0 vendor, 1 product code, 2 revision), 2 regular, 3 extended, 4 one object.
    `parse_objects` reads the values of the reply. Raises `EncodeError`.
    """
    _check("code", code, 1, 4)
    _check("object", first_object, 0, 255)
    return bytes((DEVICE_ID, MEI, code, first_object))


def diagnostics_echo(data: int) -> bytes:
    """Function 8, sub-function 0: the device returns `data` (0 to 65535), section 6.8.

    No other sub-function is offered: some of them restart a device or silence it. Raises
    `EncodeError`.
    """
    _check("data", data, 0, 65535)
    return struct.pack(">BHH", DIAGNOSTICS, 0, data)


def report_server_id() -> bytes:
    """Function 17: the name of the device in its own format, and its run indicator (6.13)."""
    return bytes((REPORT_ID,))


# Shape of the reply by function: reads have a byte count, writes have an echo.


def _bit_bytes(request: bytes) -> int:
    return ((request[3] << 8 | request[4]) + 7) >> 3


def _register_bytes(request: bytes) -> int:
    return 2 * request[4]


_BYTE_COUNT_OF = {
    READ_COILS: _bit_bytes,
    READ_DISCRETE: _bit_bytes,
    READ_HOLDING: _register_bytes,
    READ_INPUT: _register_bytes,
    READ_WRITE: _register_bytes,
}
# function -> echoed fields after the function code, two bytes each
_ECHO_FIELDS = {
    WRITE_COIL: ("address echo", "value echo"),
    WRITE_SINGLE: ("address echo", "value echo"),
    DIAGNOSTICS: ("sub-function echo", "data echo"),
    WRITE_COILS: ("address echo", "count echo"),
    WRITE_MULTIPLE: ("address echo", "count echo"),
    MASK_WRITE: ("address echo", "and mask echo", "or mask echo"),
}


def reply_prefix(request: bytes) -> bytes:
    """Return the first bytes of every good reply to `request`.

    The request can be that of another master, with any count.
    """
    function = request[0]
    if function in _BYTE_COUNT_OF:
        return bytes((function, _BYTE_COUNT_OF[function](request) & 0xFF))
    if function in _ECHO_FIELDS:
        return request[: 1 + 2 * len(_ECHO_FIELDS[function])]
    return request[:3] if function == DEVICE_ID else request[:1]


def is_sized(function: int) -> bool:
    """Return whether the end of a reply to `function` is known, in advance or from its bytes."""
    return function in _BYTE_COUNT_OF or function in _ECHO_FIELDS or function in UNSIZED


def reply_length(request: bytes) -> int:
    """Return the length of a good reply to `request`, in bytes of PDU.

    For 17 and 43/14 this is the minimum; `expected_length` gives the length from the received
    bytes. For an unknown function it is 1.
    """
    function = request[0]
    if function in _BYTE_COUNT_OF:
        return 2 + _BYTE_COUNT_OF[function](request)
    if function in _ECHO_FIELDS:
        return 1 + 2 * len(_ECHO_FIELDS[function])
    if function == DEVICE_ID:
        return _ID_HEADER_SIZE
    return _REPORT_SIZE if function == REPORT_ID else 1


def expected_length(request: bytes, reply: bytes) -> int:
    """Return the length of the good reply to `request` that starts with `reply`.

    A result above `len(reply)` is a lower bound: the next part of the length needs so many bytes.
    The result is at most 253, so that every wait ends.
    """
    end, size = _ID_HEADER_SIZE, len(reply)
    if request[0] == REPORT_ID:
        return min(_REPORT_SIZE + (reply[1] if size >= _REPORT_SIZE else 0), MAX_PDU)
    if request[0] != DEVICE_ID:
        return reply_length(request)
    if size < end:
        return end
    for _ in range(reply[6]):
        if size < end + 2:
            end += 2
            break
        end += 2 + reply[end + 1]
    return min(end, MAX_PDU)


def unpack_registers(frame: bytes, offset: int, count: int) -> "tuple[int, ...]":
    """Return `count` (up to 125) registers of `frame` from byte `offset`, each 0 to 65535."""
    return struct.unpack_from(struct_format(count), frame, offset)


def _byte_bits() -> "list[tuple[int, ...]]":
    """Return the eight bits of every byte, lowest first; built on the first read of bits."""
    if not _BYTE_BITS:
        _BYTE_BITS.extend([tuple([byte >> bit & 1 for bit in range(8)]) for byte in range(256)])
    return _BYTE_BITS


def reply_values(request: bytes, reply: bytes, offset: int = 0) -> "tuple[int, ...]":
    """Return the values of a good reply (a PDU that starts at byte `offset`).

    Registers of a read, single bits (0 or 1) of functions 1 and 2, for 43/14 the bytes after its
    code (see `parse_objects`), for 17 the bytes after the byte count, for an unknown function all
    bytes after its code, nothing of a write.
    """
    function = request[0]
    if function in READS or function == READ_WRITE:
        return unpack_registers(reply, offset + 2, request[4])
    if function in BIT_READS:
        byte_bits = _byte_bits()
        count = request[3] << 8 | request[4]
        bits: list[int] = []
        for byte in reply[offset + 2 : offset + 2 + _bit_bytes(request)]:
            bits.extend(byte_bits[byte])
        return tuple(bits[:count])
    if function in _ECHO_FIELDS:
        return ()
    skipped = 3 if function == DEVICE_ID else 2 if function == REPORT_ID else 1
    return tuple(reply[offset + skipped :])


def parse_objects(values: "Sequence[int]") -> "tuple[list[tuple[int, bytes]], int]":
    """Return the objects (number, content) of a 43/14 reply and the next object (0: no more).

    A device can announce more objects than its reply has; the list then ends early.
    """
    found: list[tuple[int, bytes]] = []
    at = 4
    if len(values) < at:
        return found, 0
    for _ in range(values[3]):
        if at + 2 > len(values):
            break
        end = at + 2 + values[at + 1]
        found.append((values[at], bytes(values[at + 2 : end])))
        at = end
    return found, values[2] if values[1] else 0


def check_reply(request: bytes, reply: bytes) -> "ReplyResult":
    """Check `reply` against `request`; return (verdict, exception code, values).

    The verdict is "ok" (with the values of `reply_values`), "exception" (with its code) or the name
    of the mismatch: "empty", "function", "exception length", "length", "byte count", "address
    echo", "value echo", "count echo", "and mask echo", "or mask echo", "interface", "code".
    """
    if not reply:
        return ("empty", 0, ())
    function = request[0]
    if reply[0] == function | 0x80:
        return (EXCEPTION, reply[1], ()) if len(reply) == 2 else ("exception length", 0, ())
    if reply[0] != function:
        return ("function", 0, ())
    if function in _BYTE_COUNT_OF:
        mismatch = _check_counted(request, reply)
    elif function in _ECHO_FIELDS:
        mismatch = _check_echo(request, reply)
    elif function == DEVICE_ID:
        mismatch = _check_device_id(request, reply)
    else:
        mismatch = ""
        if function == REPORT_ID and len(reply) != expected_length(request, reply):
            mismatch = "length"
    return (mismatch, 0, ()) if mismatch else (GOOD, 0, reply_values(request, reply))


def _check_counted(request: bytes, reply: bytes) -> str:
    if len(reply) < 2 or len(reply) != 2 + reply[1]:
        return "length"
    return "" if reply[1] == _BYTE_COUNT_OF[request[0]](request) else "byte count"


def _check_echo(request: bytes, reply: bytes) -> str:
    names = _ECHO_FIELDS[request[0]]
    if len(reply) != 1 + 2 * len(names):
        return "length"
    for index, name in enumerate(names):
        at = 1 + 2 * index
        if reply[at : at + 2] != request[at : at + 2]:
            return name
    return ""


def _check_device_id(request: bytes, reply: bytes) -> str:
    if len(reply) < _ID_HEADER_SIZE or len(reply) != expected_length(request, reply):
        return "length"
    if reply[1] != MEI:
        return "interface"
    return "" if reply[2] == request[2] else "code"
