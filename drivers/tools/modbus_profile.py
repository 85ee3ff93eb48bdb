"""`coldloop modbus profile`: check a profile's file, or show what a profile says.

Not the checker: that is `drivers.device.profile_check`, which names every error with its entry and rule.
"""

import argparse

from drivers.device.number_format import FLOATS
from drivers.device.profile import Profile
from drivers.device.profile_check import check
from drivers.errors import ProfileError
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    add_json,
    raw_profile,
    show,
    show_json,
    table,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import Point

EXAMPLE = "coldloop modbus profile check ./my_pump.json; coldloop modbus profile show orv3_rpu"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="check|show")
    check = commands.add_parser("check", help="every error of a profile's file")
    check.add_argument("files", nargs="+", metavar="FILE", help="profiles (JSON), or their names")
    add_json(check)
    shown = commands.add_parser("show", help="a profile as a table")
    shown.add_argument("profile", metavar="P", help="name of a shipped profile, or a file")
    add_json(shown)


def run(arguments: argparse.Namespace) -> int:
    """Check or show."""
    return (_check if arguments.command == "check" else _show)(arguments)


def errors(name: str) -> "list[str]":
    """Every error of a profile, each beginning with the file's name. Raises `UseError`."""
    try:
        raw = raw_profile(name)
    except ProfileError as error:
        return [str(error)]
    return check(raw, name)


def _check(arguments: argparse.Namespace) -> int:
    bad = False
    for name in arguments.files:
        found = errors(name)
        bad = bad or bool(found)
        if arguments.json:
            show_json({"file": name, "good": not found, "errors": found})
            continue
        for error in found:
            show(error)
        if not found:
            show("%s: good" % name)
    return BAD_EXIT if bad else GOOD_EXIT


def _show(arguments: argparse.Namespace) -> int:
    profile = Profile(raw_profile(arguments.profile), every=True)
    if arguments.json:
        show_json(raw_profile(arguments.profile))
        return GOOD_EXIT
    show("%s: %s" % (profile.model, profile.title))
    show("source: %s" % profile.source)
    show("hardware: %s" % ("tried on it" if profile.met_hardware else "not met yet"))
    rows: list[tuple[str, ...]] = [("address", "function", "type", "name", "unit", "write limits")]
    rows += [_row(p, p.kind, p.name, p.unit, _limits(p)) for p in profile.points]
    rows += [
        _row(b, "bit %d" % (b.mask.bit_length() - 1), b.name, "alarm" if b.alarm else "", "")
        for b in profile.bits
    ]
    rows += [_row(t, "text", t.name, "", "") for t in profile.texts]
    rows[1:] = sorted(rows[1:], key=lambda row: (int(row[1]), int(row[0])))
    for line in table(rows):
        show(line)
    return GOOD_EXIT


def _row(item: "Any", *cells: str) -> "tuple[str, ...]":
    return (str(item.address), str(item.function), *cells)


def _limits(point: "Point") -> str:
    """Write limits in the point's unit; of one whose scale is in another register, as raw."""
    if point.limits is None:
        return ""
    if point.linked:
        return "raw %d to %d" % point.limits
    low, high = (limit_value(point, limit) for limit in point.limits)
    return "%g to %g" % (min(low, high), max(low, high))


def limit_value(point: "Point", limit: int) -> float:
    """A limit in the point's unit. Those of floats are counts already."""
    count = limit if point.kind in FLOATS else limit * point.mul + point.add
    return count * point.num / point.den
