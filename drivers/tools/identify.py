"""Which model a unit is: asked by the profiles' identity probes, else by what its registers allow.

Not a certainty where a profile has no probe: then a device "resembles" every profile whose blocks
it answers with plausible values, and the profile that was borne out by the most registers comes
first. A probe that fits is decisive, and one that does not rules its profile out.
"""

from drivers.device import BAD, Device
from protocols.modbus.pdu import EXCEPTION, GOOD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.bus import Result
    from drivers.profile import Profile
    from drivers.tools.line import Line

PROBE = "probe"
RESEMBLES = "resembles"


class Match:
    """A profile that fits a unit: `how` is "probe" or "resembles", `registers` bear it out."""

    def __init__(self, model: str, how: str, registers: int) -> None:
        self.model = model
        self.how = how
        self.registers = registers

    def record(self) -> "dict[str, object]":
        """For JSON."""
        return {"model": self.model, "how": self.how, "registers": self.registers}


class Unit:
    """One unit on a line; what it has answered already is not asked again."""

    def __init__(self, line: "Line", number: int) -> None:
        self.number = number
        self._line = line
        self._known: dict[bytes, Result] = {}

    def ask(self, pdu: bytes) -> "Result":
        """The reply to `pdu`, from the wire the first time."""
        if pdu not in self._known:
            self._known[pdu] = self._line.ask(self.number, pdu)
        return self._known[pdu]


def identify(unit: Unit, profiles: "list[Profile]") -> "list[Match]":
    """The profiles that fit, best first; at most one when a probe fitted."""
    found = []
    for profile in profiles:
        match = _match(unit, profile)
        if match is not None and match.how == PROBE:
            return [match]
        if match is not None:
            found.append(match)
    return sorted(found, key=lambda match: -match.registers)


def _match(unit: Unit, profile: "Profile") -> "Match | None":
    device = Device("unit", unit.number, profile)
    for pdu, tag in device.polls():
        result = unit.ask(pdu)
        if result.status != GOOD:
            return None
        device.accept(tag, result.values, result.at)
    if BAD in [reading.quality for reading in device.readings]:
        return None
    return Match(profile.model, RESEMBLES, sum(block.count for block in profile.blocks))


def mismatch(unit: Unit, profile: "Profile") -> str:
    """Why the unit is not what the profile describes; empty when nothing speaks against it.

    Without a probe only this can be said: a device that has not the registers is another one.
    """
    device = Device("unit", unit.number, profile)
    for pdu, tag in device.polls():
        result = unit.ask(pdu)
        block = profile.blocks[tag]
        if result.status == EXCEPTION and result.code in (1, 2, 3):
            place = (block.function, block.address, block.address + block.count - 1, result.code)
            return "it refuses function %d, registers %d to %d (exception %d)" % place
    return ""
