# SPDX-License-Identifier: Apache-2.0
"""Requested receiver settings as steps: each with its command bytes.

Does not check the result; see `drivers.gnss.setup_sequence`. The bytes come from
`drivers.gnss.setup_vendors`. They were not tested with real receivers.
"""

from drivers.errors import DriverError
from drivers.gnss.setup_vendors import VENDOR_COMMANDS

SYSTEMS = ("BDS", "GPS", "GLO", "GAL")
KINDS = ("RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST")
STARTS = ("hot", "warm", "cold")
REQUIRED = ("RMC", "GGA")
"""Sentences that a fix requires."""


class SetupStep:
    """One step: its name, the requested value, the command bytes in order."""

    def __init__(self, name: str, value: "tuple[str, ...]", commands: "list[bytes]") -> None:
        self.name = name
        self.value = value
        self.commands = commands

    def int_value(self) -> int:
        """Return the value of a numeric step: milliseconds, baud."""
        return int(self.value[0])


def build_steps(
    vendor: str,
    systems: "tuple[str, ...]" = (),
    kinds: "tuple[str, ...]" = (),
    rate_ms: int = 0,
    baud: int = 0,
    save: bool = False,
    start: str = "",
    timing: "tuple[SetupStep, ...]" = (),
) -> "list[SetupStep]":
    """Return the steps for a vendor of `drivers.gnss.setup_vendors.VENDOR_COMMANDS`, in order.

    An empty or zero argument leaves the setting unchanged. On a UM980 the rate is part of the
    sentence request, so that the rate step requests the sentences again. Raises `DriverError` for a
    setting that the vendor's receivers do not support. `timing`: the steps of
    `drivers.gnss.setup_timing`.
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
    steps += timing
    if save:
        steps.append(SetupStep("save", (), commands.save()))
    if start:
        steps.append(SetupStep("start", (start,), commands.start(start)))
    return steps
