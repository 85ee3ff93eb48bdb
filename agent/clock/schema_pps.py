"""Section `pps` of the configuration: the PPS pulses of the receiver.

A part of `agent.config.schema`; loaded only if a configuration has the section.
"""

from agent.core.schema_rules import object_of, text

PPS = object_of(
    "PPS pulses of the receiver",
    ["port"],
    {"port": text("PPS device or pin of a board, for example pps:/dev/pps0 or pps:15?edge=fall")},
)
