# SPDX-License-Identifier: Apache-2.0
"""Devices of the row on the emulated line: RPU, valve, pump drives."""

from __future__ import annotations

import csv
import json
from random import Random

import pytest
from pymodbus.pdu.register_message import (
    WriteSingleRegisterRequest,
)

from drivers.device.profile import DeviceProfile
from hil.devices.base import NEVER
from hil.devices.cooling import rpu as rpu_map
from hil.devices.cooling.rpu import Rpu
from hil.devices.drives import abb_acs580
from hil.devices.modbus.line import ModbusLine
from hil.plant.plant import Plant
from tests.hil.devices.line_rig import MASTER, SECOND, ModbusLineBench
from tests.support.data import data_file, is_complete
from tests.support.repository import ROOT


@pytest.fixture
def bench() -> ModbusLineBench:
    return ModbusLineBench()


def test_rpu_shows_the_plant(bench: ModbusLineBench) -> None:
    flow, supply, back, high, low = bench.read(12, 36864, 5)
    assert flow == pytest.approx(1502, abs=10)
    assert supply == 320
    assert back == pytest.approx(370, abs=1)
    assert high - low == pytest.approx(802, abs=15)
    assert bench.read(12, 36873, 3) == [70, 3360, 0]


def test_rpu_addresses_are_all_in_the_public_map() -> None:
    data = data_file("orv3_rpu.csv")
    known: dict[int, str] = {}
    with data.open(newline="") as table:
        for row in csv.DictReader(table):
            if row["begin"]:
                first = int(row["begin"])
                known.update(dict.fromkeys(range(first, first + int(row["length"])), row["name"]))
    for first, length in rpu_map.BLOCKS if is_complete(data) else ():
        missing = [a for a in range(first, first + length) if a not in known]
        assert missing == [], missing
    named = {
        rpu_map.FLOW: "RPU_Coolant_Flow_Rate_LPM",
        rpu_map.SENSORS["supply_c"][0]: "RPU_Coolant_Outlet_Temp_C",
        rpu_map.SENSORS["return_c"][0]: "RPU_Coolant_Inlet_Temp_C",
        rpu_map.SENSORS["supply_kpa"][0]: "RPU_Coolant_Outlet_Pressure_kPa",
        rpu_map.SENSORS["return_kpa"][0]: "RPU_Coolant_Inlet_Pressure_kPa",
        rpu_map.PUMP_DUTY: "RPU_Pump_PWM_Pct",
        rpu_map.PUMP_RPM: "RPU_Pump1_TACH_RPM",
        rpu_map.COOLING: "AALC_Cooling_Capacity_W",
        rpu_map.PUMP_STATUS: "RPU_Pump1_Status",
        rpu_map.RUNTIME: "RPU_Pump1_Runtime",
        rpu_map.LEAKAGE: "Leakage",
        rpu_map.CONTROL: "RPU_Control",
        rpu_map.MANUAL_PUMP: "Manual_Control_Pump_Duty_Set",
    }
    assert {address: known[address] for address in named} == named


def test_rpu_addresses_are_those_of_the_profile() -> None:
    """The profile was transcribed from the same map; this test also runs without the map file."""
    path = ROOT / "drivers" / "profiles" / "orv3_rpu.json"
    profile = DeviceProfile(json.loads(path.read_text()), include_unpolled=True)
    entries = (*profile.points, *profile.texts, *profile.bits)
    known = {entry.address + i for entry in entries for i in range(entry.registers)}
    missing = [a for at, n in rpu_map.BLOCKS for a in range(at, at + n) if a not in known]
    assert missing == []
    named = {
        rpu_map.FLOW: "FlowLitersPerMinute",
        rpu_map.SENSORS["supply_c"][0]: "SupplyTemperatureCelsius",
        rpu_map.SENSORS["return_c"][0]: "ReturnTemperatureCelsius",
        rpu_map.SENSORS["supply_kpa"][0]: "SupplyPressurekPa",
        rpu_map.SENSORS["return_kpa"][0]: "ReturnPressurekPa",
        rpu_map.PUMP_DUTY: "PumpSpeedPercent",
        rpu_map.PUMP_RPM: "Pump1SpeedRPM",
        rpu_map.COOLING: "CoolingCapacityWatts",
        rpu_map.CONTROL: "ControlWord",
        rpu_map.MANUAL_PUMP: "PumpSpeedControlPercent",
    }
    assert {p.address: p.name for p in profile.points if p.address in named} == named


def test_rpu_sensor_faults(bench: ModbusLineBench) -> None:
    bench.rpu.freeze_sensor("supply_c", 31.0)
    bench.rpu.offset_sensor("return_c", -5.0)
    bench.rpu.break_sensor("flow_lpm")
    bench.rpu.break_sensor("return_kpa", register=0)
    flow, supply, back, _, low = bench.read(12, 36864, 5)
    assert (flow, supply, low) == (0x7FFF, 310, 0)
    assert back == pytest.approx(320, abs=1)
    assert bench.read(12, 37376) == [1 << 4 | 1 << 2]
    for name in rpu_map.SENSORS:
        bench.rpu.clear_fault(name)
    assert bench.read(12, 36864)[0] == pytest.approx(1502, abs=10)
    assert bench.read(12, 37376) == [0]
    with pytest.raises(ValueError, match="no sensor"):
        bench.rpu.break_sensor("humidity")


def test_rpu_leaks_and_alarms(bench: ModbusLineBench) -> None:
    bench.rpu.set_leak("internal")
    bench.rpu.set_leak("floor")
    assert bench.read(12, 37378) == [1 << 4 | 1 << 9]
    bench.rpu.clear_leak("internal")
    assert bench.read(12, 37378) == [1 << 9]
    bench.plant.pumps[0].set_seized(True)
    assert bench.read(12, 37377, now=5 * SECOND) == [1 << 6]
    bench.rpu.reservoir_low = True
    assert bench.read(12, 37377, now=6 * SECOND) == [1 << 6 | 1]


def test_rpu_counts_pump_hours(bench: ModbusLineBench) -> None:
    bench.rpu.pump_hours[0] = 65536.0
    bench.read(12, 36912, 4, now=0)
    hours = bench.read(12, 36912, 4, now=2 * 3600 * SECOND)
    assert hours == [1, 2, 0, 1180]


def test_rpu_drives_its_own_pumps_by_manual_duty() -> None:
    plant = Plant(Random(1))
    line = ModbusLine([Rpu(plant, pumps=(0,))])
    for address, value in ((37904, 1 << 1 | 1 << 9), (37891, 50)):
        request = WriteSingleRegisterRequest(dev_id=12, address=address, registers=[value])
        line.receive(MASTER.buildFrame(request), 0)
    plant.advance(10 * SECOND)
    assert plant.pumps[0].speed_pct == 50.0


def test_valve_moves_and_holds_position_without_bus(bench: ModbusLineBench) -> None:
    assert bench.write(2, 0, 10_000) == 0
    halfway = bench.read(2, 4, now=15 * SECOND)[0]
    assert halfway == pytest.approx(4075 + 15 * 10_000 / 60, abs=50)
    assert bench.read(2, 0, 5, now=60 * SECOND) == [10_000, 0, 0, 0, 10_000]
    bench.plant.advance(600 * SECOND)
    assert bench.plant.valve_position_pct == 100.0
    assert bench.read(2, 7)[0] == 4000  # 240 L/min in 0.001 L/s
    assert bench.write(2, 0, 10_001) == 3
    assert bench.write(2, 1, 0) == 2


def test_valve_temperatures_balance_its_heat(bench: ModbusLineBench) -> None:
    flow, inlet, outlet = (bench.read(2, a)[0] for a in (7, 19, 21))
    heat_w = flow / 1000 * 997.0 / 1000 * 4181.0 * (outlet - inlet) / 100
    assert heat_w == pytest.approx(50_400, rel=0.01)


def test_stuck_valve_does_not_move(bench: ModbusLineBench) -> None:
    bench.valve.set_stuck(True)
    bench.write(2, 0, 9000)
    assert bench.read(2, 0, 5, now=60 * SECOND) == [9000, 0, 0, 0, 4075]


NORMAL = (
    abb_acs580.READY_ON
    | abb_acs580.READY_RUN
    | abb_acs580.OPERATING
    | abb_acs580.OFF2_INACTIVE
    | abb_acs580.OFF3_INACTIVE
    | abb_acs580.AT_SETPOINT
    | abb_acs580.REMOTE_ON
)


def test_drive_starts_in_state_of_its_pump(bench: ModbusLineBench) -> None:
    assert bench.read(1, 0, 6) == [0x047F, 14_000, 0, NORMAL, 14_000, 4900]
    assert bench.read(3, 0, 2) == [0x047E, 0]
    assert (
        bench.read(3, 3)[0] & (abb_acs580.READY_ON | abb_acs580.READY_RUN | abb_acs580.OPERATING)
        == abb_acs580.READY_ON
    )


def test_drive_ramps(bench: ModbusLineBench) -> None:
    bench.write(1, 1, 18_000)
    assert bench.read(1, 4, now=SECOND // 2)[0] == 16_000  # 20 % a second
    assert not bench.read(1, 3)[0] & abb_acs580.AT_SETPOINT
    assert bench.read(1, 3, 2, now=2 * SECOND) == [NORMAL, 18_000]
    bench.write(1, 0, 0x047E, now=2 * SECOND)
    assert bench.read(1, 4, now=7 * SECOND) == [0]
    assert bench.plant.flow_true_lpm == 0.0


def test_drive_ignores_control_word_without_remote(bench: ModbusLineBench) -> None:
    bench.write(1, 0, 0x007E)
    assert bench.read(1, 4, now=10 * SECOND) == [14_000]


def test_drive_trip_reset_and_restart(bench: ModbusLineBench) -> None:
    bench.lead.trip()
    word, speed = bench.read(1, 3, 2, now=3 * SECOND)
    assert word & abb_acs580.TRIPPED
    assert word & abb_acs580.INHIBITED
    assert speed == 0
    bench.write(1, 0, 0x047F, now=3 * SECOND)
    assert bench.read(1, 3)[0] & abb_acs580.TRIPPED, "a run command does not reset a fault"
    bench.write(1, 0, 0x04FF, now=4 * SECOND)
    word = bench.read(1, 3)[0]
    assert word & (abb_acs580.TRIPPED | abb_acs580.INHIBITED) == abb_acs580.INHIBITED, (
        "needs OFF1 = 0 first"
    )
    bench.write(1, 0, 0x047F, now=5 * SECOND)
    assert bench.read(1, 4, now=6 * SECOND) == [0]
    bench.write(1, 0, 0x047E, now=6 * SECOND)
    bench.write(1, 0, 0x047F, now=6 * SECOND)
    assert bench.read(1, 3, 2, now=10 * SECOND) == [NORMAL, 14_000]


def test_persistent_drive_trip(bench: ModbusLineBench) -> None:
    bench.lead.trip()
    bench.lead.trip_persists = True
    bench.write(1, 0, 0x04FE)
    assert bench.read(1, 3)[0] & abb_acs580.TRIPPED


def test_drive_holds_fail_safe_speed_after_comm_timeout(bench: ModbusLineBench) -> None:
    bench.write(1, 1, 10_000, now=SECOND)
    bench.read(3, 0, 1, now=5 * SECOND)
    assert bench.line.deadline() == 11 * SECOND
    bench.line.wake(11 * SECOND)
    bench.plant.advance(20 * SECOND)
    assert bench.plant.pumps[0].speed_pct == 70.0
    assert bench.line.deadline() == 15 * SECOND, "each drive has its own supervision"
    assert bench.read(1, 3, now=20 * SECOND)[0] & abb_acs580.WARNING == 0, "a request ends it"
    assert bench.read(1, 4, now=26 * SECOND) == [10_000]


def test_stopped_drive_stays_stopped_after_comm_timeout(bench: ModbusLineBench) -> None:
    bench.line.wake(10 * SECOND)
    bench.plant.advance(20 * SECOND)
    assert bench.lag.comm_lost
    assert bench.plant.pumps[1].speed_pct == 0.0
    assert bench.line.deadline() == NEVER
    bench.lag.set_comm_timeout(0)
    bench.lag.on_request(30 * SECOND)
    assert bench.lag.deadline() == NEVER
