# SPDX-License-Identifier: Apache-2.0
"""Section `receiver_setup` of the configuration.

A part of `agent.config.schema`; loaded only if a configuration has the section. `check` refuses a
set-up that the receivers of the vendor do not have.
"""

from agent.core.schema.rules import enum, integer, list_of, number, object_of
from drivers.errors import DriverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.schema.rules import Rule


def _list_of_enum(description: str, values: "list[str]") -> "Rule":
    return list_of(description, enum("one of these", values), 1, len(values))


RECEIVER_SETUP = object_of(
    "set-up of the receiver at the start, checked by the sentences that it then sends",
    ["maker"],
    {
        "maker": enum(
            "vendor of its commands; ublox is generation 9 and later",
            ["casic", "unicore", "quectel", "ublox", "ublox8", "allystar", "st", "trimble"],
        ),
        "constellations": _list_of_enum(
            "constellations to receive; the others are switched off", ["BDS", "GPS", "GLO", "GAL"]
        ),
        "sentences": _list_of_enum(
            "sentences to send; the others are switched off. RMC and GGA are required",
            ["RMC", "GGA", "GSA", "GSV", "ZDA", "GLL", "VTG", "GST"],
        ),
        "rate_ms": integer(
            "time between two fixes, ms; the clock needs fixes at whole seconds", 100, 1000
        ),
        "pulse_ms": integer(
            "length of the pulse at each second, ms; only with a fix. For ublox, ublox8, quectel "
            "and unicore",
            1,
            500,
        ),
        "survey": object_of(
            "the antenna does not move: find its position by a survey. For ublox, ublox8, allystar",
            ["seconds"],
            {
                "seconds": integer("least time of the survey, s", 60, 86_400),
                "accuracy_mm": integer("accuracy that ends the survey, mm", 100, 50_000, 2_000),
            },
        ),
        "fixed": object_of(
            "the antenna does not move, and its position is known. For ublox, ublox8, allystar",
            ["latitude", "longitude", "height_m"],
            {
                "latitude": number("latitude, degrees", -90, 90),
                "longitude": number("longitude, degrees", -180, 180),
                "height_m": number("height above the ellipsoid of WGS 84, m", -500, 9_000),
                "accuracy_mm": integer("error of the position, mm", 10, 50_000, 1_000),
            },
        ),
        "save": enum("save the set-up in the receiver over a loss of power", ["yes", "no"], "no"),
    },
)


def check(raw: "dict[str, Any]", _profiles: "dict[str, Any]", errors: "list[str]") -> None:
    """Check that each setting of `receiver_setup` has a command."""
    from agent.gnss.receiver_setup import make_steps  # noqa: PLC0415 - only with this section

    try:
        make_steps(raw["receiver_setup"])
    except DriverError as error:
        errors.append("receiver_setup: %s" % error)
