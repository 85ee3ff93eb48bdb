# SPDX-License-Identifier: Apache-2.0
"""Every rule of a profile has an error with a name, and all errors are reported together."""

from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from drivers.device.profile_check import check_profile
from tests.portable.support.check import eq


def point(name, address, kind="u16", **more):
    made = {"name": name, "address": address, "type": kind}
    made.update(more)
    return made


def profile(points, **more):
    raw = {"model": "x", "title": "X", "source": "made up", "met_hardware": False}
    raw["points"] = points
    raw.update(more)
    return raw


def test_valid_profile_has_no_errors():
    eq(check_profile(profile([point("A", 0)]), "x"), [])


def test_all_errors_are_reported():
    raw = profile(
        [point("A", 0), point("A", 1), point("B", 0), point("C", 9, scale=[0, 1]), 7],
        notation="base7",
        colour="red",
    )
    eq(check_profile(raw, "my.json"), ["my.json: profile: unknown key colour", NOTATION])
    raw.pop("colour")
    raw["notation"] = "base0"
    eq(
        check_profile(raw, "my.json"),
        [
            "my.json: point A: the name is taken already",
            "my.json: point B: address 0 is that of A",
            "my.json: point C: scale is not [not 0, above 0]",
            "my.json: points[4]: is not an object",
        ],
    )


NOTATION = "my.json: profile: notation 'base7' is none of base0, base1, reference"


def test_errors_of_one_point():
    cases = (
        ({"type": "u16", "order": "CDAB"}, "order 'CDAB' is none of 1 registers"),
        ({"type": "u32", "order": "ABDC"}, "order 'ABDC' is none of 2 registers"),
        ({"type": "f32"}, "needs a step: what one count is"),
        ({"type": "u16", "step": [1, 10]}, "step without need: use scale"),
        ({"type": "f32", "step": [0, 10]}, "step is not [above 0, above 0]"),
        ({"type": "f32", "step": [1, 10], "fraction": 8}, "fraction is for integers with a scale"),
        (
            {"type": "f32", "step": [1, 10], "offset": [1, 100]},
            "offset is no multiple of the step",
        ),
        ({"type": "f32", "step": [1, 10], "none": [7]}, "none 7 is no value of type f32"),
        ({"type": "i16", "none": [65535]}, "none 65535 is no value of type i16"),
        ({"type": "i16", "max": 65535}, "max 65535 is not -32768 to 32767"),
        ({"type": "bcd"}, "type bcd needs registers"),
        ({"type": "split"}, "type split needs weights"),
        ({"type": "u32", "registers": 2}, "registers is for type bcd, not u32"),
        ({"type": "u16", "bcd": True}, "bcd is for type split; a number in BCD has type bcd"),
        ({"type": "u16", "field": [12, 5]}, "field [12, 5] is not [lowest bit, bits] of 16"),
        ({"type": "i16", "field": [0, 4]}, "field is for type u16, not i16"),
        ({"type": "u16", "function": 2}, "functions 1 and 2 have bits, no points"),
        ({"type": "u16", "address": 65536}, "address 65536 is none in base0"),
        ({"type": "u32", "address": 65535}, "ends after address 65535"),
        ({"type": "u16", "read": False}, "is neither read nor written"),
        (
            {"type": "u16", "read": False, "write": True, "limits": [0, 1]},
            "is never read: verify must be none or another point",
        ),
        ({"type": "u16", "ramp": 5}, "ramp without write"),
        (
            {"type": "split", "weights": [1], "write": True, "limits": [0, 1]},
            "type split cannot be written",
        ),
        ({"type": "u16", "exponent": "Gone", "step": [1, 1]}, "'Gone' is not a point"),
        (
            {"type": "u16", "exponent": "Other", "step": [1, 1]},
            "exponent Other is not a plain i16",
        ),
        (
            {"type": "u16", "range": [None, "Other"], "step": [1, 1]},
            "range needs full, and neither exponent, offset nor scale",
        ),
        ({"type": "u16", "alias": "Other"}, "alias Other has not the same address"),
        (
            {"type": "u16", "write": True, "limits": [0, 1], "needs": [["Other", 1]]},
            "needs 'Other', which cannot be written",
        ),
        (
            {"type": "u16", "write": True, "limits": [0, 1], "verify": "Other", "unit": "A"},
            "is verified by Other, which has another unit",
        ),
        ({"type": "u16", "poll": "often"}, "poll 'often' is none of fast, slow, never"),
    )
    for keys, rule in cases:
        raw = profile([point("P", 5), point("Other", 900, unit="V")])
        raw["points"][0].update(keys)
        eq((keys, check_profile(raw, "x")), (keys, ["x: point P: " + rule]))


def test_address_errors():
    two = [point("A", 4), point("B", 8)]
    cases = (
        ({"holes": [{"address": 8, "count": 2}]}, ["point B: lies in the hole at 8"]),
        (
            {"blocks": [{"address": 0, "count": 8}]},
            ["point B: address 8 is outside every block"],
        ),
        (
            {"holes": [{"address": 6, "count": 1}], "blocks": [{"address": 4, "count": 5}]},
            ["holes[0]: lies within blocks at 4"],
        ),
        ({"fixed_blocks": [{"address": 0, "count": 9}]}, []),
        (
            {"max_block": 4, "blocks": [{"address": 4, "count": 5}]},
            ["blocks[0]: count 5 is more than 4 in one read"],
        ),
        (
            {"fixed_blocks": [{"address": 0, "count": 9}, {"address": 8, "count": 2}]},
            ["fixed_blocks[1]: overlaps the one at 0"],
        ),
        (
            {"points": two + [point("C", 9, "u32")], "fixed_blocks": [{"address": 0, "count": 10}]},
            ["point C: is cut by the fixed block at 0"],
        ),
        ({"points": two + [point("C", 3, "u32")]}, ["point C: address 4 is that of A"]),
        ({"points": two + [point("C", 4, "i16", alias="A")]}, []),
        ({"points": two + [point("C", 4, function=4)]}, []),
        ({"points": two + [point("C", 700, poll="never")], "max_block": 9}, []),
        ({"points": []}, ["profile: has no points, bits, flags or texts"]),
    )
    for keys, rules in cases:
        raw = profile(two)
        raw.update(keys)
        eq((keys, check_profile(raw, "x")), (keys, ["x: " + rule for rule in rules]))


def test_bits_and_flags():
    cases = (
        ({"function": 2, "bit": 1}, "bit B: bit is for registers"),
        ({"function": 3}, "bit B: bit is missing"),
        ({"function": 4, "bit": 1, "write": "mask"}, "bit B: write mask is not for function 4"),
        ({"function": 2, "write": "coil"}, "bit B: write coil is not for function 2"),
        ({"function": 3, "bit": 1, "write": "coil"}, "bit B: write coil is not for function 3"),
    )
    for keys, rule in cases:
        bit = {"name": "B", "address": 3}
        bit.update(keys)
        eq((keys, check_profile(profile([], bits=[bit]), "x")), (keys, ["x: " + rule]))
    twins = [{"name": "T", "address": 1, "bits": ["A"]}, {"name": "T", "address": 2, "bits": ["B"]}]
    eq(check_profile(profile([], flags=twins), "x"), [])
    twins[1]["bits"] = [None, "A"]
    eq(check_profile(profile([], flags=twins), "x"), ["x: bit A: the name is taken already"])
    twins[1] = {"name": "T", "address": 1, "bits": ["C"]}
    eq(
        check_profile(profile([], flags=twins), "x"),
        ["x: bit C: bits of register 1 are those of A"],
    )


def test_errors_of_other_sections():
    points = [point("A", 0, write=True, limits=[0, 9])]
    cases = (
        (
            {"watchdog": {"point": "A", "value": 10, "period_ms": 1000}},
            ["watchdog: A 10 is not 0 to 9"],
        ),
        (
            {"watchdog": {"point": "Z", "value": 1, "period_ms": 1000}},
            ["watchdog: 'Z' is not a point"],
        ),
        ({"identity": [{"text": "x"}]}, ["identity[0]: has either an object or an address"]),
        (
            {"scan": {"words": [1], "bases": [0]}},
            ["scan: model is missing", "scan: usual is missing"],
        ),
        ({"periods": {"fast": 1}}, ["periods: fast 1 is not 100 to 3600000"]),
        ({"defaults": {"name": "x"}}, ["defaults: unknown key name"]),
    )
    for keys, rules in cases:
        raw = profile(points)
        raw.update(keys)
        eq((keys, check_profile(raw, "x")), (keys, ["x: " + rule for rule in rules]))


def test_random_input_never_raises():
    """Replace any value by random JSON: errors or none, but no exception.

    A profile without errors compiles, and a device can use it.
    """
    junk = (None, True, 7, -1, "x", "", [], [7], [None], {}, {"name": 7}, 1.5, [[7, 7]])
    whole = profile(
        [
            point("A", 0, write=True, limits=[0, 9], needs=[["R", 1]], verify="B", ramp=1),
            point("B", 1, "u16", scale=[1, 1], none=[7]),
            point("C", 2, "i16", exponent="E", step=[1, 1]),
            point("E", 3, "i16"),
            point("F", 4, "u16", range=[None, "B"], full=9, step=[1, 1]),
            point("G", 5, "bcd", registers=1),
        ],
        bits=[{"name": "R", "address": 9, "bit": 1, "write": "register"}],
        flags=[{"name": "S", "address": 10, "bits": ["T"], "alarm": [0]}],
        texts=[{"name": "U", "address": 20, "registers": 2}],
        blocks=[{"function": 3, "address": 0, "count": 40}],
        holes=[{"function": 3, "address": 50, "count": 1}],
        defaults={"unit": "1"},
        identity=[{"function": 3, "address": 0, "words": [1]}],
        watchdog={"point": "A", "value": 1, "period_ms": 1000},
        pump={"setpoint": "A", "feedback": "B", "run": [["A", 1]], "stop": [], "trip": "R"},
    )
    tried = [0]
    mutate_part(whole, whole, junk, tried)
    assert tried[0] > 500


def mutate_part(part, whole, junk, tried):
    places = sorted(part) if type(part) is dict else range(len(part))
    for place in list(places):
        kept = part[place]
        for value in junk:
            part[place] = value
            lines = check_profile(whole, "x")
            assert not [line for line in lines if not line.startswith("x: ")]
            if not lines:
                ModbusDevice("d", 1, DeviceProfile(whole, include_unpolled=True)).identity_probes()
            tried[0] += 1
        part[place] = kept
        if type(kept) in (dict, list):
            mutate_part(kept, whole, junk, tried)
