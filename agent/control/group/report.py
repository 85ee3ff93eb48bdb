# SPDX-License-Identifier: Apache-2.0
"""What a unit of a group reports each second, and its form in a message.

Does not send; see `agent.control.group.component`. All numbers are integers, so that all
units compute the same. Units have the numbers 1 to 16, in the order of their names in the
configuration.
"""

import struct
from collections import namedtuple

HEALTHY, RUNNING, UTC_KNOWN, LOAD_KNOWN = 1, 2, 4, 16

GroupReport = namedtuple(
    "GroupReport",
    (
        "flags",
        "selected",
        "received",
        "capacity_w",
        "load_w",
        "pump_milli",
        "rules",
        "slot",
    ),
)
"""`flags`: HEALTHY (it can cool), RUNNING, UTC_KNOWN (within 1 s), LOAD_KNOWN. `selected`: bit
n - 1 for each unit that shall run by its view. `received`: the units whose reports it has, in the
same form. `capacity_w`, `load_w`: heat that it can reject, and that it rejects now; `load_w` has no
meaning without LOAD_KNOWN. A unit with software before this flag never sets it, so its heat is not
known. `pump_milli`: speed of its pumps, thousandths of a percent; 0: they stop, or the speed
is not known. `rules`: hash of the rules of its configuration. `slot`: its period of rotation,
counted from 1970; 0: UTC is unknown."""

_FORMAT = ">BHHIIIII"
_LENGTH = struct.calcsize(_FORMAT)
_MOST_W = 100_000_000


def build_report(report: GroupReport) -> bytes:
    """Return the bytes of a report."""
    return struct.pack(_FORMAT, *report)


def parse_report(data: bytes) -> "GroupReport | None":
    """Return the report of `data`; None if it is none."""
    if len(data) != _LENGTH:
        return None
    report = GroupReport(*struct.unpack(_FORMAT, data))
    is_possible = report.capacity_w <= _MOST_W and report.load_w <= _MOST_W
    return report if is_possible and report.pump_milli <= 100_000 else None


def is_healthy(report: GroupReport) -> bool:
    """Return whether a unit can cool."""
    return bool(report.flags & HEALTHY)


def load_of(report: GroupReport) -> "int | None":
    """Return the heat that a unit rejects, W; None: it is not known."""
    load_w: int = report.load_w
    return load_w if report.flags & LOAD_KNOWN else None
