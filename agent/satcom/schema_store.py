"""The configuration's section `modem_store`: what the satellite link must remember.

Part of `agent.config.schema`; only read when a configuration is loaded.
"""

from agent.core.schema_rules import object_of, text

MODEM_STORE = object_of(
    "state of the satellite link that survives a restart",
    ["port"],
    {"port": text("folder that survives a power cut, for example store:/var/lib/coldloop/link")},
)
