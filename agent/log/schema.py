# SPDX-License-Identifier: Apache-2.0
"""Section `log` of the configuration: the telemetry log on flash.

A part of `agent.config.schema`; loaded only with a configuration.
"""

from agent.core.schema.rules import enum, hexadecimal, integer, object_of, text

LOG = object_of(
    "telemetry log; without it the agent keeps rows in memory and sends them as JSON",
    ["port"],
    {
        "port": text("folder of its own on flash, for example store:/var/lib/coldloop/log"),
        "bytes": integer("largest size of the log on flash, bytes", 32768, 1 << 30, 4 << 20),
        "segment_bytes": integer(
            "size of a file, bytes; one file is held in memory", 1024, 65536, 4096
        ),
        "at_risk_s": integer(
            "length of a block, s: the rows that a power cut can destroy", 1, 600, 60
        ),
        "merge_rows": integer("rows in a block of the backlog; 0: as in a live block", 0, 600, 360),
        "live_ttl_s": integer(
            "largest age of a live block that is sent, s; 0: no limit", 0, 1 << 30, 0
        ),
        "bulk_ttl_s": integer(
            "largest age of a backlog block that is sent, s; 0: no limit", 0, 1 << 30, 0
        ),
        "rows": enum(
            "full rows. live: sent first; bulk: sent last; none: not sent",
            ["live", "bulk", "none"],
            "live",
        ),
        "summary_s": integer("interval of the summary, s; 0: no summary", 0, 3600, 0),
        "summary_rows": integer("intervals in a block of the summary", 1, 120, 10),
        "summary_bounds": integer("1: minimum and maximum beside the mean", 0, 1, 0),
        "ack_key": hexadecimal(
            "secret shared with the relay, in hexadecimal; it authenticates receipts", 32, 128
        ),
    },
)
