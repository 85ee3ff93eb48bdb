# SPDX-License-Identifier: Apache-2.0
"""Vendor commands for the pulse and for a position that does not move (timing mode).

    ublox     UBX-CFG-VALSET: CFG-TP-…, CFG-TMODE-…, CFG-MSGOUT-UBX_TIM_TP
    ublox8    UBX-CFG-TP5, -MSG; -TMODE2 (NEO-M8T, LEA-6T) and -TMODE3 (NEO-M8P): a receiver
              rejects the one that it does not have
    quectel   PQTMCFGPPS; no position: its survey is part of the mode of an RTK base
    unicore   CONFIG PPS; no position, for the same reason
    allystar  CFG-SURVEY, CFG-FIXEDECEF; no pulse: its pin differs between modules

The others are refused. CASIC has binary commands, which differ between its firmware V5 and V6.

The pulse: once a second at the second of UTC (`unicore`: of GPS time), rising edge, only with a
fix. The receiver corrects no antenna cable; the agent does (`pps.cable_ns`). UBX-TIM-TP is switched
on.

A survey averages the position, at least for its time and until its accuracy. A known position must
be right: 30 m of error are up to 100 ns of the pulse, and a receiver that holds it no longer shows
that a spoofer moves the antenna.

Sources: u-blox F9 interface description (UBX-18010854), configuration items; M8 receiver
description (UBX-13003221), 32.11; Quectel LC29H protocol specification, PQTMCFGPPS; Unicore
reference commands manual N4, CONFIG PPS; Allystar packets as satpulse sends them. Not tested with
real receivers.
"""

from math import cos, pi, sin, sqrt

from drivers.errors import DriverError
from drivers.gnss.setup_frames import ALLYSTAR_SYNC, build_sentence, build_ubx, build_valset
from drivers.gnss.setup_step import SetupStep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RANGES = {
    "pulse_ms": (1, 500),
    "seconds": (60, 86_400),
    "accuracy_mm": (10, 50_000),
    "latitude": (-90, 90),
    "longitude": (-180, 180),
    "height_m": (-500, 9_000),
}
_SECOND_US = 1_000_000
_SURVEY, _FIXED = 1, 2
_TP5_FLAGS = 0x77
"""Active, locked to GNSS, own length without a fix, length, aligned, rising; grid UTC (0)."""
_TIM_TP = b"\x0d\x01\x01"
_WGS84_A = 6_378_137.0
_WGS84_E2 = 0.006694379990141316
"""WGS 84 (NGA.STND.0036): major axis in metres, square of the first eccentricity."""


class AntennaPosition:
    """What the receiver is to assume of its position; units as on the wire.

    mode          1 survey, 2 fixed
    seconds       least time of a survey
    accuracy_mm   a survey ends at this accuracy; error of a fixed position
    lat_e7, lon_e7   1e-7 degrees
    height_cm     above the ellipsoid of WGS 84, not above sea level
    """

    def __init__(self, mode: int, accuracy_mm: int, seconds: int = 0) -> None:
        self.mode = mode
        self.accuracy_mm = accuracy_mm
        self.seconds = seconds
        self.lat_e7 = self.lon_e7 = self.height_cm = 0

    def place(self, latitude: float, longitude: float, height_m: float) -> None:
        """Set the position: degrees, and metres above the ellipsoid."""
        self.lat_e7 = round(latitude * 10_000_000)
        self.lon_e7 = round(longitude * 10_000_000)
        self.height_cm = round(height_m * 100)

    def ecef_cm(self) -> "tuple[int, int, int]":
        """Return the position in earth-centred coordinates, cm."""
        lat, lon = self.lat_e7 * 1e-7 * pi / 180, self.lon_e7 * 1e-7 * pi / 180
        height = self.height_cm / 100
        normal = _WGS84_A / sqrt(1 - _WGS84_E2 * sin(lat) ** 2)
        x = (normal + height) * cos(lat) * cos(lon)
        y = (normal + height) * cos(lat) * sin(lon)
        z = (normal * (1 - _WGS84_E2) + height) * sin(lat)
        return round(x * 100), round(y * 100), round(z * 100)


def timing_steps(vendor: str, settings: "dict[str, Any]") -> "list[SetupStep]":
    """Return the steps for `pulse_ms`, `survey` and `fixed` of section `receiver_setup`.

    Raises `DriverError` for a setting without a known command, and for two positions.
    """
    steps = []
    pulse_ms = settings.get("pulse_ms", 0)
    if pulse_ms:
        _check_ranges({"pulse_ms": pulse_ms})
        commands = _known(_PULSE, vendor, "pulse")(pulse_ms)
        steps.append(SetupStep("pulse", (str(pulse_ms),), commands))
    survey, fixed = settings.get("survey"), settings.get("fixed")
    if survey and fixed:
        raise DriverError("position: either a survey or a fixed one")
    if survey:
        _check_ranges(survey)
        position = AntennaPosition(_SURVEY, survey["accuracy_mm"], survey["seconds"])
        value: tuple[str, ...] = ("survey", str(position.seconds))
    elif fixed:
        _check_ranges(fixed)
        position = AntennaPosition(_FIXED, fixed["accuracy_mm"])
        position.place(fixed["latitude"], fixed["longitude"], fixed["height_m"])
        value = ("fixed",)
    else:
        return steps
    commands = _known(_POSITION, vendor, "position")(position)
    steps.append(SetupStep("position", value, commands))
    return steps


def _check_ranges(values: "dict[str, Any]") -> None:
    """Check the values that `_RANGES` names."""
    for name in sorted(values):
        low, high = _RANGES.get(name, (values[name], values[name]))
        if not low <= values[name] <= high:
            raise DriverError("%s: %s is outside %s to %s" % (name, values[name], low, high))


def _known(table: "dict[str, Any]", vendor: str, setting: str) -> "Any":
    """Return the function of a vendor."""
    if vendor not in table:
        raise DriverError(
            "%s: no command is known for %s; there are %s"
            % (setting, vendor, ", ".join(sorted(table)))
        )
    return table[vendor]


def _le(value: int, size: int) -> bytes:
    """Return a whole number in `size` bytes, two's complement."""
    return (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little")


def _ublox_pulse(length_ms: int) -> "list[bytes]":
    """CFG-TP-…_TP1; then UBX on UART1, and TIM-TP on UART1 and USB."""
    pulse = build_valset(
        [
            (0x20050023, 0, 1),  # PULSE_DEF: a period
            (0x20050030, 1, 1),  # PULSE_LENGTH_DEF: a length
            (0x30050001, 0, 2),  # ANT_CABLEDELAY: the agent corrects it
            (0x40050002, _SECOND_US, 4),  # PERIOD_TP1
            (0x40050003, _SECOND_US, 4),  # PERIOD_LOCK_TP1
            (0x40050004, 0, 4),  # LEN_TP1: no pulse without a fix
            (0x40050005, length_ms * 1000, 4),  # LEN_LOCK_TP1
            (0x10050007, 1, 1),  # TP1_ENA
            (0x10050008, 1, 1),  # SYNC_GNSS_TP1
            (0x10050009, 1, 1),  # USE_LOCKED_TP1
            (0x1005000A, 1, 1),  # ALIGN_TO_TOW_TP1
            (0x1005000B, 1, 1),  # POL_TP1: rising
            (0x2005000C, 0, 1),  # TIMEGRID_TP1: UTC
        ]
    )
    report = build_valset([(0x10740001, 1, 1), (0x2091017E, 1, 1), (0x20910180, 1, 1)])
    return [pulse, report]


def _ublox8_pulse(length_ms: int) -> "list[bytes]":
    """CFG-TP5 of pin 0, version 1; CFG-MSG for TIM-TP on the port in use."""
    payload = b"\x00\x01" + bytes(6) + 2 * _le(_SECOND_US, 4) + bytes(4)
    payload += _le(length_ms * 1000, 4) + bytes(4) + _le(_TP5_FLAGS, 4)
    return [build_ubx(0x06, 0x31, payload), build_ubx(0x06, 0x01, _TIM_TP)]


def _quectel_pulse(length_ms: int) -> "list[bytes]":
    """PQTMCFGPPS: pin 1, on, length, mode 2 (only with a fix), rising."""
    return [build_sentence("PQTMCFGPPS,W,1,1,%d,2,1,0" % length_ms)]


def _unicore_pulse(length_ms: int) -> "list[bytes]":
    """CONFIG PPS: ENABLE only with a fix; width in µs, period in ms, two delays in ns."""
    return [b"CONFIG PPS ENABLE GPS POSITIVE %d 1000 0 0\r\n" % (length_ms * 1000)]


def _ublox_position(wanted: AntennaPosition) -> "list[bytes]":
    """CFG-TMODE-…; accuracies in 0.1 mm."""
    accuracy = wanted.accuracy_mm * 10
    if wanted.mode == _SURVEY:
        pairs = [(0x40030010, wanted.seconds, 4), (0x40030011, accuracy, 4)]
    else:
        pairs = [
            (0x20030002, 1, 1),  # POS_TYPE: latitude, longitude, height
            (0x40030009, wanted.lat_e7, 4),
            (0x4003000A, wanted.lon_e7, 4),
            (0x4003000B, wanted.height_cm, 4),
            (0x2003000C, 0, 1),  # LAT_HP, LON_HP, HEIGHT_HP: no further digits
            (0x2003000D, 0, 1),
            (0x2003000E, 0, 1),
            (0x4003000F, accuracy, 4),
        ]
    return [build_valset(pairs + [(0x20030001, wanted.mode, 1)])]


def _ublox8_position(wanted: AntennaPosition) -> "list[bytes]":
    """CFG-TMODE2, accuracies in mm; CFG-TMODE3, in 0.1 mm."""
    is_fixed = wanted.mode == _FIXED
    place = _le(wanted.lat_e7, 4) + _le(wanted.lon_e7, 4) + _le(wanted.height_cm, 4)
    errors = []
    for accuracy in (wanted.accuracy_mm, wanted.accuracy_mm * 10):
        fixed, survey = (accuracy, 0) if is_fixed else (0, accuracy)
        errors.append(_le(fixed, 4) + _le(wanted.seconds, 4) + _le(survey, 4))
    older = bytes((wanted.mode, 0)) + _le(int(is_fixed), 2) + place + errors[0]
    newer = b"\x00\x00" + bytes((wanted.mode, int(is_fixed))) + place + bytes(4) + errors[1]
    return [build_ubx(0x06, 0x3D, older), build_ubx(0x06, 0x71, newer + bytes(8))]


def _allystar_position(wanted: AntennaPosition) -> "list[bytes]":
    """CFG-SURVEY: seconds, mm; CFG-FIXEDECEF: cm."""
    if wanted.mode == _SURVEY:
        payload = _le(wanted.seconds, 4) + _le(wanted.accuracy_mm, 4)
        return [build_ubx(0x06, 0x12, payload, ALLYSTAR_SYNC)]
    payload = b"".join([_le(value, 4) for value in wanted.ecef_cm()])
    return [build_ubx(0x06, 0x14, payload, ALLYSTAR_SYNC)]


_PULSE = {
    "ublox": _ublox_pulse,
    "ublox8": _ublox8_pulse,
    "quectel": _quectel_pulse,
    "unicore": _unicore_pulse,
}
_POSITION = {
    "ublox": _ublox_position,
    "ublox8": _ublox8_position,
    "allystar": _allystar_position,
}
