# SPDX-License-Identifier: Apache-2.0
"""A reading has a value only while it is good: read, plausible and recent."""

from agent.fieldbus.sensor import (
    DifferenceSensor,
    PointSensor,
    centi_or_none,
    pressure_sensor,
    sensor_if_present,
    value_or_none,
)
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import FieldbusRig, config
from tests.portable.support.check import eq

STALE = 5 * SECOND


def sensor():
    bench = FieldbusRig()
    return bench, PointSensor(bench.session("cdu"), "SupplyTemperatureCelsius", STALE)


def test_unread_point_is_none():
    bench, supply = sensor()
    eq((supply.quality(bench.now), supply.value(bench.now), supply.age(bench.now)),
       ("none", None, None))  # fmt: skip


def test_reading_is_good_until_stale():
    bench, supply = sensor()
    bench.read("cdu", 325, 400, 3000, 2000, 0)
    at = bench.now
    eq((supply.quality(at), supply.value(at), supply.age(at)), ("good", 32.5, 0))
    eq((supply.quality(at + STALE), supply.value(at + STALE)), ("good", 32.5))
    late = at + STALE + 1
    eq((supply.quality(late), supply.value(late), supply.age(late)), ("stale", None, STALE + 1))


def test_implausible_reading_is_bad_without_value():
    bench, supply = sensor()
    for raw in (1001, 65535):
        bench.read("cdu", raw, 400, 3000, 2000, 0)
        eq((supply.quality(bench.now), supply.value(bench.now)), ("bad", None))
    bench.read("cdu", 1000, 400, 3000, 2000, 0)
    eq(supply.value(bench.now), 100.0)


def test_reading_ages_after_failed_poll():
    bench, supply = sensor()
    bench.read("cdu", 325, 400, 3000, 2000, 0)
    bench.no_reply("cdu")
    eq(supply.value(bench.now + SECOND), 32.5)
    eq(supply.age(bench.now + SECOND), SECOND)


def test_difference_has_the_worse_quality():
    bench = FieldbusRig()
    dp = pressure_sensor(bench.session("cdu"), STALE)
    assert type(dp) is DifferenceSensor
    now = bench.now
    eq((dp.quality(now), dp.value(now)), ("none", None))
    bench.read("cdu", 325, 400, 3005, 2000, 0)
    eq((dp.quality(now), dp.value(now)), ("good", 100.5))
    for upper, lower in ((16001, 2000), (3005, 16001)):
        bench.read("cdu", 325, 400, upper, lower, 0)
        eq((dp.quality(now), dp.value(now)), ("bad", None))
    bench.read("cdu", 325, 400, 2000, 3000, 0)
    eq(dp.value(now), -100.0)
    eq((dp.quality(now + STALE + 1), dp.value(now + STALE + 1)), ("stale", None))


def test_own_pressure_point_is_preferred():
    raw = config()
    raw["devices"].append({"name": "meter", "bus": "bus", "unit": 9, "profile": "meter"})
    bench = FieldbusRig(raw)
    dp = pressure_sensor(bench.session("meter"), STALE)
    bench.read("meter", 1234)
    eq((dp.name, dp.value(bench.now)), ("DeltaPressurekPa", 123.4))


def test_a_sensor_names_its_device_and_point():
    bench, supply = sensor()
    eq((supply.name, supply.source),
       ("SupplyTemperatureCelsius", "cdu.SupplyTemperatureCelsius"))  # fmt: skip
    dp = pressure_sensor(bench.session("cdu"), STALE)
    eq(dp.name, "SupplyPressurekPa - ReturnPressurekPa")


def test_an_optional_sensor_exists_only_with_its_point():
    bench, _ = sensor()
    cdu = bench.session("cdu")
    eq(sensor_if_present(cdu, "NoSuchPoint", STALE), None)
    supply = sensor_if_present(cdu, "SupplyTemperatureCelsius", STALE)
    eq((value_or_none(supply, bench.now), centi_or_none(supply, bench.now)), (None, None))
    bench.read("cdu", 325, 400, 3000, 2000, 0)
    eq((value_or_none(supply, bench.now), centi_or_none(supply, bench.now)), (32.5, 3250))
    late = bench.now + STALE + 1
    eq((value_or_none(supply, late), centi_or_none(supply, late)), (None, None))
    eq((value_or_none(None, late), centi_or_none(None, late)), (None, None))
