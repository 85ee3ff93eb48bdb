"""The configuration's section `modem_store`: what the satellite link must remember.

Part of `agent.schema`; only read when a configuration is loaded.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MODEM_STORE: "dict[str, Any]" = {
    "type": "object",
    "description": "what the modem's carrier must remember over a restart",
    "required": ["port"],
    "additionalProperties": False,
    "properties": {
        "port": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "folder that survives a power cut, such as store:/var/lib/coldloop/link",
        },
    },
}
