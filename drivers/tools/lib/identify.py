"""Which model a unit is: asked by the profiles' identity probes, else by what its registers allow.

Not a certainty where a profile has no probe: then a device "resembles" every profile whose blocks
it answers with plausible values. The one with the least share of implausible values comes first
(in tenths: a device may say "no value"), and among equals the one that the most registers bear out.
A probe that fits is decisive, and one that does not rules its profile out.
"""

from drivers.device.device import BAD, Device
from drivers.device.identity import MATCH, MISMATCH
from drivers.device.profile import Profile
from drivers.device.sunspec_scan import Scan
from protocols.modbus.pdu import EXCEPTION, GOOD, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.bus import Result
    from drivers.tools.lib.modbus_client import Line

_BAD_SHARE = 4  # one reading in so many may be implausible: a device says "no value" that way
_ABSENT = (1, 2)  # exceptions: no such function, no such registers
PROBE = "probe"
RESEMBLES = "resembles"


class Match:
    """A profile that fits a unit: `how` is "probe" or "resembles", `registers` bear it out.

    `doubt`: tenths of its values that are implausible.
    """

    def __init__(self, model: str, how: str, registers: int, doubt: int = 0) -> None:
        self.doubt = doubt
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


class Model:
    """A profile that may be found at more than one place, as SunSpec's models are."""

    def __init__(self, raw: "Any", every: bool = False) -> None:
        """Compile parsed JSON. Raises `ProfileError`."""
        self._raw = raw
        self._every = every
        self._profile = Profile(raw, every=every)
        self.name = self._profile.model

    def at(self, unit: Unit) -> Profile:
        """The profile, at the place where this unit has it; at the usual one when not found."""
        if not self._profile.scan:
            return self._profile
        scan = Scan(self._profile.scan)
        asked = scan.request()
        while asked is not None:
            result = unit.ask(read(*asked))
            scan.answer(result.values if result.status == GOOD else None)
            asked = scan.request()
        if scan.base is None or scan.base == self._profile.base:
            return self._profile
        return Profile(self._raw, every=self._every, base=scan.base)


def identify(unit: Unit, models: "list[Model]") -> "list[Match]":
    """The profiles that fit, best first; those whose probes fitted leave no room for others."""
    found = [match for match in (_match(unit, model.at(unit)) for model in models) if match]
    proven = [match for match in found if match.how == PROBE]
    return sorted(proven or found, key=lambda match: (match.doubt, -match.registers))


def _match(unit: Unit, profile: Profile) -> "Match | None":
    device = probed(unit, profile)
    registers = sum(count for _, _, count in profile.blocks)
    if device.identity == MATCH:
        return Match(profile.model, PROBE, registers)
    if device.probes() or device.identity == MISMATCH:
        return None
    for pdu, tag in device.polls():
        result = unit.ask(pdu)
        if result.status != GOOD:
            return None
        device.accept(tag, result.values, result.at)
    bad = len([1 for reading in device.readings if reading.quality == BAD])
    if bad * _BAD_SHARE > len(device.readings):
        return None
    doubt = bad * 10 // len(device.readings)
    return Match(profile.model, RESEMBLES, registers, doubt)


def probed(unit: Unit, profile: Profile, name: str = "") -> Device:
    """A device of this profile, its probes asked: see its `identity` and `mismatch`.

    A device without a probe can only show that it is another one, by not having the registers.
    """
    device = Device(name or "unit %d" % unit.number, unit.number, profile)
    probes = device.probes()
    for pdu, tag in probes:
        result = unit.ask(pdu)
        device.identified(tag, result.status, result.code, result.values)
    if not probes:
        _look_for_registers(unit, device)
    return device


def _look_for_registers(unit: Unit, device: Device) -> None:
    for pdu, tag in device.polls():
        result = unit.ask(pdu)
        if result.status == EXCEPTION and result.code in _ABSENT:
            function, address, count = device.blocks[tag]
            place = (result.code, function, address, address + count - 1)
            device.identity = MISMATCH
            device.mismatch = "exception %d to function %d, registers %d to %d" % place
            return
