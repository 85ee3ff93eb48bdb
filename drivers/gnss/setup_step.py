"""What a receiver is wished to do, as steps: each with the bytes that ask for it.

Not the judge of whether it was done (`drivers.gnss.setup_sequence`). The bytes come from the
makers' tables (`drivers.gnss.setup_vendors`). None of them has met a real receiver from here.
"""

from drivers.errors import DriverError
from drivers.gnss.setup_vendors import VENDOR_COMMANDS

SYSTEMS = ("BDS", "GPS", "GLO", "GAL")
KINDS = ("RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST")
STARTS = ("hot", "warm", "cold")
REQUIRED = ("RMC", "GGA")
"""Without these there is no fix that the clock would believe."""


class SetupStep:
    """One thing to be done: its name, what is wished, the bytes that ask for it, in order."""

    def __init__(self, name: str, value: "tuple[str, ...]", commands: "list[bytes]") -> None:
        self.name = name
        self.value = value
        self.commands = commands

    def int_value(self) -> int:
        """The value of a step that has a number: milliseconds, baud."""
        return int(self.value[0])


def build_steps(
    vendor: str,
    systems: "tuple[str, ...]" = (),
    kinds: "tuple[str, ...]" = (),
    rate_ms: int = 0,
    baud: int = 0,
    save: bool = False,
    start: str = "",
) -> "list[SetupStep]":
    """Give the steps for a maker (of `drivers.gnss.setup_vendors.VENDOR_COMMANDS`), in the order to
    be done.

    What is empty or 0 is left as it is. The rate of a UM980's sentences is part of asking for them,
    so they are asked for again with it. `DriverError` for what the maker's receivers cannot do.
    """
    if vendor not in VENDOR_COMMANDS:
        raise DriverError(
            "no maker %r; there are %s" % (vendor, ", ".join(sorted(VENDOR_COMMANDS)))
        )
    commands = VENDOR_COMMANDS[vendor]
    if kinds and not all(kind in kinds for kind in REQUIRED):
        raise DriverError("sentences: %s are always needed" % " and ".join(REQUIRED))
    steps: list[SetupStep] = []
    if systems:
        steps.append(SetupStep("constellations", systems, commands.systems(systems)))
    if kinds:
        steps.append(SetupStep("sentences", kinds, commands.kinds(kinds, rate_ms or 1000)))
    if rate_ms:
        steps.append(SetupStep("rate", (str(rate_ms),), commands.rate(rate_ms, kinds)))
    if baud:
        steps.append(SetupStep("baud", (str(baud),), commands.baud(baud)))
    if save:
        steps.append(SetupStep("save", (), commands.save()))
    if start:
        steps.append(SetupStep("start", (start,), commands.start(start)))
    return steps
