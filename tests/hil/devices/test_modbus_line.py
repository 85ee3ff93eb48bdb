# SPDX-License-Identifier: Apache-2.0
"""The emulated Modbus line and its servers; pymodbus frames the requests."""

from __future__ import annotations

import struct
from random import Random

import pytest
from pymodbus.pdu.register_message import (
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from hil.devices.modbus.line import ModbusLine
from hil.devices.modbus.server import ModbusServer
from tests.hil.devices.line_rig import MASTER, SECOND, ModbusLineBench, read_request, with_crc


@pytest.fixture
def bench() -> ModbusLineBench:
    return ModbusLineBench()


# The line.


def test_reply_is_sent_after_turnaround(bench: ModbusLineBench) -> None:
    frame = MASTER.buildFrame(read_request(12, 36864, 26))
    ((delay, reply),) = bench.line.receive(frame, 0)
    assert delay == 5_000
    assert reply[:3] == bytes((12, 3, 52))
    assert len(reply) == 57


def test_literal_frame_from_specification(bench: ModbusLineBench) -> None:
    # Computed manually: unit 2, read 1 register at 0; CRC as in the Modbus serial line guide.
    ((_, reply),) = bench.line.receive(bytes.fromhex("020300000001") + b"\x84\x39", 0)
    assert reply[:3] == b"\x02\x03\x02"


@pytest.mark.parametrize("size", [1, 3, 7])
def test_split_request_is_one_request(bench: ModbusLineBench, size: int) -> None:
    frame = MASTER.buildFrame(read_request(12, 36864, 2))
    replies = []
    for i in range(0, len(frame), size):
        replies += bench.line.receive(frame[i : i + size], i * 600)
    assert len(replies) == 1


def test_two_requests_in_one_chunk(bench: ModbusLineBench) -> None:
    frames = MASTER.buildFrame(read_request(12, 36864, 2)) + MASTER.buildFrame(
        read_request(2, 0, 5)
    )
    assert [reply[0] for _, reply in bench.line.receive(frames, 0)] == [12, 2]


def test_invalid_bytes_before_request_are_skipped(bench: ModbusLineBench) -> None:
    for noise in (b"\x00", b"\xff\xff\xff", b"\x0c\x10\x00\x00\x00\x7f\xfe", bytes(range(40))):
        before = bench.line.discarded_bytes
        frame = noise + MASTER.buildFrame(read_request(12, 36864, 2))
        assert [r[0] for _, r in bench.line.receive(frame, 0)] == [12], noise
        assert bench.line._frames.buffer == b""
        assert bench.line.discarded_bytes - before == len(noise)


def test_invalid_bytes_are_discarded_after_pause(bench: ModbusLineBench) -> None:
    assert bench.line.receive(b"\x0c\x03\x90", 0) == []
    frame = MASTER.buildFrame(read_request(12, 36864, 2))
    assert len(bench.line.receive(frame, 200_000)) == 1
    assert bench.line.discarded_bytes == 3
    # A function of unknown length is a frame only if it is alone.
    bench.line.receive(b"\x0c\x03\x90", SECOND)
    ((_, reply),) = bench.line.receive(with_crc(b"\x0c\x2b\x0e\x01\x00"), 2 * SECOND)
    assert reply == with_crc(b"\x0c\xab\x01")


def test_endless_invalid_bytes_use_bounded_memory(bench: ModbusLineBench) -> None:
    rng = Random(9)
    for _ in range(60):
        bench.line.receive(rng.randbytes(100), 0)
    assert len(bench.line._frames.buffer) <= 512
    assert bench.line.discarded_bytes > 5000
    frame = MASTER.buildFrame(read_request(12, 36864, 2))
    assert len(bench.line.receive(frame, SECOND)) == 1


def test_frames_of_real_devices_are_ignored(bench: ModbusLineBench) -> None:
    request = MASTER.buildFrame(read_request(40, 0, 10))
    answer = with_crc(bytes((40, 3, 20)) + bytes(range(20)))
    exception_reply = with_crc(bytes((40, 0x83, 2)))
    own_request = MASTER.buildFrame(read_request(12, 36864, 1))
    assert bench.line.receive(request, 0) == []
    assert bench.line.receive(answer[:9], 5_000) == []
    assert bench.line.receive(answer[9:], 9_000) == []
    replies = bench.line.receive(exception_reply + own_request, 12_000)
    assert [r[0] for _, r in replies] == [12]
    assert len(bench.line.receive(answer + own_request, 20_000)) == 1
    assert bench.line.foreign_frames == 4
    assert bench.line.discarded_bytes == 0


def test_wrong_crc_gets_no_reply(bench: ModbusLineBench) -> None:
    frame = MASTER.buildFrame(read_request(12, 36864, 1))
    assert bench.line.receive(frame[:-1] + bytes((frame[-1] ^ 1,)), 0) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (bytes((12, 1, 0, 0, 0, 8)), 1),  # read coils
        (bytes((12, 0x2B, 0x0E, 1, 0)), 1),  # device identification
        (bytes((12, 4)) + struct.pack(">HH", 36864, 1), 1),  # the map has holding registers only
        (bytes((12, 3)) + struct.pack(">HH", 36890, 1), 2),
        (bytes((12, 3)) + struct.pack(">HH", 36889, 2), 2),
        (bytes((12, 3)) + struct.pack(">HH", 36864, 0), 3),
        (bytes((12, 3)) + struct.pack(">HH", 36864, 126), 3),
        (bytes((12, 6)) + struct.pack(">HH", 36864, 1), 2),
        (bytes((12, 6)) + struct.pack(">HH", 37891, 101), 3),
        (bytes((12, 16)) + struct.pack(">HHBH", 37888, 2, 2, 5), 3),
        (bytes((12, 16)) + struct.pack(">HHBHH", 37892, 2, 4, 5, 5), 2),
    ],
)
def test_exceptions(bench: ModbusLineBench, body: bytes, code: int) -> None:
    ((_, reply),) = bench.line.receive(with_crc(body), 0)
    assert reply == with_crc(bytes((body[0], body[1] | 0x80, code)))


def test_write_multiple_is_all_or_nothing(bench: ModbusLineBench) -> None:
    def write(values: list[int]) -> bytes:
        return bench.send(
            WriteMultipleRegistersRequest(
                dev_id=12, address=37890, count=len(values), registers=values
            )
        )

    assert write([100, 50, 60]) == with_crc(struct.pack(">BBHH", 12, 16, 37890, 3))
    assert bench.read(12, 37890, 3) == [100, 50, 60]
    assert write([7, 50, 101])[1] == 0x90
    assert bench.read(12, 37890, 3) == [100, 50, 60]


def test_broadcast_write_is_executed_without_reply(bench: ModbusLineBench) -> None:
    assert bench.send(WriteSingleRegisterRequest(dev_id=0, address=0, registers=[0x047E])) == b""
    assert bench.read(1, 0) == [0x047E]
    assert bench.read(2, 0) == [0x047E]


def test_input_registers_of_server_that_has_them(bench: ModbusLineBench) -> None:
    reply = bench.send(ReadInputRegistersRequest(dev_id=2, address=0, count=5))
    assert reply[1] == 4
    assert len(reply) == 15


def test_cached_reply_is_dropped_when_registers_change(bench: ModbusLineBench) -> None:
    first = bench.read(12, 37888, 1)
    assert first == bench.read(12, 37888, 1) == [1500]
    bench.write(12, 37888, 1400)
    assert bench.read(12, 37888, 1) == [1400]
    bench.valve.offset_sensor("position_pct", -30.0)
    assert bench.read(2, 4)[0] == pytest.approx(1075, abs=10)


def test_faults(bench: ModbusLineBench) -> None:
    request = read_request(12, 36864, 2)
    good = bench.send(request)
    bench.rpu.noise = b"\x00\xff"
    assert bench.send(request) == b"\x00\xff" + good
    bench.rpu.noise = b""
    bench.rpu.corrupted_replies = 1
    bad = bench.send(request)
    assert bad != good
    assert bad[:-2] == good[:-2]
    assert bench.send(request) == good
    bench.rpu.reply_unit = 9
    assert bench.send(request) == with_crc(b"\x09" + good[1:-2])
    bench.rpu.reply_unit = None
    bench.rpu.exception_code = 4
    assert bench.send(request)[1:3] == b"\x83\x04"
    bench.rpu.exception_code = 0
    bench.rpu.extra_delay_us = 70_000
    assert bench.line.receive(MASTER.buildFrame(request), 0)[0][0] == 75_000
    bench.rpu.dead = True
    assert bench.send(request) == b""
    assert bench.send(read_request(2, 0, 1)) != b""
    bench.rpu.dead = False
    bench.line.silent = True
    assert bench.send(request) == b""
    assert bench.send(read_request(2, 0, 1)) == b""


def test_units_are_unique_and_in_range(bench: ModbusLineBench) -> None:
    with pytest.raises(ValueError, match="same unit"):
        ModbusLine([ModbusServer(5), ModbusServer(5)])
    with pytest.raises(ValueError, match="1 to 247"):
        ModbusServer(248)


# The RPU.


# The valve.


# The drive.
