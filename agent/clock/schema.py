# SPDX-License-Identifier: Apache-2.0
"""Sections `timekeeping`, `pps`, `chrony` and `ntp` of the configuration.

A part of `agent.config.schema`; loaded only if a configuration has one of the sections.
"""

from agent.core.schema.rules import NAME_PATTERN, enum, integer, object_of, text
from agent.core.schema.sensor_source import TEMPERATURE_SOURCE

TIMEKEEPING = object_of(
    "clock state that survives a restart, and the temperature of the oscillator",
    ["port"],
    {
        "port": text("folder that survives a power cut, for example store:/var/lib/coldloop"),
        "save_s": integer("interval of the writes, s", 10, 86_400, 600),
        "temperature": TEMPERATURE_SOURCE,
    },
)

PPS = object_of(
    "PPS pulses of the receiver",
    ["port"],
    {
        "port": text("PPS device or pin of a board, for example pps:/dev/pps0 or pps:15?edge=fall"),
        "error_us": integer(
            "largest error of a pulse, µs; states also that the edge is the right one", 1, 100_000
        ),
        "cable_ns": integer(
            "delay of the antenna cable, ns: 5 ns a metre if its velocity factor is 0.66; the "
            "pulses are taken as late by it. 0 if the receiver corrects them",
            0,
            10_000,
            0,
        ),
        "quantisation": enum(
            "correct each pulse by what the receiver states of it (UBX-TIM-TP)", ["yes", "no"], "no"
        ),
    },
)

CHRONY = object_of(
    "time samples for chronyd of the system",
    ["port"],
    {
        "port": text("socket of `refclock SOCK PATH`, for example chrony:/run/coldloop.sock"),
        "bound_ms": integer("largest error bound of UTC in a sample, ms", 1, 10_000, 100),
    },
)

NTP = object_of(
    "NTP servers of the site, to compare UTC with",
    ["port"],
    {
        "port": text("address of the first server, for example ntp:10.0.0.1:123"),
        "ports": {
            "type": "object",
            "description": "further servers: name and address; more than half must agree",
            "propertyPattern": NAME_PATTERN,
            "minProperties": 1,
            "maxProperties": 4,
            "values": text("address of the server, for example ntp:10.0.0.2:123"),
        },
        "every_s": integer("time between two requests, s", 16, 1024, 64),
        "error_ms": integer("error of the server beyond what it states, ms", 0, 1_000, 5),
    },
)
