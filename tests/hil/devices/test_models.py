# SPDX-License-Identifier: Apache-2.0
"""The behaviour of each emulated model: registers, commands, rejected writes, loss of the bus."""

import csv
import json
import math
import struct
import time

import pytest

from drivers.device.profile import DeviceProfile
from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS, DeviceFleet
from hil.devices.cooling import kenmec_ls80a, liebert_dcd
from hil.devices.cooling.belimo_valve import BelimoValve
from hil.devices.cooling.kenmec_ls80a import KenmecLs80a
from hil.devices.cooling.liebert_dcd import LiebertDcd
from hil.devices.cooling.rpu import Rpu
from hil.devices.drives import danfoss_fc
from hil.devices.power import sunspec_203
from hil.devices.power.abb_meter import AbbMeter
from hil.devices.power.eastron_sdm630 import Sdm630
from hil.devices.power.schneider_iem3000 import Iem3000
from hil.devices.power.sunspec_203 import SunSpec203
from hil.kernel.world import World
from tests.hil.devices.model_rig import UNIT, plant, single_device_master
from tests.support.data import data_file, is_complete
from tests.support.modbus_master import LineMaster, with_crc
from tests.support.repository import ROOT

PROFILES = ROOT / "drivers" / "profiles"


# Meters: one load in four register maps.


def test_sdm630_floats_high_word_first() -> None:
    meter = Sdm630(plant(), UNIT, load_w=lambda: 9_000.0)
    master = single_device_master(meter)
    master.now = 1_000_000
    assert master.read_float(UNIT, 0x34, 4) == pytest.approx(9_000.0)
    volts, amps = master.read_float(UNIT, 0x00, 4), master.read_float(UNIT, 0x06, 4)
    assert volts == pytest.approx(230.0, abs=2)
    assert master.read_float(UNIT, 0x0C, 4) == pytest.approx(
        volts * amps * master.read_float(UNIT, 0x3E, 4), rel=1e-5
    )
    assert master.read_float(UNIT, 0x38, 4) == pytest.approx(
        math.hypot(master.read_float(UNIT, 0x34, 4), master.read_float(UNIT, 0x3C, 4)), rel=1e-5
    )
    assert master.read_float(UNIT, 0x46, 4) == pytest.approx(50.0, abs=0.1)
    before = master.read_float(UNIT, 0x48, 4)
    master.now += 3_600_000_000
    assert master.read_float(UNIT, 0x48, 4) - before == pytest.approx(9.0, abs=0.01)
    assert master.read_float(UNIT, 0x156, 4) == pytest.approx(master.read_float(UNIT, 0x48, 4))


def test_sdm630_limits_and_unreadable_ranges() -> None:
    meter = Sdm630(plant(), UNIT)
    master = single_device_master(meter)
    assert master.read_exception(UNIT, 0x00, 44, 4) == 0
    assert master.read_exception(UNIT, 0x00, 46, 4) == 2, "0x2C is unreadable"
    assert master.read_exception(UNIT, 0x00, 81, 4) == 3
    assert master.read_exception(UNIT, 0x00, 2) == 2, "values are input registers"
    meter.lost_phase = 1
    meter.invalidate()
    assert master.read_float(UNIT, 0x02, 4) == 0.0
    assert master.read_float(UNIT, 0x00, 4) > 200.0


def test_meters_read_electric_power_of_plant() -> None:
    hall = plant()
    master = single_device_master(Sdm630(hall, UNIT))
    before = master.read_float(UNIT, 0x34, 4)
    assert before == pytest.approx(hall.pump_electric_w, rel=1e-6)
    hall.pumps[0].command(100.0, 100.0)
    master.now = 5_000_000
    assert master.read_float(UNIT, 0x34, 4) > 2.0 * before


def test_iem3000_floats_in_kilo_and_64_bits() -> None:
    meter = Iem3000(plant(), UNIT, load_w=lambda: 12_345.0)
    master = single_device_master(meter)
    assert master.read_float(UNIT, 0x0BF3) == pytest.approx(12.345)
    assert master.read_float(UNIT, 0x0BD3) == pytest.approx(230.0, abs=2)
    before = master.read_integer(UNIT, 0x0C83, "q")
    master.now += 3_600_000_000
    master.read_float(UNIT, 0x0BF3)
    assert master.read_integer(UNIT, 0x0C83, "q") - before == pytest.approx(12_345, abs=1)
    meter.break_sensor("amps_1")
    assert master.read(UNIT, 0x0BB7, 2) == [0xFFC0, 0]
    meter.break_sensor("import_wh")
    assert master.read(UNIT, 0x0C83, 4) == [0x8000, 0, 0, 0]
    assert master.read_exception(UNIT, 0x0BBD, 2) == 2


def test_iem3000_is_busy_after_power_cut() -> None:
    meter = Iem3000(plant(), UNIT)
    master = single_device_master(meter)
    meter.reboot(0)
    assert master.read_exception(UNIT, 0x0BF3, 2) == -1
    master.now = meter.boot_us
    assert master.read_exception(UNIT, 0x0BF3, 2) == 6
    master.now += 2_000_000
    assert master.read_exception(UNIT, 0x0BF3, 2) == 0


def test_abb_meter_no_value_codes() -> None:
    load = [20_000.0]
    meter = AbbMeter(plant(), UNIT, load_w=lambda: load[0])
    master = single_device_master(meter)
    assert master.read_integer(UNIT, 0x5B14, "i") == 2_000_000
    assert master.read_integer(UNIT, 0x5B00, "I") == pytest.approx(2300, abs=20)
    assert master.read(UNIT, 0x5B2C) == [pytest.approx(5000, abs=10)]
    before = master.read_integer(UNIT, 0x5000, "Q")
    load[0] = -5_000.0
    master.now = 3_600_000_000
    assert master.read_integer(UNIT, 0x5B14, "i") == -500_000
    assert master.read_integer(UNIT, 0x5000, "Q") - before == pytest.approx(2_000, abs=1)
    master.now += 3_600_000_000
    master.read(UNIT, 0x5B2C)
    assert master.read_integer(UNIT, 0x5004, "Q") == pytest.approx(500, abs=1)
    meter.lost_phase = 0
    meter.invalidate()
    assert master.read(UNIT, 0x5B00, 2) == [0xFFFF, 0xFFFF]
    assert master.read(UNIT, 0x5B16, 2) == [0x7FFF, 0xFFFF]
    meter.break_sensor("hertz")
    assert master.read(UNIT, 0x5B2C) == [0xFFFF]


@pytest.mark.parametrize("base", [40_000, 50_000, 0])
def test_sunspec_model_chain(base: int) -> None:
    meter = SunSpec203(plant(), UNIT, base=base, load_w=lambda: 20_000.0)
    master = single_device_master(meter)
    assert struct.pack(">2H", *master.read(UNIT, base, 2)) == b"SunS"
    at, chain = base + 2, []
    while True:
        model, length = master.read(UNIT, at, 2)
        if model == 0xFFFF:
            break
        chain.append((model, length))
        at += 2 + length
    assert chain == [(1, 66), (203, 105)]
    assert master.read_exception(UNIT, at + 2) == 2


def test_sunspec_scale_factor_follows_load() -> None:
    load = [20_000.0]
    meter = SunSpec203(plant(), UNIT, load_w=lambda: load[0])
    master = single_device_master(meter)
    model = 40_000 + 70

    def watts() -> tuple[int, int]:
        words = master.read(UNIT, model + sunspec_203.W, sunspec_203.W_SF - sunspec_203.W + 1)
        return words[0], words[-1]

    assert watts() == (20_000, 0)
    load[0] = 100_000.0
    master.now = 2_000_000
    assert watts() == (10_000, 1)
    assert master.read(UNIT, model + sunspec_203.V_SF) == [0xFFFF]
    assert master.read(UNIT, model + sunspec_203.V + 1)[0] == pytest.approx(2300, abs=20)
    meter.missing_points.add(sunspec_203.HZ)
    meter.invalidate()
    assert master.read(UNIT, model + sunspec_203.HZ) == [0x8000]
    assert master.read(UNIT, model + 55) == [0x8000], "not implemented"
    imported = master.read_integer(UNIT, model + sunspec_203.IMPORT, "I")
    assert imported == int(meter.mains.import_wh / 10)


# Pumps and drives.


# Coolers and CDUs.


def test_kenmec_automatic_control() -> None:
    hall = plant()
    master = single_device_master(KenmecLs80a(hall, UNIT))
    master.write(UNIT, kenmec_ls80a.TARGET_C, 300)
    master.advance(900.0)
    hall.advance(master.now)
    assert master.read(UNIT, 13_555) == [pytest.approx(300, abs=5)]
    assert hall.dp_kpa == pytest.approx(80.0, abs=1.0)
    assert (
        master.read(UNIT, kenmec_ls80a.STATUS)[0] & (kenmec_ls80a.RUN | kenmec_ls80a.FAULT)
        == kenmec_ls80a.RUN
    )
    master.write(UNIT, kenmec_ls80a.PUMP_CONTROL_MODE, 0)
    master.write(UNIT, kenmec_ls80a.FLOW_SET, 1_200)
    master.advance(60.0)
    assert master.read(UNIT, 2061) == [pytest.approx(1_200, abs=15)]
    assert master.write(UNIT, kenmec_ls80a.TARGET_C, 1) == 3


def test_kenmec_never_cools_below_dew_point() -> None:
    cdu = KenmecLs80a(plant(), UNIT)
    cdu.dew_point_c = 31.0
    master = single_device_master(cdu)
    master.write(UNIT, kenmec_ls80a.TARGET_C, 250)
    assert cdu.target_c == 33.0
    master.write(UNIT, kenmec_ls80a.DEW_OFFSET, 35)
    assert cdu.target_c == 34.5
    cdu.dew_point_c = -4.0
    cdu.invalidate()
    assert master.read(UNIT, 2023) == [0x10000 - 40]
    assert cdu.target_c == 25.0
    master.write(UNIT, kenmec_ls80a.DEW_FOLLOW, 1)
    assert cdu.target_c == pytest.approx(-0.5)


def test_kenmec_pump_fault_bit_is_inverted_and_lag_pump_starts() -> None:
    hall = plant()
    cdu = KenmecLs80a(hall, UNIT)
    master = single_device_master(cdu)
    assert master.read_bits(UNIT, kenmec_ls80a.PUMP1_OK, 2, 2) == [True, True]
    cdu.fail_pump(0)
    master.advance(20.0)
    assert master.read_bits(UNIT, kenmec_ls80a.PUMP1_OK, 2, 2) == [False, True]
    assert hall.pumps[0].speed_pct == 0.0
    assert hall.pumps[1].speed_pct > 60.0
    assert master.read(UNIT, kenmec_ls80a.STATUS)[0] & kenmec_ls80a.FAULT
    cdu.repair_pump(0)
    cdu.leak = True
    cdu.invalidate()
    master.advance(20.0)
    assert master.read_bits(UNIT, kenmec_ls80a.LEAK, 1, 2) == [True]
    assert [pump.speed_pct for pump in hall.pumps] == [0.0, 0.0]


def test_kenmec_manual_rotation_and_split_times() -> None:
    hall = plant()
    cdu = KenmecLs80a(hall, UNIT)
    master = single_device_master(cdu)
    assert master.read(UNIT, kenmec_ls80a.PUMP_HOURS[0], 4) == [56, 34, 12, 100]
    master.advance(65.0)
    second, minute, hour, day = master.read(UNIT, kenmec_ls80a.PUMP_HOURS[0], 4)
    assert second + 60 * minute == pytest.approx(56 + 60 * 34 + 65, abs=1)
    assert (hour, day) == (12, 100)
    master.write(UNIT, kenmec_ls80a.MANUAL_PUMP2, 1)
    master.write(UNIT, kenmec_ls80a.PUMP2_PCT, 42)
    master.write(UNIT, kenmec_ls80a.MANUAL_VALVE, 1)
    master.write(UNIT, kenmec_ls80a.VALVE_MANUAL, 20)
    master.advance(60.0)
    assert hall.pumps[1].speed_pct == 42.0
    assert master.read(UNIT, kenmec_ls80a.VALVE_PCT) == [20]
    master.write(UNIT, kenmec_ls80a.MANUAL_PUMP2, 0)
    master.write(UNIT, kenmec_ls80a.ROTATION_H, 1)
    master.advance(3_600.0)
    assert master.read(UNIT, kenmec_ls80a.LEAD) == [2]
    cdu.break_sensor("supply_c")
    assert master.read(UNIT, 13_555) == [0x10000 - 9_999]


def test_liebert_floats_low_word_first_and_nan() -> None:
    cooler = LiebertDcd(plant(), UNIT)
    master = single_device_master(cooler)
    assert master.read_float(UNIT, liebert_dcd.CABINET, 4, swapped=True) == pytest.approx(
        27.0, abs=0.5
    )
    assert master.read_float(UNIT, liebert_dcd.SUPPLY, 4, swapped=True) == pytest.approx(
        18.0, abs=0.1
    )
    rpm = master.read(UNIT, liebert_dcd.FANS, 1, 4)[0]
    cooler.broken_fans = {1, 2}
    for _ in range(60):
        master.now += 10_000_000
        master.read(UNIT, liebert_dcd.FANS, 1, 4)
    assert master.read(UNIT, liebert_dcd.FANS + 4, 1, 4) == [0]
    assert master.read(UNIT, liebert_dcd.FANS, 1, 4)[0] > rpm, "the other fans run faster"
    assert master.read_float(UNIT, liebert_dcd.CABINET, 4, swapped=True) > 27.5
    cooler.break_sensor("cabinet_c")
    assert math.isnan(master.read_float(UNIT, liebert_dcd.CABINET, 4, swapped=True))
    cooler.freeze_sensor("supply_c", 12.5)
    cooler.offset_sensor("return_c", 100.0)
    assert master.read_float(UNIT, liebert_dcd.SUPPLY, 4, swapped=True) == 12.5
    assert master.read_float(UNIT, liebert_dcd.RETURN, 4, swapped=True) > 100.0
    cooler.clear_fault("supply_c")
    assert master.read_float(UNIT, liebert_dcd.SUPPLY, 4, swapped=True) == pytest.approx(
        18.0, abs=0.1
    )
    assert master.read_exception(UNIT, liebert_dcd.CABINET, 2) == 1, "input registers only"
    with pytest.raises(ValueError, match="no sensor"):
        cooler.break_sensor("x")


def test_belimo_counts_energy_and_retains_setpoint() -> None:
    hall = plant()
    valve = BelimoValve(hall, UNIT)
    master = single_device_master(valve)
    low, high = master.read(UNIT, 65, 2)
    assert low | high << 16 == 15_000
    master.now = 3_600_000_000
    assert master.read(UNIT, 65)[0] - low == pytest.approx(50, abs=2), "50 kW for an hour"
    master.write(UNIT, 0, 2_500)
    valve.reboot(master.now)
    master.now += valve.boot_us
    assert master.read(UNIT, 0) == [2_500]


def test_rpu_reads_every_entry_of_the_public_map() -> None:
    data = data_file("orv3_rpu.csv")
    master = single_device_master(Rpu(plant(), UNIT))
    words = 0
    with data.open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["begin"]]
    for row in rows:
        words += len(master.read(UNIT, int(row["begin"]), int(row["length"])))
    if is_complete(data):
        assert (len(rows), words) == (243, 301)
    assert words >= len(rows) > 20
    assert master.read_exception(UNIT, 6_638) == 2, "an address outside the map is unreadable"


def test_rpu_reads_every_entry_of_the_profile() -> None:
    """The profile was transcribed from the same map; this test also runs without the map file."""
    profile = DeviceProfile(
        json.loads((PROFILES / "orv3_rpu.json").read_text()), include_unpolled=True
    )
    entries: dict[int, int] = {}
    for entry in (*profile.bits, *profile.texts, *profile.points):
        entries[entry.address] = entry.registers
    master = single_device_master(Rpu(plant(), UNIT))
    words = sum(len(master.read(UNIT, at, length)) for at, length in entries.items())
    assert (len(entries), words) == (243, 301)


def test_rpu_power_cycle() -> None:
    rpu = Rpu(plant(), UNIT)
    master = single_device_master(rpu)
    master.write(UNIT, 37_891, 55)
    master.write(UNIT, 37_888, 1_400)
    assert master.write(UNIT, 37_904, 1 << 6) == 0
    assert master.read_exception(UNIT, 37_904) == -1
    master.now += rpu.boot_us
    assert master.read(UNIT, 37_904) == [0]
    assert master.read(UNIT, 37_891) == [0]
    assert master.read(UNIT, 37_888) == [1_400], "targets are nonvolatile"


# All models together.


def test_cached_replies_are_fast_with_eight_models() -> None:
    fleet = DeviceFleet(World(1, 0))
    assert len(LINE_UNITS) == 8
    assert len({type(fleet.devices[name]) for name in (*LINE_UNITS, *TCP_UNITS)}) == 12
    master = LineMaster(fleet.line)
    first = {"grundfos_cim": (300, 4), "eastron_sdm630": (0, 4), "schneider_iem3000": (0x0BB7, 3)}
    first |= {
        "orv3_rpu": (36_864, 3),
        "danfoss_fc": (danfoss_fc.STATUS, 3),
        "wilo_booster": (24, 3),
    }
    for name, unit in LINE_UNITS.items():
        address, function = first.get(name, (0, 3))
        assert master.read(unit, address, 1, function), name
    request = with_crc(bytes.fromhex("0c 03 9000 001a"))
    master.exchange_bytes(request)

    def cost(fresh: bool) -> float:
        best = 1.0
        for _ in range(20):
            began = time.perf_counter()
            for _ in range(100):
                if fresh:
                    fleet.devices["orv3_rpu"].version += 1
                master.exchange_bytes(request)
            best = min(best, (time.perf_counter() - began) / 100)
        return best * 1e6

    assert cost(fresh=False) < 5.0  # µs; 0.6 on the reference machine
    assert cost(fresh=True) < 60.0  # 8 on the reference machine
