# SPDX-License-Identifier: Apache-2.0
"""Efficiencies at part load: pump, motor and frequency converter of pumps and fans.

Plain functions of the load; temperatures are not an input. Motor and converter follow the curves
of the example of `Fan:ComponentModel` in the Input Output Reference of EnergyPlus (curves
MotorPartLoad and VFDPartLoad, form a x / (b + x) + c x), fitted to data of the U.S. Department of
Energy. The motor curve is for full speed. With V/f control the no-load loss of the motor falls with
the speed; here with its square (assumed), where the load is the cube of the speed. The efficiency
of a pump is a parabola through zero flow with its maximum at the best point (usual approximation);
at another speed the same point is at the same ratio of flow and speed (affinity laws).
"""

from __future__ import annotations

from functools import lru_cache

from hil.plant.fluid.parameters import PlantParameters

_MOTOR = (1.137209, 0.0502359, -0.0891503)
_CONVERTER = (0.987405, 0.0155361, -0.0059365)
_LEAST_FRACTION = 0.2  # of the efficiency of a pump far from its best point


def _input(load: float, curve: tuple[float, float, float]) -> float:
    """Return the input power for an output of `load`, both over the rated output."""
    a, b, c = curve
    return (b + load) / (a + c * (b + load))


def _chain(load: float) -> float:
    """Return the input power of the converter over the rated power of the motor."""
    a, b, c = _MOTOR
    no_load = b / (a + c * b)
    motor = _input(load, _MOTOR) - no_load * (1.0 - min(load, 1.0) ** (2.0 / 3.0))
    return _input(motor, _CONVERTER)


_RATED = _chain(1.0)


@lru_cache(maxsize=4096)
def electric_fraction(load: float) -> float:
    """Return the electric power over that at the rated load, for a shaft load of 0 to 1.2.

    A stopped machine takes no power; a running one at no load the loss of its converter.
    """
    return _chain(load) / _RATED if load > 0.0 else 0.0


def parabola(flow_ratio: float) -> float:
    """Return the efficiency of a pump over its best, for flow over the best flow at its speed."""
    return max(1.0 - (1.0 - flow_ratio) ** 2, _LEAST_FRACTION)


def pump_fraction(p: PlantParameters, lpm: float, speed_pct: float) -> float:
    """Return the efficiency of one pump over its best, at a flow in L/min and a speed in %."""
    if speed_pct <= 0.0:
        return _LEAST_FRACTION
    return parabola(lpm / (p.pump_bep_lpm * speed_pct / 100.0))
