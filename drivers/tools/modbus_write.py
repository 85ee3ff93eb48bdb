"""`coldloop modbus write`: one value, after asking; what it was, what was sent, what it reads now.

Not a control: it writes once. With a profile the value is in the point's unit, its limits are kept,
what the point needs first is written first, and a device that is not the profile's model is left
alone; a profile's bits are written by their names, on or off. Without one only the limits of the
type are known. A value that is refused never reaches the wire. The read-back is tried for a second,
as a device may take that long.
"""

import argparse
import time

from drivers.device.device import BAD, Device
from drivers.device.identity import MISMATCH, UNKNOWN
from drivers.device.number_format import FLOATS
from drivers.device.profile import Profile
from drivers.errors import ProfileError
from drivers.tools.lib import register_values
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    UseError,
    add_port,
    add_timeout,
    bounded,
    complain,
    confirmed,
    explain,
    raw_profile,
    show,
    show_json,
    where,
)
from drivers.tools.lib.identify import Model, Unit, probed
from drivers.tools.lib.modbus_client import Line, port_address
from drivers.tools.modbus_profile import limit_value
from drivers.tools.modbus_read import add_type, check_unit, read_all
from protocols.modbus import pdu
from protocols.modbus.pdu import GOOD
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import Bit, Point

EXAMPLE = (
    "coldloop modbus write /dev/ttyUSB0 20 ValvePositionControlPercent 40 --profile belimo_valve"
)
_TRIES = 5
_PAUSE_S = 0.2
_ON = {"1": True, "on": True, "0": False, "off": False}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    parser.add_argument("unit", type=bounded("UNIT", 0, 255), metavar="UNIT", help="1 to 247")
    parser.add_argument(
        "address",
        metavar="ADDRESS",
        help="0 to 65535, as on the wire, or the name of a point or bit of --profile",
    )
    parser.add_argument("value", metavar="VALUE", help="in the point's unit with --profile")
    parser.add_argument("--profile", metavar="P", help="a shipped profile's name, or a file")
    parser.add_argument(
        "--function", type=int, choices=(5, 6, 16), help="5 a coil; 6, 16 registers (6 if one)"
    )
    add_type(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_timeout(parser, 300)


class Job:
    """What is to be written: requests, and how to look at it before and after."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.wanted: Any = None

    def requests(self) -> "list[bytes]":
        """The PDUs to send, in order."""
        raise NotImplementedError

    def look(self) -> "Any":
        """What it is now; None when it cannot be read."""
        raise NotImplementedError

    def verified(self, seen: "Any") -> "bool | None":
        """Whether `seen` is what was wanted; None when that cannot be told."""
        return None if seen is None else bool(seen == self.wanted)

    def text(self, value: "Any") -> str:
        """A value for people."""
        return "unreadable" if value is None else register_values.show_value(value)


class Plain(Job):
    """Registers or a coil by address."""

    def __init__(self, arguments: argparse.Namespace, line: Line) -> None:
        at = bounded("ADDRESS", 0, 65535)
        try:
            self._address = at(arguments.address)
        except argparse.ArgumentTypeError as error:
            raise UseError("%s; a name needs --profile" % error)
        super().__init__("address %d" % self._address)
        self._line = line
        self._unit: int = arguments.unit
        self._kind: str = arguments.type
        self._order = register_values.check_order(arguments.order, self._kind)
        self._coil = arguments.function == pdu.WRITE_COIL
        if self._coil:
            self._words = [int(_on(arguments.value))]
            self.wanted = self._words[0]
        else:
            self._words = register_values.encode(self._kind, self._order, arguments.value)
            self.wanted = register_values.decode(self._kind, self._order, self._words)[0]
        self._single = (arguments.function or pdu.WRITE_SINGLE) == pdu.WRITE_SINGLE
        if arguments.function == pdu.WRITE_SINGLE and len(self._words) > 1:
            raise UseError(
                "--function 6 writes one register, %s has %d" % (self._kind, len(self._words))
            )

    def requests(self) -> "list[bytes]":
        """One request."""
        if self._coil:
            return [pdu.write_coil(self._address, self._words[0])]
        if self._single and len(self._words) == 1:
            return [pdu.write_single(self._address, self._words[0])]
        return [pdu.write_multiple(self._address, self._words)]

    def look(self) -> "Any":
        """Read the same registers, or the coil."""
        function = pdu.READ_COILS if self._coil else pdu.READ_HOLDING
        size = len(self._words)
        words, failed = read_all(self._line, self._unit, function, self._address, size)
        if failed is not None:
            return None
        return words[0] if self._coil else register_values.decode(self._kind, self._order, words)[0]


class OfProfile(Job):
    """Something of a profile, in a device that has been asked who it is."""

    def __init__(self, what: str, line: Line, unit: Unit, profile: Profile) -> None:
        super().__init__(what)
        self._line = line
        self.device = probed(unit, profile)

    def poll(self) -> None:
        """Read all blocks: what a write needs to know stands in other registers."""
        for request, tag in self.device.polls():
            result = self._line.ask(self.device.unit, request)
            if result.status == GOOD:
                self.device.accept(tag, result.values, result.at)
            else:
                self.device.failed(tag, result.at)


class ByBit(OfProfile):
    """A bit of a profile: a coil, or a bit of a register with the others as they are."""

    def __init__(
        self, arguments: argparse.Namespace, line: Line, unit: Unit, profile: Profile
    ) -> None:
        self._bit = _bit(profile, arguments.address)
        super().__init__(self._bit.name, line, unit, profile)
        self.wanted = int(_on(arguments.value))

    def requests(self) -> "list[bytes]":
        """One request."""
        return [self.device.write_bit(self._bit.name, bool(self.wanted))]

    def look(self) -> "Any":
        """The bit as it reads now, turned round if the profile says so."""
        self.poll()
        known = self.device.register(self._bit) is not None
        return int(self.device.bit(self._bit.name)) if known else None

    def text(self, value: "Any") -> str:
        """In words."""
        return super().text(value) if value is None else ("off", "on")[value]


class ByProfile(OfProfile):
    """A point of a profile. Raises `UseError` for what the profile does not allow."""

    def __init__(
        self, arguments: argparse.Namespace, line: Line, unit: Unit, profile: Profile
    ) -> None:
        self._index = _point(profile, arguments.address)
        point = self._point = profile.points[self._index]
        number = _number(arguments.value, point)
        _check_limits(point, number)
        super().__init__(point.name, line, unit, profile)
        self._count = self.device.raw(self._index, number)
        self.wanted = self._count * point.num / point.den

    def requests(self) -> "list[bytes]":
        """What the point needs first, and the point."""
        return self.device.writes([(self._index, self._count)])

    def look(self) -> "Any":
        """The point where its profile says that the effect is seen."""
        self.poll()
        name = self._point.verify
        seen = self._index if name in ("same", "none") else self.device.index(name)
        quality = self.device.readings[seen].quality
        return self.device.value(seen) if quality in ("good", BAD) else None

    def verified(self, seen: "Any") -> "bool | None":
        """What the device's own rule says."""
        return self.device.readback([(self._index, self._count)])

    def text(self, value: "Any") -> str:
        """With the unit."""
        unit = "" if self._point.unit == "1" else " " + self._point.unit
        return super().text(value) + (unit if value is not None else "")


def _on(text: str) -> bool:
    if text.lower() not in _ON:
        raise UseError("value %r is not on, off, 1 or 0" % text)
    return _ON[text.lower()]


def _bit(profile: Profile, name: str) -> "Bit":
    """A bit by its name. Raises `UseError` when it is not to be written."""
    bit = profile.bits[profile.bit_index(name)]
    if not bit.write:
        raise UseError("%s: %s is not to be written" % (profile.model, name))
    return bit


def _point(profile: Profile, name: str) -> int:
    """A point by its name or wire address."""
    if name.isdigit():
        found = [i for i, p in enumerate(profile.points) if p.address == int(name) and p.limits]
        if not found:
            raise UseError("%s: no point at address %s is to be written" % (profile.model, name))
        return found[0]
    if not profile.has(name):
        raise UseError("%s: no point or bit is named %s" % (profile.model, name))
    return profile.index(name)


def _number(text: str, point: "Point") -> float:
    try:
        return float(text)
    except ValueError:
        raise UseError("value %r of %s is not a number" % (text, point.name))


def _check_limits(point: "Point", number: float) -> None:
    """Refuse what is outside the limits, in the point's unit."""
    if point.limits is None:
        raise UseError("%s is not to be written" % point.name)
    if point.linked:  # its limits are the device's own numbers; checked when they are known
        return
    low, high = sorted(limit_value(point, limit) for limit in point.limits)
    slack = 0.0 if point.kind in FLOATS else abs(point.num / point.den) / 2
    if not low - slack < number < high + slack and not low <= number <= high:
        unit = "" if point.unit == "1" else " " + point.unit
        raise UseError("%s %g%s is not %g to %g%s" % (point.name, number, unit, low, high, unit))


def run(arguments: argparse.Namespace) -> int:
    """Ask, write, read back; 1 when the device refuses or does not show it."""
    address = port_address(arguments.port)
    check_unit(arguments.unit, address.kind)
    place = where(address, arguments.unit)
    raw = None if arguments.profile is None else raw_profile(arguments.profile)
    _check_before_opening(arguments, raw)
    with Line(address, arguments.timeout_ms * MILLISECOND) as line:
        job: Job
        if raw is None:
            job = Plain(arguments, line)
        else:
            unit = Unit(line, arguments.unit)
            profile = Model(raw, every=True).at(unit)
            kind = ByBit if profile.has_bit(arguments.address) else ByProfile
            job = kind(arguments, line, unit, profile)
            stranger = _stranger(job.device)
            if stranger:
                return _refused(arguments, place, stranger)
        before = job.look()
        requests = job.requests()
        question = "%s %s: now %s, to be %s. Write?"
        texts = (place, job.what, job.text(before), job.text(job.wanted))
        if not confirmed(question % texts, arguments.yes):
            show("nothing written")
            return BAD_EXIT
        for request in requests:
            result = line.ask(arguments.unit, request)
            if result.status != GOOD:
                return _refused(arguments, place, "%s: %s" % (job.what, explain(result)))
        seen, good = _read_back(job)
    return _report(arguments, job, before, seen, good)


def _check_before_opening(arguments: argparse.Namespace, raw: "Any") -> None:
    """Refuse what needs no device to be refused."""
    if raw is None:
        if arguments.function != pdu.WRITE_COIL:
            order = register_values.check_order(arguments.order, arguments.type)
            register_values.encode(arguments.type, order, arguments.value)
        return
    profile = Profile(raw, every=True)
    if profile.has_bit(arguments.address):
        _bit(profile, arguments.address)
        _on(arguments.value)
        return
    try:
        point = profile.points[_point(profile, arguments.address)]
    except ProfileError as error:
        raise UseError(str(error))
    _check_limits(point, _number(arguments.value, point))


def _stranger(device: Device) -> str:
    if device.identity == UNKNOWN and device.probes():
        model = device.profile.model
        return "did not say whether it is %s; nothing written" % model
    if device.identity != MISMATCH:
        return ""
    return "is no %s: %s; nothing written" % (device.profile.model, device.mismatch)


def _refused(arguments: argparse.Namespace, place: str, text: str) -> int:
    if arguments.json:
        show_json({"unit": arguments.unit, "address": arguments.address, "error": text})
    complain("write", "%s %s" % (place, text))
    return BAD_EXIT


def _read_back(job: Job) -> "tuple[Any, bool | None]":
    """Look until it is what was wanted, for about a second."""
    seen = job.look()
    good = job.verified(seen)
    for _ in range(_TRIES):
        if good:
            break
        time.sleep(_PAUSE_S)
        seen = job.look()
        good = job.verified(seen)
    return seen, good


def _report(
    arguments: argparse.Namespace, job: Job, before: "Any", seen: "Any", good: "bool | None"
) -> int:
    if arguments.json:
        record = {"unit": arguments.unit, "address": arguments.address, "before": before}
        show_json({**record, "written": job.wanted, "readback": seen, "verified": good})
    else:
        show("%s: was %s" % (job.what, job.text(before)))
        show("written:    %s" % job.text(job.wanted))
        mark = {True: "as written", False: "NOT as written", None: "cannot be verified"}[good]
        show("reads back: %s, %s" % (job.text(seen), mark))
    return GOOD_EXIT if good or (good is None and seen is None) else BAD_EXIT
