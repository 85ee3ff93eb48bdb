"""The configuration's section `log`: telemetry that survives power cuts, until the ground has it.

Part of `agent.config.schema`; only read when a configuration is loaded.
"""

from agent.core.schema_rules import hexadecimal, one_of, section, text, whole

LOG = section(
    "the telemetry log; without it rows wait in memory and leave as JSON",
    ["port"],
    {
        "port": text("folder of its own on flash, such as store:/var/lib/coldloop/log"),
        "bytes": whole("flash the log may take", 32768, 1 << 30, 4 << 20),
        "segment_bytes": whole("size of one file; one is held in memory", 1024, 65536, 4096),
        "at_risk_s": whole("seconds of rows a power cut may cost: a block's length", 1, 600, 60),
        "merge_rows": whole("rows in a block of the backlog, 0: as many as live", 0, 600, 360),
        "live_ttl_s": whole("how long live blocks are worth sending, 0: for ever", 0, 1 << 30, 0),
        "bulk_ttl_s": whole("how long the backlog is worth sending, 0: for ever", 0, 1 << 30, 0),
        "rows": one_of(
            "full rows: sent first while the link is there, only after all else, no",
            ["live", "bulk", "none"],
            "live",
        ),
        "summary_s": whole("interval of the summary of the rows, 0: none", 0, 3600, 0),
        "summary_rows": whole("intervals in a block of the summary", 1, 120, 10),
        "summary_bounds": whole("1: least and most beside the mean", 0, 1, 0),
        "ack_key": hexadecimal(
            "secret shared with the relay, hexadecimal: receipts are checked by it", 32, 128
        ),
    },
)
