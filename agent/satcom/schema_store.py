# SPDX-License-Identifier: Apache-2.0
"""Section `modem_store`: the stored state of a satellite modem.

A part of `agent.config.schema`; loaded only if a configuration has the section.
"""

from agent.core.schema.rules import object_of, text

MODEM_STORE = object_of(
    "state of the satellite link that survives a restart",
    ["port"],
    {"port": text("folder that survives a power cut, for example store:/var/lib/coldloop/link")},
)
