"""The configuration's section `remote`: who may change what, from afar.

Part of `agent.schema`; only read when a configuration is loaded.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEY: "dict[str, Any]" = {
    "type": "object",
    "description": "a public key that this unit believes",
    "required": ["number", "public", "role"],
    "additionalProperties": False,
    "properties": {
        "number": {
            "type": "integer",
            "minimum": 0,
            "maximum": 255,
            "description": "how messages name this key",
        },
        "public": {
            "type": "string",
            "minLength": 64,
            "maxLength": 64,
            "description": "Ed25519 public key, 64 hexadecimal digits",
        },
        "role": {
            "type": "string",
            "enum": ["operate", "limits"],
            "description": "operate: set-points and tuning; limits: everything, with a second key",
        },
    },
}

REMOTE: "dict[str, Any]" = {
    "type": "object",
    "description": "changes and commands from operators, signed",
    "required": ["port", "keys"],
    "additionalProperties": False,
    "properties": {
        "port": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "folder that survives a power cut, such as store:/var/lib/coldloop",
        },
        "keys": {
            "type": "array",
            "minItems": 1,
            "maxItems": 8,
            "items": _KEY,
            "description": "whose signatures count",
        },
        "groups": {
            "type": "array",
            "minItems": 0,
            "maxItems": 8,
            "default": [],
            "items": {
                "type": "string",
                "pattern": "^[a-z0-9][a-z0-9_-]{0,31}$",
                "description": "name of a group",
            },
            "description": "groups whose messages this unit takes, too",
        },
        "health_s": {
            "type": "integer",
            "minimum": 5,
            "maximum": 3600,
            "default": 120,
            "description": "how long a change must keep the plant well before it may be confirmed",
        },
    },
}
