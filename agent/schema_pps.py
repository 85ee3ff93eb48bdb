"""The configuration's section `pps`: the receiver's pulses.

Part of `agent.schema`; only read when a configuration has the section.
"""

from agent.schema_words import section, text

PPS = section(
    "the receiver's pulse at each second",
    ["port"],
    {"port": text("a PPS device or a board's pin, such as pps:/dev/pps0 or pps:15?edge=fall")},
)
