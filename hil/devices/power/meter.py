"""What the four electricity meters have in common: mains in front of a load of the plant.

A model gives the table of its registers over `self.mains`; energies count whether somebody reads or
not, because they are caught up with each reading and once a second of the bench.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from hil.devices.base import MILLISECOND
from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.table_server import MeasuredPoint, TableServer
from hil.devices.power.mains import PHASES, Mains
from hil.plant.plant import Plant


class EmulatedMeter(TableServer):
    """A three-phase meter; `load_w` is what it measures, the plant's pumps by default.

    Faults besides those of `TableServer`: lost_phase (0 to 2: its voltage and current are gone; the
    model shows zero or its "no value").
    """

    FAULTS = TableServer.FAULTS | {"lost_phase"}

    def __init__(
        self,
        plant: Plant,
        unit: int,
        rng: Random | None = None,
        load_w: Callable[[], float] | None = None,
        turnaround_us: int = 20 * MILLISECOND,
    ) -> None:
        super().__init__(plant, unit, turnaround_us)
        load = load_w if load_w is not None else lambda: plant.pump_electric_w
        self.mains = Mains(rng or Random(unit), load)
        self.lost_phase: int | None = None
        for point in self.table:
            (self.registers if self.inputs is None else self.inputs).update(
                dict.fromkeys(
                    range(point.address, point.address + point.register_format.register_count), 0
                )
            )

    def update_state(self, now: int) -> None:
        """Let the mains go on."""
        self.mains.advance(now)

    def phase(self, values: list[float], phase: int) -> float | None:
        """A value of one phase; None while that phase is lost."""
        return None if phase == self.lost_phase else values[phase]


PhaseSource = Callable[[Any, int], "float | None"]
"""Gets the meter and the phase (0 to 2); gives a value or None."""


def by_phase(
    name: str, address: int, register_format: RegisterFormat, source: PhaseSource
) -> tuple[MeasuredPoint, ...]:
    """Three rows of a table, one for each phase: `name`_1 to _3, one after the other."""
    return tuple(
        MeasuredPoint(
            f"{name}_{phase + 1}",
            address + register_format.register_count * phase,
            register_format,
            partial(_phase_value, source, phase),
        )
        for phase in PHASES
    )


def _phase_value(source: PhaseSource, phase: int, meter: Any) -> float | None:
    return source(meter, phase)
