# SPDX-License-Identifier: Apache-2.0
"""An emulated Schneider iEM3000 meter: floats in holding registers, high word first.

Addresses (0-based, function 03) follow mbmd's meters/rs485/iem3000.go; energies are 64-bit integers
in Wh. A missing value is a quiet NaN, 0xFFC00000. The meter supports device identification (43/14).
Assumed: for some seconds after a restart it replies "busy" (exception 06).
"""

from __future__ import annotations

from collections.abc import Mapping

from hil.devices.base import SECOND
from hil.devices.modbus.faults import BUSY
from hil.devices.modbus.register_codec import RegisterFormat, Words
from hil.devices.modbus.table_server import MeasuredPoint
from hil.devices.power.meter import EmulatedMeter, make_phase_points

_BUSY_AFTER_BOOT_US = 2 * SECOND


class _SchneiderFloat(RegisterFormat):
    """A float whose "no value" is Schneider's NaN, with the sign bit set."""

    def encode(self, value: float | None) -> Words:
        return (0xFFC0, 0x0000) if value is None else super().encode(value)


_F32, _KILO, _I64 = (
    _SchneiderFloat("f"),
    _SchneiderFloat("f", step=1000.0),
    RegisterFormat("q", no_value=-(1 << 63)),
)


class Iem3000(EmulatedMeter):
    """The meter; powers are in kW, kvar and kVA."""

    functions = frozenset((3, 6, 16, 43))
    identity: Mapping[int, str] = {
        0: "Schneider Electric",
        1: "A9MEM3155",
        2: "001.004.001",
        4: "iEM3155",
    }
    boot_us = 4 * SECOND
    table: tuple[MeasuredPoint, ...] = (
        *make_phase_points("amps", 0x0BB7, _F32, lambda d, p: d.phase(d.mains.amps, p)),
        *make_phase_points("volts", 0x0BD3, _F32, lambda d, p: d.phase(d.mains.volts, p)),
        *make_phase_points("watts", 0x0BED, _KILO, lambda d, p: d.phase(d.mains.watts, p)),
        MeasuredPoint("watts_total", 0x0BF3, _KILO, lambda d: d.mains.total_w),
        MeasuredPoint("var_total", 0x0BFB, _KILO, lambda d: d.mains.total_var),
        MeasuredPoint("va_total", 0x0C03, _KILO, lambda d: d.mains.total_va),
        MeasuredPoint("hertz", 0x0C25, _F32, lambda d: d.mains.hertz),
        MeasuredPoint("import_wh", 0x0C83, _I64, lambda d: d.mains.import_wh),
        MeasuredPoint("export_wh", 0x0C87, _I64, lambda d: d.mains.export_wh),
    )
    _ready_at = 0

    def on_request(self, now: int) -> None:
        """Reply "busy" to requests before the meter is ready."""
        if now < self._ready_at and not self.busy:
            self.busy, self.busy_code = 1, BUSY

    def on_restart(self, now: int) -> None:
        """Restart: the meter is not ready immediately."""
        super().on_restart(now)
        self._ready_at = self.silent_until + _BUSY_AFTER_BOOT_US
