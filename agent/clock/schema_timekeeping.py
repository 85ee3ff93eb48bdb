"""Section `timekeeping` of the configuration: clock state that survives a restart.

A part of `agent.config.schema`; loaded only if a configuration has the section.
"""

from agent.core.schema_rules import integer, object_of, text
from agent.core.schema_sensor_source import TEMPERATURE_SOURCE

TIMEKEEPING = object_of(
    "clock state that survives a restart, and the temperature of the oscillator",
    ["port"],
    {
        "port": text("folder that survives a power cut, for example store:/var/lib/coldloop"),
        "save_s": integer("interval of the writes, s", 10, 86_400, 600),
        "temperature": TEMPERATURE_SOURCE,
    },
)
