# SPDX-License-Identifier: Apache-2.0
"""An emulated ABB A/B series meter: scaled integers, high word first.

Addresses (0-based, function 03) follow mbmd's meters/rs485/abb.go. A missing unsigned value is all
ones; a missing signed value is 0x7FFF followed by ones. The type designation is a text at 0x8960.
"""

from __future__ import annotations

from collections.abc import Mapping

from hil.devices.modbus.register_codec import RegisterFormat, encode_text
from hil.devices.modbus.table_server import MeasuredPoint
from hil.devices.power.meter import EmulatedMeter, make_phase_points

_U32_TENTH = RegisterFormat("I", 0.1, no_value=0xFFFF_FFFF)
_U32 = RegisterFormat("I", 0.01, no_value=0xFFFF_FFFF)
_I32 = RegisterFormat("i", 0.01, no_value=0x7FFF_FFFF)
_U16 = RegisterFormat("H", 0.01, no_value=0xFFFF)
_I16 = RegisterFormat("h", 0.001, no_value=0x7FFF)
_U64_10WH = RegisterFormat("Q", 10.0, no_value=0xFFFF_FFFF_FFFF_FFFF)


_DESIGNATION_ADDRESS, _DESIGNATION = 0x8960, "B23 112-100 "


class AbbMeter(EmulatedMeter):
    """The meter; energies are in 0.01 kWh, powers in 0.01 W."""

    functions = frozenset((3, 6, 16))
    constant_registers: Mapping[int, int] = dict(
        enumerate(encode_text(_DESIGNATION, len(_DESIGNATION) // 2), _DESIGNATION_ADDRESS)
    )
    table: tuple[MeasuredPoint, ...] = (
        MeasuredPoint("import_wh", 0x5000, _U64_10WH, lambda d: d.mains.import_wh),
        MeasuredPoint("export_wh", 0x5004, _U64_10WH, lambda d: d.mains.export_wh),
        *make_phase_points("volts", 0x5B00, _U32_TENTH, lambda d, p: d.phase(d.mains.volts, p)),
        *make_phase_points(
            "volts_between", 0x5B06, _U32_TENTH, lambda d, p: d.mains.line_voltage(p)
        ),
        *make_phase_points("amps", 0x5B0C, _U32, lambda d, p: d.phase(d.mains.amps, p)),
        *make_phase_points("watts", 0x5B16, _I32, lambda d, p: d.phase(d.mains.watts, p)),
        *make_phase_points("var", 0x5B1E, _I32, lambda d, p: d.mains.va(p) * d.mains.reactive),
        *make_phase_points("va", 0x5B26, _I32, lambda d, p: d.mains.va(p)),
        MeasuredPoint("neutral_amps", 0x5B12, _U32, lambda d: d.mains.neutral_a),
        MeasuredPoint("watts_total", 0x5B14, _I32, lambda d: d.mains.total_w),
        MeasuredPoint("var_total", 0x5B1C, _I32, lambda d: d.mains.total_var),
        MeasuredPoint("va_total", 0x5B24, _I32, lambda d: d.mains.total_va),
        MeasuredPoint("hertz", 0x5B2C, _U16, lambda d: d.mains.hertz),
        MeasuredPoint("power_factor_total", 0x5B3A, _I16, lambda d: d.mains.power_factor),
    )
