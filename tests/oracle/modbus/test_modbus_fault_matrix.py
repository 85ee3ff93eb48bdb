# SPDX-License-Identifier: Apache-2.0
"""The fault matrix with many seeds, and decoders with noise, on CPython only for speed."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from protocols.modbus import pdu, rtu, tcp
from tests.portable.drivers.modbus.faulty_server import fault_names
from tests.portable.drivers.modbus.test_bus_faults import run_case

SEEDS = 60
SOAK_SEEDS = 3000


@pytest.mark.parametrize("fault", fault_names("rtu"))
def test_rtu(fault: str) -> None:
    for seed in range(SEEDS):
        run_case("rtu", fault, seed)


@pytest.mark.parametrize("fault", fault_names("tcp"))
def test_tcp(fault: str) -> None:
    for seed in range(SEEDS):
        run_case("tcp", fault, seed)


@pytest.mark.soak
@pytest.mark.parametrize("framing", ["rtu", "tcp"])
def test_more_seeds(framing: str) -> None:
    for fault in fault_names(framing):
        for seed in range(SEEDS, SOAK_SEEDS):
            run_case(framing, fault, seed)


REQUESTS = (
    pdu.read_holding(3, 20),
    pdu.read_input(3, 1),
    pdu.read_coils(3, 19),
    pdu.write_single(3, 7),
    pdu.write_multiple(3, (1, 2, 3)),
    pdu.mask_write(3, 1, 2),
    pdu.read_write(3, 2, 9, (7,)),
    pdu.read_device_id(),
)


def run_fuzz(frames: int, seed: int) -> None:
    """Feed both matchers with noise similar to frames; nothing raises, buffers stay bounded.

    The memory of the last fifth of the frames is traced: a trace takes ten times the time.
    """
    noise = random.Random(seed)
    clients = (rtu.RtuClient(), tcp.TcpClient())
    try:
        for number in range(frames):
            if number == frames - frames // 5:
                tracemalloc.start()
            client = clients[number & 1]
            request = REQUESTS[noise.randrange(len(REQUESTS))]
            if number % 5 < 2:
                client.start(9, request)
            data = bytearray(noise.randbytes(noise.randrange(60)))
            kind = noise.randrange(4)
            if kind == 0:
                data[0:0] = bytes((9, request[0], noise.randrange(256)))
            elif kind == 1:
                data[0:0] = bytes((0, noise.randrange(4), 0, 0, 0, noise.randrange(256), 9))
            elif kind == 2:
                frame = bytearray(rtu.build_frame(9, request))
                frame[noise.randrange(len(frame))] ^= 1 << noise.randrange(8)
                data += frame
            client.feed(bytes(data))
            if client.stream_error and number % 7 == 0:
                client.reset()
            assert len(clients[0].buffer) <= rtu.MAX_BUFFER
            assert len(clients[1].buffer) <= 260
        assert tracemalloc.get_traced_memory()[1] < 60_000
    finally:
        tracemalloc.stop()


def test_noise_frames() -> None:
    run_fuzz(10_000, 1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100))
def test_10_million_noise_frames(seed: int) -> None:
    run_fuzz(100_000, 100 + seed)
