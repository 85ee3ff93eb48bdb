# SPDX-License-Identifier: Apache-2.0
"""The cooler of one row: fans with their own speeds, on emulated drives."""

from random import Random

import pytest

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.base import SECOND
from hil.devices.drives.abb_ach580_fan import AbbAch580Fan
from hil.devices.drives.abb_acs580 import ACT1, CONTROL, REF1, STATUS, TRIPPED
from hil.fault.registry import EVENTS
from hil.kernel.world import World
from hil.plant.air.cooler import Air
from hil.plant.fan_bank import FanBank
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant
from hil.plant.power.part_load import electric_fraction

RUN = 0x047F


@pytest.fixture
def row() -> Testbed:
    return Testbed(World(1, 0), TestbedSettings(fans=2, outdoor_c=20.0, it_kw=80.0))


def bank(row: Testbed) -> FanBank:
    assert row.surroundings.fan_bank is not None
    return row.surroundings.fan_bank


def advance_s(row: Testbed, seconds: int) -> None:
    row.world.now += seconds * SECOND
    row.plant.advance(row.world.now)


def test_energy_balance_of_plant_and_cooler_closes(row: Testbed) -> None:
    for speeds in ((40, 40), (90, 10), (0, 0), (100, 100)):
        for drive, percent in zip(row.surroundings.fans, speeds, strict=True):
            drive.shaft.command(percent, 5.0)
        advance_s(row, 300)
    energy = row.plant.energy()
    assert abs(energy.residual_j) < 1e-6 * energy.in_j
    assert abs(bank(row).residual_j) < 1e-6 * bank(row).input_j


def test_air_flow_is_mean_of_fans(row: Testbed) -> None:
    one, other = row.surroundings.fans
    one.shaft.command(80.0, 20.0)
    other.shaft.command(0.0, 20.0)
    advance_s(row, 10)
    assert bank(row).fan_pct == 40.0
    full = 1000.0 * bank(row).cooler.fan_kw
    load = bank(row).air.density * 0.8**3  # the stopped fan takes nothing
    assert bank(row).fan_w == pytest.approx(full * electric_fraction(load) / 2)
    assert one.watts(100.0) == pytest.approx(full / 2)


def test_warmer_air_makes_warmer_water(row: Testbed) -> None:
    advance_s(row, 600)
    before = row.plant.fws_c
    EVENTS["outdoor_temperature"].do(row, 28.0)
    advance_s(row, 600)
    assert row.plant.fws_c > before + 4.0
    EVENTS["heat_rejection_lost"].do(row, 0.0)
    warm = row.plant.fws_c
    advance_s(row, 60)
    assert row.plant.fws_c > warm + 1.0


def test_fan_drive_runs_full_speed_without_master() -> None:
    plant = Plant(Random(1), PlantParameters())
    fans = FanBank(plant.parameters, 1)
    plant.attach_facility(fans)
    fans.set_air(Air(20.0, 12.0))
    drive = AbbAch580Fan(plant, fans, 0, 61)
    drive.on_request(0)
    assert drive.write(CONTROL, [RUN, 8000], 0) == 0 or drive.registers[REF1] == 8000
    drive.wake(11 * SECOND)
    plant.advance(60 * SECOND)
    drive.refresh(60 * SECOND)
    assert (drive.comm_lost, drive.registers[ACT1]) == (True, 20_000)
    assert drive.identity[4] == "ACH580"


def test_faults_of_fans_begin_and_end(row: Testbed) -> None:
    drive = row.surroundings.fans[1]
    EVENTS["fan_lost"].do(row, 2.0)
    advance_s(row, 5)
    assert (drive.has_power, drive.shaft.speed_pct) == (False, 0.0)
    undo = EVENTS["fan_lost"].undo
    assert undo is not None
    undo(row)
    assert drive.has_power
    EVENTS["fan_dead"].do(row, 2.0)
    assert (drive.dead, row.surroundings.fans[0].dead) == (True, False)
    undo = EVENTS["fan_dead"].undo
    assert undo is not None
    undo(row)
    assert not drive.dead
    EVENTS["fan_trip"].do(row, 1.0)
    advance_s(row, 1)
    row.surroundings.fans[0].refresh(row.world.now)
    assert row.surroundings.fans[0].registers[STATUS] & TRIPPED


def test_grid_outage_stops_the_fans(row: Testbed) -> None:
    EVENTS["grid_outage"].do(row, 0.0)
    advance_s(row, 5)
    assert bank(row).fan_pct == 0.0


def test_fan_faults_without_fans_do_nothing() -> None:
    plain = Testbed(World(1, 0), TestbedSettings())
    for word in ("fan_lost", "fan_dead", "fan_trip"):
        EVENTS[word].do(plain, 1.0)
    assert plain.surroundings.fans == []
