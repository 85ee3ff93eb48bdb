"""The configuration's section `pps`: the receiver's pulses.

Part of `agent.config.schema`; only read when a configuration has the section.
"""

from agent.core.schema_rules import object_of, text

PPS = object_of(
    "the receiver's pulse at each second",
    ["port"],
    {"port": text("a PPS device or a board's pin, such as pps:/dev/pps0 or pps:15?edge=fall")},
)
