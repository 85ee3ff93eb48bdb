# SPDX-License-Identifier: Apache-2.0
"""The register map: addresses, ranges, values; read by mbpoll (libmodbus) and by pymodbus."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pymodbus.client import ModbusTcpClient

from deploy.northbound.modbus import layout
from deploy.northbound.modbus.image import WriteState, build_image
from deploy.northbound.points.point_table import point_table
from deploy.northbound.snapshot import Snapshot
from tests.deploy.northbound.modbus.modbus_rig import ModbusRig
from tests.support.programs import require_program

FIXED = Path(__file__).with_name("registers.txt")


def test_the_map_has_the_documented_addresses() -> None:
    image = build_image(Snapshot(), WriteState())
    assert len(image) == layout.MAP_SIZE == 390
    assert image[:2] == [0x5375, 0x6E53]
    at, models = 2, []
    while image[at] != 0xFFFF:
        models.append((at, image[at]))
        at += 2 + image[at + 1]
    assert models == [(2, 1), (70, 64001), (132, 64002), (286, 64003), (322, 64004)]
    assert (at, image[at + 1]) == (388, 0) == (layout.END_AT, 0)


def test_registers_never_change() -> None:
    now = [f"{f.address} {f.kind} {f.scale:g} {key}" for key, f in _fields().items()]
    fixed = FIXED.read_text().splitlines()
    assert [line for line in fixed if line not in now] == []
    assert sorted(set(now) - set(fixed)) == [], "append new points to registers.txt"


def test_each_type_holds_the_whole_range_of_its_point() -> None:
    for key, place in _fields().items():
        for raw in (place.row.low, place.row.high):
            assert place.counts(raw) != layout.UNKNOWN[place.kind], key


def test_all_points_have_a_register() -> None:
    assert set(_fields()) == set(point_table())


def test_without_a_record_nothing_is_known() -> None:
    image = build_image(Snapshot(), WriteState())
    readings = image[layout.READINGS : layout.SETPOINTS_AT]
    for key, place in _fields().items():
        at = place.address - layout.READINGS
        got = readings[at : at + layout.SIZES[place.kind]]
        assert _number(got) == layout.UNKNOWN[place.kind], key
    status = image[layout.STATUS : layout.READINGS_AT]
    names = layout.STATUS_FIELDS
    assert status[names["state"]] == 0
    assert status[names["age"]] == 0xFFFF
    assert status[names["utc"] : names["utc"] + 3] == [0xFFFF] * 3
    assert status[names["alarm_count"] : names["writes"]] == [0xFFFF] * 3
    assert status[names["alarms"] : names["alarms"] + 32] == [0xFFFF] * 32
    assert status[names["alarms_known"]] == 0
    known = build_image(Snapshot(stale=False, age_ms=0), WriteState())[layout.STATUS :]
    assert known[names["alarm_count"] : names["writes"]] == [0, 0, 0]
    assert known[names["alarms"] : names["alarms"] + 32] == [0] * 32
    assert known[names["alarms_known"]] == 1
    assert status[names["quality"] : names["alarms"]] == [0] * layout.QUALITY_WORDS


def test_two_clients_of_others_read_all_values() -> None:
    _compare_values(states=20, mbpoll_every=10)


@pytest.mark.soak
def test_two_clients_of_others_read_all_values_of_many_states() -> None:
    _compare_values(states=1000, mbpoll_every=5)


def _compare_values(states: int, mbpoll_every: int) -> None:
    mbpoll = require_program("mbpoll")
    rig = ModbusRig()
    with rig.serve() as port, ModbusTcpClient("127.0.0.1", port=port) as client:

        def by_pymodbus(address: int, count: int) -> list[int]:
            return list(client.read_input_registers(address, count=count, device_id=1).registers)

        def by_mbpoll(address: int, count: int) -> list[int]:
            return _poll(mbpoll, port, address, count)

        for number in range(states):
            rig.next_record()
            _check_state(rig, by_pymodbus)
            if number % mbpoll_every == 0:
                _check_state(rig, by_mbpoll)


def _poll(mbpoll: str, port: int, address: int, count: int) -> list[int]:
    done = subprocess.run(
        [mbpoll, "-m", "tcp", "-p", str(port), "-0", "-1", "-a", "1", "-t", "4:hex",
         "-r", str(address), "-c", str(count), "127.0.0.1"],
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    values = re.findall(r"^\[\d+\]:\s+0x([0-9A-F]{4})", done.stdout, re.MULTILINE)
    assert len(values) == count
    return [int(text, 16) for text in values]


def _check_state(rig: ModbusRig, read: Callable[[int, int], list[int]]) -> None:
    """Compare all points with the snapshot, by the text of points/modbus.toml alone."""
    image: list[int] = []
    for start in range(0, layout.MAP_SIZE, 120):
        image += read(start, min(120, layout.MAP_SIZE - start))
    snapshot = rig.source.snapshot
    quality = image[layout.STATUS + 12 :]
    for key, place in _fields().items():
        number = _number(image[place.address : place.address + layout.SIZES[place.kind]])
        value = snapshot.value(key)
        if value is None:
            assert number == layout.UNKNOWN[place.kind], key
        else:
            if place.kind.startswith("i") and number >> (16 * layout.SIZES[place.kind] - 1):
                number -= 1 << 16 * layout.SIZES[place.kind]
            assert abs(number * place.scale - value) <= place.scale / 2 * 1.001, key
        at = place.address - layout.READINGS
        good = quality[at // 16] >> at % 16 & 1
        assert good == (snapshot.points[key].quality == "good"), key
    assert image[layout.STATUS + 1] == snapshot.sequence & 0xFFFF
    states = ("unknown", "normal", "degraded", "safe", "stopped")
    assert states[image[layout.STATUS + 3]] == snapshot.unit_state
    on = {a.number for a in snapshot.alarms if a.active}
    bits = image[layout.ALARMS : layout.END_AT]
    assert {n for n in range(1024) if bits[n // 16] >> n % 16 & 1} == on


def _number(registers: list[int]) -> int:
    result = 0
    for register in registers:
        result = result << 16 | register
    return result


def _fields() -> dict[str, layout.RegisterField]:
    return layout.register_fields()
