# SPDX-License-Identifier: Apache-2.0
"""An emulated Vaisala HMD65 duct transmitter for humidity and temperature, in the room air.

Addresses follow the vendor's user guide (M212243EN, measurement data registers, 0-based). From
0x100 there are 16-bit signed integers in hundredths: relative humidity, temperature, dew point,
dew/frost point. From 0 there are the same values as floats, low word first. Other registers of the
guide are not emulated. Assumed: a broken sensor shows 0x8000; the humidity element has noise.
"""

from __future__ import annotations

from random import Random

from hil.devices.base import SECOND
from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.table_server import MeasuredPoint, TableServer
from hil.plant.air.psychrometrics import dew_point_c
from hil.plant.plant import Plant
from hil.plant.room import Room

_HUNDREDTH = RegisterFormat("h", 0.01, no_value=-0x8000)
_FLOAT = RegisterFormat("f", swapped=True)
NOISE_PCT = 0.03
_NOISE_TABLE = 127


class HumiditySensor(TableServer):
    """One transmitter; `humidity_error_pct` and `error_k` are the errors of its elements.

    Fault besides those of `TableServer`: `freeze` (humidity in %, temperature in degC). The dew
    point is computed from the values of the elements, as in the real transmitter.
    """

    table: tuple[MeasuredPoint, ...] = (
        MeasuredPoint("humidity_pct", 0x100, _HUNDREDTH, lambda d: d.measured_values[0]),
        MeasuredPoint("celsius", 0x101, _HUNDREDTH, lambda d: d.measured_values[1]),
        MeasuredPoint("dew_c", 0x102, _HUNDREDTH, lambda d: d.measured_values[2]),
        MeasuredPoint("frost_c", 0x103, _HUNDREDTH, lambda d: d.measured_values[2]),
        MeasuredPoint("humidity_f", 0x0, _FLOAT, lambda d: d.measured_values[0]),
        MeasuredPoint("celsius_f", 0x2, _FLOAT, lambda d: d.measured_values[1]),
        MeasuredPoint("dew_f", 0x4, _FLOAT, lambda d: d.measured_values[2]),
        MeasuredPoint("frost_f", 0x6, _FLOAT, lambda d: d.measured_values[2]),
    )

    def __init__(
        self, plant: Plant, room: Room, unit: int, rng: Random, noise_pct: float = 0.0
    ) -> None:
        """`rng` draws the errors of this unit: 0.5 % of humidity and 0.1 K, one sigma (assumed).

        `noise_pct`: noise of the humidity element, one sigma, renewed each second.
        """
        super().__init__(plant, unit)
        self.room = room
        self.humidity_error_pct = rng.gauss(0.0, 0.5)
        self.error_k = rng.gauss(0.0, 0.1)
        self._noise = [rng.gauss(0.0, noise_pct) for _ in range(_NOISE_TABLE if noise_pct else 0)]
        self.frozen_values: tuple[float, float] | None = None
        self._elements: tuple[float, ...] = ()
        self.measured_values: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self.update_state(0)

    def update_state(self, now: int) -> None:
        """Measure the air."""
        room = self.room
        noise = self._noise[now // SECOND % _NOISE_TABLE] if self._noise else 0.0
        air = (
            room.humidity_pct + self.humidity_error_pct + noise,
            room.celsius + self.error_k,
        )
        humidity, celsius = self.frozen_values if self.frozen_values is not None else air
        if (humidity, celsius) == self._elements:
            return
        self._elements = (humidity, celsius)
        humidity = min(max(humidity, 0.0), 100.0)
        self.measured_values = (humidity, celsius, dew_point_c(celsius, humidity))

    def set_humidity_error(self, percent: float) -> None:
        """Set the error of the humidity element, %."""
        self.humidity_error_pct = percent
        self.invalidate()

    def set_temperature_error(self, kelvin: float) -> None:
        """Set the error of the temperature element, K."""
        self.error_k = kelvin
        self.invalidate()

    def freeze(self) -> None:
        """Freeze both elements at their present values."""
        self.frozen_values = (self.measured_values[0], self.measured_values[1])
        self.invalidate()

    def unfreeze(self) -> None:
        """End the fault of `freeze`."""
        self.frozen_values = None
        self.invalidate()
