# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus profile`: check the file of a profile, or show a profile.

The check itself is in `drivers.device.profile_check`; it names each error with entry and rule.
"""

import argparse

from drivers.device.profile import DeviceProfile
from drivers.device.profile_check import check_profile
from drivers.errors import ProfileError
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    add_json,
    checked_profile,
    format_table,
    print_json,
    print_line,
    raw_profile,
)
from drivers.tools.lib.values.point_value import convert_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import Point

EXAMPLE = "coldloop modbus profile check ./my_pump.json; coldloop modbus profile show orv3_rpu"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="check|show")
    check_parser = commands.add_parser("check", help="print all errors of a profile")
    check_parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="files of profiles (JSON), or names of shipped profiles",
    )
    add_json(check_parser)
    show_parser = commands.add_parser("show", help="print a profile as a table")
    show_parser.add_argument("profile", metavar="P", help="name of a shipped profile, or a file")
    add_json(show_parser)


def run(arguments: argparse.Namespace) -> int:
    """Run `check` or `show`."""
    return (_run_check if arguments.command == "check" else _run_show)(arguments)


def find_errors(name: str) -> "list[str]":
    """Return all errors of a profile, each with the name of the file. Raises `UsageError`."""
    try:
        raw = raw_profile(name)
    except ProfileError as error:
        return [str(error)]
    return check_profile(raw, name)


def _run_check(arguments: argparse.Namespace) -> int:
    has_errors = False
    for name in arguments.files:
        errors = find_errors(name)
        has_errors = has_errors or bool(errors)
        if arguments.json:
            print_json({"file": name, "good": not errors, "errors": errors})
            continue
        for error in errors:
            print_line(error)
        if not errors:
            print_line("%s: good" % name)
    return BAD_EXIT if has_errors else GOOD_EXIT


def _run_show(arguments: argparse.Namespace) -> int:
    raw = checked_profile(arguments.profile)
    profile = DeviceProfile(raw, include_unpolled=True)
    if arguments.json:
        print_json(raw)
        return GOOD_EXIT
    print_line("%s: %s" % (profile.model, profile.title))
    print_line("source: %s" % profile.source)
    print_line("hardware: %s" % ("tested" if profile.met_hardware else "not tested yet"))
    rows: list[tuple[str, ...]] = [("address", "function", "type", "name", "unit", "write limits")]
    rows += [
        _format_row(point, point.kind, point.name, point.unit, _format_limits(point))
        for point in profile.points
    ]
    rows += [
        _format_row(
            bit, "bit %d" % (bit.mask.bit_length() - 1), bit.name, "alarm" if bit.alarm else "", ""
        )
        for bit in profile.bits
    ]
    rows += [_format_row(text, "text", text.name, "", "") for text in profile.texts]
    rows[1:] = sorted(rows[1:], key=lambda row: (int(row[1]), int(row[0])))
    for line in format_table(rows):
        print_line(line)
    return GOOD_EXIT


def _format_row(item: "Any", *cells: str) -> "tuple[str, ...]":
    return (str(item.address), str(item.function), *cells)


def _format_limits(point: "Point") -> str:
    """Return the write limits in the unit of the point, or raw for a linked point."""
    if point.limits is None:
        return ""
    if point.is_linked:
        return "raw %d to %d" % point.limits
    low, high = (convert_limit(point, limit) for limit in point.limits)
    return "%g to %g" % (min(low, high), max(low, high))
