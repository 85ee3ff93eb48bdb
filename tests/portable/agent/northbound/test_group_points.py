# SPDX-License-Identifier: Apache-2.0
"""Points of a group of CDUs from its component and its status."""

from agent.core.json_writer import JsonObject
from agent.northbound.group_points import group_values

STATUS = [
    ("number", 1),
    ("runs", True),
    ("lead", "cdu02"),
    ("selected", ["cdu01", "cdu02"]),
    ("received", ["cdu02"]),
    ("reason", "load: unit 3 stops"),
    ("changes", 1),
    ("whole", False),
    ("load_w", 61_000),
]


class Group:
    """What the points need of the component."""

    def __init__(self, lead):
        self.own, self.members = 1, [None, None]
        self.staging = self
        self.lead = lead


def values(lead=2, **changes):
    fields = dict(STATUS)
    fields.update(changes)
    return dict(group_values(Group(lead), JsonObject(list(fields.items()))))


def test_values_of_a_unit_of_a_group():
    found = values()
    wanted = {
        "group_runs": 1,
        "group_is_lead": 0,
        "group_lead": 2,
        "group_number": 1,
        "group_units": 3,
        "group_selected": 2,
        "group_received": 1,
        "group_whole": 0,
        "group_reason": 2,
        "group_changes": 1,
        "group_load": 61_000,
    }
    assert {key: value[0] for key, value in found.items()} == wanted
    assert {value[1:] for value in found.values()} == {("good", 0)}


def test_the_lead_and_reasons():
    assert values(1)["group_is_lead"] == (1, "good", 0)
    assert values(0)["group_lead"] == (0, "good", 0)
    assert values(None)["group_lead"] == (None, "bad", None)
    assert values(None)["group_is_lead"] == (None, "bad", None)
    assert values(load_w=None)["group_load"] == (None, "bad", None)
    assert values(whole=None)["group_whole"] == (None, "bad", None)
    texts = ("start", "rotation: unit 2 starts", "failure: unit 3", "as lead 2")
    assert [values(reason=text)["group_reason"][0] for text in texts] == [1, 3, 4, 5]
    assert values(reason="x")["group_reason"] == (None, "bad", None)
    assert values(reason="unknown")["group_reason"][0] is None
