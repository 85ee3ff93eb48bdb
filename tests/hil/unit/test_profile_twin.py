# SPDX-License-Identifier: Apache-2.0
"""The twin of a profile against the profile reader of the agent: two code bases, one value."""

from random import Random
from typing import Any

import pytest

from agent.commands import profiles
from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from hil.devices.modbus.profile_twin import SOURCES, ProfileTwin, TwinRoles
from hil.plant.plant import Plant
from tests.portable.agent.config.test_roles import cdu_profile

_ALL = profiles()


def make(raw: dict[str, Any]) -> tuple[ProfileTwin, Plant]:
    plant = Plant(Random(1))
    roles = TwinRoles(valve=True, pump=plant.pumps[0], fan=plant.pumps[1], cdu=True)
    return ProfileTwin(raw, 7, plant, roles), plant


def read(twin: ProfileTwin, profile: DeviceProfile, now: int) -> ModbusDevice:
    """Return the device of the agent with the registers of the twin."""
    device = ModbusDevice("d", 7, profile)
    twin.refresh(now)
    for request, tag in device.poll_requests():
        function, address, count = request[0], request[1] * 256 + request[2], request[4]
        values: Any = (
            twin.read_bits(address, count, coils=function == 1)
            if function < 3
            else twin.read(address, count, 3 if function == 3 else 4)
        )
        assert not isinstance(values, int), f"exception {values} at {address}"
        device.store_block(tag, values, now)
    return device


@pytest.mark.parametrize("name", sorted(_ALL))
def test_both_readers_see_the_same_values(name: str) -> None:
    twin, plant = make(_ALL[name])
    profile = DeviceProfile(_ALL[name])
    device = read(twin, profile, 10_000_000)
    shown = dict(twin.shown_points())
    for i, point in enumerate(profile.points):
        if point.name in shown and point.poll != "never" and point.name in SOURCES:
            resolution = abs(point.numerator / point.denominator) * 0.51
            value = SOURCES[point.name](plant)
            assert device.readings[i].quality == "good", point.name
            assert abs(device.value(i) - value) <= resolution, point.name


_FORMATS = [
    {"type": "u32", "scale": [1, 100]},
    {"type": "u32", "scale": [1, 100], "order": "CDAB"},
    {"type": "u32", "scale": [1, 100], "order": "BADC"},
    {"type": "i32", "scale": [1, 1000], "order": "DCBA"},
    {"type": "f32", "step": [1, 100]},
    {"type": "f32", "step": [1, 100], "order": "CDAB"},
    {"type": "f32", "step": [1, 100], "order": "DCBA"},
    {"type": "i16", "scale": [1, 10], "offset": [-40, 1]},
    {"type": "u16", "fraction": 4},
    {"type": "u16", "scale": [1, 10], "function": 4},
]


@pytest.mark.parametrize("form", _FORMATS, ids=str)
def test_formats(form: dict[str, Any]) -> None:
    raw = cdu_profile()
    raw["points"][0] = {"name": "SupplyTemperatureCelsius", "address": 20, "unit": "Cel", **form}
    twin, plant = make(raw)
    profile = DeviceProfile(raw)
    device = read(twin, profile, 10_000_000)
    index = profile.point_index("SupplyTemperatureCelsius")
    point = profile.points[index]
    assert (
        abs(device.value(index) - plant.supply_c) <= abs(point.numerator / point.denominator) * 0.51
    )


@pytest.mark.parametrize("form", _FORMATS[:-1], ids=str)
def test_a_written_output_of_each_format_moves_the_valve(form: dict[str, Any]) -> None:
    raw = cdu_profile()
    high = {"i16": 1000, "u16": 1000}.get(form["type"], 10_000)
    raw["points"][5] = {
        "name": "ValvePositionControlPercent",
        "address": 20,
        "unit": "%",
        "write": True,
        "limits": [0, high],
        **form,
    }
    twin, plant = make(raw)
    profile = DeviceProfile(raw)
    device = read(twin, profile, 1_000_000)
    index = profile.point_index("ValvePositionControlPercent")
    pdu = device.build_write([(index, device.to_count(index, 9.0))])
    words = [pdu[i] << 8 | pdu[i + 1] for i in range(6 if pdu[0] == 16 else 3, len(pdu), 2)]
    assert twin.write(20, words, 1_000_000) == 0
    point = profile.points[index]
    assert abs(plant.valve.command_pct - 9.0) <= abs(point.numerator / point.denominator)


def test_flags_with_inversion() -> None:
    raw = cdu_profile()
    raw["flags"][1]["invert"] = [1]
    twin, _ = make(raw)
    profile = DeviceProfile(raw)
    assert read(twin, profile, 1_000_000).active_alarm_bits() == []
    twin.set_flag("PumpFault", True)
    assert read(twin, profile, 2_000_000).active_alarm_bits() == ["PumpFault"]


def test_a_role_with_a_format_that_the_twin_cannot_play_is_refused() -> None:
    raw = cdu_profile()
    raw["points"][5] = {
        "name": "ValvePositionControlPercent",
        "address": 20,
        "unit": "%",
        "write": True,
        "type": "bcd",
        "registers": 1,
        "limits": [0, 100],
    }
    with pytest.raises(ValueError, match="cannot play its format"):
        make(raw)
