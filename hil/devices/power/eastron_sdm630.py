# SPDX-License-Identifier: Apache-2.0
"""An emulated Eastron SDM630 meter: each value is a float in two input registers, high word first.

Addresses (0-based, function 04) follow mbmd's meters/rs485/sdm.go and the manufacturer's protocol
document. Registers between the values are not readable (exception 02). A request can read at most
80 registers. The meter has no code for "no value": a lost phase reads as 0.
"""

from __future__ import annotations

from itertools import chain
from math import acos, degrees

from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.table_server import MeasuredPoint
from hil.devices.power.meter import EmulatedMeter, PhaseSource, make_phase_points

_F32 = RegisterFormat("f", no_value=0)
_KILO = RegisterFormat("f", step=1000.0, no_value=0)

_BY_PHASE: tuple[tuple[str, int, PhaseSource], ...] = (
    ("volts", 0x00, lambda d, p: d.phase(d.mains.volts, p)),
    ("amps", 0x06, lambda d, p: d.phase(d.mains.amps, p)),
    ("watts", 0x0C, lambda d, p: d.phase(d.mains.watts, p)),
    ("va", 0x12, lambda d, p: None if p == d.lost_phase else d.mains.va(p)),
    ("var", 0x18, lambda d, p: None if p == d.lost_phase else d.mains.va(p) * d.mains.reactive),
    ("power_factor", 0x1E, lambda d, p: None if p == d.lost_phase else d.mains.power_factor),
    ("angle_deg", 0x24, lambda d, _: degrees(acos(d.mains.power_factor))),
    ("thd_volts", 0xEA, lambda _, p: 1.8 + 0.1 * p),
    ("thd_amps", 0xF0, lambda _, p: 6.5 + 0.4 * p),
)
"""Name, address of phase 1, and the value of a phase."""


class Sdm630(EmulatedMeter):
    """The meter; energies are in kWh."""

    functions = frozenset((3, 4, 8, 16))
    max_read_registers = 80
    inputs_only = True
    table: tuple[MeasuredPoint, ...] = (
        *chain.from_iterable(make_phase_points(n, at, _F32, source) for n, at, source in _BY_PHASE),
        MeasuredPoint("volts_mean", 0x2A, _F32, lambda d: sum(d.mains.volts) / 3.0),
        MeasuredPoint("amps_mean", 0x2E, _F32, lambda d: sum(d.mains.amps) / 3.0),
        MeasuredPoint("amps_total", 0x30, _F32, lambda d: sum(d.mains.amps)),
        MeasuredPoint("watts_total", 0x34, _F32, lambda d: d.mains.total_w),
        MeasuredPoint("va_total", 0x38, _F32, lambda d: d.mains.total_va),
        MeasuredPoint("var_total", 0x3C, _F32, lambda d: d.mains.total_var),
        MeasuredPoint("power_factor_total", 0x3E, _F32, lambda d: d.mains.power_factor),
        MeasuredPoint("hertz", 0x46, _F32, lambda d: d.mains.hertz),
        MeasuredPoint("import_wh", 0x48, _KILO, lambda d: d.mains.import_wh),
        MeasuredPoint("export_wh", 0x4A, _KILO, lambda d: d.mains.export_wh),
        MeasuredPoint("neutral_amps", 0xE0, _F32, lambda d: d.mains.neutral_a),
        MeasuredPoint("total_wh", 0x156, _KILO, lambda d: d.mains.import_wh + d.mains.export_wh),
    )
