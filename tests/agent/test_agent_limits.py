"""The largest units: more than a small board's heap holds, so on CPython only."""

import json

from tests.portable.support.agent_rig import Rig, config, profile, profiles


def test_a_unit_with_very_many_points_can_still_say_what_they_are() -> None:
    points = [
        {"name": f"Temperature{i}Celsius", "address": i, "type": "i16", "unit": "Cel"}
        for i in range(60)
    ]
    raw = config()
    for i in range(12):
        name = f"device-with-a-rather-long-name{i}"
        raw["devices"].append({"name": name, "bus": "bus", "unit": 10 + i, "profile": "big"})
    rig = Rig(raw, models={**profiles(), "big": profile("big", 60, points)})
    rig.run(2)
    birth = rig.broker.published[0][2]
    assert len(birth) > 8192
    assert len(json.loads(birth)["points"]) == 12 + 12 * 60
    rows = [payload for _, topic, payload in rig.broker.published if topic.endswith("/tele")]
    assert rows
    assert max(map(len, rows)) < len(birth)
