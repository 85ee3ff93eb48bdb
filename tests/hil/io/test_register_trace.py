# SPDX-License-Identifier: Apache-2.0
"""Each function with which a profile lets the agent write is compared in a replay."""

import pytest
from pymodbus.framer import FramerRTU

from agent.port_numbers import FIRST_BUS
from hil.io.register_trace import ReplayedRegisters, find_difference, register_writes
from protocols.modbus import pdu

_WRITES = {
    5: (pdu.write_coil(9, 1), [(0x10009, 1)]),
    6: (pdu.write_single(9, 456), [(9, 456)]),
    15: (pdu.write_coils(6, [1, 0, 1, 1, 0, 0, 0, 0, 1]),
         [(0x10006 + i, bit) for i, bit in enumerate((1, 0, 1, 1, 0, 0, 0, 0, 1))]),
    16: (pdu.write_multiple(9, [456, 7]), [(9, 456), (10, 7)]),
    22: (pdu.mask_write(9, 0xFFF8, 5), [(0x20009, 0xFFF8), (0x30009, 5)]),
    23: (pdu.read_write(1, 2, 9, [456, 7]), [(9, 456), (10, 7)]),
}  # fmt: skip
_OTHERS = {
    5: pdu.write_coil(9, 0),
    15: pdu.write_coils(6, [1, 0, 1, 1, 0, 0, 0, 0, 0]),
    22: pdu.mask_write(9, 0xFFF8, 4),
}
"""A write of one bit more or less."""


def rtu(request: bytes) -> bytes:
    body = b"\x0c" + request
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def tcp(request: bytes) -> bytes:
    body = b"\x0c" + request
    return bytes((0, 7, 0, 0, 0, len(body))) + body


def line(frame: bytes, at_us: int = 0) -> tuple[int, int, str, bytes]:
    return at_us, FIRST_BUS, "write", frame


@pytest.mark.parametrize("function", sorted(_WRITES))
@pytest.mark.parametrize("framing", [rtu, tcp])
def test_each_write_of_a_capture_is_found(function: int, framing: object) -> None:
    assert sorted(_WRITES) == sorted(pdu.WRITES)
    request, expected = _WRITES[function]
    frame = rtu(request) if framing is rtu else tcp(request)
    assert register_writes([line(frame)], FIRST_BUS) == [
        (FIRST_BUS, 12, place, value) for place, value in expected
    ]
    for cut in range(len(frame)):
        register_writes([line(frame[:cut])], FIRST_BUS)


@pytest.mark.parametrize("function", sorted(_WRITES))
def test_a_missing_write_is_a_difference(function: int) -> None:
    captured = [line(rtu(_WRITES[function][0]))]
    assert find_difference(captured, [], FIRST_BUS, 1) is not None
    assert find_difference(captured, captured, FIRST_BUS, 0) is None


@pytest.mark.parametrize("function", sorted(_OTHERS))
def test_another_bit_is_a_difference_whatever_the_tolerance_is(function: int) -> None:
    captured, now = [line(rtu(_WRITES[function][0]))], [line(rtu(_OTHERS[function]))]
    assert find_difference(captured, now, FIRST_BUS, 1) is not None


def test_the_reply_of_a_read_and_write_shows_the_replayed_value() -> None:
    write, read = rtu(pdu.write_single(9, 456)), rtu(pdu.read_write(8, 2, 20, [1]))
    registers = ReplayedRegisters([line(write), line(read, 20)], FIRST_BUS, 1)
    registers.record_write(FIRST_BUS, rtu(pdu.write_single(9, 457)))
    registers.record_write(FIRST_BUS, read)
    reply = rtu(bytes((23, 4, 0, 1, 1, 200)))
    assert registers.adapt_reply(FIRST_BUS, 30, reply) == rtu(bytes((23, 4, 0, 1, 1, 201)))
