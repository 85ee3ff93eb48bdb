# SPDX-License-Identifier: Apache-2.0
"""Load classes: the permitted power against the supply temperature, as data.

Does not apply limits; see `agent.power.component`.

A row has four fields: name, highest case temperature (°C), case rise (K) and derating curve. The
case rise is that of the hottest case above the supply at the rated power, with the rise of the
coolant. The curve has points (°C, percent of the rated power), is linear between them and constant
outside.

Sources: `gpu` is the cold plate of the bench plant (a 1 kW device, 0.028 K/W, and a coolant rise of
10 K at 1.5 L/min per kW: 38 K in total) with a case limit of 85 °C. Its curve stays at least 2 K
below the line (85 - supply) / 38. `cpu`, `server` (a mix of plate and air) and `storage` are
engineering assumptions that were not measured. A site replaces them by the data of its hardware
(`throttle.classes`). `optics` are 800G modules on a plate with a case limit of 70 °C, the usual
commercial range. Their power cannot be limited, only switched off.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Curve = tuple[tuple[int, int], ...]

CLASSES: "tuple[tuple[str, int, int, Curve], ...]" = (
    ("gpu", 85, 38, ((45, 100), (50, 86), (55, 73), (60, 60), (65, 47), (70, 34), (75, 20))),
    ("cpu", 90, 40, ((48, 100), (55, 82), (60, 70), (65, 57), (70, 45), (80, 20))),
    ("server", 85, 40, ((43, 100), (50, 82), (60, 57), (70, 32), (75, 20))),
    ("storage", 70, 18, ((48, 100), (55, 70), (60, 45))),
    ("optics", 70, 20, ((48, 100), (49, 100))),
)


class LoadClass:
    """A load class: `limit_c`, `rise_k` at the rated power, and its derating curve."""

    def __init__(self, name: str, limit_c: int, rise_k: int, curve: "Curve") -> None:
        self.name = name
        self.limit_c = limit_c
        self.rise_k = rise_k
        self.curve = curve

    def power_permille(self, supply_c: float) -> int:
        """Return the permitted power at a supply temperature, permille of the rated power."""
        curve = self.curve
        if supply_c <= curve[0][0]:
            return 10 * curve[0][1]
        for (c0, p0), (c1, p1) in zip(curve, curve[1:]):
            if supply_c <= c1:
                return int(10 * (p0 + (p1 - p0) * (supply_c - c0) / (c1 - c0)))
        return 10 * curve[-1][1]

    def derating_start_c(self) -> int:
        """Return the highest supply temperature without derating."""
        return self.curve[0][0]

    def case_c(self, supply_c: float, permille: int) -> float:
        """Return the steady temperature of the hottest case."""
        return supply_c + self.rise_k * permille / 1000


def find_class(name: str, site_classes: "list[LoadClass]") -> "LoadClass | None":
    """Return a class by its name. Classes of the site have precedence."""
    for load_class in site_classes:
        if load_class.name == name:
            return load_class
    for row in CLASSES:
        if row[0] == name:
            return LoadClass(*row)
    return None
