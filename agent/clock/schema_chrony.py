"""The configuration's section `chrony`: samples for chronyd.

Part of `agent.config.schema`; only read when a configuration has the section.
"""

from agent.core.schema_rules import integer, object_of, text

CHRONY = object_of(
    "samples of time for the system's chronyd",
    ["port"],
    {
        "port": text("the socket of `refclock SOCK PATH`, such as chrony:/run/coldloop.sock"),
        "bound_ms": integer("nothing is told while UTC may be off by more", 1, 10_000, 100),
    },
)
