# SPDX-License-Identifier: Apache-2.0
"""Points of a redundant pair from the status of the component `redundancy`."""

from agent.core.json_writer import JsonObject
from agent.northbound.pair_points import pair_values

STATUS = [
    ("node", "a"),
    ("role", "active"),
    ("takeovers", 3),
    ("peer", "standby"),
    ("reason", "silence"),
    ("active_s", 12),
    ("fit", True),
]


def values(alarms=(), **changes):
    fields = dict(STATUS)
    fields.update(changes)
    return dict(pair_values(JsonObject(list(fields.items())), list(alarms)))


def test_values_of_an_active_controller():
    found = values()
    assert found["pair_role"] == (5, "good", 0)
    assert found["pair_peer_role"] == (2, "good", 0)
    assert found["pair_takeover_reason"] == (1, "good", 0)
    assert found["pair_standby_ready"] == (1, "good", 0)
    assert found["pair_fit"] == (1, "good", 0)
    assert found["pair_takeovers"] == (3, "good", 0)
    assert found["pair_active_time"] == (12, "good", 0)
    assert found["pair_in_sync"] == (None, "bad", None), "no link is configured"


def test_when_the_standby_is_ready():
    assert values(peer="listen")["pair_standby_ready"][0] == 0
    assert values(peer_fit=False)["pair_standby_ready"][0] == 0
    assert values(["standby_lost"])["pair_standby_ready"][0] == 0
    assert values(peer=None)["pair_standby_ready"] == (None, "bad", None)
    assert values(["standby_lost"], peer=None)["pair_standby_ready"][0] == 0
    assert values(role="read")["pair_standby_ready"][0] is None


def test_unknown_words_are_not_known():
    assert values(role="x", reason="")["pair_role"] == (None, "bad", None)
    assert values(reason="")["pair_takeover_reason"] == (None, "bad", None)
    assert values(active_s=None)["pair_active_time"] == (None, "bad", None)
    assert values(in_sync=None)["pair_in_sync"] == (None, "bad", None)
    assert values(peer_fit=None)["pair_standby_ready"] == (1, "good", 0), "it replies on the line"
