"""The configuration's section `timekeeping`: what is known of time, kept over a restart.

Part of `agent.schema`; only read when a configuration has the section.
"""

from agent.schema_time import SOURCE
from agent.schema_words import section, text, whole

TIMEKEEPING = section(
    "what is known of time, kept over a restart, and the oscillator's temperature",
    ["port"],
    {
        "port": text("folder that survives a power cut, such as store:/var/lib/coldloop"),
        "save_s": whole("how often it is written, seconds", 10, 86_400, 600),
        "temperature": SOURCE,
    },
)
