"""The electrical chain in front of the IT: transformer, UPS, distribution; their losses.

Each loss is a + b x + c x^2 of the rated power, x the load over it: idle, proportional and copper
part (the usual form of makers' data sheets; the figures are assumptions of 97 % at half load for a
double-conversion UPS and 99 % for a cast-resin transformer). PUE's category 1 counts IT at the UPS'
output, 2 at the distribution's, 3 at the IT's input (ISO/IEC 30134-2).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ElectricalStage:
    """One stage; shares of its rated power lost: idle, per load, per load squared."""

    name: str
    idle: float
    linear: float
    copper: float

    def loss_kw(self, out_kw: float, rated_kw: float) -> float:
        """Loss at an output power, kW."""
        x = out_kw / rated_kw
        return rated_kw * (self.idle + self.linear * x + self.copper * x * x)


TRANSFORMER = ElectricalStage("transformer", 0.002, 0.0, 0.010)
UPS = ElectricalStage("ups", 0.007, 0.010, 0.012)
DISTRIBUTION = ElectricalStage("distribution", 0.0, 0.0, 0.008)


@dataclass(frozen=True, slots=True)
class ElectricalChain:
    """Losses for an IT load at its input: `rated_kw` is that of every stage."""

    rated_kw: float

    def losses_kw(self, it_kw: float, mechanical_kw: float) -> dict[str, float]:
        """Loss of each stage; what cools (`mechanical_kw`) hangs behind the transformer only."""
        distribution = DISTRIBUTION.loss_kw(it_kw, self.rated_kw)
        at_ups = it_kw + distribution
        ups = UPS.loss_kw(at_ups, self.rated_kw)
        feed = at_ups + ups + mechanical_kw
        return {
            "distribution": distribution,
            "ups": ups,
            "transformer": TRANSFORMER.loss_kw(feed, self.rated_kw * 1.25),
        }
