"""Section `integrity` of the configuration: checks of the satellite signals.

A part of `agent.config.schema`; loaded only if a configuration has the section.
"""

from agent.core.schema_rules import integer, object_of
from agent.core.schema_sensor_source import TEMPERATURE_SOURCE

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
