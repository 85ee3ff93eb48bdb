# SPDX-License-Identifier: Apache-2.0
"""Row texts: blocks as JSON and in InfluxDB's line protocol.

Does not send them. An item is known by unit, log and record; a note of a datagram has neither log
nor record, so it is known by unit and digest. A time is UTC in ms. JSON has rows without a date
too; then `clock` is "uptime" and a time is the uptime in ms. Lines need a date.
"""

import dataclasses
import hashlib
import json

from deploy.relay.decode.row_format import Item, Rows

_DIGEST_DIGITS = 32


def rows_to_json(rows: Rows) -> bytes:
    """Format a block as one JSON object: the names once, then a list for each row."""
    content: dict[str, object] = {
        "unit": rows.unit,
        "record": rows.number,
        "seq": rows.seq,
        "names": rows.names,
        "rows": [[at, *values] for at, values in rows.values],
    }
    if rows.generation:
        content["log"] = rows.generation
    if not rows.is_dated:
        content["clock"] = "uptime"
        content["run"] = rows.run
    elif rows.estimated:
        content["estimated"] = rows.estimated
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def rows_to_json_parts(rows: Rows, most_bytes: int) -> list[bytes]:
    """Format a block as JSON; above `most_bytes` as several objects of some rows each."""
    text = rows_to_json(rows)
    count = len(rows.values)
    if len(text) <= most_bytes or count < 2:
        return [text]
    step = max(1, count * most_bytes // len(text) // 2)  # the rows differ in length
    parts = [
        dataclasses.replace(rows, values=rows.values[i : i + step]) for i in range(0, count, step)
    ]
    return [rows_to_json(part) for part in parts]


def identity(item: Item) -> dict[str, str]:
    """Return what a receiver knows an item of a unit by: `log` and `record`, else `digest`.

    The digest is of the content. That has the number of the datagram, so it is that of one datagram
    also if two relays get it. `rows`: a unit can merge a block with later ones and send it again,
    to another relay; it has the number of the first one.
    """
    found = {"log": item.generation, "record": str(item.number)}
    if isinstance(item, Rows):
        return {**found, "rows": str(len(item.values))}
    if item.number:
        return found
    text = json.dumps(item.content, sort_keys=True)
    return {**found, "digest": hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]}


def escape(text: str) -> str:
    """Escape a tag or a key of the line protocol."""
    for char in "\\, =":
        text = text.replace(char, "\\" + char)
    return text


def rows_to_lines(rows: Rows) -> str:
    """Format a block in InfluxDB's line protocol: tags site and unit, a field for each name.

    The measurement is `coldloop`. A repeated line changes nothing in the database. SOURCE:
    InfluxDB, line protocol reference.
    """
    if not rows.is_dated:
        return ""
    site, _, unit = rows.unit.partition("/")
    head = f"coldloop,site={escape(site)},unit={escape(unit)} "
    keys = [escape(name) + "=" for name in rows.names]
    lines = []
    for at, values in rows.values:
        fields = [
            f"{key}{value!r}" for key, value in zip(keys, values, strict=True) if value is not None
        ]
        if fields:
            lines.append(f"{head}{','.join(fields)} {at}000000\n")
    return "".join(lines)
