"""The configuration's section `modem_store`: what the satellite link must remember.

Part of `agent.config.schema`; only read when a configuration is loaded.
"""

from agent.core.schema_rules import object_of, text

MODEM_STORE = object_of(
    "what the modem's carrier must remember over a restart",
    ["port"],
    {"port": text("folder that survives a power cut, such as store:/var/lib/coldloop/link")},
)
