"""Modbus requests as bytes, and the verdict on a reply: what both framings carry.

A PDU is a function code and its data, without unit, CRC or header ("MODBUS Application Protocol
Specification V1.1b3", section 4.1). Here are the requests of functions 3, 4, 6 and 16, and what a
good reply to each must begin with. It is not a framer and keeps no state.

How a reply is judged: everything that a request fixes in advance is one prefix, `reply_head`:
function and byte count of a read, or function, address and value (or count) that a write echoes. A
reply that has that prefix and the right length is good; else a table names what differs.
"""

import struct

from protocols.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Answer = tuple[str, int, tuple[int, ...]]

READ_HOLDING = 3
READ_INPUT = 4
WRITE_SINGLE = 6
WRITE_MULTIPLE = 16
READS = (READ_HOLDING, READ_INPUT)

MAX_READ = 125
"""Registers in one read (section 6.3)."""
MAX_WRITE = 123
"""Registers in one write (section 6.12)."""

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

_FORMATS = tuple([">%dH" % count for count in range(MAX_READ + 1)])


def _check(what: str, value: int, low: int, high: int) -> None:
    """Refuse what `struct` would wrap silently on MicroPython."""
    if type(value) is not int or not low <= value <= high:
        raise EncodeError("%s %r is not %d to %d" % (what, value, low, high))


def _read(function: int, address: int, count: int) -> bytes:
    _check("address", address, 0, 65535)
    _check("count", count, 1, MAX_READ)
    _check("last address", address + count - 1, 0, 65535)
    return struct.pack(">BHH", function, address, count)


def read_holding(address: int, count: int) -> bytes:
    """Function 3: `count` (1 to 125) holding registers from `address` (0 to 65535, as on the wire).

    Raises `EncodeError` that names the limit.
    """
    return _read(READ_HOLDING, address, count)


def read_input(address: int, count: int) -> bytes:
    """Function 4: `count` (1 to 125) input registers from `address`. Raises `EncodeError`."""
    return _read(READ_INPUT, address, count)


def write_single(address: int, value: int) -> bytes:
    """Function 6: one register, `value` 0 to 65535. Raises `EncodeError`."""
    _check("address", address, 0, 65535)
    _check("value", value, 0, 65535)
    return struct.pack(">BHH", WRITE_SINGLE, address, value)


def write_multiple(address: int, values: "Sequence[int]") -> bytes:
    """Function 16: 1 to 123 registers from `address`, each 0 to 65535. Raises `EncodeError`."""
    count = len(values)
    _check("address", address, 0, 65535)
    _check("count", count, 1, MAX_WRITE)
    _check("last address", address + count - 1, 0, 65535)
    for value in values:
        _check("value", value, 0, 65535)
    head = struct.pack(">BHHB", WRITE_MULTIPLE, address, count, 2 * count)
    return head + struct.pack(_FORMATS[count], *values)


def reply_head(request: bytes) -> bytes:
    """What every good reply to `request` begins with."""
    if request[0] in READS:
        return bytes((request[0], 2 * request[4]))
    return request[:5]


def reply_length(request: bytes) -> int:
    """The length of a good reply to `request`, in bytes of PDU."""
    return 2 + 2 * request[4] if request[0] in READS else 5


def unpack(frame: bytes, offset: int, count: int) -> "tuple[int, ...]":
    """`count` (up to 125) registers of `frame` from byte `offset`, each 0 to 65535."""
    return struct.unpack_from(_FORMATS[count], frame, offset)


def judge(request: bytes, reply: bytes) -> "Answer":
    """Say what `reply` is to `request`: (verdict, exception code, registers).

    The verdict is "ok" (registers for a read, none for a write), "exception" (with its code) or the
    name of what does not match: "empty", "function", "exception length", "length", "byte count",
    "address echo", "value echo", "count echo".
    """
    if not reply:
        return ("empty", 0, ())
    function = request[0]
    if reply[0] == function | 0x80:
        return (EXCEPTION, reply[1], ()) if len(reply) == 2 else ("exception length", 0, ())
    if reply[0] != function:
        return ("function", 0, ())
    if function in READS:
        return _judge_read(request, reply)
    return _judge_write(request, reply)


def _judge_read(request: bytes, reply: bytes) -> "Answer":
    if len(reply) < 2 or len(reply) != 2 + reply[1]:
        return ("length", 0, ())
    if reply[1] != 2 * request[4]:
        return ("byte count", 0, ())
    return (GOOD, 0, unpack(reply, 2, request[4]))


def _judge_write(request: bytes, reply: bytes) -> "Answer":
    if len(reply) != 5:
        return ("length", 0, ())
    if reply == request[:5]:
        return (GOOD, 0, ())
    if reply[1:3] != request[1:3]:
        return ("address echo", 0, ())
    return ("value echo" if request[0] == WRITE_SINGLE else "count echo", 0, ())
