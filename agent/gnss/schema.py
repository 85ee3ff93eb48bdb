# SPDX-License-Identifier: Apache-2.0
"""Sections `integrity` and `receiver_setup` of the configuration.

A part of `agent.config.schema`; loaded only if a configuration has one of the sections.
"""

from agent.core.schema.rules import NAME_PATTERN, enum, integer, list_of, number, object_of, text
from agent.core.schema.sensor_source import TEMPERATURE_SOURCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.schema.rules import Rule


INTEGRITY = object_of(
    "checks of the satellite signals; they can make the clock untrusted",
    [],
    {
        "temperature": TEMPERATURE_SOURCE,
        "bound_ms": integer("alarm limit of the error bound of UTC, ms", 1, 100_000, 1_000),
        "desense_db": integer("alarm limit of the C/N0 loss during a transmission, dB", 1, 20, 3),
        "tx_wait_s": integer(
            "longest delay of the modem while the clock needs the receiver, s", 0, 900, 0
        ),
    },
)


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
        "save": enum("save the set-up in the receiver over a loss of power", ["yes", "no"], "no"),
    },
)


RECEIVERS = object_of(
    "further receivers: the majority of all decides which one UTC follows",
    ["ports"],
    {
        "ports": {
            "type": "object",
            "description": "name and port, for example serial:/dev/ttyUSB2?baud=115200",
            "propertyPattern": NAME_PATTERN,
            "minProperties": 1,
            "maxProperties": 2,
            "values": text("port of a receiver"),
        },
        "latency_ms": number("mean delay of their sentences, as receiver.latency_ms", 0, 1000),
        "latency_error_ms": number("largest error of latency_ms, ms", 0.1, 1000, 10),
    },
)
