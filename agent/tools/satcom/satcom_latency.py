# SPDX-License-Identifier: Apache-2.0
"""`coldloop link latency`: time from a record to the receipt of the ground, measured by the agent.

Reads the last status of the agent on this controller; works without a link. The latency counts from
the time at which the record was logged: a block of rows is logged at its last row. The carrier of a
record is the way of its receipt, MQTT or datagrams. See `agent.log.latency`.
"""

import argparse
import json
from typing import Any

from agent.core.errors import AgentError
from agent.tools.satcom.agent_status import DAMAGE, read_section, status_path

EXAMPLE = "coldloop link latency --config /etc/coldloop/unit.json"
_SHARES = (50, 90, 99)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--config", metavar="FILE", required=True, help="configuration of the unit")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the table; return 1 without a receipt so far."""
    path = status_path(arguments.config)
    rows = read_section(path, arguments.config, "log").get("latency", [])
    try:
        records = [to_record(*row) for row in rows]
        text = json.dumps({"latency": records}) if arguments.json else "\n".join(table(rows))
    except DAMAGE as error:
        raise AgentError(f"{path}: the status is damaged: {error}") from None
    print(text)
    return 0 if rows else 1


def upper_limit_s(bucket: int) -> int:
    """Return the upper limit of a bucket, s."""
    return 1 << bucket


def percentile(counts: "list[int]", share: int) -> int:
    """Return the upper limit of the bucket that contains `share` percent of the counts, s."""
    needed, total = sum(counts) * share, 0
    for bucket, count in enumerate(counts):
        total += count
        if 100 * total >= needed:
            return upper_limit_s(bucket)
    return upper_limit_s(len(counts) - 1)


def to_record(record_class: str, carrier: str, counts: "list[int]") -> "dict[str, Any]":
    """Return one row as an object; `below_s` has the upper limits of the buckets."""
    record: dict[str, Any] = {"class": record_class, "carrier": carrier, "count": sum(counts)}
    record.update({f"p{share}_s": percentile(counts, share) for share in _SHARES})
    record["below_s"] = {str(upper_limit_s(i)): count for i, count in enumerate(counts) if count}
    return record


def table(rows: "list[list[Any]]") -> "list[str]":
    """Return the lines of the table, as Markdown."""
    lines = ["| class | carrier | records | 50 % below, s | 90 % | 99 % | histogram, s: records |"]
    lines.append("|---|---|---|---|---|---|---|")
    for record_class, carrier, counts in rows:
        limits = " | ".join(str(percentile(counts, share)) for share in _SHARES)
        bars = ", ".join(f"<{upper_limit_s(i)}: {count}" for i, count in enumerate(counts) if count)
        lines.append(f"| {record_class} | {carrier} | {sum(counts)} | {limits} | {bars} |")
    if not rows:
        lines.append("| no receipt so far | | | | | | |")
    return lines
