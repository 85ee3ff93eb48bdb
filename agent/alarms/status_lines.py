# SPDX-License-Identifier: Apache-2.0
"""Alarms of a status for people: rows for `--json` and the live page, lines for `coldloop status`.

Does not decide which alarm explains another; see `grouping`. At most `MAX_SHOWN` alarms are shown
one by one, all of priority 1 among them; the others are a count.
"""

from collections.abc import Collection, Mapping
from typing import Any

from agent.alarms.catalogue import span_text
from agent.alarms.grouping import MAX_SHOWN, GroupedAlarm, buses_of, group


def alarm_rows(snapshot: Mapping[str, Any], shelved: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return a row for each alarm of a status, in the order in which a person must read them."""
    grouped = group(snapshot.get("alarms", ()), buses_of(snapshot))
    shown = _shown(grouped, shelved)
    return [
        {
            "code": alarm.code,
            "text": alarm.text,
            "since_us": alarm.since,
            "number": None if alarm.entry is None else alarm.entry.number,
            "priority": alarm.priority,
            "respond_s": None if alarm.entry is None else alarm.entry.respond_s,
            "do": "" if alarm.entry is None else alarm.entry.do,
            "first_out": alarm.first_out,
            "suppressed_by": alarm.root,
            "children": len(alarm.children),
            "shelved": alarm.code in shelved,
            "shown": alarm.code in shown,
        }
        for alarm in grouped
    ]


def _shown(grouped: list[GroupedAlarm], shelved: Collection[str]) -> set[str]:
    """Return the codes that are shown one by one: no explained and no shelved ones."""
    open_alarms = [alarm for alarm in grouped if not alarm.root and alarm.code not in shelved]
    first = {alarm.code for alarm in open_alarms[:MAX_SHOWN]}
    return first | {alarm.code for alarm in open_alarms if alarm.priority == 1}


def alarm_line(row: Mapping[str, Any]) -> str:
    """Return one alarm: priority, number, code, text."""
    number = "---" if row["number"] is None else row["number"]
    marks = "  (first)" if row["first_out"] else ""
    marks += f"  (+{row['children']} caused by it)" if row["children"] else ""
    return f"P{row['priority']} {number} {row['code']}  {row['text']}{marks}"


def alarm_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of `coldloop status`."""
    lines = []
    for row in rows:
        if not row["shown"]:
            continue
        lines.append(f"alarm      {alarm_line(row)}")
        if row["priority"] <= 2 and row["do"]:
            lines.append(f"           within {span_text(row['respond_s'])}: {row['do']}")
    shelved = [row["code"] for row in rows if row["shelved"]]
    if shelved:
        lines.append(f"shelved    {' '.join(shelved)}")
    more = [r for r in rows if not (r["shown"] or r["shelved"] or r["suppressed_by"])]
    if more:
        lines.append(f"alarm      {len(more)} more; --json has all")
    return lines or ["alarm      none"]
