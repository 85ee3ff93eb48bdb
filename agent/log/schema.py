"""The configuration's section `log`: telemetry that survives power cuts, until the ground has it.

Part of `agent.config.schema`; only read when a configuration is loaded.
"""

from agent.core.schema_rules import enum, hexadecimal, integer, object_of, text

LOG = object_of(
    "the telemetry log; without it rows wait in memory and leave as JSON",
    ["port"],
    {
        "port": text("folder of its own on flash, such as store:/var/lib/coldloop/log"),
        "bytes": integer("flash the log may take", 32768, 1 << 30, 4 << 20),
        "segment_bytes": integer("size of one file; one is held in memory", 1024, 65536, 4096),
        "at_risk_s": integer("seconds of rows a power cut may cost: a block's length", 1, 600, 60),
        "merge_rows": integer("rows in a block of the backlog, 0: as many as live", 0, 600, 360),
        "live_ttl_s": integer("how long live blocks are worth sending, 0: for ever", 0, 1 << 30, 0),
        "bulk_ttl_s": integer("how long the backlog is worth sending, 0: for ever", 0, 1 << 30, 0),
        "rows": enum(
            "full rows: sent first while the link is there, only after all else, no",
            ["live", "bulk", "none"],
            "live",
        ),
        "summary_s": integer("interval of the summary of the rows, 0: none", 0, 3600, 0),
        "summary_rows": integer("intervals in a block of the summary", 1, 120, 10),
        "summary_bounds": integer("1: least and most beside the mean", 0, 1, 0),
        "ack_key": hexadecimal(
            "secret shared with the relay, hexadecimal: receipts are checked by it", 32, 128
        ),
    },
)
