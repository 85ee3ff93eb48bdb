"""Shipped profiles against the emulated devices, which were written without them.

Two transcriptions of the same public lists have to agree: every entry that a profile reads is
there, under that function and address, and nothing that it writes is refused as unknown.
"""

import json
from typing import Any

import pytest

from drivers import profile_entries as entries
from drivers.profile import Profile
from hil.fleet import LINE_UNITS, TCP_UNITS, Fleet
from hil.world import World
from tests.house import ROOT
from tests.wire import LineMaster, Master, TcpMaster

FLEET = Fleet(World(1, 0))
UNITS = {**LINE_UNITS, **TCP_UNITS}
USUAL = {"sunspec_203": 40_070}  # where the model stands that addresses count from


def raw_profile(name: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((ROOT / "drivers" / "profiles" / f"{name}.json").read_text())
    return raw


def master_of(name: str) -> Master:
    return LineMaster(FLEET.line) if name in LINE_UNITS else TcpMaster(FLEET.host)


def read_error(master: Master, name: str, function: int, address: int, count: int) -> int:
    unit = UNITS[name]
    if function < 3:
        master.bits(unit, address, count, function)
        return 0
    return master.read_error(unit, address + USUAL.get(name, 0), count, function)


@pytest.fixture(params=sorted(UNITS))
def name(request: pytest.FixtureRequest) -> Any:
    yield request.param
    for conn in (1, 2):
        FLEET.host.closed(conn, 0)


def test_every_entry_of_the_profile_is_there(name: str) -> None:
    raw, master = raw_profile(name), master_of(name)
    missing = []
    for own in (*entries.points(raw), *entries.texts(raw), *entries.bits(raw)):
        if own.get("write_only"):
            continue
        count = entries.registers(own)
        error = read_error(master, name, own["function"], own["address"], count)
        if error:
            missing.append((own["name"], own["function"], own["address"], count, error))
    assert missing == []


def test_every_block_of_the_profile_can_be_read(name: str) -> None:
    profile, master = Profile(raw_profile(name)), master_of(name)
    failed = []
    for function, address, count in profile.blocks:  # of SunSpec too these are on the wire already
        start = address - USUAL.get(name, 0)
        if read_error(master, name, function, start, count):
            failed.append((function, address, count))
    assert failed == []


def test_every_writable_entry_is_known(name: str) -> None:
    raw, master = raw_profile(name), master_of(name)
    unknown = []
    for own in entries.points(raw):
        if own.get("write") and own["function"] == 3:
            value = own.get("limits", [0, 0])[0]
            registers = entries.registers(own)
            words = [value >> 16 * i & 0xFFFF for i in reversed(range(registers))]
            if master.write(UNITS[name], own["address"], *words) == 2:
                unknown.append(own["name"])
    assert unknown == []
