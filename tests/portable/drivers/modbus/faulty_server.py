# SPDX-License-Identifier: Apache-2.0
"""A scripted Modbus server with all faults of the fault table.

Not a test. It implements the table of faults of docs/engineer/modbus.md. The tests use it in
virtual time. benchmarks/modbus/peers.py uses it in real time, over a pseudo-terminal or a socket.
One request gets a fault, the other requests do not. The value of a register encodes its unit and
its address.
"""

import struct

from protocols.modbus.crc import crc16, with_crc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Script = list[tuple[int, bytes]]

TURNAROUND = 5_000
LIMIT = 205_000
"""After the timeout of every client, in microseconds after the request."""
LATE = (30_000, 470_000)
"""Time of a late reply: minimum in microseconds after the request, and additional range."""


class FaultLcg:
    """A random generator with the same numbers on every interpreter (constants of Numerical
    Recipes).
    """

    def __init__(self, seed: int) -> None:
        self.state = (seed * 2654435761 + 12345) & 0xFFFFFFFF

    def below(self, n: int) -> int:
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % n

    def data(self, n: int) -> bytes:
        return bytes([self.below(256) for _ in range(n)])


def register(unit: int, address: int) -> int:
    """Return the value of a register."""
    return (unit * 7919 + address * 31 + 17) & 0xFFFF


def registers(unit: int, address: int, count: int) -> "tuple[int, ...]":
    """Return the values of a read."""
    return tuple([register(unit, address + i) for i in range(count)])


class FaultyServer:
    """Answers requests of one framing; `script` gives the bytes and times of a reply.

    A script is a list of (microseconds after the request, bytes).
    """

    def __init__(self, framing: str, seed: int) -> None:
        self.rtu = framing == "rtu"
        self.lcg = FaultLcg(seed)
        self.other = 0

    def parse(self, frame: bytes) -> "tuple[int, int, int, int, int]":
        """Return (transaction, unit, function, address, count) of a request."""
        if self.rtu:
            unit, function, address, count = struct.unpack(">BBHH", frame[:6])
            return (0, unit, function, address, count)
        tid, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", frame[:12])
        return (tid, unit, function, address, count)

    def wrap(self, tid: int, unit: int, body: bytes, protocol: int = 0) -> bytes:
        """Return a PDU as a frame."""
        if self.rtu:
            return with_crc(bytes((unit,)) + body)
        return struct.pack(">HHHB", tid, protocol, len(body) + 1, unit) + body

    def body(self, unit: int, function: int, address: int, count: int) -> bytes:
        """Return the PDU of a good reply."""
        values = registers(unit, address, count)
        return struct.pack(">BB%dH" % count, function, 2 * count, *values)

    def good_reply(self, frame: bytes) -> bytes:
        """Return the good reply to a request."""
        tid, unit, function, address, count = self.parse(frame)
        return self.wrap(tid, unit, self.body(unit, function, address, count))

    def script(self, fault: str, frame: bytes) -> "Script":
        """Return the script of the reply to a request with a fault."""
        return FAULTS[fault](self, frame, self.good_reply(frame))


def _normal_reply(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return [(TURNAROUND, good)]


def _no_reply(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return []


def _script_late(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return [(LATE[0] + server.lcg.below(LATE[1]), good)]


def _script_late_twice(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    at = LIMIT + server.lcg.below(200_000)
    return [(at, good), (at + 20_000 + server.lcg.below(40_000), good)]


def _script_duplicate(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return [(TURNAROUND, good), (TURNAROUND + server.lcg.below(4_000), good)]


def _script_two_in_one(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return [(TURNAROUND, good + good)]


def _wrong_unit(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    tid, unit, function, address, count = server.parse(frame)
    other = 1 + (unit + server.lcg.below(240)) % 246
    return [(TURNAROUND, server.wrap(tid, other, server.body(other, function, address, count)))]


def _wrong_function(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    tid, unit, function, address, count = server.parse(frame)
    body = server.body(unit, function ^ 7, address + 9, count)
    return [(TURNAROUND, server.wrap(tid, unit, body))]


def _wrong_count(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    tid, unit, function, address, count = server.parse(frame)
    short = 1 + server.lcg.below(count - 1)
    body = server.body(unit, function, address, short)
    return [(TURNAROUND, server.wrap(tid, unit, body))]


def _wrong_transaction(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    tid, unit, function, address, count = server.parse(frame)
    body = server.body(unit, function, address + 100, count)
    return [(TURNAROUND, server.wrap((tid + 1 + server.lcg.below(65534)) & 0xFFFF, unit, body))]


def _zero_transaction(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    _, unit, function, address, count = server.parse(frame)
    return [(TURNAROUND, server.wrap(0, unit, server.body(unit, function, address + 100, count)))]


def _wrong_protocol(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    tid, unit, function, address, count = server.parse(frame)
    body = server.body(unit, function, address + 100, count)
    return [(TURNAROUND, server.wrap(tid, unit, body, 1 + server.lcg.below(65535)))]


def _noise_before(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return [(TURNAROUND, server.lcg.data(1 + server.lcg.below(12)) + good)]


def _noise_after(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return [(TURNAROUND, good + server.lcg.data(1 + server.lcg.below(12)))]


def _echo(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return [(0, frame), (TURNAROUND, good)]


def _other_unit_request(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    """A request of another master to another unit, with its reply, before our reply."""
    _, unit, function, address, count = server.parse(frame)
    other = 1 + (unit + server.lcg.below(240)) % 246
    other_request = with_crc(struct.pack(">BBHH", other, function, address + 50, count))
    reply = with_crc(bytes((other,)) + server.body(other, function, address + 50, count))
    return [(TURNAROUND, other_request + reply), (2 * TURNAROUND, good)]


def _same_unit_request(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    """A request of another master to our unit, with its reply, before our reply."""
    _, unit, function, address, count = server.parse(frame)
    other_request = with_crc(struct.pack(">BBHH", unit, function, address + 50, count))
    reply = with_crc(bytes((unit,)) + server.body(unit, function, address + 50, count))
    return [(0, other_request), (TURNAROUND, reply), (2 * TURNAROUND, good)]


def _gap(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    cut = 1 + server.lcg.below(len(good) - 1)
    return [(TURNAROUND, good[:cut]), (TURNAROUND + 1_000 + server.lcg.below(9_000), good[cut:])]


def _every_byte(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return [(TURNAROUND + 300 * i, good[i : i + 1]) for i in range(len(good))]


def _bad_crc(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    place = server.lcg.below(len(good) - 3) + 3
    wrong = good[:place] + bytes((good[place] ^ 1 << server.lcg.below(8),)) + good[place + 1 :]
    return [(TURNAROUND, wrong)]


def _script_truncated(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
    return [(TURNAROUND, good[: 1 + server.lcg.below(len(good) - 1)])]


def _exception(code: int) -> "Callable[[FaultyServer, bytes, bytes], Script]":
    def script(server: FaultyServer, frame: bytes, good: bytes) -> "Script":
        tid, unit, function, _, _ = server.parse(frame)
        return [(TURNAROUND, server.wrap(tid, unit, bytes((function | 0x80, code))))]

    return script


FAULTS: "dict[str, Callable[[FaultyServer, bytes, bytes], Script]]" = {
    "none": _normal_reply,
    "dead": _no_reply,
    "late": _script_late,
    "late, twice": _script_late_twice,
    "duplicate": _script_duplicate,
    "two replies in one": _script_two_in_one,
    "wrong unit": _wrong_unit,
    "wrong function": _wrong_function,
    "wrong count": _wrong_count,
    "wrong transaction id": _wrong_transaction,
    "transaction id 0": _zero_transaction,
    "wrong protocol id": _wrong_protocol,
    "noise before": _noise_before,
    "noise after": _noise_after,
    "local echo": _echo,
    "other master, other unit": _other_unit_request,
    "other master, same unit": _same_unit_request,
    "gap inside": _gap,
    "split at every byte": _every_byte,
    "bad CRC": _bad_crc,
    "cut short": _script_truncated,
    "exception 02": _exception(2),
    "exception 06, busy": _exception(6),
    "exception 85, unknown": _exception(85),
}

_ONLY_TCP = ("wrong transaction id", "transaction id 0", "wrong protocol id")
_ONLY_RTU = (
    "noise before",
    "noise after",
    "local echo",
    "other master, other unit",
    "other master, same unit",
    "bad CRC",
)
USED_IMMEDIATELY = ("none", "noise before", "noise after", "local echo", "other master, other unit")
"""Faults after which the good reply to the first request must still be used 5 ms after its last
byte. Noise that looks like the start of a longer frame takes longer."""


def fault_names(framing: str) -> "list[str]":
    """Return the faults of one framing, in the order of the table."""
    excluded = _ONLY_TCP if framing == "rtu" else _ONLY_RTU
    return [name for name in sorted(FAULTS) if name not in excluded]


def is_intact(frame: bytes) -> bool:
    """Return whether a request on a serial line is complete."""
    return len(frame) >= 8 and crc16(frame) == 0
