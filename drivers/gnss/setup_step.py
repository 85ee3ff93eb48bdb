"""What a receiver is wished to do, as steps: each with the bytes that ask for it.

Not the judge of whether it was done (`drivers.gnss.setup_sequence`). The bytes come from the makers'
tables (`drivers.gnss.setup_vendors`). None of them has met a real receiver from here.
"""

from drivers.errors import DriverError
from drivers.gnss.setup_vendors import MAKERS

SYSTEMS = ("BDS", "GPS", "GLO", "GAL")
KINDS = ("RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST")
STARTS = ("hot", "warm", "cold")
NEEDED = ("RMC", "GGA")
"""Without these there is no fix that the clock would believe."""


class Step:
    """One thing to be done: its name, what is wished, the bytes that ask for it, in order."""

    def __init__(self, name: str, value: "tuple[str, ...]", commands: "list[bytes]") -> None:
        self.name = name
        self.value = value
        self.commands = commands

    def number(self) -> int:
        """The value of a step that has a number: milliseconds, baud."""
        return int(self.value[0])


def steps(
    maker: str,
    systems: "tuple[str, ...]" = (),
    kinds: "tuple[str, ...]" = (),
    rate_ms: int = 0,
    baud: int = 0,
    save: bool = False,
    start: str = "",
) -> "list[Step]":
    """Give the steps for a maker (of `drivers.gnss.setup_vendors.MAKERS`), in the order to be done.

    What is empty or 0 is left as it is. The rate of a UM980's sentences is part of asking for them,
    so they are asked for again with it. `DriverError` for what the maker's receivers cannot do.
    """
    if maker not in MAKERS:
        raise DriverError("no maker %r; there are %s" % (maker, ", ".join(sorted(MAKERS))))
    tell = MAKERS[maker]
    if kinds and not all(kind in kinds for kind in NEEDED):
        raise DriverError("sentences: %s are always needed" % " and ".join(NEEDED))
    found: list[Step] = []
    if systems:
        found.append(Step("constellations", systems, tell.systems(systems)))
    if kinds:
        found.append(Step("sentences", kinds, tell.kinds(kinds, rate_ms or 1000)))
    if rate_ms:
        found.append(Step("rate", (str(rate_ms),), tell.rate(rate_ms, kinds)))
    if baud:
        found.append(Step("baud", (str(baud),), tell.baud(baud)))
    if save:
        found.append(Step("save", (), tell.save()))
    if start:
        found.append(Step("start", (start,), tell.start(start)))
    return found
