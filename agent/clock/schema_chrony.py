"""Section `chrony` of the configuration: samples for chronyd.

A part of `agent.config.schema`; loaded only if a configuration has the section.
"""

from agent.core.schema_rules import integer, object_of, text

CHRONY = object_of(
    "time samples for chronyd of the system",
    ["port"],
    {
        "port": text("socket of `refclock SOCK PATH`, for example chrony:/run/coldloop.sock"),
        "bound_ms": integer("largest error bound of UTC in a sample, ms", 1, 10_000, 100),
    },
)
