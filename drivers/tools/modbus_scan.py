"""`coldloop modbus scan`: which units answer on a port, with which settings, and what they are.

Not a test of a device: it only reads. Each unit is asked one question of each function until it
says anything; an exception is an answer too. Function by function over all units, so that the usual
devices appear early. Only who answered is asked for its identification (43/14), unless --functions
says otherwise: some slaves lose step at a function that they do not know, also when another unit
was asked, and hardly a device answers to nothing else. A gateway's "the target does not answer"
(exceptions 10, 11) is no device.

Bytes that are no reply are kept as evidence: with the wrong baud rate or parity a line answers, but
with rubbish, and two devices with one number answer at once.
"""

import argparse

from drivers.ports.address import BAUDS
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    Progress,
    UseError,
    add_port,
    add_timeout,
    explain,
    profile_names,
    ranges,
    raw_profile,
    settings,
    show,
    show_json,
    table,
)
from drivers.tools.lib.identify import PROBE, Match, Model, Unit, identify
from drivers.tools.lib.modbus_client import Line, port_address
from protocols.modbus import pdu
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from drivers.modbus.bus import Result
    from drivers.ports.address import Address

EXAMPLE = "coldloop modbus scan /dev/ttyUSB0 --units 1-20 --baud 9600,19200 --parity N,E"
TIMEOUT_MS = 100
_PARITIES = ("N", "E", "O")
_GATEWAY = (10, 11)
_PROBES = {
    3: pdu.read_holding(0, 1),
    4: pdu.read_input(0, 1),
    1: pdu.read_coils(0, 1),
    43: pdu.read_device_id(),
}
_OBJECTS = {0: "maker", 1: "product", 2: "revision"}
_ONE_OBJECT, _NO_SUCH_CODE = 4, 3
_EVERY_UNIT = 20  # as many answers on one TCP port: it hardly looks at the unit


class Found:
    """A unit that answered, to which function, and what is known of its model."""

    def __init__(self, unit: int, address: "Address", function: int, answer: str) -> None:
        self.unit = unit
        self.address = address
        self.function = function
        self.answer = answer
        self.identification: dict[str, str] = {}
        self.matches: list[Match] = []

    def model(self) -> str:
        """The best guess at its model; empty when nothing fits, or two fit equally well."""
        best = self.matches[:2]
        if len(best) == 2 and best[0].registers == best[1].registers:
            return ""
        return best[0].model if best else ""

    def proven(self, model: str) -> bool:
        """Whether a probe has shown that it is this model."""
        return any(match.model == model and match.how == PROBE for match in self.matches)

    def words(self) -> str:
        """What it is, for people."""
        who = " ".join(self.identification.values())
        if not self.matches:
            return who or "unknown model"
        names = [match.model for match in self.matches]
        if self.matches[0].how == PROBE:
            text = names[0]
        elif self.model():
            text = "resembles %s" % names[0]
            if names[1:]:
                text += " (less: %s)" % ", ".join(names[1:])
        else:
            text = "one of %s?" % ", ".join(names)
        return "%s, %s" % (text, who) if who else text

    def record(self) -> "dict[str, Any]":
        """For JSON."""
        return {
            "unit": self.unit,
            "port": str(self.address),
            "function": self.function,
            "answer": self.answer,
            "identification": self.identification,
            "model": self.model(),
            "matches": [match.record() for match in self.matches],
        }


class Tried:
    """What was asked with one setting of the line, and what came back."""

    def __init__(self, address: "Address") -> None:
        self.address = address
        self.requests = 0
        self.found: list[Found] = []
        self.garbled: dict[int, str] = {}  # unit: what was wrong with its answers
        self.gateway = 0
        self.noise = 0

    def record(self) -> "dict[str, Any]":
        """For JSON."""
        return {
            "port": str(self.address),
            "requests": self.requests,
            "found": [found.unit for found in self.found],
            "garbled": [{"unit": u, "reason": r} for u, r in sorted(self.garbled.items())],
            "noise_bytes": self.noise,
            "gateway_refusals": self.gateway,
        }

    def words(self) -> str:
        """One line for people."""
        answered = ", ".join(str(found.unit) for found in self.found) or "nobody"
        text = "%s: %d requests; answered: %s" % (settings(self.address), self.requests, answered)
        if self.garbled:
            units = ", ".join("%d (%s)" % item for item in sorted(self.garbled.items())[:8])
            text += "; garbled: " + units
        if self.noise:
            text += "; %d bytes that are no frame" % self.noise
        if self.gateway:
            text += "; %d times a gateway said that nobody is there" % self.gateway
        return text


class Scan:
    """One scan of one open line: `units` by `functions`, at the line's present settings."""

    def __init__(
        self, line: Line, units: "list[int]", functions: "list[int]", progress: Progress
    ) -> None:
        self._line = line
        self._units = units
        self._functions = functions
        self._progress = progress

    def run(self) -> Tried:
        """Ask everybody. Raises `PortError`."""
        tried = Tried(self._line.address)
        left = list(self._units)
        for function in self._functions:
            left = self._pass(function, left, tried)
        tried.found.sort(key=lambda found: found.unit)
        for found in tried.found:
            tried.garbled.pop(found.unit, None)
        self._progress.clear()
        return tried

    def _pass(self, function: int, units: "list[int]", tried: Tried) -> "list[int]":
        """Ask `units` with one function; those who say nothing are left for the next."""
        silent = []
        self._line.fresh()
        for place, unit in enumerate(units):
            self._tell(function, unit, len(units) - place, tried)
            result = self._line.ask(unit, _PROBES[function], retries=0)
            tried.requests += 1
            if _answered(result):
                words = "a value" if result.status == GOOD else explain(result)
                tried.found.append(Found(unit, self._line.address, function, words))
                continue
            silent.append(unit)
            if result.status == EXCEPTION:
                tried.gateway += 1
            elif result.status != "timeout":
                tried.garbled[unit] = result.reason
        tried.noise = self._line.dropped_bytes
        return silent

    def _tell(self, function: int, unit: int, left: int, tried: Tried) -> None:
        text = "%s  function %d  unit %d, %d to go  found %d"
        where = settings(self._line.address)
        self._progress.say(text % (where, function, unit, left, len(tried.found)))


def spans(units: "list[int]") -> "str":
    """Units as text, such as `1-10,15`."""
    found: list[list[int]] = []
    for unit in units:
        if found and found[-1][-1] == unit - 1:
            found[-1][1:] = [unit]
        else:
            found.append([unit])
    return ",".join("-".join(str(unit) for unit in span) for span in found)


def _answered(result: "Result") -> bool:
    return result.status == GOOD or (result.status == EXCEPTION and result.code not in _GATEWAY)


def describe(line: Line, found: Found, profiles: "list[Model]") -> None:
    """Ask a unit that answered who it is: 43/14 and the profiles."""
    unit = Unit(line, found.unit)
    for number, content in _objects(unit):
        if number in _OBJECTS:
            text = content.decode("utf-8", "replace").strip()
            found.identification[_OBJECTS[number]] = text
    found.matches = identify(unit, profiles)


def _objects(unit: Unit) -> "list[tuple[int, bytes]]":
    """What a unit says of itself: all at once, or one by one if it knows no streams."""
    result = unit.ask(_PROBES[43])
    if result.status == GOOD:
        return pdu.objects(result.values)[0]
    found = []
    if result.status == EXCEPTION and result.code == _NO_SUCH_CODE:
        for number in _OBJECTS:
            result = unit.ask(pdu.read_device_id(_ONE_OBJECT, number))
            if result.status == GOOD:
                found.extend(pdu.objects(result.values)[0])
    return found


# The command.


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    add_scan(parser)
    parser.add_argument(
        "--all", action="store_true", help="go on with other settings after one found devices"
    )
    parser.add_argument("--no-identify", action="store_true", help="do not ask for models")


def add_scan(parser: argparse.ArgumentParser) -> None:
    """Add what says whom to ask, and how."""
    parser.add_argument(
        "--units", type=ranges, default=list(range(1, 248)), metavar="A-B,C", help="units (1-247)"
    )
    parser.add_argument(
        "--baud", type=_choices(BAUDS, int), metavar="B,…", help="baud rates to try, in order"
    )
    parser.add_argument(
        "--parity", type=_choices(_PARITIES, str), metavar="P,…", help="of N, E, O, to try"
    )
    parser.add_argument(
        "--functions",
        type=_choices(tuple(_PROBES), int),
        default=[3, 4, 1],
        metavar="F,…",
        help="functions to look for devices with, in order, of 3, 4, 1, 43 (3,4,1)",
    )
    add_timeout(parser, TIMEOUT_MS)


def _choices(allowed: "tuple[Any, ...]", kind: "Callable[[str], Any]") -> "Callable[[str], Any]":
    def read(text: str) -> "list[Any]":
        found = []
        for part in text.split(","):
            if part not in [str(value) for value in allowed]:
                names = ", ".join(str(value) for value in allowed)
                raise argparse.ArgumentTypeError("%r is not one of %s" % (part, names))
            found.append(kind(part))
        return found

    return read


def candidates(arguments: argparse.Namespace, address: "Address") -> "list[str]":
    """The settings to try, as options of the address; one empty text for "as it stands"."""
    if address.kind != "serial":
        if arguments.baud or arguments.parity:
            raise UseError("%s: only a serial line has --baud and --parity" % address.place())
        return [""]
    bauds = arguments.baud or [address.baud]
    parities = arguments.parity or [address.parity]
    return ["baud=%d&parity=%s" % (baud, parity) for baud in bauds for parity in parities]


def shipped() -> "list[Model]":
    """The profiles that come with the package."""
    return [Model(raw_profile(name)) for name in profile_names()]


def scan_port(arguments: argparse.Namespace, address: "Address", identified: bool) -> "list[Tried]":
    """Scan with each setting until one finds devices; raises `PortError`."""
    tried = []
    progress = Progress()
    profiles = shipped() if identified else []
    options = candidates(arguments, address)
    go_on = getattr(arguments, "all", False)
    try:
        with Line(address, arguments.timeout_ms * MILLISECOND) as line:
            for text in options:
                if text:
                    line.set(text)
                one = Scan(line, arguments.units, arguments.functions, progress).run()
                tried.append(one)
                for found in one.found if identified else []:
                    progress.say("asking unit %d who it is" % found.unit)
                    describe(line, found, profiles)
                if one.found and not go_on:
                    break
    finally:
        progress.clear()
    return tried


def advice(tried: "list[Tried]") -> "list[str]":
    """What the findings hint at."""
    hints = []
    if any(one.garbled or one.noise for one in tried) and not any(one.found for one in tried):
        hints.append("bytes came but no reply among them: wrong baud rate or parity?")
    for one in tried:
        for unit, reason in sorted(one.garbled.items()) if one.found else []:
            hints.append(
                "unit %d answers garbled (%s): two devices with one number?" % (unit, reason)
            )
        if one.address.kind == "tcp" and len(one.found) >= _EVERY_UNIT:
            hints.append("many units answer on one TCP port: one device that ignores the number?")
    if not hints and not any(one.found for one in tried):
        hints.append(
            "nothing came at all: check power, A/B swapped, unit range, baud and parity"
            if tried[0].address.kind == "serial"
            else "connected, but nobody answers: check the units, or --timeout-ms"
        )
    return hints


def run(arguments: argparse.Namespace) -> int:
    """Scan and say what was tried and what answered; 1 when nothing did."""
    tried = scan_port(arguments, port_address(arguments.port), not arguments.no_identify)
    found = [unit for one in tried for unit in one.found]
    hints = advice(tried)
    if arguments.json:
        show_json(
            {
                "devices": [unit.record() for unit in found],
                "tried": [one.record() for one in tried],
                "functions": arguments.functions,
                "units": spans(arguments.units),
                "timeout_ms": arguments.timeout_ms,
                "hints": hints,
            }
        )
    else:
        _show(found, tried, hints, arguments)
    return GOOD_EXIT if found else BAD_EXIT


def _show(
    found: "list[Found]", tried: "list[Tried]", hints: "list[str]", arguments: argparse.Namespace
) -> None:
    if found:
        rows: list[tuple[str, ...]] = [("unit", "settings", "function", "answer", "model")]
        for unit in found:
            where = settings(unit.address)
            rows.append((str(unit.unit), where, str(unit.function), unit.answer, unit.words()))
        for row in table(rows):
            show(row)
    else:
        show("no device answered")
    functions = ", ".join(str(function) for function in arguments.functions)
    units = spans(arguments.units)
    show("tried functions %s, units %s, %d ms each:" % (functions, units, arguments.timeout_ms))
    for one in tried:
        show("  " + one.words())
    for hint in hints:
        show("hint: " + hint)
