"""How much power each class of load may draw, against the coolant's supply temperature: data.

A row of the table: name, the case temperature that must be kept (degC), how far the hottest case
stands above the supply at the rated power (kelvin, coolant's own rise included), and the derating
curve: points (degC, percent of the rated power), linear between them, level outside.

What the figures are: `gpu` is the cold plate of the bench's plant (a 1 kW device, 0.028 K/W, and a
coolant's rise of 10 K at 1.5 L/min per kW: 38 K in all) with a case limit of 85 degC; its curve
stays 2 K or more below the line (85 - supply) / 38. `cpu`, `server` (a mix of plate and air) and
`storage` are engineering assumptions that nobody measured here: a site replaces them by its
hardware's own (`throttle.classes` of the configuration). `optics` are 800G modules on a plate, case
limit 70 degC as their usual commercial range has it; their power cannot be capped, only shed.
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
    """A class of load: `limit_c`, `rise_k` at the rated power, and its derating curve."""

    def __init__(self, name: str, limit_c: int, rise_k: int, curve: "Curve") -> None:
        self.name = name
        self.limit_c = limit_c
        self.rise_k = rise_k
        self.curve = curve

    def power_permille(self, supply_c: float) -> int:
        """Thousandths of the rated power that may be drawn at a supply temperature."""
        curve = self.curve
        if supply_c <= curve[0][0]:
            return 10 * curve[0][1]
        for (c0, p0), (c1, p1) in zip(curve, curve[1:]):
            if supply_c <= c1:
                return int(10 * (p0 + (p1 - p0) * (supply_c - c0) / (c1 - c0)))
        return 10 * curve[-1][1]

    def derating_start_c(self) -> int:
        """The highest supply temperature at which nothing is taken away."""
        return self.curve[0][0]

    def case_c(self, supply_c: float, permille: int) -> float:
        """The hottest case's temperature when everything has settled."""
        return supply_c + self.rise_k * permille / 1000


def find_class(name: str, site_classes: "list[LoadClass]") -> "LoadClass | None":
    """Find a class by name, the site's own first."""
    for load_class in site_classes:
        if load_class.name == name:
            return load_class
    for row in CLASSES:
        if row[0] == name:
            return LoadClass(*row)
    return None
