# SPDX-License-Identifier: Apache-2.0
"""Shipped profiles against the emulated devices, which were written independently.

Two transcriptions of the same public lists must agree. Every entry that a profile reads must exist
with that function and address. Every entry that it writes must be writable.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pymodbus.pdu import mei_message

from drivers.device import profile_entries
from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS, DeviceFleet
from hil.kernel.world import World
from tests.support.modbus_master import READS, LineMaster, ModbusMaster, TcpMaster
from tests.support.repository import ROOT

FLEET = DeviceFleet(World(1, 0))
UNITS = {**LINE_UNITS, **TCP_UNITS}
ADDRESS_BASES = {"sunspec_203": 40_070}  # where the model states the base of its addresses


def raw_profile(name: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((ROOT / "drivers" / "profiles" / f"{name}.json").read_text())
    return raw


def make_master(name: str) -> ModbusMaster:
    return LineMaster(FLEET.line) if name in LINE_UNITS else TcpMaster(FLEET.host)


def read_error(master: ModbusMaster, name: str, function: int, address: int, count: int) -> int:
    unit = UNITS[name]
    if function < 3:
        master.read_bits(unit, address, count, function)
        return 0
    return master.read_exception(unit, address + ADDRESS_BASES.get(name, 0), count, function)


@pytest.fixture(params=sorted(UNITS))
def name(request: pytest.FixtureRequest) -> Any:
    yield request.param
    for conn in (1, 2):
        FLEET.host.closed(conn, 0)


def test_every_profile_entry_is_readable(name: str) -> None:
    raw, master = raw_profile(name), make_master(name)
    missing = []
    for own in (
        *profile_entries.iter_points(raw),
        *profile_entries.iter_texts(raw),
        *profile_entries.iter_bits(raw),
    ):
        if own.get("write_only"):
            continue
        count = profile_entries.register_count(own)
        error = read_error(master, name, own["function"], own["address"], count)
        if error:
            missing.append((own["name"], own["function"], own["address"], count, error))
    assert missing == []


def test_every_block_of_the_profile_can_be_read(name: str) -> None:
    profile, master = DeviceProfile(raw_profile(name)), make_master(name)
    failed = []
    for function, address, count in profile.blocks:  # these are wire addresses, also for SunSpec
        start = address - ADDRESS_BASES.get(name, 0)
        if read_error(master, name, function, start, count):
            failed.append((function, address, count))
    assert failed == []


# The values that a profile decodes from a device, against the true values of the plant.

HALL, CDU = FLEET.plants
TRUE_VALUES: dict[str, dict[str, Callable[[], float]]] = {
    "abb_acs580": {"PumpSpeedPercent": lambda: HALL.pumps[0].speed_pct},
    "abb_meter": {
        "PowerWatts": lambda: 1000.0 * HALL.it_kw + HALL.pump_electric_w,
        "L2Volts": lambda: 230.0,
        "ImportkWh": lambda: 1234.567,
        "Frequency": lambda: 50.0,
    },
    "belimo_valve": {
        "ValvePositionPercent": lambda: HALL.valve.position_pct,
        "PrimaryFlowLitersPerMinute": lambda: HALL.fws_flow_lpm,
        "PrimaryReturnTemperatureCelsius": lambda: HALL.fws_out_c,
    },
    "danfoss_fc": {
        "PumpSpeedPercent": lambda: HALL.pumps[1].speed_pct,
        "PumpSpeedRPM": lambda: HALL.pumps[1].speed_pct * 29.0,
        "RunHours": lambda: 876.0,
    },
    "eastron_sdm630": {
        "PowerWatts": lambda: HALL.pump_electric_w,
        "L3Volts": lambda: 230.0,
        "ImportkWh": lambda: 1234.567,
        "PowerFactor": lambda: 0.96,
    },
    "grundfos_cim": {
        "RelativePerformancePercent": lambda: HALL.pumps[2].speed_pct,
        "HeadkPa": lambda: HALL.point.head_kpa,
        "DeltaPressurekPa": lambda: HALL.dp_kpa,
        "LiquidTemperatureCelsius": lambda: HALL.supply_c,
        "MaximumPressurekPa": lambda: 400.0,
    },
    "kenmec_ls80a": {
        "SupplyTemperatureCelsius": lambda: CDU.supply_c,
        "FlowLitersPerMinute": lambda: CDU.flow_lpm,
        "Pressure2kPa": lambda: CDU.supply_kpa,
        "DewPointCelsius": lambda: 13.1,
        "Pump1RuntimeSeconds": lambda: 100 * 86_400.0 + 45_296.0,
    },
    "liebert_dcd": {
        "SupplyTemperatureCelsius": lambda: HALL.fws_c - 6.0,
        "CabinetTemperatureCelsius": lambda: 27.0,
        "Fan2SpeedRPM": lambda: 1600.0,
    },
    "orv3_rpu": {
        "FlowLitersPerMinute": lambda: HALL.flow_lpm,
        "SupplyTemperatureCelsius": lambda: HALL.supply_c,
        "ReturnTemperatureCelsius": lambda: HALL.return_c,
        "SupplyPressurekPa": lambda: HALL.supply_kpa,
    },
    "schneider_iem3000": {
        "PowerWatts": lambda: 250.0 * HALL.it_kw,
        "L1Volts": lambda: 230.0,
        "ImportWattHours": lambda: 1_234_567.0,
    },
    "sunspec_203": {
        "PowerWatts": lambda: 1000.0 * HALL.it_kw,
        "L2Volts": lambda: 230.0,
        "PowerFactorPercent": lambda: 96.0,
        "ImportWattHours": lambda: 1_234_560.0,
    },
    "wilo_booster": {
        "DeltaPressurekPa": lambda: 10.0 * round(HALL.dp_kpa / 10.0),  # shown in 0.1 bar
        "ActualSetpointkPa": lambda: 80.0,
    },
}
"""Points of each profile with their expected values."""


def test_decoded_values_match_the_plant(name: str) -> None:
    fleet_device, master = FLEET.devices[name], make_master(name)
    fleet_device.refresh(master.now)
    profile = DeviceProfile(raw_profile(name))
    device = ModbusDevice(name, UNITS[name], profile)
    for tag, (function, address, count) in 2 * list(enumerate(device.blocks)):  # exponents first
        if function < 3:
            values = [int(bit) for bit in master.read_bits(UNITS[name], address, count, function)]
        else:
            values = master.read(UNITS[name], address, count, function)
        device.store_block(tag, values, 1)
    shown = {
        point.name: reading.raw * point.numerator / point.denominator
        for point, reading in zip(profile.points, device.readings, strict=True)
        if reading.quality == "good"
    }
    true_values = {point: value() for point, value in TRUE_VALUES[name].items()}
    decoded = {point: shown.get(point) for point in true_values}
    assert decoded == {
        point: pytest.approx(value, rel=0.02, abs=0.6) for point, value in true_values.items()
    }


def test_every_writable_entry_is_accepted(name: str) -> None:
    raw, master = raw_profile(name), make_master(name)
    unknown = []
    for own in profile_entries.iter_points(raw):
        if own.get("write") and own["function"] == 3:
            value = own.get("limits", [0, 0])[0]
            registers = profile_entries.register_count(own)
            words = [value >> 16 * i & 0xFFFF for i in reversed(range(registers))]
            if master.write(UNITS[name], own["address"], *words) == 2:
                unknown.append(own["name"])
    assert unknown == []


IDENTIFIED = ("abb_acs580", "abb_meter", "orv3_rpu", "schneider_iem3000", "sunspec_203")


def identity_of(name: str, profile_name: str) -> str:
    """Return the result of one profile's identity check on the device of another (or the same)
    model.
    """
    master = make_master(name)
    device = ModbusDevice("d", UNITS[name], DeviceProfile(raw_profile(profile_name)))
    for request, tag in device.identity_probes():
        if request[0] == 43:
            pdu: Any = mei_message.ReadDeviceInformationRequest(
                request[2], request[3], dev_id=UNITS[name]
            )
        else:
            place = {"address": request[1] << 8 | request[2], "count": request[4]}
            pdu = READS[request[0]](dev_id=UNITS[name], **place)
        reply: Any = master.request(pdu)
        if reply.isError():
            device.store_probe_result(tag, "exception", reply.exception_code, ())
        elif request[0] == 43:
            ((number, content),) = reply.information.items()
            device.store_probe_result(tag, "ok", 0, (0x82, 0, 0, 1, number, len(content), *content))
        else:
            device.store_probe_result(tag, "ok", 0, tuple(reply.registers))
    return device.identity


def test_identity_check_accepts_only_its_own_model(name: str) -> None:
    for profile_name in IDENTIFIED:
        expected = "match" if profile_name == name else "mismatch"
        assert (profile_name, identity_of(name, profile_name)) == (profile_name, expected)
