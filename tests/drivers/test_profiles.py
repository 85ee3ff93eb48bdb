# SPDX-License-Identifier: Apache-2.0
"""The shipped profiles against the schema, the compiler, and the source of the register map."""

from __future__ import annotations

import csv
import json
import pathlib
from typing import Any

import jsonschema
import pytest

from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from drivers.device.profile_rules import SHAPES
from drivers.errors import ProfileError
from drivers.modbus.register_span import ReadBlock
from tests.support.data import data_file, is_complete

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "drivers" / "profiles"
SCHEMA = json.loads((FOLDER / "profile.schema.json").read_text(encoding="utf-8"))
NAMES = sorted(p.stem for p in FOLDER.glob("*.json") if p.name != "profile.schema.json")

STAND_IN_SIZE = (26, 41)
"""Entries and registers of the stand-in of the source."""

# Point -> name in the source, for every number of the RPU; the address comes from the source.
RPU_POINTS = {
    "FlowLitersPerMinute": "RPU_Coolant_Flow_Rate_LPM",
    "SupplyTemperatureCelsius": "RPU_Coolant_Outlet_Temp_C",
    "ReturnTemperatureCelsius": "RPU_Coolant_Inlet_Temp_C",
    "SupplyPressurekPa": "RPU_Coolant_Outlet_Pressure_kPa",
    "ReturnPressurekPa": "RPU_Coolant_Inlet_Pressure_kPa",
    "PowerWatts": "RPU_Power_W",
    "AirInletTemperatureCelsius": "RPU_Air_Inlet_Temp_C",
    "PumpSpeedPercent": "RPU_Pump_PWM_Pct",
    "Pump1SpeedRPM": "RPU_Pump1_TACH_RPM",
    "Pump2SpeedRPM": "RPU_Pump2_TACH_RPM",
    "Pump3SpeedRPM": "RPU_Pump3_TACH_RPM",
    "Pump4SpeedRPM": "RPU_Pump4_TACH_RPM",
    "CoolingCapacityWatts": "AALC_Cooling_Capacity_W",
    "ReservoirStatus": "RPU_Reservoir_Status",
    "FilterPressurekPa": "HEX_External_Y_Filter_Pressure",
    "FlowControlLitersPerMinute": "Auto_Tune_Coolant_Flow_Rate_Target_Set",
    "SupplyTemperatureControlCelsius": "Auto_Tune_Coolant_Outlet_Temperature_Target_Set",
    "PumpSpeedControlPercent": "Manual_Control_Pump_Duty_Set",
    "ControlWord": "RPU_Control",
}
# Some of the bits: sufficient to detect a shift by one, or exchanged words.
RPU_BITS = {
    "ReturnThermometerFault": (37376, "RPU_Coolant_Inlet_Thermometer_Status"),
    "FlowMeterFault": (37376, "RPU_Flow_Meter_Status"),
    "HeatExchangerThermometerFault": (37376, "HX_Water_Inlet_Thermometer_Status"),
    "BladderLevelGaugeFault": (37376, "Bladder_Level_Sensor_Status"),
    "ReservoirAlarm": (37377, "RPU_Reservoir_Status_Abnormal"),
    "SupplyTemperatureAlarm": (37377, "RPU_Outlet_Temp_Status"),
    "PumpAlarm": (37377, "Pump_Status_Abnormal"),
    "EmergencyStopAlarm": (37377, "Emergency_Button_Triggered"),
    "FilterAlarm": (37377, "Y_Filter_Status"),
    "Chassis0Stop": (37378, "IT_Chassis0_Stop"),
    "LeakInternal": (37378, "RPU_Internal_Leakage_Abnormal"),
    "LeakExternal": (37378, "RPU_External_Leakage_Abnormal"),
    "LeakRackFloorRelay": (37378, "HEX_Rack_Floor_Leakage_Relay"),
    "LeakRackFloorSensorFault": (37378, "HEX_Rack_Floor_Leakage_Error"),
}
SHIPPED = (
    "abb_acs580",
    "abb_meter",
    "belimo_valve",
    "danfoss_fc",
    "eastron_sdm630",
    "grundfos_cim",
    "kenmec_ls80a",
    "liebert_dcd",
    "optics_gateway",
    "orv3_rpu",
    "schneider_iem3000",
    "sunspec_203",
    "wilo_booster",
    "switched_pdu",
    "vaisala_hmd65",
)
# A few rows of the source, for machines without the data folder.
STAND_IN = {
    "RPU_Coolant_Outlet_Temp_C": (36865, False, "0.1"),
    "RPU_Coolant_Outlet_Pressure_kPa": (36867, True, "0.1"),
    "RPU_Pump4_TACH_RPM": (36877, False, ""),
    "Auto_Tune_Coolant_Flow_Rate_Target_Set": (37888, False, "0.1"),
    "RPU_Control": (37904, False, ""),
}


def load_profile(name: str) -> dict[str, Any]:
    raw = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(raw, dict)
    return raw


def read_rows(path: pathlib.Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def read_rpu_rows() -> tuple[dict[str, tuple[int, bool, str]], dict[tuple[int, str], int]]:
    """Numbers by name -> (address, signed, scale); bits by (address, name) -> position."""
    path = data_file("orv3_rpu.csv")
    numbers: dict[str, tuple[int, bool, str]] = {}
    bits: dict[tuple[int, str], int] = {}
    address = 0
    for row in read_rows(path):
        if row["begin"]:
            address = int(row["begin"])
            numbers.setdefault(row["name"], (address, row["sign"] == "True", row["scale"]))
        else:
            bits[(address, row["flags_name"].strip())] = int(row["flags_bit"])
    return numbers, bits


def compare_row(profile: DeviceProfile, name: str, row: tuple[int, bool, str]) -> None:
    """Compare one point with its row of the source."""
    address, signed, scale = row
    point = profile.points[profile.point_index(name)]
    assert (point.address, point.kind) == (address, "i16" if signed else "u16"), name
    assert point.numerator / point.denominator == float(scale or 1), name


def test_there_are_profiles() -> None:
    assert set(NAMES) == set(SHIPPED)


@pytest.mark.parametrize("name", NAMES)
def test_profile_is_valid_and_has_source(name: str) -> None:
    raw = load_profile(name)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(raw, SCHEMA, cls=jsonschema.Draft202012Validator)
    profile = DeviceProfile(raw)
    assert profile.model == name
    assert profile.source
    assert not profile.met_hardware
    assert ModbusDevice("d", 1, profile).poll_requests()


@pytest.mark.parametrize("name", NAMES)
def test_block_replies_are_distinguishable(name: str) -> None:
    """Register counts differ: after a timeout, a late reply cannot match another block."""
    profile = DeviceProfile(load_profile(name))
    shapes = [(function, count) for function, _, count in profile.blocks]
    assert not profile.has_own_blocks or len(set(shapes)) == len(shapes)


@pytest.mark.parametrize("name", NAMES)
def test_every_point_is_in_a_block(name: str) -> None:
    """All points, bits and texts decode, also those that the agent does not use."""
    profile = DeviceProfile(load_profile(name), include_unpolled=True)
    device = ModbusDevice("d", 1, profile)
    for tag, (_, _, count) in enumerate(device.blocks):
        device.store_block(tag, (1,) * count, 5)
    read = [p for p in profile.points if p.poll != "never"]
    seen = [r for r, p in zip(device.readings, profile.points, strict=True) if p.poll != "never"]
    assert read
    assert {reading.read_at for reading in seen} == {5}
    assert all(device.register_value(bit) is not None for bit in profile.bits)
    assert all(device.text_value(text.name) is not None for text in profile.texts)


@pytest.mark.parametrize("kind", ["point", "text", "bit", "block"])
def test_schema_and_checker_have_same_keys(kind: str) -> None:
    assert set(SCHEMA["$defs"][kind]["properties"]) == set(SHAPES[kind])


@pytest.mark.parametrize("kind", ["pump", "valve", "watchdog", "scan", "periods", "defaults"])
def test_schema_and_checker_have_same_subkeys(kind: str) -> None:
    assert set(SCHEMA["properties"][kind]["properties"]) == set(SHAPES[kind])


def test_schema_and_checker_have_same_other_keys() -> None:
    assert set(SCHEMA["properties"]) == set(SHAPES["profile"])
    assert set(SCHEMA["$defs"]["flags"]["properties"]) == set(SHAPES["flag"])
    probe = SCHEMA["properties"]["identity"]["items"]
    assert set(probe["properties"]) == set(SHAPES["probe"])


@pytest.mark.parametrize("name", NAMES)
def test_no_floats_in_profiles(name: str) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is a float")

    json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"), parse_float=refuse)


@pytest.mark.parametrize(
    "change",
    [
        {"points": [{"name": "A", "address": 0, "type": "f16", "unit": "1"}]},
        {"points": [{"name": "A", "address": 0, "type": "u16", "unit": "1", "write": True}]},
        {"points": [{"name": "A", "address": 0, "type": "u16", "unit": "1", "limits": [0, 1]}]},
        {"points": [{"name": "A", "address": 0, "type": "u16", "unit": "1", "scale": [1, 0]}]},
        {"max_block": 126},
        {"notation": "base2"},
        {"points": [{"name": "A", "address": 0, "type": "u16", "none": 7}]},
        {"points": [{"name": "A", "address": 0, "type": "u16", "poll": "often"}]},
        {"points": [{"name": "A", "address": 0, "type": "u16", "field": [1]}]},
        {"bits": [{"name": "A", "address": 0, "bit": 16}]},
        {"flags": [{"name": "A", "address": 0, "bits": [7]}]},
        {"identity": [{"text": "x"}]},
        {"watchdog": {"point": "A"}},
        {"scan": {"words": []}},
        {"blocks": []},
        {"colour": "red"},
        {"pump": {}},
    ],
)
def test_schema_and_compiler_reject_the_same(change: dict[str, Any]) -> None:
    raw = load_profile("belimo_valve") | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, SCHEMA, cls=jsonschema.Draft202012Validator)
    with pytest.raises(ProfileError, match=r"^belimo_valve: "):
        DeviceProfile(raw)


def test_rpu_has_every_entry_of_the_source() -> None:
    path = data_file("orv3_rpu.csv")
    profile = DeviceProfile(load_profile("orv3_rpu"), include_unpolled=True)
    numbers = {p.address: p for p in profile.points}
    texts = {t.address: t for t in profile.texts}
    bits = {(b.address, b.mask): b for b in profile.bits}
    entries = words = address = 0
    for row in read_rows(path):
        if not row["begin"]:
            assert (address, 1 << int(row["flags_bit"])) in bits, row
            continue
        entries += 1
        address, length = int(row["begin"]), int(row["length"])
        words += length
        if row["format"] == "STRING":
            assert texts[address].registers == length
        elif row["format"] != "FLAGS":
            point = numbers[address]
            assert point.registers == length, row
            assert point.numerator / point.denominator == float(row["scale"] or 1), row
            assert (point.kind == "i16") == (row["sign"] == "True"), row
    assert (entries, words) == ((243, 301) if is_complete(path) else STAND_IN_SIZE)
    named_bits = sum(1 for row in read_rows(path) if not row["begin"])
    assert len(bits) == named_bits if is_complete(path) else len(bits) > named_bits > 0


def test_rpu_numbers_match_the_source() -> None:
    numbers, _ = read_rpu_rows()
    profile = DeviceProfile(load_profile("orv3_rpu"))
    assert {point.name for point in profile.points} == set(RPU_POINTS)
    for name, source in RPU_POINTS.items():
        compare_row(profile, name, numbers[source])


def test_rpu_bits_match_the_source() -> None:
    _, rows = read_rpu_rows()
    profile = DeviceProfile(load_profile("orv3_rpu"))
    for name, (address, source) in RPU_BITS.items():
        bit = profile.bits[profile.bit_index(name)]
        assert bit.address == address, name
        assert bit.mask == 1 << rows[(address, source)], name
    for address in (37376, 37377, 37378):
        masks = {b.mask for b in profile.bits if b.address == address}
        assert masks == {1 << position for (at, _), position in rows.items() if at == address}


def test_rpu_matches_reference_rows() -> None:
    profile = DeviceProfile(load_profile("orv3_rpu"))
    point_names = {source: name for name, source in RPU_POINTS.items()}
    for source, row in STAND_IN.items():
        compare_row(profile, point_names[source], row)


def test_drive_words() -> None:
    profile = DeviceProfile(load_profile("abb_acs580"))
    drive = ModbusDevice("pump1", 1, profile, [ReadBlock(3, 0, 5)])
    run = [(drive.point_index(name), raw) for name, raw in profile.pump["run"]]
    speed = drive.point_index(profile.pump["setpoint"])
    assert (
        drive.build_write([*run, (speed, drive.to_count(speed, 75.0))]).hex()
        == "1000000002" + "04047f3a98"
    )
    drive.store_block(0, (0x047F, 15000, 0, 1 << 3 | 1 << 9, 14000), 1)
    assert drive.value(drive.point_index(profile.pump["feedback"])) == 70.0
    assert drive.is_bit_on(profile.pump["trip"])
    assert drive.active_alarm_bits() == ["Tripped"]


def test_valve_words() -> None:
    profile = DeviceProfile(load_profile("belimo_valve"))
    valve = ModbusDevice("valve", 2, profile, [ReadBlock(3, 0, 22)])
    setpoint = valve.point_index(profile.valve["setpoint"])
    assert valve.build_write([(setpoint, valve.to_count(setpoint, 42.5))]).hex() == "060000109a"
    words = [0] * 22
    words[0], words[4], words[7], words[19], words[21] = 4250, 4200, 5000, 1850, 65486
    valve.store_block(0, tuple(words), 1)
    values = [valve.value(i) for i in range(5)]
    assert values == [42.5, 42.0, 300.0, 18.5, -0.5]
