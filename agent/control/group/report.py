# SPDX-License-Identifier: Apache-2.0
"""What a unit of a group reports each second, and its form in a message.

Does not send; see `agent.control.group.component`. All numbers are integers, so that all
units compute the same. Units have the numbers 1 to 16, in the order of their names in the
configuration.
"""

import struct
from collections import namedtuple

HEALTHY, RUNNING, UTC_KNOWN, PRESSURE_KNOWN, LOAD_KNOWN = 1, 2, 4, 8, 16

GroupReport = namedtuple(
    "GroupReport",
    (
        "flags",
        "selected",
        "received",
        "capacity_w",
        "load_w",
        "pressure_pa",
        "pump_milli",
        "rules",
        "slot",
    ),
)
"""`flags`: HEALTHY (it can cool), RUNNING, UTC_KNOWN (within 1 s), PRESSURE_KNOWN,
LOAD_KNOWN. `selected`: bit n - 1 for each unit that shall run by its view. `received`: the units
whose reports it has, in the same form. `capacity_w`, `load_w`: heat that it can reject, and that it
rejects now; `load_w` has no meaning without LOAD_KNOWN. `pressure_pa`: that of the shared header;
no meaning without PRESSURE_KNOWN. `pump_milli`: speed of its pumps, thousandths of a percent; 0:
they stop, or the speed is not known. `rules`: hash of the rules of its configuration. `slot`: its
period of rotation, counted from 1970; 0: UTC is unknown."""

_FORMAT = ">BHHIIIIII"
_LENGTH = struct.calcsize(_FORMAT)
_MOST = 100_000_000
"""Of a power in W, and of a pressure in Pa."""


def build_report(report: GroupReport) -> bytes:
    """Return the bytes of a report."""
    return struct.pack(_FORMAT, *report)


def parse_report(data: bytes) -> "GroupReport | None":
    """Return the report of `data`; None if it is none."""
    if len(data) != _LENGTH:
        return None
    report = GroupReport(*struct.unpack(_FORMAT, data))
    is_possible = max(report.capacity_w, report.load_w, report.pressure_pa) <= _MOST
    return report if is_possible and report.pump_milli <= 100_000 else None


def is_healthy(report: GroupReport) -> bool:
    """Return whether a unit can cool."""
    return bool(report.flags & HEALTHY)


def load_of(report: GroupReport) -> "int | None":
    """Return the heat that a unit rejects, W; None: it is not known."""
    load_w: int = report.load_w
    return load_w if report.flags & LOAD_KNOWN else None


def pressure_of(report: GroupReport) -> "int | None":
    """Return the pressure of the shared header that a unit measures, Pa; None: it is not known."""
    pressure_pa: int = report.pressure_pa
    return pressure_pa if report.flags & PRESSURE_KNOWN else None
