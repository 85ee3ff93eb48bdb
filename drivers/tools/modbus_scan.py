# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus scan`: the units that reply on a port, with their settings and models.

Does not test devices: it only reads. The scan sends one request of each function to each unit,
until the unit replies; an exception is also a reply. It tries function by function over all units,
so the usual devices appear early. Only units that replied get the identification request (43/14),
unless --functions names it. Some units lose synchronisation after an unknown function, also if the
request was for another unit. Few devices reply only to 43/14. The exceptions 10 and 11 of a gateway
("target does not answer") are not a reply of a device.

A second pass asks the units without a reply twice each, in reverse order. Some devices take the
request after one to a silent unit for the reply of that unit (libmodbus does). The first request to
a unit then reaches them, and they take the second one for a reply. Both have the address 0x0300: a
request for it has the length of a reply with three bytes of data, so that such a device finds the
next frame.

The scan reports bytes that are not a valid reply. They show a wrong baud rate or parity, or two
devices with the same unit number.
"""

import argparse

from drivers.errors import DriverError
from drivers.ports.address import modbus_framing
from drivers.ports.address_text import BAUDS
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    Progress,
    UsageError,
    add_port,
    add_timeout,
    describe_port,
    describe_result,
    format_table,
    interrupted_exit,
    parse_units,
    print_error,
    print_json,
    print_line,
    profile_names,
    raw_profile,
)
from drivers.tools.lib.identify import Model, ProbedUnit, identify
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from drivers.tools.lib.scan_records import FoundUnit, ScanAttempt, find_hints, format_units
from drivers.tools.modbus_read import check_unit
from protocols.modbus import pdu
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from drivers.modbus.bus import TransactionResult
    from drivers.ports.address import Address

EXAMPLE = "coldloop modbus scan /dev/ttyUSB0 --units 1-20 --baud 9600,19200 --parity N,E"
TIMEOUT_MS = 100
_PARITIES = ("N", "E", "O")
_REPLY_LIKE = 0x0300  # its first byte is the byte count, if the request is taken for a reply
_GATEWAY_CODES = (10, 11)
_PROBES = {
    3: pdu.read_holding(0, 1),
    4: pdu.read_input(0, 1),
    1: pdu.read_coils(0, 1),
    43: pdu.read_device_id(),
}
_OBJECTS = {0: "maker", 1: "product", 2: "revision"}
_ONE_OBJECT, _NO_SUCH_CODE = 4, 3
_NO_FUNCTION = 1


class UnitScan:
    """One scan of one open line: `units` by `functions`, with the present line options."""

    def __init__(
        self,
        client: BlockingModbusClient,
        units: "list[int]",
        functions: "list[int]",
        progress: Progress,
        second_pass: bool,
    ) -> None:
        self._client = client
        self._second_pass = second_pass
        self._units = units
        self._functions = functions
        self._progress = progress
        self.attempt = ScanAttempt(client.address)
        """What was found until now."""

    def run(self) -> ScanAttempt:
        """Scan all units with all functions. Raises `PortError`."""
        attempt = self.attempt
        remaining = list(self._units)
        for function in self._functions:
            remaining = self._scan_function(function, remaining, attempt)
        if self._second_pass and remaining:
            self._ask_twice(remaining[::-1], attempt)
        attempt.found_units.sort(key=lambda found: found.unit)
        for found in attempt.found_units:
            attempt.garbled_units.pop(found.unit, None)
        self._progress.clear()
        return attempt

    def _scan_function(
        self, function: int, units: "list[int]", attempt: ScanAttempt
    ) -> "list[int]":
        """Send one function to `units`; return the units without a reply."""
        unanswered = []
        self._client.reset_health()
        for index, unit in enumerate(units):
            self._show_progress(function, unit, len(units) - index, attempt)
            result = self._client.request(unit, _PROBES[function], retries=0)
            attempt.count(1)
            if _is_reply(result):
                reply_text = "a value" if result.status == GOOD else describe_result(result)
                attempt.found_units.append(
                    FoundUnit(unit, self._client.address, function, reply_text)
                )
                continue
            unanswered.append(unit)
            if result.status == EXCEPTION:
                attempt.count_gateway_error()
            elif result.status != "timeout":
                attempt.garbled(unit, result.reason)
            elif not self._client.bus.serial:
                attempt.note_stream(result.reason)
        self._note_line_state(attempt)
        return unanswered

    def _ask_twice(self, units: "list[int]", attempt: ScanAttempt) -> None:
        """The second pass; a pause before it lets all devices find the start of a frame."""
        function = self._functions[0] if self._functions[0] != pdu.DEVICE_ID else 3
        self._client.pause()
        for index, unit in enumerate(units):
            self._show_progress(function, unit, len(units) - index, attempt)
            result = self._client.request(unit, pdu.read(function, _REPLY_LIKE, 1), retries=1)
            attempt.count(2)
            if _is_reply(result):
                reply_text = "a value" if result.status == GOOD else describe_result(result)
                found = FoundUnit(unit, self._client.address, function, reply_text)
                attempt.found_units.append(found)
        self._note_line_state(attempt)

    def _note_line_state(self, attempt: ScanAttempt) -> None:
        bus = self._client.bus
        echo_seen = attempt.echo_seen or bus.client.counters.echoes > 0
        attempt.set_line_state(self._client.discarded_bytes, echo_seen, bus.other_until > 0)

    def _show_progress(
        self, function: int, unit: int, remaining: int, attempt: ScanAttempt
    ) -> None:
        text = "%s  function %d  unit %d, %d left  found %d"
        port_text = describe_port(self._client.address)
        self._progress.update(
            text % (port_text, function, unit, remaining, len(attempt.found_units))
        )


def _is_reply(result: "TransactionResult") -> bool:
    return result.status == GOOD or (
        result.status == EXCEPTION and result.code not in _GATEWAY_CODES
    )


def identify_unit(client: BlockingModbusClient, found: FoundUnit, models: "list[Model]") -> None:
    """Identify a unit that replied: function 43/14 and the profiles."""
    unit = ProbedUnit(client, found.unit)
    found.identification.update(read_identification(unit))
    found.matches[:] = identify(unit, models)


def read_identification(unit: ProbedUnit) -> "dict[str, str]":
    """Return maker, product and revision by function 43/14; empty if the unit does not name them.

    Raises `PortError`.
    """
    found = {}
    for number, content in _read_objects(unit):
        if number in _OBJECTS:
            found[_OBJECTS[number]] = content.decode("utf-8", "replace").strip()
    return found


def refuses_identification(unit: ProbedUnit) -> bool:
    """Return whether a unit does not know function 43: it replies with exception 1."""
    result = unit.request(_PROBES[43])
    return bool(result.status == EXCEPTION and result.code == _NO_FUNCTION)


def _read_objects(unit: ProbedUnit) -> "list[tuple[int, bytes]]":
    """Return the identification objects: as a stream, or one by one if it rejects streams."""
    result = unit.request(_PROBES[43])
    if result.status == GOOD:
        return pdu.parse_objects(result.values)[0]
    found = []
    if result.status == EXCEPTION and result.code == _NO_SUCH_CODE:
        for number in _OBJECTS:
            result = unit.request(pdu.read_device_id(_ONE_OBJECT, number))
            if result.status == GOOD:
                found.extend(pdu.parse_objects(result.values)[0])
    return found


# The command.


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_port(parser)
    add_scan(parser)
    parser.add_argument(
        "--all", action="store_true", help="try all settings, also after devices were found"
    )
    parser.add_argument(
        "--one-pass", action="store_true", help="do not ask silent units again in reverse order"
    )
    parser.add_argument("--no-identify", action="store_true", help="do not identify models")


def add_scan(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for units, settings and functions."""
    parser.add_argument(
        "--units",
        type=parse_units,
        default=list(range(1, 248)),
        metavar="A-B,C",
        help="units to scan (1-247); 0-255 on TCP",
    )
    parser.add_argument(
        "--baud", type=_parse_choices(BAUDS, int), metavar="B,…", help="baud rates to try, in order"
    )
    parser.add_argument(
        "--parity",
        type=_parse_choices(_PARITIES, str),
        metavar="P,…",
        help="parities to try, of N, E, O, in order",
    )
    parser.add_argument(
        "--functions",
        type=_parse_choices(tuple(_PROBES), int),
        default=[3, 4, 1],
        metavar="F,…",
        help="functions to try, of 3, 4, 1, 43, in order (3,4,1)",
    )
    add_timeout(parser, TIMEOUT_MS)


def _parse_choices(
    allowed: "tuple[Any, ...]", kind: "Callable[[str], Any]"
) -> "Callable[[str], Any]":
    def read(text: str) -> "list[Any]":
        found = []
        for part in text.split(","):
            if part not in [str(value) for value in allowed]:
                names = ", ".join(str(value) for value in allowed)
                raise argparse.ArgumentTypeError("%r is not one of %s" % (part, names))
            found.append(kind(part))
        return found

    return read


def port_settings(arguments: argparse.Namespace, address: "Address") -> "list[str]":
    """Return the line options to try; one empty text means the options of the address."""
    if address.kind not in ("serial", "ascii"):
        if arguments.baud or arguments.parity:
            raise UsageError("%s: --baud and --parity need a serial line" % address.location())
        return [""]
    bauds = arguments.baud or [address.baud]
    parities = arguments.parity or [address.parity]
    return ["baud=%d&parity=%s" % (baud, parity) for baud in bauds for parity in parities]


def known_models() -> "list[Model]":
    """Return the profiles of the package and of the site. An invalid one of the site is left out,
    with a message.
    """
    found = []
    for name in profile_names():
        model = _model_or_none(name)
        if model is not None:
            found.append(model)
    return found


def _model_or_none(name: str) -> "Model | None":
    try:
        return Model(raw_profile(name))
    except DriverError as error:
        first, *_ = str(error).splitlines()
        print_error("scan", "profile %s is not used: %s" % (name, first))
        return None


def scan_port(
    arguments: argparse.Namespace,
    address: "Address",
    identify_models: bool,
    attempts: "list[ScanAttempt] | None" = None,
) -> "list[ScanAttempt]":
    """Scan with each setting until one finds devices. Raises `PortError` and `UsageError`.

    `attempts`: a list to fill, which a caller has also after Ctrl-C.
    """
    check_unit(arguments.units[0], address)
    check_unit(arguments.units[-1], address)
    attempts = [] if attempts is None else attempts
    progress = Progress()
    models = known_models() if identify_models else []
    options = port_settings(arguments, address)
    try_all = getattr(arguments, "all", False)
    second_pass = modbus_framing(address.kind) == "rtu" and not getattr(
        arguments, "one_pass", False
    )
    try:
        with BlockingModbusClient(address, arguments.timeout_ms * MILLISECOND) as client:
            for text in options:
                if text:
                    client.set_options(text)
                scan = UnitScan(client, arguments.units, arguments.functions, progress, second_pass)
                attempts.append(scan.attempt)
                attempt = scan.run()
                for found in attempt.found_units if identify_models else []:
                    progress.update("identifying unit %d" % found.unit)
                    identify_unit(client, found, models)
                if attempt.found_units and not try_all:
                    break
    finally:
        progress.clear()
    return attempts


def run(arguments: argparse.Namespace) -> int:
    """Scan and print settings and replies; return 1 without a reply.

    Ctrl-C: print what was found until then; return 130, or 143 after SIGTERM.
    """
    attempts: list[ScanAttempt] = []
    interrupted_code = 0
    try:
        scan_port(arguments, port_address(arguments.port), not arguments.no_identify, attempts)
    except KeyboardInterrupt as error:
        interrupted_code = interrupted_exit(error)
    found = [unit for attempt in attempts for unit in attempt.found_units]
    hints = find_hints(attempts)
    if arguments.json:
        print_json(
            {
                "devices": [unit.record() for unit in found],
                "tried": [attempt.record() for attempt in attempts],
                "functions": arguments.functions,
                "units": format_units(arguments.units),
                "timeout_ms": arguments.timeout_ms,
                "hints": hints,
                "interrupted": interrupted_code > 0,
            }
        )
    else:
        if interrupted_code:
            print_line("interrupted; found until then:")
        _show(found, attempts, hints, arguments)
    if interrupted_code:
        return interrupted_code
    return GOOD_EXIT if found else BAD_EXIT


def _show(
    found: "list[FoundUnit]",
    attempts: "list[ScanAttempt]",
    hints: "list[str]",
    arguments: argparse.Namespace,
) -> None:
    if found:
        rows: list[tuple[str, ...]] = [("unit", "settings", "function", "reply", "model")]
        for unit in found:
            port_text = describe_port(unit.address)
            rows.append(
                (str(unit.unit), port_text, str(unit.function), unit.reply_text, unit.describe())
            )
        for row in format_table(rows):
            print_line(row)
    else:
        print_line("no device replied")
    functions = ", ".join(str(function) for function in arguments.functions)
    units = format_units(arguments.units)
    print_line(
        "tried functions %s, units %s, %d ms each:" % (functions, units, arguments.timeout_ms)
    )
    for attempt in attempts:
        print_line("  " + attempt.describe())
    for hint in hints:
        print_line("hint: " + hint)
