# SPDX-License-Identifier: Apache-2.0
"""Section `modem_store` of the configuration: stored state of the satellite link.

A part of `agent.config.schema`; loaded only if a configuration has the section.
"""

from agent.core.schema_rules import object_of, text

MODEM_STORE = object_of(
    "state of the satellite link that survives a restart",
    ["port"],
    {"port": text("folder that survives a power cut, for example store:/var/lib/coldloop/link")},
)
