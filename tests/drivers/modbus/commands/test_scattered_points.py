# SPDX-License-Identifier: Apache-2.0
"""The diagnostic commands with a profile of thousands of points far apart.

A read by name asks what it needs. A check of the registers asks as few reads as a poll, and single
spans only where the device rejects a read.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, cast

import pytest

from drivers.device.device import ModbusDevice
from drivers.device.identity import MISMATCH, UNKNOWN
from drivers.device.profile import DeviceProfile
from drivers.modbus.bus import TransactionResult
from drivers.modbus.register_span import ReadBlock, search_block
from drivers.modbus.wire_time import WireTime
from drivers.ports.bus_address import make_bus
from drivers.tools import modbus_read
from drivers.tools.lib.identify import ProbedUnit, probe_device
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from drivers.tools.lib.values.tool_device import BlockIndex, make_plan, needed_blocks
from protocols.modbus.pdu import EXCEPTION, GOOD

COUNT = 20_000


def profile_of(points: list[dict[str, Any]], **fields: Any) -> DeviceProfile:
    raw = {"model": "far", "title": "Far", "source": "a test", "met_hardware": False}
    return DeviceProfile({**raw, "points": points, **fields}, include_unpolled=True)


@pytest.fixture(scope="module")
def far() -> DeviceProfile:
    return profile_of([{"name": f"P{i}", "address": 3 * i, "type": "u16"} for i in range(COUNT)])


class CountingClient:
    """Answers reads; those that touch a register of `absent` get exception 2."""

    def __init__(self, absent: set[int] | None = None) -> None:
        self.requests: list[ReadBlock] = []
        self._absent = absent or set()

    def request(self, unit: int, pdu: bytes, retries: int = 1) -> TransactionResult:
        block = ReadBlock(pdu[0], pdu[1] << 8 | pdu[2], pdu[3] << 8 | pdu[4])
        self.requests.append(block)
        if self._absent.intersection(range(block.address, block.address + block.count)):
            return TransactionResult(0, unit, EXCEPTION, 2, (), 1)
        return TransactionResult(0, unit, GOOD, 0, (7,) * block.count, 1)


def wire() -> WireTime:
    return make_bus(0, port_address("tcp:127.0.0.1:502"), 300_000).wire_time


def probe(client: CountingClient, profile: DeviceProfile) -> ModbusDevice:
    unit = ProbedUnit(cast(BlockingModbusClient, client), 1)
    return probe_device(unit, profile, planned=make_plan(profile, wire()).blocks)


def test_the_check_of_registers_asks_as_a_poll(far: DeviceProfile) -> None:
    client = CountingClient()
    started = time.process_time()
    assert probe(client, far).identity == UNKNOWN
    assert len(client.requests) < COUNT // 30
    assert time.process_time() - started < 10


def test_a_gap_that_does_not_exist_is_no_other_model(far: DeviceProfile) -> None:
    client = CountingClient({1, 2})
    assert probe(client, far).identity == UNKNOWN
    assert len(client.requests) < COUNT // 30 + 60


def test_a_register_that_does_not_exist_is_another_model(far: DeviceProfile) -> None:
    client = CountingClient({3 * 70})
    device = probe(client, far)
    assert device.identity == MISMATCH
    assert device.mismatch_reason == "exception 2 to function 3, registers 210 to 210"


def test_the_index_finds_the_blocks_of_the_search() -> None:
    blocks = [ReadBlock(3, 0, 10), ReadBlock(3, 5, 20), ReadBlock(4, 0, 3), ReadBlock(1, 7, 1)]
    index = BlockIndex()
    for function in (1, 3, 4):
        for address in range(30):
            for registers in (1, 2, 4):
                place = (function, address, registers)
                assert index.find(blocks, *place) == search_block(blocks, *place)
    assert index.find(blocks[1:], 3, 5, 1) == (0, 0)


def test_a_read_by_name_asks_what_it_needs(far: DeviceProfile) -> None:
    assert needed_blocks(far, "P19999") == [ReadBlock(3, 59997, 1)]
    linked = profile_of(
        [
            {"name": "E", "address": 100, "type": "i16"},
            {"name": "M", "address": 0, "type": "i16", "exponent": "E", "step": [1, 10]},
            {"name": "Top", "address": 200, "type": "u16", "exponent": "E", "step": [1, 10]},
            {"name": "S", "address": 300, "type": "u16", "range": [None, "Top"], "full": 100,
             "step": [1, 10], "write": True, "limits": [0, 100], "verify": "M", "within": 1,
             "needs": [["Remote", 1]]},
            {"name": "Other", "address": 500, "type": "u16"},
        ],
        bits=[{"name": "Remote", "address": 400, "bit": 2, "write": "register"}],
    )  # fmt: skip
    assert [block.address for block in needed_blocks(linked, "M")] == [0, 100]
    assert [block.address for block in needed_blocks(linked, "S")] == [0, 100, 200, 300, 400]
    assert [block.address for block in needed_blocks(linked, "Remote")] == [400]


def test_a_name_reader_sends_only_that() -> None:
    client = CountingClient()
    raw = {
        "model": "far", "title": "Far", "source": "a test", "met_hardware": False,
        "points": [{"name": f"P{i}", "address": 30 * i, "type": "u16"} for i in range(200)],
    }  # fmt: skip
    arguments = argparse.Namespace(unit=1, address="P7")
    reader = modbus_read.NameReader(arguments, cast(BlockingModbusClient, client), raw)
    assert reader.read(cast(BlockingModbusClient, client)).values == [7.0]
    assert client.requests == [ReadBlock(3, 210, 1)]
