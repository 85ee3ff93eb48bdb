# SPDX-License-Identifier: Apache-2.0
"""Sections `integrity` and `receivers` of the configuration.

A part of `agent.config.schema`; loaded only if a configuration has one of the sections.
"""

from agent.core.schema.rules import NAME_PATTERN, integer, number, object_of, text
from agent.core.schema.sensor_source import TEMPERATURE_SOURCE

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
