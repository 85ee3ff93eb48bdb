# SPDX-License-Identifier: Apache-2.0
"""Pulse and position of an emulated receiver as its commands set them.

Handlers for UBX-CFG-TP5, -TMODE2, -TMODE3 and the keys CFG-TP-…, CFG-TMODE-…; Allystar CFG-SURVEY
and CFG-FIXEDECEF; Quectel PQTMCFGPPS; Unicore CONFIG PPS. The settings are kept; the emulated pulse
is always at the second, and the emulated position always moves.

Sources: as of `drivers.gnss.setup_timing`, but the layouts here are of construct, and the names of
the keys are those of the vendor.
"""

from __future__ import annotations

from typing import Any

from construct import Bytes, Int8ul, Int16sl, Int16ul, Int32sl, Int32ul, Padding, Struct

MOVING, SURVEY, FIXED = "moving", "survey", "fixed"
_MODES = (MOVING, SURVEY, FIXED)
_TP5: Any = Struct(
    "pin" / Int8ul,
    "version" / Int8ul,
    Padding(2),
    "cable_ns" / Int16sl,
    "group_ns" / Int16sl,
    "period" / Int32ul,
    "period_locked" / Int32ul,
    "length" / Int32ul,
    "length_locked" / Int32ul,
    "user_delay" / Int32sl,
    "flags" / Int32ul,
)
_TMODE2: Any = Struct(
    "mode" / Int8ul,
    Padding(1),
    "flags" / Int16ul,
    "position" / Int32sl[3],
    "accuracy_mm" / Int32ul,
    "seconds" / Int32ul,
    "limit_mm" / Int32ul,
)
_TMODE3: Any = Struct(
    "version" / Int8ul,
    Padding(1),
    "mode" / Int8ul,
    "lla" / Int8ul,
    "position" / Int32sl[3],
    "more_digits" / Bytes(3),
    Padding(1),
    "accuracy" / Int32ul,
    "seconds" / Int32ul,
    "limit" / Int32ul,
    Padding(8),
)
_SURVEY: Any = Struct("seconds" / Int32ul, "limit_mm" / Int32ul)
_ECEF: Any = Struct("position" / Int32sl[3])
_KEY_NAMES = {
    0x20050023: "PULSE_DEF",
    0x20050030: "PULSE_LENGTH_DEF",
    0x30050001: "ANT_CABLEDELAY",
    0x40050002: "PERIOD_TP1",
    0x40050003: "PERIOD_LOCK_TP1",
    0x40050004: "LEN_TP1",
    0x40050005: "LEN_LOCK_TP1",
    0x10050007: "TP1_ENA",
    0x10050008: "SYNC_GNSS_TP1",
    0x10050009: "USE_LOCKED_TP1",
    0x1005000A: "ALIGN_TO_TOW_TP1",
    0x1005000B: "POL_TP1",
    0x2005000C: "TIMEGRID_TP1",
}
_MODE_KEY_NAMES = {
    0x20030001: "MODE",
    0x20030002: "POS_TYPE",
    0x40030009: "LAT",
    0x4003000A: "LON",
    0x4003000B: "HEIGHT",
    0x2003000C: "LAT_HP",
    0x2003000D: "LON_HP",
    0x2003000E: "HEIGHT_HP",
    0x4003000F: "FIXED_POS_ACC",
    0x40030010: "SVIN_MIN_DUR",
    0x40030011: "SVIN_ACC_LIMIT",
}
_AS_DELIVERED = {
    "LEN_LOCK_TP1": 100_000, "ANT_CABLEDELAY": 50, "POL_TP1": 1, "TIMEGRID_TP1": 1,
    "TP1_ENA": 1, "MODE": 0, "POS_TYPE": 0, "LAT": 0, "LON": 0, "HEIGHT": 0, "FIXED_POS_ACC": 0,
    "SVIN_MIN_DUR": 0, "SVIN_ACC_LIMIT": 0,
}  # fmt: skip


class TimingSettings:
    """The settings. `is_timing_product`: the receiver has a timing mode (M8T, F9T).

    pulse_us, cable_ns   length and delay of the antenna cable; 50 ns is the factory setting of
                         u-blox
    rising, utc_grid     edge and time scale of the pulse
    mode                 "moving", "survey" or "fixed"
    seconds, accuracy_mm   of a survey, or of a fixed position
    position             1e-7 degrees and cm, or cm of ECEF coordinates
    """

    def __init__(self) -> None:
        self.is_timing_product = False
        self.pulse_us, self.cable_ns = 100_000, 50
        self.rising, self.utc_grid = True, False
        self.mode = MOVING
        self.seconds = self.accuracy_mm = 0
        self.position = (0, 0, 0)
        self._keys = dict(_AS_DELIVERED)

    def set_tp5(self, payload: bytes) -> bool:
        """UBX-CFG-TP5, version 1."""
        if len(payload) != _TP5.sizeof():
            return False
        found = _TP5.parse(payload)
        flags = found.flags
        is_usual = flags & 0x1F == 0x17 and flags & 0x20  # active, locked, own length, aligned
        if found.pin or found.version != 1 or not is_usual:
            return False
        if (found.period, found.period_locked) != (1_000_000, 1_000_000) or found.length:
            return False
        self.pulse_us, self.cable_ns = found.length_locked, found.cable_ns
        self.rising, self.utc_grid = bool(flags & 0x40), not flags >> 7 & 15
        return True

    def set_tmode2(self, payload: bytes) -> bool:
        """UBX-CFG-TMODE2."""
        if not self.is_timing_product or len(payload) != _TMODE2.sizeof():
            return False
        found = _TMODE2.parse(payload)
        if found.mode == 2 and found.flags != 1:
            return False
        return self._set_mode(
            found.mode,
            tuple(found.position),
            found.seconds,
            found.limit_mm if found.mode == 1 else found.accuracy_mm,
        )

    def set_tmode3(self, payload: bytes) -> bool:
        """UBX-CFG-TMODE3; accuracies in 0.1 mm."""
        if not self.is_timing_product or len(payload) != _TMODE3.sizeof():
            return False
        found = _TMODE3.parse(payload)
        if found.version or (found.mode == 2 and found.lla != 1):
            return False
        accuracy = found.limit if found.mode == 1 else found.accuracy
        return self._set_mode(found.mode, tuple(found.position), found.seconds, accuracy // 10)

    def _set_mode(
        self, mode: int, position: tuple[int, ...], seconds: int, accuracy_mm: int
    ) -> bool:
        if mode >= len(_MODES):
            return False
        self.mode, self.seconds, self.accuracy_mm = _MODES[mode], seconds, accuracy_mm
        self.position = (position[0], position[1], position[2])
        return True

    def knows_key(self, key: int) -> bool:
        """Return whether a key of CFG-VALSET is one of these."""
        return key in _KEY_NAMES or (self.is_timing_product and key in _MODE_KEY_NAMES)

    def set_key(self, key: int, value: int, size: int) -> None:
        """Set a key; `apply_keys` follows after the last one."""
        if value >> (8 * size - 1) and key in (0x40030009, 0x4003000A, 0x4003000B, 0x30050001):
            value -= 1 << 8 * size
        self._keys[_KEY_NAMES.get(key) or _MODE_KEY_NAMES[key]] = value

    def apply_keys(self) -> None:
        """Make the keys act."""
        keys = self._keys
        if keys["TP1_ENA"]:
            self.pulse_us, self.cable_ns = keys["LEN_LOCK_TP1"], keys["ANT_CABLEDELAY"]
            self.rising, self.utc_grid = bool(keys["POL_TP1"]), keys["TIMEGRID_TP1"] == 0
        mode = keys["MODE"]
        if mode == 1:
            self._set_mode(1, (0, 0, 0), keys["SVIN_MIN_DUR"], keys["SVIN_ACC_LIMIT"] // 10)
        elif mode == 2 and keys["POS_TYPE"] == 1:
            place = (keys["LAT"], keys["LON"], keys["HEIGHT"])
            self._set_mode(2, place, 0, keys["FIXED_POS_ACC"] // 10)

    def set_survey(self, payload: bytes) -> bool:
        """Allystar CFG-SURVEY."""
        found = _SURVEY.parse(payload)
        return self._set_mode(1, (0, 0, 0), found.seconds, found.limit_mm)

    def set_ecef(self, payload: bytes) -> bool:
        """Allystar CFG-FIXEDECEF."""
        return self._set_mode(2, tuple(_ECEF.parse(payload).position), 0, 0)

    def set_quectel_pulse(self, fields: list[str]) -> bool:
        """PQTMCFGPPS: pin, on, length in ms, mode, polarity, reserved."""
        pin, on, ms, mode, polarity = (int(field) for field in fields[:5])
        if (pin, on) != (1, 1) or not 0 <= ms <= 900 or mode not in (1, 2):
            return False
        self.pulse_us, self.rising, self.utc_grid = ms * 1000, polarity == 1, True
        return True

    def set_unicore_pulse(self, fields: list[str]) -> bool:
        """CONFIG PPS ENABLE: time scale, polarity, width in µs, period in ms, two delays in ns."""
        word, scale, polarity, width, period, cable_ns, user_ns = fields
        if word not in ("ENABLE", "ENABLE2") or scale not in ("GPS", "BDS", "GAL", "GLO"):
            return False
        if int(period) != 1000 or int(user_ns) or polarity not in ("POSITIVE", "NEGATIVE"):
            return False
        self.pulse_us, self.cable_ns = int(width), int(cable_ns)
        self.rising, self.utc_grid = polarity == "POSITIVE", False
        return True
