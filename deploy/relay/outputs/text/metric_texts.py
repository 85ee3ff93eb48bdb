# SPDX-License-Identifier: Apache-2.0
"""Metrics of the relay itself for Prometheus: names, types and texts of its counters and levels.

The counts come from the pipeline (`Pipeline.counts`); this module only writes them. A name that
ends in `_now` or `_seconds` is a level, all others count up while the process runs.
"""

_TEXTS = {
    "abandoned_now": "Records that wait for a relay with another name at the same store.",
    "bad_blocks": "Blocks that cannot be decoded or are refused; they are in the quarantine.",
    "bad_messages": "Messages that cannot be decoded; they are in the quarantine.",
    "bad_names": "Messages whose topic has no name of a unit.",
    "blocks": "Blocks of rows that the metrics output followed.",
    "broker_connected_now": "1 while the broker has the connection of the relay.",
    "datagrams": "Datagrams with a good code.",
    "duplicates": "Records and datagrams that came once more.",
    "estimated_rows": "Rows without UTC that a later block of the run dated.",
    "failed_receipts": "Receipts that could not be sent; the unit sends its records again.",
    "mailbox_checks": "Mailbox checks that were requested from units.",
    "lost_down": "Messages to modems that the gateway did not take.",
    "messages": "Messages that were taken.",
    "quarantined": "Items that were put into the quarantine.",
    "records": "Records that were stored.",
    "refused_receipts_now": "Units whose receipts the broker refuses.",
    "rejected_dates": "Rows whose UTC contradicts their run; they count as undated.",
    "sent_down": "Messages to modems that the gateway took.",
    "store_errors": "Errors of the relay's own store.",
    "throttled": "Messages that were discarded: their unit is over its limit.",
    "undated_rows": "Rows without UTC.",
    "unknown_modems": "Datagrams of a modem that no --modem names.",
    "uptime_conflicts": "Runs with two relations of uptime to UTC.",
    "values": "Values that were decoded.",
    "waiting_now": "Records that wait for their receipt.",
}
_OUTPUT_TEXTS = {
    "delivered": "Items that output {} acknowledged.",
    "refused": "Items that output {} refused; they are in the quarantine.",
    "skipped": "Items that output {} never got: it was too far behind, and is not required.",
    "ignored": "Items that the server of output {} accepted and did not store.",
    "failing_now": "1 while output {} acknowledges nothing.",
    "backlog_now": "Items that output {} has not acknowledged yet.",
}


def _find_text(name: str) -> str:
    """Return the text of a count, "" if there is none."""
    if not name.startswith("output_"):
        return _TEXTS.get(name, "")
    output, _, kind = name.removeprefix("output_").partition("_")
    return _OUTPUT_TEXTS.get(kind, "").format(output)


def format_counts(counts: dict[str, int]) -> list[str]:
    """Format the counters and the levels of the relay: lines of OpenMetrics."""
    lines: list[str] = []
    for name, count in sorted(counts.items()):
        is_level = name.endswith(("_now", "_seconds"))
        kind, suffix = ("gauge", "") if is_level else ("counter", "_total")
        lines.append(f"# TYPE coldloop_relay_{name} {kind}")
        if text := _find_text(name):
            lines.append(f"# HELP coldloop_relay_{name} {text}")
        lines.append(f"coldloop_relay_{name}{suffix} {count}")
    return lines
