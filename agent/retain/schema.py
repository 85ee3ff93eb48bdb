# SPDX-License-Identifier: Apache-2.0
"""Section `retain` of the configuration; loaded only if a configuration has it."""

from agent.core.schema.rules import object_of, text

RETAIN = object_of(
    "state that survives a restart: latched alarms, manual mode, suspect sensors; alarm history",
    ["port"],
    {
        "port": text(
            "folder of its own that survives a power cut, for example "
            "store:/var/lib/coldloop/retain"
        )
    },
)
