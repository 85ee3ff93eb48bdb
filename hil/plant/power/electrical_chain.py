# SPDX-License-Identifier: Apache-2.0
"""Losses of the electrical chain in front of the IT: transformer, UPS, distribution.

Each loss is a + b x + c x^2 of the rated power, with x the load over the rated power. The terms are
idle, proportional and copper losses (usual form of data sheets). The figures are assumed: 97 % at
half load for a double-conversion UPS, 99 % for a cast-resin transformer. PUE category 1 measures IT
at the UPS output, category 2 at the distribution output, category 3 at the IT input (ISO/IEC
30134-2).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ElectricalStage:
    """One stage; lost fractions of its rated power: idle, per load, per load squared."""

    name: str
    idle: float
    linear: float
    copper: float

    def loss_kw(self, out_kw: float, rated_kw: float) -> float:
        """Return the loss at an output power, kW."""
        x = out_kw / rated_kw
        return rated_kw * (self.idle + self.linear * x + self.copper * x * x)


TRANSFORMER = ElectricalStage("transformer", 0.002, 0.0, 0.010)
UPS = ElectricalStage("ups", 0.007, 0.010, 0.012)
DISTRIBUTION = ElectricalStage("distribution", 0.0, 0.0, 0.008)


@dataclass(frozen=True, slots=True)
class ElectricalChain:
    """The losses for an IT load at its input; `rated_kw` is the rated power of every stage."""

    rated_kw: float

    def losses_kw(self, it_kw: float, mechanical_kw: float) -> dict[str, float]:
        """Return the losses of the stages, kW. Only the transformer carries `mechanical_kw`."""
        distribution = DISTRIBUTION.loss_kw(it_kw, self.rated_kw)
        at_ups = it_kw + distribution
        ups = UPS.loss_kw(at_ups, self.rated_kw)
        feed = at_ups + ups + mechanical_kw
        return {
            "distribution": distribution,
            "ups": ups,
            "transformer": TRANSFORMER.loss_kw(feed, self.rated_kw * 1.25),
        }
