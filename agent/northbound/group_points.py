# SPDX-License-Identifier: Apache-2.0
"""Points of a group of CDUs, from the component `group` of this unit.

Does not decide anything. Units have the numbers of the group, from 1. The words are those of the
point table of the servers; a test compares both. All values are those of this unit: two units that
do not receive each other can differ. A value that the unit does not know has the quality bad: the
load, if the heat of a unit is not known; the lead and `whole`, before the first decision.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.json_writer import JsonObject
    from agent.northbound.point_sources import Value

REASONS = ("unknown", "start", "load", "rotation", "failure", "agreement")
_AGREEMENT = "as lead"


def group_values(group: "Any", status: "JsonObject") -> "list[tuple[str, Value]]":
    """Return key and value of each point. `status`: of the component, at this time."""
    fields: dict[str, Any] = dict(status.pairs)
    lead = group.staging.lead
    return [
        ("group_runs", _number(fields["runs"])),
        ("group_is_lead", _number(None if lead is None else lead == group.own)),
        ("group_lead", _number(lead)),
        ("group_number", _number(group.own)),
        ("group_units", _number(len(group.members) + 1)),
        ("group_selected", _number(len(fields["selected"]))),
        ("group_received", _number(len(fields["received"]))),
        ("group_whole", _number(fields["whole"])),
        ("group_reason", _reason(fields["reason"])),
        ("group_changes", _number(fields["changes"])),
        ("group_load", _number(fields["load_w"])),
    ]


def _reason(text: str) -> "Value":
    """Return the number of the reason of the last change: `load: unit 2 starts` is that of load."""
    word = "agreement" if text.startswith(_AGREEMENT) else text.partition(":")[0]
    if word not in REASONS[1:]:
        return None, "bad", None
    return REASONS.index(word), "good", 0


def _number(value: "Any") -> "Value":
    return (None, "bad", None) if value is None else (int(value), "good", 0)
