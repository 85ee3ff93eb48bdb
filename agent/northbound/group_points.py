# SPDX-License-Identifier: Apache-2.0
"""Points of a group of CDUs, from the component `group` of this unit.

Does not decide anything. Units have the numbers of the group, from 1. The words are those of the
point table of the servers; a test compares both. All values are those of this unit: two units that
do not receive each other can differ. A value that the unit does not know has the quality bad: the
load, if the heat of a unit is not known; the lead and `whole`, before the first decision.
"""

from agent.northbound.point_sources import number_value, word_value

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
        ("group_runs", number_value(fields["runs"])),
        ("group_is_lead", number_value(None if lead is None else lead == group.own)),
        ("group_lead", number_value(lead)),
        ("group_number", number_value(group.own)),
        ("group_units", number_value(len(group.members) + 1)),
        ("group_selected", number_value(len(fields["selected"]))),
        ("group_received", number_value(len(fields["received"]))),
        ("group_whole", number_value(fields["whole"])),
        ("group_reason", _reason(fields["reason"])),
        ("group_changes", number_value(fields["changes"])),
        ("group_load", number_value(fields["load_w"])),
    ]


def _reason(text: str) -> "Value":
    """Return the number of the reason of the last change: `load: unit 2 starts` is that of load."""
    word = "agreement" if text.startswith(_AGREEMENT) else text.partition(":")[0]
    return word_value(word, REASONS)
