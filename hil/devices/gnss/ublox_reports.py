# SPDX-License-Identifier: Apache-2.0
"""What an emulated u-blox receiver states about itself: NAV-TIMELS, NAV-STATUS, MON-HW, TIM-TP
and PUBX,04.

Nothing is sent until CFG-MSG asks for it. construct builds the payloads.

Sources: u-blox M8 receiver description (UBX-13003221), 31.3.4, 32.17.22, 32.18.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from construct import Int8sl, Int8ul, Int16ul, Int32sl, Int32ul, Padding, Struct

from hil.devices.gnss.timing import TimingSettings
from hil.devices.gnss.ublox_frame import build_frame


class ReportingReceiver(Protocol):
    """The receiver as its reports see it.

    `reports`: those that it was asked for. `sends_ubx`: its port sends frames, not only sentences.
    """

    antenna: str
    spoofing: str
    has_fix: bool
    reports: set[tuple[int, int]]
    sends_ubx: bool
    timing: TimingSettings

    def knows_leap(self, instant: int) -> bool:
        """Return whether the leap seconds have come from a satellite."""
        ...


LEAP_S = 18
_FIRMWARE, _GPS = 0, 2
_TIMELS: Any = Struct(
    "tow" / Int32ul,
    "version" / Int8ul,
    Padding(3),
    "source" / Int8ul,
    "leap_s" / Int8sl,
    "change_source" / Int8ul,
    "change" / Int8sl,
    "to_event_s" / Int32sl,
    "week" / Int16ul,
    "day" / Int16ul,
    Padding(3),
    "valid" / Int8ul,
)
_STATUS: Any = Struct(
    "tow" / Int32ul,
    "fix" / Int8ul,
    "flags" / Int8ul,
    "fix_status" / Int8ul,
    "flags2" / Int8ul,
    Padding(8),
)
_HARDWARE: Any = Struct(
    Padding(16),
    "noise" / Int16ul,
    "gain" / Int16ul,
    "antenna" / Int8ul,
    "power" / Int8ul,
    "flags" / Int8ul,
    Padding(22),
    "continuous_waves" / Int8ul,
    Padding(14),
)
_ANTENNA = {"ok": 2, "short": 3, "open": 4}
_LEVELS = {"ok": 1, "warning": 2, "critical": 3}
_NOISE = 95
_GAIN = {"ok": 4_800, "warning": 3_200, "critical": 1_600}
"""The gain of the amplifier (0 to 8191) falls when a jammer is strong; assumed values."""
_CONTINUOUS_WAVES = {"ok": 8, "warning": 90, "critical": 220}
_FIX_FLAGS, _NO_FIX_FLAGS = 0x0D, 0x0C
"""NAV-STATUS: week and time of week are known; with a fix, that it is good."""

_PULSE: Any = Struct(
    "tow" / Int32ul,
    "tow_rest" / Int32ul,
    "early_ps" / Int32sl,
    "week" / Int16ul,
    "flags" / Int8ul,
    "reference" / Int8ul,
)
_CLOCK_PS = 20_833
"""A period of 48 MHz; a pulse begins at the nearest one."""
_WEEK_S, _GPS_EPOCH_S = 604_800, 315_964_800

TIMELS, STATUS, HARDWARE, TIME_SENTENCE = (0x01, 0x26), (0x01, 0x03), (0x0A, 0x09), (0xF1, 0x04)
PULSE = (0x0D, 0x01)
KINDS = (TIMELS, STATUS, HARDWARE, PULSE, TIME_SENTENCE)


def reports(receiver: ReportingReceiver, instant: int, jamming: str) -> bytes:
    """Return the reports of an epoch that the receiver was asked for."""
    out = b""
    for kind in KINDS:
        if kind in receiver.reports and (receiver.sends_ubx or kind == TIME_SENTENCE):
            out += _BUILDERS[kind](receiver, instant, jamming)
    return out


def _leap_source(receiver: ReportingReceiver, instant: int) -> int:
    return _GPS if receiver.knows_leap(instant) else _FIRMWARE


def _gps_tow_ms(instant: int) -> int:
    """Return the time of week of GPS, ms; `instant`: UTC, us."""
    return (instant // 1000 + (LEAP_S - _GPS_EPOCH_S) * 1000) % (_WEEK_S * 1000)


def _timels(receiver: ReportingReceiver, instant: int, _: str) -> bytes:
    source = _leap_source(receiver, instant)
    payload = _TIMELS.build(
        {
            "tow": _gps_tow_ms(instant),
            "version": 0,
            "source": source,
            "leap_s": LEAP_S,
            "change_source": source,
            "change": 0,
            "to_event_s": 0,
            "week": 2185,
            "day": 7,
            "valid": 1,
        }
    )
    return build_frame(*TIMELS, payload)


def _status(receiver: ReportingReceiver, instant: int, _: str) -> bytes:
    level = _LEVELS[receiver.spoofing]
    payload = _STATUS.build(
        {
            "tow": _gps_tow_ms(instant),
            "fix": 3 if receiver.has_fix else 0,
            "flags": _FIX_FLAGS if receiver.has_fix else _NO_FIX_FLAGS,
            "fix_status": 0,
            "flags2": level << 3,
        }
    )
    return build_frame(*STATUS, payload)


def _hardware(receiver: ReportingReceiver, _: int, jamming: str) -> bytes:
    payload = _HARDWARE.build(
        {
            "noise": _NOISE,
            "gain": _GAIN[jamming],
            "antenna": _ANTENNA[receiver.antenna],
            "power": 1,
            "flags": _LEVELS[jamming] << 2,
            "continuous_waves": _CONTINUOUS_WAVES[jamming],
        }
    )
    return build_frame(*HARDWARE, payload)


def stated_early_ps(second: int) -> int:
    """Return the quantisation error of the pulse at a second, ps: a sawtooth."""
    return second * 3_700 % _CLOCK_PS - _CLOCK_PS // 2


def _pulse(receiver: ReportingReceiver, instant: int, _: str) -> bytes:
    """State the next pulse, in UTC or in GPS time."""
    second = instant // 1_000_000 + 1
    utc = receiver.timing.utc_grid
    since = second - _GPS_EPOCH_S + (0 if utc else LEAP_S)
    payload = _PULSE.build(
        {
            "tow": since % _WEEK_S * 1000,
            "tow_rest": 0,
            "early_ps": stated_early_ps(second),
            "week": since // _WEEK_S,
            "flags": 3 if utc else 2,
            "reference": 0,
        }
    )
    return build_frame(*PULSE, payload)


def _time_sentence(receiver: ReportingReceiver, instant: int, _: str) -> bytes:
    mark = "" if receiver.knows_leap(instant) else "D"
    utc = datetime.fromtimestamp(instant // 1_000_000, UTC)
    week, tow_s = divmod(instant // 1_000_000 - _GPS_EPOCH_S, _WEEK_S)  # those of UTC
    rest = f"{instant // 10_000 % 100:02}"
    body = f"PUBX,04,{utc:%H%M%S}.{rest},{utc:%d%m%y},{tow_s}.{rest},{week}"
    body += f",{LEAP_S}{mark},1930035,-2660.664,43"
    total = 0
    for code in body.encode():
        total ^= code
    return f"${body}*{total:02X}\r\n".encode()


_BUILDERS = {
    TIMELS: _timels,
    STATUS: _status,
    HARDWARE: _hardware,
    PULSE: _pulse,
    TIME_SENTENCE: _time_sentence,
}
