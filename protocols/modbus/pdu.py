"""Modbus requests as bytes, and the verdict on a reply: what both framings carry.

A PDU is a function code and its data, without unit, CRC or header ("MODBUS Application Protocol
Specification V1.1b3", section 4.1; the numbers of sections below are its). Here are the requests of
functions 1 to 6, 15, 16, 22, 23 and 43/14, and what a good reply to each must begin with. It is not
a framer and keeps no state.

How a reply is judged: everything that a request fixes in advance is one prefix, `reply_head`:
function and byte count of a read, or what a write echoes. A reply that has that prefix and the
right length is good; else a table names what differs. Two tables, one of the functions that read
and one of those that echo, say how; only 43/14, whose reply has no length known in advance, is
walked through (`measure`).
"""

import struct

from protocols.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Answer = tuple[str, int, tuple[int, ...]]

READ_COILS = 1
READ_DISCRETE = 2
READ_HOLDING = 3
READ_INPUT = 4
WRITE_COIL = 5
WRITE_SINGLE = 6
WRITE_COILS = 15
WRITE_MULTIPLE = 16
MASK_WRITE = 22
READ_WRITE = 23
DEVICE_ID = 43
READS = (READ_HOLDING, READ_INPUT)
"""The functions that read registers and nothing else."""
BIT_READS = (READ_COILS, READ_DISCRETE)
"""The functions that read single bits."""

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

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}
"""Exception codes in words (section 7)."""

_MEI = 14  # "read device identification" among the interfaces of function 43 (section 6.21)
_ID_HEAD = 7  # function, interface, code, conformity, more, next object, number of objects
FORMATS: "dict[int, str]" = {}
"""How so many registers are packed; made when first needed, as a board's heap is small."""
_BIT_ROWS: "list[tuple[int, ...]]" = []


def form(count: int) -> str:
    """The format of `count` registers for `struct`."""
    if count not in FORMATS:
        FORMATS[count] = ">%dH" % count
    return FORMATS[count]


def _check(what: str, value: int, low: int, high: int) -> None:
    """Refuse what `struct` would wrap silently on MicroPython."""
    if type(value) is not int or not low <= value <= high:
        raise EncodeError("%s %r is not %d to %d" % (what, value, low, high))


def _check_span(address: int, count: int, most: int) -> None:
    _check("address", address, 0, 65535)
    _check("count", count, 1, most)
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
    for place, value in enumerate(values):
        body[place >> 3] |= value << (place & 7)
    return struct.pack(">BHHB", WRITE_COILS, address, count, len(body)) + bytes(body)


def write_multiple(address: int, values: "Sequence[int]") -> bytes:
    """Function 16: 1 to 123 registers from `address`, each 0 to 65535. Raises `EncodeError`."""
    count = len(values)
    _check_span(address, count, MAX_WRITE)
    _check_values(values, 65535)
    head = struct.pack(">BHHB", WRITE_MULTIPLE, address, count, 2 * count)
    return head + struct.pack(form(count), *values)


def mask_write(address: int, keep: int, put: int) -> bytes:
    """Function 22: register = (register AND `keep`) OR (`put` AND NOT `keep`), section 6.16."""
    _check("address", address, 0, 65535)
    _check("and mask", keep, 0, 65535)
    _check("or mask", put, 0, 65535)
    return struct.pack(">BHHH", MASK_WRITE, address, keep, put)


def read_write(address: int, count: int, target: int, values: "Sequence[int]") -> bytes:
    """Function 23: write `values` (1 to 121) from `target`, then read `count` (1 to 125) registers
    from `address`, in one transaction. Raises `EncodeError`.
    """
    _check_span(address, count, MAX_READ)
    _check_span(target, len(values), MAX_READ_WRITE)
    _check_values(values, 65535)
    size = len(values)
    head = struct.pack(">BHHHHB", READ_WRITE, address, count, target, size, 2 * size)
    return head + struct.pack(form(size), *values)


def read_device_id(code: int = 1, first: int = 0) -> bytes:
    """Function 43/14: the device says who it is, from object `first` (0 to 255) on.

    `code`: 1 basic (0 maker, 1 product code, 2 revision), 2 regular, 3 extended, 4 one object.
    `objects` reads the values of the answer. Raises `EncodeError`.
    """
    _check("code", code, 1, 4)
    _check("object", first, 0, 255)
    return bytes((DEVICE_ID, _MEI, code, first))


# What the reply to a request looks like, by function: reads have a byte count, writes an echo.


def _bit_bytes(request: bytes) -> int:
    return ((request[3] << 8 | request[4]) + 7) >> 3


def _register_bytes(request: bytes) -> int:
    return 2 * request[4]


_COUNTED = {
    READ_COILS: _bit_bytes,
    READ_DISCRETE: _bit_bytes,
    READ_HOLDING: _register_bytes,
    READ_INPUT: _register_bytes,
    READ_WRITE: _register_bytes,
}
# function -> what it echoes, two bytes each, behind its own code
_ECHOED = {
    WRITE_COIL: ("address echo", "value echo"),
    WRITE_SINGLE: ("address echo", "value echo"),
    WRITE_COILS: ("address echo", "count echo"),
    WRITE_MULTIPLE: ("address echo", "count echo"),
    MASK_WRITE: ("address echo", "and mask echo", "or mask echo"),
}


def reply_head(request: bytes) -> bytes:
    """What every good reply to `request` begins with."""
    function = request[0]
    if function in _COUNTED:
        return bytes((function, _COUNTED[function](request)))
    if function in _ECHOED:
        return request[: 1 + 2 * len(_ECHOED[function])]
    return request[:3]


def reply_length(request: bytes) -> int:
    """The length of a good reply to `request`, in bytes of PDU.

    For 43/14 the shortest there is; `measure` knows the rest once bytes are there.
    """
    function = request[0]
    if function in _COUNTED:
        return 2 + _COUNTED[function](request)
    return 1 + 2 * len(_ECHOED[function]) if function in _ECHOED else _ID_HEAD


def measure(request: bytes, reply: bytes) -> int:
    """How long the good reply to `request` is that begins with `reply`, as far as is known.

    More than `len(reply)`: so many bytes are needed to know more. At most 253: what would be longer
    is cut there, so that no wait is endless.
    """
    if request[0] != DEVICE_ID:
        return reply_length(request)
    end, size = _ID_HEAD, len(reply)
    if size < end:
        return end
    for _ in range(reply[6]):
        if size < end + 2:
            end += 2
            break
        end += 2 + reply[end + 1]
    return min(end, MAX_PDU)


def unpack(frame: bytes, offset: int, count: int) -> "tuple[int, ...]":
    """`count` (up to 125) registers of `frame` from byte `offset`, each 0 to 65535."""
    return struct.unpack_from(form(count), frame, offset)


def _bit_rows() -> "list[tuple[int, ...]]":
    """The eight bits of every byte, lowest first; made when bits are first read."""
    if not _BIT_ROWS:
        _BIT_ROWS.extend([tuple([byte >> bit & 1 for bit in range(8)]) for byte in range(256)])
    return _BIT_ROWS


def values_of(request: bytes, reply: bytes, at: int = 0) -> "tuple[int, ...]":
    """What a good reply (a PDU that begins at byte `at`) holds.

    Registers of a read, single bits (0 or 1) of functions 1 and 2, for 43/14 the bytes behind its
    code (see `objects`), none of a write.
    """
    function = request[0]
    if function in READS or function == READ_WRITE:
        return unpack(reply, at + 2, request[4])
    if function in BIT_READS:
        rows = _bit_rows()
        count = request[3] << 8 | request[4]
        bits: list[int] = []
        for byte in reply[at + 2 : at + 2 + _bit_bytes(request)]:
            bits.extend(rows[byte])
        return tuple(bits[:count])
    return tuple(reply[at + 3 :]) if function == DEVICE_ID else ()


def objects(values: "Sequence[int]") -> "tuple[list[tuple[int, bytes]], int]":
    """The objects (number, content) of an answer to 43/14, and which to ask next (0: no more)."""
    found = []
    at = 4
    for _ in range(values[3]):
        end = at + 2 + values[at + 1]
        found.append((values[at], bytes(values[at + 2 : end])))
        at = end
    return found, values[2] if values[1] else 0


def judge(request: bytes, reply: bytes) -> "Answer":
    """Say what `reply` is to `request`: (verdict, exception code, values).

    The verdict is "ok" (with `values_of` it), "exception" (with its code) or the name of what does
    not match: "empty", "function", "exception length", "length", "byte count", "address echo",
    "value echo", "count echo", "and mask echo", "or mask echo", "interface", "code".
    """
    if not reply:
        return ("empty", 0, ())
    function = request[0]
    if reply[0] == function | 0x80:
        return (EXCEPTION, reply[1], ()) if len(reply) == 2 else ("exception length", 0, ())
    if reply[0] != function:
        return ("function", 0, ())
    if function in _COUNTED:
        fault = _judge_counted(request, reply)
    elif function in _ECHOED:
        fault = _judge_echo(request, reply)
    else:
        fault = _judge_device_id(request, reply)
    return (fault, 0, ()) if fault else (GOOD, 0, values_of(request, reply))


def _judge_counted(request: bytes, reply: bytes) -> str:
    if len(reply) < 2 or len(reply) != 2 + reply[1]:
        return "length"
    return "" if reply[1] == _COUNTED[request[0]](request) else "byte count"


def _judge_echo(request: bytes, reply: bytes) -> str:
    names = _ECHOED[request[0]]
    if len(reply) != 1 + 2 * len(names):
        return "length"
    for place, name in enumerate(names):
        at = 1 + 2 * place
        if reply[at : at + 2] != request[at : at + 2]:
            return name
    return ""


def _judge_device_id(request: bytes, reply: bytes) -> str:
    if len(reply) < _ID_HEAD or len(reply) != measure(request, reply):
        return "length"
    if reply[1] != _MEI:
        return "interface"
    return "" if reply[2] == request[2] else "code"
