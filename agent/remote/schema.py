# SPDX-License-Identifier: Apache-2.0
"""Section `remote` of the configuration: keys and roles of operators.

A part of `agent.config.schema`; loaded only with a configuration.
"""

from agent.core.schema.rules import enum, hexadecimal, integer, list_of, name, object_of, text

_KEY = object_of(
    "a public key that this unit accepts",
    ["number", "public", "role"],
    {
        "number": integer("number of this key in messages", 0, 255),
        "public": hexadecimal("Ed25519 public key, 64 hexadecimal digits", 64, 64),
        "role": enum(
            "operate: set-points and tuning; limits: everything, with a second signature",
            ["operate", "limits"],
        ),
    },
)

REMOTE = object_of(
    "signed changes and commands of operators",
    ["port", "keys"],
    {
        "port": text("folder that survives a power cut, for example store:/var/lib/coldloop"),
        "keys": list_of("keys of accepted signatures", _KEY, 1, 8),
        "groups": list_of(
            "groups of this unit; it accepts their messages", name("name of a group"), 0, 8
        ),
        "health_s": integer(
            "time for which the plant must stay healthy before a change can be confirmed, s",
            5,
            3600,
            120,
        ),
    },
)
