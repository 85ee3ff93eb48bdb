# SPDX-License-Identifier: Apache-2.0
"""Shared parts of the diagnostic commands: arguments, profiles by name or file, texts, prompts."""

import argparse
import contextlib
import json
import sys
from pathlib import Path

from drivers.device.profile_check import check_profile
from drivers.errors import DriverError, ProfileError
from drivers.tools.lib.profile_folders import parse_profile, profile_files
from drivers.tools.terminal.printable import printable, printable_lines
from protocols.modbus.pdu import EXCEPTION, GOOD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.bus import TransactionResult
    from drivers.ports.address import Address

GOOD_EXIT = 0
BAD_EXIT = 1
INTERRUPTED_EXIT = 130
UNITS = (1, 247)
_LAST_UNIT = 255  # on TCP and behind some gateways
PORT_HELP = (
    "serial:/dev/ttyUSB0?baud=19200&parity=E, tcp:HOST:502, rtu+tcp:HOST:PORT, rtu+udp:HOST:PORT, "
    "ascii:/dev/ttyUSB0, ascii+tcp:HOST:PORT, tls:HOST:802?ca=FILE, or a bare /dev/ttyUSB0"
)

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}
"""Text of each exception code ("MODBUS Application Protocol Specification V1.1b3", section 7)."""


class UsageError(DriverError):
    """Wrong use of a command; the text is one line with the error and the remedy."""


def add_port(parser: argparse.ArgumentParser) -> None:
    """Add PORT, the common options and --json."""
    parser.add_argument("port", metavar="PORT", help=PORT_HELP)
    add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")


def add_number(
    parser: argparse.ArgumentParser,
    name: str,
    low: int,
    high: int,
    default: "int | None",
    text: "str | None",
) -> None:
    """Add an option with an integer from `low` to `high`."""
    parser.add_argument(
        name, type=bounded(name, low, high), default=default, metavar="N", help=text
    )


def add_timeout(parser: argparse.ArgumentParser, default: int) -> None:
    """Add --timeout-ms."""
    add_number(
        parser,
        "--timeout-ms",
        5,
        10_000,
        default,
        "time in which a reply must begin (%d)" % default,
    )


class bounded:  # noqa: N801 - used like a function, as argparse's types are
    """An argparse type: an integer from `low` to `high`, decimal or 0x…."""

    def __init__(self, name: str, low: int, high: int) -> None:
        self._name = name
        self._low = low
        self._high = high

    def __call__(self, text: str) -> int:
        """Parse `text`. Raises `ArgumentTypeError`."""
        value: int | None = None
        with contextlib.suppress(ValueError):
            value = int(plain(text), 0)
        if value is None or not self._low <= value <= self._high:
            limits = (self._name, text, self._low, self._high)
            raise argparse.ArgumentTypeError("%s %r is not %d to %d" % limits)
        return value


def plain(text: str) -> str:
    """Return a text that can be a number; raise ValueError for digits that Python alone reads.

    These are 1_0, which is 10, and the digits of other scripts.
    """
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return text


def parse_units(text: str) -> "list[int]":
    """Parse units such as `1-10,15`, each 0 to 255; return them sorted, without duplicates.

    The port decides which of them it has: see `check_unit` in `modbus_read`.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            low, high = int(plain(first)), int(plain(last if dash else first))
        except ValueError:
            raise argparse.ArgumentTypeError("%r is not like 1-10,15" % text)
        if not 0 <= low <= high <= _LAST_UNIT:
            raise argparse.ArgumentTypeError("%r is not within 0 to %d" % (part, _LAST_UNIT))
        found.update(range(low, high + 1))
    return sorted(found)


def interrupted_exit(error: KeyboardInterrupt) -> int:
    """Return the exit code that shells give a program that a signal ended: 128 and its number."""
    return 128 + getattr(error, "number", INTERRUPTED_EXIT - 128)


def describe_result(result: "TransactionResult") -> str:
    """Return the result of a request as text."""
    if result.status == GOOD:
        return "ok"
    if result.status == EXCEPTION:
        meaning = EXCEPTIONS.get(result.code, "not in the standard")
        text = "exception %d (%s)" % (result.code, meaning)
        return text + (": " + result.reason if result.reason else "")
    if result.status == "timeout":
        return "no reply" + (": " + result.reason if result.reason else "")
    if result.status == "busy":
        return "busy: exception %d (%s) to all attempts" % (result.code, EXCEPTIONS[result.code])
    if result.status == "unsure" and not result.reason:
        return "unsure: the reply can be a late one to an earlier request, or an echo of the line"
    return "%s: %s" % (result.status, result.reason or "no reason known")


def describe_device(address: "Address", unit: int) -> str:
    """Return the name of a device in messages: port, line options and unit."""
    return "%s unit %d" % (describe_port(address), unit)


def describe_port(address: "Address") -> str:
    """Return the port with the line options that must agree with those of the devices."""
    if address.kind not in ("serial", "ascii"):
        return address.location()
    frame = "%d%s%d" % (address.data_bits, address.parity, address.stop)
    return "%s %d %s" % (address.location(), address.baud, frame)


# Profiles.


def profile_names() -> "list[str]":
    """Return the names of the profiles of the package and of the site."""
    return sorted(profile_files())


def read_json(path: "Any", name: str) -> "Any":
    """Parse a file. Raises `UsageError` if it cannot be read, `ProfileError` if it is not JSON."""
    if path.exists() and not path.is_file():  # a FIFO can wait for ever, a device has no end
        raise UsageError("%s: not a regular file" % name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError("%s: %s; name the file of a profile" % (name, error.strerror))
    except UnicodeDecodeError:
        raise ProfileError("%s: not UTF-8 text" % name)
    try:
        return parse_profile(text)
    except RecursionError:
        raise ProfileError("%s: not JSON that can be read: nested too deeply" % name)
    except ValueError as error:
        line, column = getattr(error, "lineno", 0), getattr(error, "colno", 0)
        where = "%s:%d:%d: not JSON" % (name, line, column) if line else name
        raise ProfileError("%s: %s" % (where, error))


def raw_profile(name: str) -> "Any":
    """Return the parsed JSON of a profile of package or site (by name) or of a file (by path)."""
    if "/" in name or name.endswith(".json"):
        return read_json(Path(name), name)
    files = profile_files()
    if name not in files:
        raise UsageError("no profile is named %s; there are %s" % (name, ", ".join(sorted(files))))
    return read_json(files[name], name)


def checked_profile(name: str) -> "Any":
    """Return the same without faults. Raises `ProfileError` with the name of the file."""
    raw = raw_profile(name)
    errors = check_profile(raw, name)
    if errors:
        raise ProfileError("\n".join(errors))
    return raw


# Printing.


def print_line(text: str) -> None:
    """Print a line immediately, also to a pipe; see `printable`."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


def print_json(record: "Any") -> None:
    """Print one JSON object on a line."""
    print_line(json.dumps(record).replace("\x7f", "\\u007f"))


def print_error(prog: str, text: str) -> None:
    """Print one error on stderr; one of a profile can have several lines."""
    sys.stderr.write("coldloop modbus %s: %s\n" % (prog, printable_lines(text)))


class Progress:
    """One line on a terminal (stderr) that overwrites itself; no output without a terminal."""

    def __init__(self) -> None:
        self._shown_length = 0
        self._is_terminal = sys.stderr.isatty()

    def update(self, text: str) -> None:
        """Replace the line."""
        if self._is_terminal:
            text = printable(text)[:79]
            sys.stderr.write("\r" + text + " " * (self._shown_length - len(text)))
            sys.stderr.flush()
            self._shown_length = len(text)

    def clear(self) -> None:
        """Clear the line."""
        if self._shown_length:
            sys.stderr.write("\r" + " " * self._shown_length + "\r")
            sys.stderr.flush()
            self._shown_length = 0


def confirm(question: str, assume_yes: bool) -> bool:
    """Ask on the terminal; `assume_yes` skips the question.

    Raises `UsageError` if standard input is not a terminal.
    """
    if assume_yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            "stdin: not a terminal, so it cannot ask; add --yes to continue without questions"
        )
    sys.stderr.write(printable(question) + " [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def prompt(question: str, default: str, assume_yes: bool) -> str:
    """Ask for a text; return `default` for an empty answer or with `assume_yes`."""
    if assume_yes:
        return default
    if not sys.stdin.isatty():
        raise UsageError(
            "stdin: not a terminal, so it cannot ask; add --yes to accept the proposals"
        )
    sys.stderr.write(printable("%s [%s] " % (question, default)))
    sys.stderr.flush()
    return sys.stdin.readline().strip() or default


def format_table(rows: "list[tuple[str, ...]]") -> "list[str]":
    """Return the lines of a table; the first row is the heading."""
    rows = [tuple([printable(cell) for cell in row]) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
