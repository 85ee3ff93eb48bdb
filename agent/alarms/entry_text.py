# SPDX-License-Identifier: Apache-2.0
"""An entry of the catalogue as text for a terminal, and as JSON.

Does not read the catalogue; see `catalogue`. The unit state comes from the record of the alarm. A
code without a record is not raised by this version.
"""

from typing import Any

from agent.alarms.catalogue import PRIORITIES, AlarmEntry, span_text
from agent.core.alarm_record import NORMAL, STATES, AlarmRecord

_WIDTH = 16


def state_text(entry: AlarmEntry, record: AlarmRecord | None) -> str:
    """Return the unit state that the alarm causes, in words."""
    if record is None:
        return "this version does not raise the alarm"
    if entry.state:
        return entry.state
    return "not changed" if record.state == NORMAL else STATES[record.state]


def entry_json(entry: AlarmEntry, record: AlarmRecord | None) -> dict[str, Any]:
    """Return an entry as an object. `source`: kind of the part after the colon, or ""."""
    return {
        "number": entry.number,
        "code": entry.code,
        "source": "" if record is None else record.per,
        "priority": entry.priority,
        "state": state_text(entry, record),
        "means": entry.means,
        "cause": entry.cause,
        "consequence": entry.consequence,
        "do": entry.do,
        "respond_s": entry.respond_s,
        "latching": entry.latching,
        "reset": entry.reset,
        "suppressed_by": list(entry.suppressed_by),
        "continued_by": list(entry.continued_by),
        "lag_s": entry.lag_s,
    }


def entry_text(entry: AlarmEntry, record: AlarmRecord | None, source: str = "") -> str:
    """Return an entry as lines. `source`: the part after the colon, or ""."""
    code = entry.code + (":" + source if source else "")
    rows = [
        ("priority", f"{entry.priority}, {PRIORITIES[entry.priority]}"),
        ("respond within", span_text(entry.respond_s)),
        ("unit state", state_text(entry, record)),
        ("meaning", entry.means),
        ("cause", entry.cause),
        ("consequence", entry.consequence),
        ("what to do", entry.do),
        ("latching", f"yes. {entry.reset}" if entry.latching else "no"),
    ]
    if entry.suppressed_by:
        roots = ", ".join(entry.suppressed_by)
        rows.append(("only counted", f"while active, and {entry.lag_s} s longer: {roots}"))
    if entry.continued_by:
        causes = ", ".join(entry.continued_by)
        rows.append(("", f"after their end, while active: {causes}"))
    return "\n".join([f"{entry.number} {code}", *(f"{k:<{_WIDTH}}{v}" for k, v in rows)])
