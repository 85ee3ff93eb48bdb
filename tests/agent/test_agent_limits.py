# SPDX-License-Identifier: Apache-2.0
"""Tests of the largest units, only on CPython: a small board does not have enough heap."""

import json

from tests.portable.support.agent_rig import AgentRig, config, profile, profiles


def test_birth_message_of_a_unit_with_many_points() -> None:
    points = [
        {"name": f"Temperature{i}Celsius", "address": i, "type": "i16", "unit": "Cel"}
        for i in range(60)
    ]
    raw = config()
    for i in range(12):
        name = f"device-with-a-rather-long-name{i}"
        raw["devices"].append({"name": name, "bus": "bus", "unit": 10 + i, "profile": "big"})
    rig = AgentRig(raw, models={**profiles(), "big": profile("big", 60, points)})
    rig.run(2)
    birth = rig.broker.published[0][2]
    assert len(birth) > 8192
    assert len(json.loads(birth)["points"]) == 12 + 12 * 60
    rows = [payload for _, topic, payload in rig.broker.published if topic.endswith("/tele")]
    assert rows
    assert max(map(len, rows)) < len(birth)
