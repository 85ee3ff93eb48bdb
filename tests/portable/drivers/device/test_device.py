# SPDX-License-Identifier: Apache-2.0
"""Contradictory profiles are rejected with names; valid ones decode and write exactly."""

from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from drivers.errors import ProfileError
from protocols.errors import EncodeError
from protocols.modbus import pdu
from tests.portable.support.check import eq, raises


def sample_profile():
    """A small pump with all number types."""
    return {
        "model": "sample",
        "title": "Sample pump",
        "source": "made up for tests",
        "met_hardware": False,
        "blocks": [
            {"function": 3, "address": 100, "count": 10},
            {"function": 4, "address": 100, "count": 2},
        ],
        "points": [
            {"name": "Control", "address": 100, "type": "u16", "unit": "1"},
            {"name": "Speed", "address": 101, "type": "i16", "scale": [1, 200], "unit": "%"},
            {"name": "Actual", "address": 102, "type": "i16", "scale": [1, 200], "unit": "%"},
            {"name": "Energy", "address": 103, "type": "u32", "unit": "kWh"},
            {"name": "Balance", "address": 105, "type": "i32", "scale": [-1, 100], "unit": "W"},
            {"name": "Heat", "address": 100, "type": "i16", "unit": "Cel", "function": 4},
        ],
        "bits": [
            {"name": "Tripped", "address": 107, "bit": 3, "alarm": True},
            {"name": "Ready", "address": 107, "bit": 15},
            {"name": "Warning", "address": 107, "bit": 7, "alarm": True},
        ],
        "pump": {
            "setpoint": "Speed",
            "feedback": "Actual",
            "run": [["Control", 1151]],
            "stop": [["Control", 1150]],
            "trip": "Tripped",
        },
    }


def writable_profile():
    raw = sample_profile()
    raw["points"][0]["write"] = True
    raw["points"][0]["limits"] = [0, 4095]
    raw["points"][1]["write"] = True
    raw["points"][1]["limits"] = [-500, 20000]
    raw["points"][3]["write"] = True
    raw["points"][3]["limits"] = [0, 4294967295]
    raw["points"][4]["write"] = True
    raw["points"][4]["limits"] = [-100000, 100000]
    raw["points"][5]["min"] = -10
    raw["points"][5]["max"] = 900
    return raw


def check_rejected(change):
    raw = writable_profile()
    change(raw)
    return str(raises(ProfileError, DeviceProfile, raw)).split("\n")


TYPES = "bcd, f32, f64, i16, i32, i64, split, u16, u32, u64"


def test_contradictions_are_reported():
    def point(i, **more):
        return lambda raw: raw["points"][i].update(more)

    def role(**more):
        return lambda raw: raw["pump"].update(more)

    cases = (
        (point(1, name="Control"), "sample: point Control: the name is taken already"),
        (point(1, address=102), "sample: point Actual: address 102 is that of Speed"),
        (point(2, address=104), "sample: point Energy: address 104 is that of Actual"),
        (point(2, address=99), "sample: point Actual: address 99 is outside every block"),
        (point(4, address=109), "sample: point Balance: address 109 is outside every block"),
        (point(0, function=4), "sample: point Control: an input register cannot be written"),
        (point(0, type="f16"), "sample: point Control: type 'f16' is none of " + TYPES),
        (point(0, type=[1]), "sample: point Control: type is not a text"),
        (point(1, scale=[1, 0]), "sample: point Speed: scale is not [not 0, above 0]"),
        (point(1, scale=[0, 1]), "sample: point Speed: scale is not [not 0, above 0]"),
        (point(1, scale=0.5), "sample: point Speed: scale is not a list of 2 to 2 integers"),
        (
            point(1, scale=[0.5, 1]),
            "sample: point Speed: scale 0.5 is not -1000000000 to 1000000000",
        ),
        (
            point(1, min=2.5),
            "sample: point Speed: min 2.5 is not -9223372036854775808 to 18446744073709551615",
        ),
        (point(5, max=-11), "sample: point Heat: min is above max"),
        (
            point(1, limits=[0, 40000]),
            "sample: point Speed: limits [0, 40000] are not within -32768 to 32767, low first",
        ),
        (
            point(1, limits=[1, 0]),
            "sample: point Speed: limits [1, 0] are not within -32768 to 32767, low first",
        ),
        (point(2, limits=[0, 1]), "sample: point Actual: limits without write"),
        (point(2, write=1), "sample: point Actual: write is not true or false"),
        (point(2, write=True), "sample: point Actual: limits is missing"),
        (point(2, unit=""), "sample: point Actual: unit is not a text"),
        (point(2, colour="red"), "sample: point Actual: unknown key colour"),
        (role(setpoint="Actual"), "sample: pump: Actual is not to be written"),
        (role(feedback="Gone"), "sample: pump: 'Gone' is not a point"),
        (role(trip="Gone"), "sample: pump: trip 'Gone' is not a bit"),
        (role(trip=[1]), "sample: pump: trip is not a text"),
        (role(feedback=[1]), "sample: pump: feedback is not a text"),
        (role(run=[["Control", 4096]]), "sample: pump.run: Control 4096 is not 0 to 4095"),
        (role(stop=[["Control"]]), "sample: pump.stop: is not a list of [point, raw]"),
        (
            role(stop=[["Energy", 1]]),
            "sample: pump.stop: does not lie side by side with the set-point",
        ),
    )
    for change, text in cases:
        eq(check_rejected(change)[:1], [text])


def test_blocks_bits_and_header_are_checked():
    def block(i, **more):
        return lambda raw: raw["blocks"][i].update(more)

    def bit(i, **more):
        return lambda raw: raw["bits"][i].update(more)

    def put(key, value):
        return lambda raw: raw.update({key: value})

    cases = (
        (block(0, count=126), "sample: blocks[0]: count 126 is more than 125 in one read"),
        (block(0, count=0), "sample: blocks[0]: count 0 is not 1 to 65536"),
        (block(0, function=6), "sample: blocks[0]: function 6 is not 1 to 4"),
        (block(1, address=65535), "sample: blocks[1]: ends after address 65535"),
        (block(1, function=3), "sample: blocks[1]: overlaps the one at 100"),
        (block(1, address=True), "sample: blocks[1]: address True is no address"),
        (bit(1, bit=16), "sample: bit Ready: bit 16 is not 0 to 15"),
        (bit(1, bit=3), "sample: bit Ready: bits of register 107 are those of Tripped"),
        (bit(1, address=110), "sample: bit Ready: address 110 is outside every block"),
        (bit(1, name="Speed"), "sample: bit Speed: the name is taken already"),
        (put("blocks", []), "sample: profile: blocks is empty; leave it out to have them planned"),
        (put("points", {}), "sample: profile: points is not a list"),
        (put("points", [7]), "sample: points[0]: is not an object"),
        (put("model", ""), "profile: profile: model is not a text"),
        (put("met_hardware", "no"), "sample: profile: met_hardware is not true or false"),
        (put("lamp", {}), "sample: profile: unknown key lamp"),
        (put("valve", {"feedback": "Speed"}), "sample: valve: setpoint is missing"),
        (
            put("valve", {"setpoint": "Speed", "feedback": "Actual"}),
            "sample: valve: Speed is written by the role pump too",
        ),
    )
    for change, text in cases:
        eq(check_rejected(change)[:1], [text])
    raises(ProfileError, DeviceProfile, [])


def test_poll_requests_are_the_blocks():
    device = ModbusDevice("p1", 7, DeviceProfile(writable_profile()))
    eq(device.poll_requests(), [(pdu.read_holding(100, 10), 0), (pdu.read_input(100, 2), 1)])
    eq((device.profile.has_point("Speed"), device.profile.has_point("Tripped")), (True, False))
    eq(str(raises(ProfileError, device.point_index, "Nope")), "sample: point Nope: does not exist")
    raises(ProfileError, device.is_bit_on, "Nope")


REGISTERS = (1151, 65436, 20000, 1, 2, 65535, 65534, 1 << 15 | 1 << 3, 0, 0)


def test_decoding():
    device = ModbusDevice("p1", 7, DeviceProfile(writable_profile()))
    eq([reading.quality for reading in device.readings], ["none"] * 6)
    eq((device.is_bit_on("Ready"), device.active_alarm_bits()), (False, []))
    device.store_block(0, REGISTERS, 5_000)
    readings = device.readings
    eq([reading.raw for reading in readings[:5]], [1151, -100, 20000, 65538, -2])
    eq([device.value(i) for i in range(5)], [1151.0, -0.5, 100.0, 65538.0, 0.02])
    eq([(r.quality, r.read_at) for r in readings], [("good", 5_000)] * 5 + [("none", 0)])
    eq((device.is_bit_on("Ready"), device.is_bit_on("Warning")), (True, False))
    eq(device.active_alarm_bits(), ["Tripped"])
    device.store_block(0, REGISTERS, 6_000)  # the same registers: only the time changes
    eq(
        (readings[2].raw, readings[2].read_at, device.active_alarm_bits()),
        (20000, 6_000, ["Tripped"]),
    )
    device.store_block(0, REGISTERS[:7] + (1 << 7, 0, 0), 7_000)
    eq(device.active_alarm_bits(), ["Warning"])


def test_implausible_value_is_bad_and_failed_block_ages():
    device = ModbusDevice("p1", 7, DeviceProfile(writable_profile()))
    heat = device.readings[device.point_index("Heat")]
    for word, raw, quality in (
        (900, 900, "good"),
        (901, 901, "bad"),
        (65526, -10, "good"),
        (65525, -11, "bad"),
        (0x7FFF, 32767, "bad"),
    ):
        device.store_block(1, (word, 0), 9_000)
        eq((heat.raw, heat.quality), (raw, quality))
    device.store_block(1, (20, 0), 10_000)
    device.block_failed(1, 20_000)
    device.block_failed(1, 30_000)
    eq((heat.raw, heat.quality, heat.read_at, device.failures), (20, "good", 10_000, [0, 2]))
    device.store_block(1, (20, 0), 40_000)
    eq((heat.read_at, device.failures), (40_000, [0, 0]))


def test_writing():
    device = ModbusDevice("p1", 7, DeviceProfile(writable_profile()))
    eq(device.build_write([(1, 20000)]), pdu.write_single(101, 20000))
    eq(device.build_write([(1, -100)]), pdu.write_single(101, 65436))
    eq(device.build_write([(1, 5), (0, 1151)]), pdu.write_multiple(100, (1151, 5)))
    eq(device.build_write([(3, 65538)]), pdu.write_multiple(103, (1, 2)))
    eq(device.build_write([(4, -2)]), pdu.write_multiple(105, (65535, 65534)))
    cases = (
        ([(1, 20001)], "p1.Speed 20001 is not -500 to 20000"),
        ([(1, -501)], "p1.Speed -501 is not -500 to 20000"),
        ([(0, 1.0)], "p1.Control 1.0 is not 0 to 4095"),
        ([(2, 1)], "p1.Actual is not to be written"),
        ([(0, 1), (3, 1)], "p1: registers to write are not side by side"),
        ([(0, 1), (0, 2)], "p1: registers to write are not side by side"),
        ([], "p1: nothing to write"),
    )
    for pairs, text in cases:
        eq(str(raises(EncodeError, device.build_write, pairs)), text)


def test_count_is_nearest_integer():
    device = ModbusDevice("p1", 7, DeviceProfile(writable_profile()))
    for value, raw in ((50.0, 10000), (0.0024, 0), (0.0026, 1), (-0.0026, -1), (100.0, 20000)):
        eq(device.to_count(1, value), raw)
    eq(device.to_count(4, 0.02), -2)


def test_readback():
    device = ModbusDevice("p1", 7, DeviceProfile(writable_profile()))
    eq(device.readback_matches([(1, -100)]), None)
    device.store_block(0, REGISTERS, 5_000)
    eq(device.readback_matches([(1, -100), (0, 1151)]), True)
    eq(device.readback_matches([(1, -100), (0, 1150)]), False)
    eq(device.readback_matches([(0, 1150), (5, 0)]), None)


def test_devices_share_profile_not_readings():
    profile = DeviceProfile(writable_profile())
    one, two = ModbusDevice("p1", 7, profile), ModbusDevice("p2", 8, profile)
    one.store_block(0, REGISTERS, 5_000)
    eq((two.readings[0].quality, two.is_bit_on("Tripped")), ("none", False))
