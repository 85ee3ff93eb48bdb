# SPDX-License-Identifier: Apache-2.0
"""The common part of the electricity meters: mains in front of a load of the plant.

A model defines the table of its registers over `self.mains`. Energies are updated at each read and
once a second of the bench, so that they also count without reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, ClassVar

from hil.devices.base import MILLISECOND
from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.table_server import MeasuredPoint, TableServer
from hil.devices.power.mains import PHASES, Mains
from hil.plant.plant import Plant


class EmulatedMeter(TableServer):
    """A three-phase meter of `load_w`, by default the plant's pumps.

    Fault besides those of `TableServer`: lost_phase (0 to 2). The voltage and current of this phase
    show zero or the model's "no value". `constant_registers`: those of a model that never change.
    """

    FAULTS: ClassVar = TableServer.FAULTS | {"lost_phase"}
    constant_registers: Mapping[int, int] = {}

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
        registers = self.registers if self.inputs is None else self.inputs
        for point in self.table:
            end = point.address + point.register_format.register_count
            registers.update(dict.fromkeys(range(point.address, end), 0))
        registers.update(self.constant_registers)

    def update_state(self, now: int) -> None:
        """Step the mains."""
        self.mains.advance(now)

    def phase(self, values: list[float], phase: int) -> float | None:
        """Return the value of one phase; None while that phase is lost."""
        return None if phase == self.lost_phase else values[phase]


PhaseSource = Callable[[Any, int], "float | None"]
"""Gets the meter and the phase (0 to 2); returns a value or None."""


def make_phase_points(
    name: str, address: int, register_format: RegisterFormat, source: PhaseSource
) -> tuple[MeasuredPoint, ...]:
    """Return three rows of a table, `name`_1 to `name`_3, at consecutive addresses."""
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
