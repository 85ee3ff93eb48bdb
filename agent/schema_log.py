"""The configuration's section `log`: telemetry that survives power cuts, until the ground has it.

Part of `agent.schema`; only read when a configuration is loaded.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _whole(about: str, low: int, high: int, default: int) -> "dict[str, Any]":
    return {
        "type": "integer",
        "minimum": low,
        "maximum": high,
        "default": default,
        "description": about,
    }


LOG: "dict[str, Any]" = {
    "type": "object",
    "description": "the telemetry log; without it rows wait in memory and leave as JSON",
    "required": ["port"],
    "additionalProperties": False,
    "properties": {
        "port": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "folder of its own on flash, such as store:/var/lib/coldloop/log",
        },
        "bytes": _whole("flash the log may take", 32768, 1 << 30, 4 << 20),
        "segment_bytes": _whole("size of one file; one is held in memory", 1024, 65536, 4096),
        "at_risk_s": _whole("seconds of rows a power cut may cost: a block's length", 1, 600, 60),
        "merge_rows": _whole("rows in a block of the backlog, 0: as many as live", 0, 600, 360),
        "live_ttl_s": _whole("how long live blocks are worth sending, 0: for ever", 0, 1 << 30, 0),
        "bulk_ttl_s": _whole("how long the backlog is worth sending, 0: for ever", 0, 1 << 30, 0),
        "rows": {
            "type": "string",
            "enum": ["live", "bulk", "none"],
            "default": "live",
            "description": "full rows: sent first while the link is there, only after all else, no",
        },
        "summary_s": _whole("interval of the summary of the rows, 0: none", 0, 3600, 0),
        "summary_rows": _whole("intervals in a block of the summary", 1, 120, 10),
        "summary_bounds": _whole("1: least and most beside the mean", 0, 1, 0),
        "ack_key": {
            "type": "string",
            "minLength": 32,
            "maxLength": 128,
            "pattern": "^([0-9a-f][0-9a-f])+$",
            "description": "secret shared with the relay, hexadecimal: receipts are checked by it",
        },
    },
}
