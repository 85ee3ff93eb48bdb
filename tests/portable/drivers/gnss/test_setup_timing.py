# SPDX-License-Identifier: Apache-2.0
"""Commands for the pulse and the position: their bytes, and what is refused.

pyubx2 1.3.1 wrote the frames of u-blox from the names of the fields and keys.
"""

from drivers.errors import DriverError
from drivers.gnss.setup_timing import AntennaPosition, _allystar_position, timing_steps
from tests.portable.support.check import eq, raises

FIXED = {"latitude": -33.5, "longitude": 55.2000001, "height_m": -12.34, "accuracy_mm": 500}
SURVEY = {"seconds": 3600, "accuracy_mm": 2000}
VALSET_PULSE = (
    "b562068a520000010000230005200030000520010100053000000200054040420f000300054040420f0004000540"
    "0000000005000540a08601000700051001080005100109000510010a000510010b000510010c00052000ee10"
)
VALSET_REPORT = "b562068a13000001000001007410017e0191200180019120018ea0"
VALSET_FIXED = (
    "b562068a3d0000010000020003200109000340404e08ec0a00034001dae6200b0003402efbffff0c000320000d00"
    "0320000e000320000f00034088130000010003200208b5"
)
VALSET_SURVEY = "b562068a19000001000010000340100e000011000340204e0000010003200102d7"
TP5 = "b56206312000000100000000000040420f0040420f0000000000a08601000000000077000000183e"
MSG = "b562060103000d01011969"
TMODE2_FIXED = "b562063d1c0002000100404e08ec01dae6202efbfffff40100000000000000000000e14e"
TMODE3_FIXED = (
    "b5620671280000000201404e08ec01dae6202efbffff000000008813000000000000000000000000000000000000"
    "c79b"
)
TMODE2_SURVEY = "b562063d1c000100000000000000000000000000000000000000100e0000d007000055be"
TMODE3_SURVEY = (
    "b56206712800000001000000000000000000000000000000000000000000100e0000204e00000000000000000000"
    "2c65"
)


def frames(vendor, **settings):
    steps = timing_steps(vendor, settings)
    return [command for step in steps for command in step.commands]


def test_frames_of_ublox_are_those_of_pyubx2():
    for found, expected in (
        (frames("ublox", pulse_ms=100), [VALSET_PULSE, VALSET_REPORT]),
        (frames("ublox", fixed=FIXED), [VALSET_FIXED]),
        (frames("ublox", survey=SURVEY), [VALSET_SURVEY]),
        (frames("ublox8", pulse_ms=100), [TP5, MSG]),
        (frames("ublox8", fixed=FIXED), [TMODE2_FIXED, TMODE3_FIXED]),
        (frames("ublox8", survey=SURVEY), [TMODE2_SURVEY, TMODE3_SURVEY]),
    ):
        eq(found, [bytes.fromhex(text) for text in expected])


def test_commands_of_the_others_are_those_of_public_command_files():
    """satpulse, UM980 and LG290P; DATAGNSS, TAU1201: a survey of 5 s to 100 mm."""
    pulse = b"CONFIG PPS ENABLE GPS POSITIVE 100000 1000 0 0\r\n"
    eq(frames("unicore", pulse_ms=100), [pulse])
    eq(frames("quectel", pulse_ms=100), [b"$PQTMCFGPPS,W,1,1,100,2,1,0*70\r\n"])
    survey = bytes.fromhex("F1D9061208000500000064000000 8916".replace(" ", ""))
    eq(_allystar_position(AntennaPosition(1, 100, 5)), [survey])


def test_position_of_allystar_is_in_earth_centred_coordinates():
    """The axes of WGS 84 are 6378137 m and 6356752.3142 m (NGA.STND.0036)."""
    for place, expected in (
        ((0, 0, 0), (637_813_700, 0, 0)),
        ((0, 90, 100), (0, 637_823_700, 0)),
        ((90, 0, 0), (0, 0, 635_675_231)),
        ((-90, 0, -10), (0, 0, -635_674_231)),
    ):
        position = AntennaPosition(2, 100)
        position.place(*place)
        eq(position.ecef_cm(), expected)
    found = frames("allystar", fixed=dict(FIXED, latitude=0, longitude=0, height_m=0))
    payload = (637_813_700).to_bytes(4, "little") + bytes(8)
    eq(found[0][:-2], b"\xf1\xd9\x06\x14\x0c\x00" + payload)


def test_steps_have_names_and_values():
    steps = timing_steps("ublox", {"pulse_ms": 50, "survey": SURVEY})
    eq([(step.name, step.value) for step in steps], [
        ("pulse", ("50",)), ("position", ("survey", "3600")),
    ])  # fmt: skip
    eq(timing_steps("casic", {}), [])


def refusal(vendor, **settings):
    return str(raises(DriverError, lambda: timing_steps(vendor, settings)))


def test_what_has_no_known_command_is_refused():
    for vendor in ("casic", "allystar", "st", "trimble"):
        assert vendor in refusal(vendor, pulse_ms=100)
    for vendor in ("casic", "unicore", "quectel", "st", "trimble"):
        text = "position: no command is known for %s; there are allystar, ublox, ublox8" % vendor
        eq(refusal(vendor, survey=SURVEY), text)
        eq(refusal(vendor, fixed=FIXED), text)
    assert "either" in refusal("ublox", survey=SURVEY, fixed=FIXED)


def test_values_out_of_range_are_refused():
    assert refusal("ublox", pulse_ms=501).startswith("pulse_ms: ")
    assert refusal("ublox", survey=dict(SURVEY, seconds=59)).startswith("seconds: ")
    for name, value in (
        ("latitude", 90.1),
        ("longitude", -180.1),
        ("height_m", 9001),
        ("accuracy_mm", 0),
    ):
        changed = dict(FIXED)
        changed[name] = value
        text = refusal("ublox", fixed=changed)
        assert text.startswith(name + ": "), text
