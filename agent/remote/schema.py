"""The configuration's section `remote`: who may change what, from afar.

Part of `agent.config.schema`; only read when a configuration is loaded.
"""

from agent.core.schema_rules import enum, integer, list_of, name, object_of, text

_KEY = object_of(
    "a public key that this unit believes",
    ["number", "public", "role"],
    {
        "number": integer("how messages name this key", 0, 255),
        "public": text("Ed25519 public key, 64 hexadecimal digits", 64, 64),
        "role": enum(
            "operate: set-points and tuning; limits: everything, with a second key",
            ["operate", "limits"],
        ),
    },
)

REMOTE = object_of(
    "changes and commands from operators, signed",
    ["port", "keys"],
    {
        "port": text("folder that survives a power cut, such as store:/var/lib/coldloop"),
        "keys": list_of("whose signatures count", _KEY, 1, 8),
        "groups": list_of(
            "groups whose messages this unit takes, too", name("name of a group"), 0, 8
        ),
        "health_s": integer(
            "how long a change must keep the plant well before it may be confirmed", 5, 3600, 120
        ),
    },
)
