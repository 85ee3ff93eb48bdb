# SPDX-License-Identifier: Apache-2.0
"""Features of profiles: links, offsets, orders, bits, writes, identity."""

from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from drivers.device.profile_entries import wire_address
from drivers.errors import ProfileError
from drivers.modbus.register_span import ReadBlock
from protocols.errors import EncodeError
from protocols.modbus import pdu
from tests.portable.support.check import eq, raises


def profile(points, **more):
    raw = {"model": "x", "title": "X", "source": "made up", "met_hardware": False}
    raw["points"] = points
    raw.update(more)
    return raw


def device(points, **more):
    return ModbusDevice("d", 1, DeviceProfile(profile(points, **more)))


def point(name, address, kind="u16", **more):
    made = {"name": name, "address": address, "type": kind}
    made.update(more)
    return made


def store_words(made, words):
    """Store the words of the only block; return (raw, quality) of each point."""
    eq(len(made.blocks), 1)
    made.store_block(0, words, 7)
    return [(reading.raw, reading.quality) for reading in made.readings]


def test_notations():
    cases = (
        (0, "base0", None, (3, 0)),
        (65536, "base0", None, None),
        (1, "base1", None, (3, 0)),
        (0, "base1", None, None),
        (65536, "base1", 4, (4, 65535)),
        (40001, "reference", None, (3, 0)),
        (49999, "reference", None, (3, 9998)),
        (413556, "reference", None, (3, 13555)),
        (465536, "reference", None, (3, 65535)),
        (465537, "reference", None, None),
        (30010, "reference", None, (4, 9)),
        (10001, "reference", None, (2, 0)),
        (17, "reference", None, (1, 16)),
        ("000017", "reference", None, (1, 16)),
        ("065536", "reference", None, (1, 65535)),
        (411010, "reference", 2, (2, 11009)),
        (40000, "reference", None, None),
        (50001, "reference", None, None),
        (4000001, "reference", None, None),
        ("4x001", "reference", None, None),
        ("12", "base0", None, None),
    )
    for address, notation, function, place in cases:
        eq(
            (address, notation, wire_address(address, notation, function)),
            (address, notation, place),
        )


def test_offset_gives_integer_counts():
    kelvin = device([point("T", 0, scale=[1, 100], offset=[-27315, 100], unit="Cel")])
    eq(store_words(kelvin, (29815,)), [(2500, "good")])
    eq(kelvin.value(0), 25.0)
    fahrenheit = device([point("T", 0, scale=[1, 18], offset=[-160, 9], unit="Cel")])
    eq(store_words(fahrenheit, (770,)), [(450, "good")])  # 77.0 F
    eq(fahrenheit.value(0), 25.0)
    thirds = device(
        [point("T", 0, scale=[1, 10], offset=[1, 3], unit="1", write=True, limits=[0, 9])]
    )
    eq(store_words(thirds, (5,)), [(25, "good")])
    eq(abs(thirds.value(0) - 0.8333333333) < 1e-9, True)
    eq(thirds.build_write([(0, thirds.to_count(0, 0.7 + 1 / 3))]), pdu.write_single(0, 7))


def test_binary_fractions_and_fields():
    eq(device([point("Q", 0, "i16", fraction=8)]).profile.points[0].denominator, 256)
    made = device(
        [
            point("Low", 0, field=[0, 4]),
            point("High", 0, field=[12, 4], write=True, limits=[0, 9]),
            point("Mid", 0, field=[4, 8]),
        ]
    )
    eq(store_words(made, (0xA5C3,)), [(3, "good"), (10, "good"), (0x5C, "good")])
    eq(made.build_write([(1, 9)]), pdu.mask_write(0, 0x0FFF, 0x9000))


def test_no_value_is_not_a_number():
    made = device(
        [
            point("A", 0, none=[65535]),
            point("B", 1, "i16", none=[-32768, 32767]),
            point("C", 2, "u32", none=[4294967295]),
            point("D", 4, none=[0, 500]),
            point("E", 5, "f32", step=[1, 10]),
            point("F", 7, "bcd", registers=1),
            point("G", 8, "i64", none=[9223372036854775807]),
        ]
    )
    words = (65535, 0x8000, 65535, 65535, 500, 0x7FC0, 0, 0x00AA, 0x7FFF, 65535, 65535, 65535)
    eq([quality for _, quality in store_words(made, words)], ["bad"] * 7)
    words = (65534, 0x7FFE, 65535, 65534, 499, 0x41C8, 0, 0x0042, 0, 0, 0, 9)
    got = [(65534, "good"), (32766, "good"), (4294967294, "good"), (499, "good")]
    eq(store_words(made, words), got + [(250, "good"), (42, "good"), (9, "good")])
    eq(made.readings[0].read_at, 7)
    plain = [made.profile.points[i].is_plain for i in range(4)]
    eq(plain, [True, True, True, False])  # excluded from the range, without a check


def sunspec():
    return device(
        [
            point("A", 1, "i16", exponent="SF", step=[1, 100], unit="A", none=[-32768]),
            point("SF", 2, "i16", none=[-32768], min=-10, max=10),
        ]
    )


def test_scale_factor_register():
    made = sunspec()
    for words, got in (
        ((1234, 65534), (1234, "good")),
        ((1234, 0), (123400, "good")),
        ((1234, 1), (1234000, "good")),
        ((1235, 65533), (124, "good")),
        ((65536 - 1235, 65533), (-124, "good")),
    ):
        eq(store_words(made, words)[0], got)
    for words in ((0x8000, 0), (1234, 0x8000), (1234, 11)):
        eq(store_words(made, words)[0][1], "bad")


def test_scale_factor_of_another_block():
    points = [point("A", 1, "i16", exponent="SF", step=[1, 1], unit="A"), point("SF", 9, "i16")]
    made = device(points)
    made.store_block(0, (5,), 1)
    eq(made.readings[0].quality, "bad")
    made.store_block(1, (2,), 1)
    made.store_block(0, (5,), 2)  # the same register as before, but its factor is now known
    eq((made.readings[0].raw, made.readings[0].quality), (500, "good"))


def test_percent_of_a_range():
    points = [
        point("Top", 0, scale=[1, 1], unit="kPa"),
        point("Dp", 1, range=[None, "Top"], full=10000, step=[1, 10], unit="kPa"),
    ]
    points[1].update({"write": True, "limits": [0, 10000]})
    made = device(points)
    eq(
        str(raises(EncodeError, made.build_write, [(1, 500)])),
        "d.Dp: the range Top is not known yet",
    )
    eq(store_words(made, (600, 5000))[1], (3000, "good"))
    eq(made.value(1), 300.0)
    eq(made.build_write([(1, made.to_count(1, 150.0))]), pdu.write_single(1, 2500))
    eq(made.readback_matches([(1, 3000)]), True)
    eq(made.readback_matches([(1, 3100)]), False)
    eq(str(raises(EncodeError, made.build_write, [(1, 6001)])), "d.Dp 10002 is not 0 to 10000")


def test_floats_are_written_as_counts():
    made = device([point("S", 0, "f32", step=[1, 10], unit="Cel", order="CDAB")])
    eq(store_words(made, (0, 0x41C8)), [(250, "good")])
    raw = point(
        "S", 0, "f32", step=[1, 10], unit="Cel", order="CDAB", write=True, limits=[150, 400]
    )
    made = device([raw])
    eq(made.build_write([(0, 250)]), pdu.write_multiple(0, (0, 0x41C8)))
    eq(str(raises(EncodeError, made.build_write, [(0, 401)])), "d.S 401 is not 150 to 400")


def test_bits_inverted_single_and_of_flags():
    made = device(
        [],
        bits=[
            {"name": "Leak", "address": 5, "function": 2, "alarm": True},
            {"name": "Fault", "address": 6, "function": 2, "alarm": True, "invert": True},
            {"name": "Out", "address": 3, "function": 1, "write": "coil"},
        ],
        flags=[
            {"name": "Twin", "address": 9, "bits": ["P", None, "Q"], "alarm": [2], "invert": [0]},
            {"name": "Twin", "address": 10, "bits": ["R"], "write": "mask"},
        ],
    )
    eq(made.blocks, [(1, 3, 1), (2, 5, 2), (3, 9, 2)])
    eq(made.poll_requests()[1], (pdu.read_discrete(5, 2), 1))
    made.store_block(1, (1, 1), 1)
    eq(
        (made.is_bit_on("Leak"), made.is_bit_on("Fault"), made.active_alarm_bits()),
        (True, False, ["Leak"]),
    )
    made.store_block(1, (0, 0), 2)
    made.store_block(2, (4, 1), 2)
    eq(made.active_alarm_bits(), ["Fault", "Q"])
    eq((made.is_bit_on("P"), made.is_bit_on("R")), (True, True))
    made.store_block(2, (1, 1), 3)
    eq((made.is_bit_on("P"), made.active_alarm_bits()), (False, ["Fault"]))
    eq(made.build_bit_write("Out", True), pdu.write_coil(3, 1))
    eq(made.build_bit_write("R", False), pdu.mask_write(10, 0xFFFE, 0))
    eq(str(raises(EncodeError, made.build_bit_write, "Leak", True)), "d.Leak is not to be written")


def remote_profile():
    return device(
        [
            point("Word", 0, "u16"),
            point("Set", 3, write=True, limits=[0, 100], needs=[["Remote", 1]], ramp=10),
        ],
        bits=[{"name": "Remote", "address": 0, "bit": 0, "write": "register"}],
    )


def test_prerequisite_writes_come_first():
    made = remote_profile()
    eq(made.blocks, [(3, 0, 1), (3, 3, 1)])
    text = "d.Remote: its register is not known yet"
    eq(str(raises(EncodeError, made.build_writes, [(1, 50)])), text)
    made.store_block(0, (0xF0,), 1)
    eq(made.build_writes([(1, 50)]), [pdu.write_single(0, 0xF1), pdu.write_single(3, 50)])
    made.store_block(0, (0xF1,), 1)
    eq(made.build_writes([(1, 50)]), [pdu.write_single(3, 50)])
    raises(EncodeError, made.build_writes, [(1, 101)])
    eq(made.ramp_limited(1, 20, 50, 1_000_000), 30)
    eq(made.ramp_limited(1, 50, 20, 500_000), 45)
    eq(made.ramp_limited(1, 50, 51, 500_000), 51)


def test_a_write_of_the_register_of_a_prerequisite_decides_it():
    """Else a stop would begin with the old run command, if the remote bit was taken away."""
    needs = [["Remote", 1]]
    near = [point("Word", 0, write=True, limits=[0, 3]), point("Set", 1, write=True, needs=needs)]
    apart = [near[0], point("Set", 3, write=True, needs=needs)]
    for points in (near, apart):
        points[1]["limits"] = [0, 100]
    bits = [{"name": "Remote", "address": 0, "bit": 0, "write": "register"}]
    run = 2  # without the remote bit
    made = device(near, bits=bits)
    made.store_block(0, (run, 50), 1)
    eq(made.build_writes([(0, 1), (1, 0)]), [pdu.write_multiple(0, [1, 0])])
    eq(made.build_writes([(1, 50), (0, 3)]), [pdu.write_multiple(0, [3, 50])])
    made = device(apart, bits=bits)
    made.store_block(0, (run,), 1)
    stop = [pdu.write_single(0, 1), pdu.write_single(3, 0)]
    eq(made.build_writes([(0, 1), (1, 0)]), stop)
    start = [pdu.write_single(0, run | 1), pdu.write_single(3, 50), pdu.write_single(0, 3)]
    eq(made.build_writes([(1, 50), (0, 3)]), start)


def test_write_only_points_and_gaps():
    points = [
        point("Word", 99, read=False, verify="none", write=True, limits=[0, 65535]),
        point("Ref", 9, write=True, limits=[0, 100], verify="Act", within=2),
        point("Act", 20),
    ]
    pump = {"setpoint": "Ref", "feedback": "Act", "run": [["Word", 5]], "stop": [["Word", 4]]}
    pump.update({"trip": "T", "apart": True})
    bits = [{"name": "T", "address": 21, "bit": 3}]
    made = device(points, pump=pump, bits=bits)
    eq(made.blocks, [(3, 9, 1), (3, 20, 2)])
    eq(made.build_writes([(0, 5), (1, 50)]), [pdu.write_single(99, 5), pdu.write_single(9, 50)])
    text = "d: registers to write are not side by side"
    eq(str(raises(EncodeError, made.build_write, [(0, 5), (1, 50)])), text)
    eq(made.readback_matches([(0, 5)]), True)
    eq(made.readback_matches([(1, 50)]), None)
    made.store_block(1, (48, 0), 1)
    eq(made.readback_matches([(1, 50)]), True)
    made.store_block(1, (47, 0), 1)
    eq(made.readback_matches([(1, 50)]), False)
    pump.pop("apart")
    lines = str(raises(ProfileError, DeviceProfile, profile(points, pump=pump, bits=bits))).split(
        "\n"
    )
    eq(lines[:1], ["x: pump.run: does not lie side by side with the set-point"])


def test_write_function():
    for how, request in (
        (6, pdu.write_single(4, 9)),
        (16, pdu.write_multiple(4, (9,))),
        (23, pdu.read_write(4, 1, 4, (9,))),
    ):
        made = device([point("A", 4, write=True, limits=[0, 9])], write_with=how)
        eq(made.build_write([(0, 9)]), request)


def test_watchdog():
    points = [point("Beat", 13, write=True, limits=[0, 5], verify="none")]
    dog = {"point": "Beat", "value": 3, "period_ms": 5000}
    eq(device(points, watchdog=dog).watchdog_request(), (pdu.write_single(13, 3), 5_000_000))
    eq(device(points).watchdog_request(), None)


def test_identity_mismatch_blocks_writes():
    probes = [
        {"function": 3, "address": 40, "words": [7, 8]},
        {"function": 3, "address": 50, "text": "PUMP"},
        {"object": 1, "text": "CIM"},
        {"function": 4, "address": 60, "between": [10, 20]},
    ]
    points = [point("A", 4, write=True, limits=[0, 9])]
    made = device(points, identity=probes)
    probe_requests = [pdu.read_holding(40, 2), pdu.read_holding(50, 2), pdu.read_device_id(4, 1)]
    eq([request for request, _ in made.identity_probes()], probe_requests + [pdu.read_input(60, 1)])
    made.store_probe_result(0, "ok", 0, (7, 8))
    made.store_probe_result(1, "ok", 0, (0x5055, 0x4D50))
    made.store_probe_result(2, "ok", 0, (1, 0, 0, 1, 1, 5, 67, 73, 77, 53, 48))
    eq((made.identity, made.mismatch_reason), ("unknown", ""))
    made.store_probe_result(3, "timeout", 0, ())
    made.store_probe_result(3, "exception", 6, ())
    eq(made.identity, "unknown")
    made.store_probe_result(3, "ok", 0, (20,))
    eq(made.identity, "match")
    made.build_write([(0, 1)])
    made.forget_identity()  # after a loss, all probes must match again
    made.store_probe_result(0, "ok", 0, (7, 8))
    eq(made.identity, "unknown")
    for tag, status, code, values in (
        (0, "ok", 0, (7, 9)),
        (1, "ok", 0, (0x5055, 0x4D51)),
        (2, "ok", 0, (1, 0, 0, 0)),
        (3, "ok", 0, (21,)),
        (3, "exception", 2, ()),
    ):
        other = device(points, identity=probes)
        other.store_probe_result(tag, status, code, values)
        eq((tag, other.identity), (tag, "mismatch"))
        text = str(raises(EncodeError, other.build_write, [(0, 1)]))
        eq(text.startswith("d is no x (") and text.endswith("): no writes"), True)
        raises(EncodeError, other.build_writes, [(0, 1)])


def test_text_probe_with_several_prefixes():
    probes = [
        {"object": 4, "any": ["ACS580", "ACH580"]},
        {"function": 3, "address": 50, "any": ["B2", "A43"], "count": 6},
        {"function": 3, "address": 60, "any": ["B2", "A43"]},
    ]
    points = [point("A", 4, write=True, limits=[0, 9])]
    probe_requests = [pdu.read_device_id(4, 4), pdu.read_holding(50, 6), pdu.read_holding(60, 2)]
    eq(
        [request for request, _ in device(points, identity=probes).identity_probes()],
        probe_requests,
    )

    def found(tag, *values):
        made = device(points, identity=probes[tag : tag + 1])
        made.store_probe_result(0, "ok", 0, values)
        return made.identity, made.mismatch_reason

    head = (4, 0, 0, 1, 4, 6)
    eq(found(0, *(head + tuple(b"ACH580"))), ("match", ""))
    eq(
        found(0, *(head + tuple(b"ACS880"))),
        ("mismatch", "object 4 holds 'ACS880', not 'ACS580 or ACH580'"),
    )
    eq(found(1, 0x4132, 0x3220), ("mismatch", "address 50 holds 'A22', not 'B2 or A43'"))
    eq(found(1, 0x4134, 0x3320)[0], "match")
    eq(found(2, 0x4232, 0x3320)[0], "match")


def test_unpolled_points_are_dropped():
    points = [
        point("A", 0),
        point("B", 1, poll="never"),
        point("C", 9, poll="slow"),
        point("D", 5, poll="never", write=True, limits=[0, 1]),
    ]
    raw = profile(points, texts=[{"name": "T", "address": 20, "registers": 2, "poll": "never"}])
    lean, whole = DeviceProfile(raw), DeviceProfile(raw, include_unpolled=True)
    eq([p.name for p in lean.points], ["A", "C"])
    eq((lean.blocks, lean.texts), ([(3, 0, 1), (3, 9, 1)], []))
    eq([p.name for p in lean.polled_items("slow")], ["C"])
    eq([p.name for p in whole.points], ["A", "B", "C", "D"])
    eq(whole.blocks, [(3, 0, 2), (3, 5, 1), (3, 9, 1), (3, 20, 2)])
    made = ModbusDevice("d", 1, whole)
    eq(made.text_value("T"), None)
    made.store_block(3, (0x4F4B, 0), 1)
    eq(made.text_value("T"), "OK")
    eq(lean.periods, (1_000_000, 10_000_000))


def test_device_reads_the_blocks_it_is_given():
    raw = profile([point("A", 0), point("B", 40)], max_block=30)
    made = ModbusDevice("d", 1, DeviceProfile(raw), [ReadBlock(3, 0, 41)])
    eq(made.poll_requests(), [(pdu.read_holding(0, 41), 0)])
    made.store_block(0, tuple(range(41)), 3)
    eq([r.raw for r in made.readings], [0, 40])
    made.set_blocks([ReadBlock(3, 40, 1)])
    made.store_block(0, (99,), 4)
    eq([(r.raw, r.read_at) for r in made.readings], [(0, 3), (99, 4)])


def test_atomic_blocks_are_read_whole():
    points = [point("A", 2), point("B", 3), point("C", 12), point("D", 13)]
    fixed = [{"function": 3, "address": 0, "count": 12}]
    made = DeviceProfile(profile(points, fixed_blocks=fixed))
    eq(made.blocks, [(3, 0, 12), (3, 12, 2)])
    eq((made.fixed_blocks, made.holes, made.max_block), ([(3, 0, 12)], [], 125))
