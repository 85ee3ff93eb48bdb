# SPDX-License-Identifier: Apache-2.0
"""The results of `modbus scan`: found units, attempts with one setting, and hints.

Does not send requests; see `drivers.tools.modbus_scan`.
"""

from drivers.ports.address import modbus_framing
from drivers.tools.lib.arguments import describe_port
from drivers.tools.lib.exchange.wire_record import NO_MODBUS
from drivers.tools.lib.identify import PROBE, Match
from drivers.tools.terminal.printable import printable
from protocols.modbus.expected_reply import OTHER_MASTER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.ports.address import Address

_FEW_UNITS = 3
_ANY_UNIT_COUNT = 20  # units on one TCP port, above which it seems to ignore the unit


class FoundUnit:
    """A unit that replied: the function, the reply, its identification and matching profiles."""

    def __init__(self, unit: int, address: "Address", function: int, reply_text: str) -> None:
        self.unit = unit
        self.address = address
        self.function = function
        self.reply_text = reply_text
        self.identification: dict[str, str] = {}
        self.matches: list[Match] = []

    def best_model(self) -> str:
        """Return the most likely model; empty without a match, or if two match equally."""
        best = self.matches[:2]
        if len(best) == 2 and best[0].registers == best[1].registers:
            return ""
        return best[0].model if best else ""

    def is_proven(self, model: str) -> bool:
        """Return whether a probe identified the unit as this model."""
        return any(match.model == model and match.method == PROBE for match in self.matches)

    def describe(self) -> str:
        """Return the model and identification as text for a terminal."""
        identity_text = printable(" ".join(self.identification.values()))
        if not self.matches:
            return identity_text or "unknown model"
        names = [match.model for match in self.matches]
        if self.matches[0].method == PROBE:
            text = names[0]
        elif self.best_model():
            text = "resembles %s" % names[0]
            if names[1:]:
                text += " (less: %s)" % ", ".join(names[1:])
        else:
            text = "one of %s?" % ", ".join(names)
        return "%s, %s" % (text, identity_text) if identity_text else text

    def record(self) -> "dict[str, Any]":
        """Return the unit as a JSON object."""
        return {
            "unit": self.unit,
            "port": str(self.address),
            "function": self.function,
            "answer": self.reply_text,
            "identification": self.identification,
            "model": self.best_model(),
            "matches": [match.record() for match in self.matches],
        }


class ScanAttempt:
    """The requests and replies with one setting of the line."""

    def __init__(self, address: "Address") -> None:
        self.address = address
        self.requests = 0
        self.found_units: list[FoundUnit] = []
        self.garbled_units: dict[int, str] = {}  # unit: the error of its reply
        self.gateway_errors = 0
        self.noise_bytes = 0
        self.stream_evidence = ""  # what came on a stream instead of replies
        self.echo_seen = False
        self.has_other_master = False

    def count(self, requests: int) -> None:
        """Count requests that were sent."""
        self.requests += requests

    def count_gateway_error(self) -> None:
        """Count an exception of a gateway: its unit does not reply."""
        self.gateway_errors += 1

    def note_stream(self, evidence: str) -> None:
        """Note what came on a stream instead of a reply; the first one counts."""
        self.stream_evidence = self.stream_evidence or evidence

    def set_line_state(self, noise_bytes: int, echo_seen: bool, has_other_master: bool) -> None:
        """Set what was seen: bytes outside frames, an echo, requests of another master."""
        self.noise_bytes = noise_bytes
        self.echo_seen = echo_seen
        self.has_other_master = has_other_master

    def garbled(self, unit: int, reason: str) -> None:
        """Record a reply that was none; the other master explains more than a later mismatch."""
        if self.garbled_units.get(unit) != OTHER_MASTER:
            self.garbled_units[unit] = reason

    def record(self) -> "dict[str, Any]":
        """Return the attempt as a JSON object."""
        return {
            "port": str(self.address),
            "requests": self.requests,
            "found": [found.unit for found in self.found_units],
            "garbled": [{"unit": u, "reason": r} for u, r in sorted(self.garbled_units.items())],
            "noise_bytes": self.noise_bytes,
            "gateway_refusals": self.gateway_errors,
            "other_master": self.has_other_master,
        }

    def describe(self) -> str:
        """Return the attempt as one line of text."""
        answered_units = ", ".join(str(found.unit) for found in self.found_units) or "none"
        text = "%s: %d requests; replies: %s" % (
            describe_port(self.address),
            self.requests,
            answered_units,
        )
        if self.garbled_units:
            units = ", ".join("%d (%s)" % item for item in sorted(self.garbled_units.items())[:8])
            text += "; garbled: " + units
        if self.noise_bytes:
            text += "; %d bytes without a frame" % self.noise_bytes
        if self.gateway_errors:
            text += "; %d gateway exceptions: no unit" % self.gateway_errors
        return text


def format_units(units: "list[int]") -> "str":
    """Return units as text, such as `1-10,15`."""
    found: list[list[int]] = []
    for unit in units:
        if found and found[-1][-1] == unit - 1:
            found[-1][1:] = [unit]
        else:
            found.append([unit])
    return ",".join("-".join(str(unit) for unit in span) for span in found)


def find_hints(attempts: "list[ScanAttempt]") -> "list[str]":
    """Return the likely causes of the results, each with its evidence."""
    if not attempts:
        return []
    found = any(attempt.found_units for attempt in attempts)
    hints = _find_line_hints(attempts, found)
    for attempt in attempts:
        if attempt.stream_evidence:
            hints.append("instead of a reply, %s" % attempt.stream_evidence)
        if attempt.address.kind == "tcp" and len(attempt.found_units) >= _ANY_UNIT_COUNT:
            hints.append(
                "many units reply on one TCP port: it can be one device that ignores the number"
            )
    gateway_errors = sum(attempt.gateway_errors for attempt in attempts)
    if gateway_errors and not found:
        hints.append(
            "a gateway answered %d requests itself (exception 10 or 11): its line has no such "
            "unit or other settings; check its baud rate, parity, wiring and time-out"
            % gateway_errors
        )
    if not hints and not found:
        hints.append(
            "no bytes: check power, polarity of A/B, unit range, baud rate and parity"
            if attempts[0].address.kind in ("serial", "ascii")
            else "connected, but no unit replies: check --units (some devices have 0 or 255 only) "
            "and --timeout-ms; a serial server needs rtu+tcp: or ascii+tcp: instead of tcp:"
        )
    return hints


def _find_line_hints(attempts: "list[ScanAttempt]", found: bool) -> "list[str]":
    """Return the likely causes of bytes that are no replies."""
    hints = []
    noise = sum(attempt.noise_bytes for attempt in attempts)
    garbled = sorted({unit for attempt in attempts for unit in attempt.garbled_units})
    has_other_master = any(attempt.has_other_master for attempt in attempts)
    if has_other_master:
        hints.append(
            "another master is on the line: requests of it were seen. Its replies hide those to "
            "the scan; stop it, or repeat the scan"
        )
    if any(attempt.echo_seen for attempt in attempts):
        hints.append("the line returns the sent bytes: the RS-485 receiver is on while sending")
    if has_other_master and not noise:
        garbled = []
    is_stream = modbus_framing(attempts[0].address.kind) == "tcp"
    if garbled and not found and not is_stream and len(garbled) <= _FEW_UNITS:
        hints.append(
            "damaged replies only to unit %s: the unit exists; check baud rate and parity, "
            "termination, and for two devices with this number" % format_units(garbled)
        )
    elif noise and not found and is_stream:
        hints.append(NO_MODBUS + ": check the port number, and that it is not tls: or rtu+tcp:")
    elif garbled and not found and is_stream:
        text = "replies of unit %s do not fit their requests: is it a Modbus device or gateway?"
        hints.append(text % format_units(garbled))
    elif (garbled or noise) and not found:
        hints.append(
            "%d bytes without a valid reply: check baud rate and parity; a line without bias "
            "resistors also gives bytes" % noise
        )
    for attempt in attempts:
        is_clear = attempt.found_units and not has_other_master
        for unit, reason in sorted(attempt.garbled_units.items()) if is_clear else []:
            hints.append(
                "unit %d: garbled reply (%s); check for two devices with this number"
                % (unit, reason)
            )
    return hints
