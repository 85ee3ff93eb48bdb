# SPDX-License-Identifier: Apache-2.0
"""The emulated Modbus line and its servers; pymodbus frames the requests."""

from __future__ import annotations

import csv
import json
import struct
from random import Random

import pytest
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from drivers.device.profile import DeviceProfile
from hil.devices.base import NEVER
from hil.devices.cooling import rpu as rpu_map
from hil.devices.cooling.belimo_valve import BelimoValve
from hil.devices.cooling.rpu import Rpu
from hil.devices.drives import abb_acs580
from hil.devices.drives.abb_acs580 import AbbAcs580
from hil.devices.modbus.line import ModbusLine
from hil.devices.modbus.server import ModbusServer
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant
from tests.support.data import data_file, is_complete
from tests.support.repository import ROOT

SECOND = 1_000_000
MASTER = FramerRTU(DecodePDU(False))


class ModbusLineBench:
    """A line with an RPU (12), a valve (2) and two drives (1, 3), and the functions of a client."""

    def __init__(self) -> None:
        self.plant = Plant(Random(1), PlantParameters(fws_swing_k=0.0))
        self.rpu = Rpu(self.plant)
        self.valve = BelimoValve(self.plant)
        self.lead = AbbAcs580(self.plant, 0, unit=1)
        self.lag = AbbAcs580(self.plant, 1, unit=3)
        self.line = ModbusLine([self.rpu, self.valve, self.lead, self.lag])

    def send(self, request: ModbusPDU, now: int = 0) -> bytes:
        """Return the bytes of the one reply, b"" for none."""
        replies = self.line.receive(MASTER.buildFrame(request), now)
        assert len(replies) <= 1
        return replies[0][1] if replies else b""

    def read(self, unit: int, address: int, count: int = 1, now: int = 0) -> list[int]:
        """Return the registers of a normal reply."""
        reply = self.send(read_request(unit, address, count), now)
        pdu = MASTER.handleFrame(reply, unit, 0)[1]
        assert pdu is not None
        assert not pdu.isError(), pdu
        return list(pdu.registers)

    def write(self, unit: int, address: int, value: int, now: int = 0) -> int:
        """Return 0 or the exception code."""
        request = WriteSingleRegisterRequest(dev_id=unit, address=address, registers=[value])
        pdu = MASTER.handleFrame(self.send(request, now), unit, 0)[1]
        assert pdu is not None
        return pdu.exception_code


def read_request(unit: int, address: int, count: int) -> ModbusPDU:
    return ReadHoldingRegistersRequest(dev_id=unit, address=address, count=count)


@pytest.fixture
def bench() -> ModbusLineBench:
    return ModbusLineBench()


def with_crc(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


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
    bench.valve.feedback_offset_pct = -30.0
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


# The valve.


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


# The drive.

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
