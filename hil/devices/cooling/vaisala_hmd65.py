"""An emulated Vaisala HMD65 duct transmitter of humidity and temperature, over a room's air.

Addresses as in the vendor's user guide (M212243EN, measurement data registers, 0-based): from 0x100
on 16-bit signed integers in hundredths: relative humidity, temperature, dew point, dew/frost point;
from 0 on the same as floats, low word first. The rest of the guide's registers is left out. That a
broken one shows 0x8000 is assumed.
"""

from __future__ import annotations

from random import Random

from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.table_server import MeasuredPoint, TableServer
from hil.plant.air.psychrometrics import dew_point_c
from hil.plant.plant import Plant
from hil.plant.room import Room

_HUNDREDTH = RegisterFormat("h", 0.01, no_value=-0x8000)
_FLOAT = RegisterFormat("f", swapped=True)


class HumiditySensor(TableServer):
    """One transmitter; `humidity_error_pct` and `error_k` are what its elements read too high.

    Faults besides those of `TableServer`: `frozen_values` (humidity in %, temperature in degC;
    None: honest). The dew point it shows is computed from what its elements read, as in the real
    one.
    """

    table = (
        MeasuredPoint("humidity_pct", 0x100, _HUNDREDTH, lambda d: d.measured_values[0]),
        MeasuredPoint("celsius", 0x101, _HUNDREDTH, lambda d: d.measured_values[1]),
        MeasuredPoint("dew_c", 0x102, _HUNDREDTH, lambda d: d.measured_values[2]),
        MeasuredPoint("frost_c", 0x103, _HUNDREDTH, lambda d: d.measured_values[2]),
        MeasuredPoint("humidity_f", 0x0, _FLOAT, lambda d: d.measured_values[0]),
        MeasuredPoint("celsius_f", 0x2, _FLOAT, lambda d: d.measured_values[1]),
        MeasuredPoint("dew_f", 0x4, _FLOAT, lambda d: d.measured_values[2]),
        MeasuredPoint("frost_f", 0x6, _FLOAT, lambda d: d.measured_values[2]),
    )

    def __init__(self, plant: Plant, room: Room, unit: int, rng: Random) -> None:
        """`rng` draws this specimen's errors: 0.5 % of humidity and 0.1 K, one sigma (assumed)."""
        super().__init__(plant, unit)
        self.room = room
        self.humidity_error_pct = rng.gauss(0.0, 0.5)
        self.error_k = rng.gauss(0.0, 0.1)
        self.frozen_values: tuple[float, float] | None = None
        self._elements: tuple[float, ...] = ()
        self.measured_values: tuple[float, float, float] = (0.0, 0.0, 0.0)
        self.update_state(0)

    def update_state(self, now: int) -> None:
        """Look at the air."""
        room = self.room
        air = (
            room.humidity_pct + self.humidity_error_pct,
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

    def freeze(self) -> None:
        """Stay at what it reads now."""
        self.frozen_values = (self.measured_values[0], self.measured_values[1])
        self.invalidate()

    def unfreeze(self) -> None:
        """Read honestly again."""
        self.frozen_values = None
        self.invalidate()
