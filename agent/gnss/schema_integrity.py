"""The configuration's section `integrity`: checks of the satellites' signals.

Part of `agent.config.schema`; only read when a configuration has the section.
"""

from agent.core.schema_rules import integer, object_of
from agent.core.schema_sensor_source import TEMPERATURE_SOURCE

INTEGRITY = object_of(
    "checks of the satellites' signals, which vote against the sky",
    [],
    {
        "temperature": TEMPERATURE_SOURCE,
        "bound_ms": integer("an alarm when UTC may be off by more", 1, 100_000, 1_000),
        "desense_db": integer("an alarm when transmitting costs more", 1, 20, 3),
        "tx_wait_s": integer("so long the modem may wait while the clock needs the sky", 0, 900, 0),
    },
)
