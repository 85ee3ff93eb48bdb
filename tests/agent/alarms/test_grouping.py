# SPDX-License-Identifier: Apache-2.0
"""Active alarms as a person must read them."""

from typing import Any

from agent.alarms.catalogue import catalogue
from agent.alarms.grouping import MAX_SHOWN
from agent.alarms.status_lines import alarm_lines, alarm_rows

BUS_LOST = "bus_lost:bus1"
DEVICES = [{"name": "rpu", "bus": "bus1"}, {"name": "meter", "bus": "bus2"}]


def snapshot(*codes: str) -> dict[str, Any]:
    alarms = [{"code": c, "text": "text", "since_us": i} for i, c in enumerate(codes)]
    return {"modbus": {"devices": DEVICES}, "alarms": alarms}


def test_effects_are_a_count_of_their_root() -> None:
    rows = alarm_rows(
        snapshot("device_lost:rpu", "device_lost:meter", "dp_sensor", "bus_lost:bus1")
    )
    assert [row["code"] for row in rows if row["shown"]] == ["bus_lost:bus1", "device_lost:meter"]
    assert rows[0]["children"] == 2
    assert [row["code"] for row in rows if row["first_out"]] == ["device_lost:meter"]
    lines = alarm_lines(rows)
    assert lines[0] == "alarm      P1 301 bus_lost:bus1  text  (+2 caused by it)"
    assert lines[1].startswith("           within 5 min: Examine the adapter")
    assert lines[2] == "alarm      P3 302 device_lost:meter  text  (first)"


def test_an_effect_of_an_effect_counts_at_the_first_root() -> None:
    rows = alarm_rows(snapshot("fans_blind", "device_lost:rpu", BUS_LOST))
    assert [(row["code"], row["children"]) for row in rows if row["shown"]] == [
        ("bus_lost:bus1", 2)
    ]


def test_ten_alarms_and_all_of_priority_1_are_shown() -> None:
    stops = [f"emergency_stop:{i}" for i in range(12)]
    rows = alarm_rows(snapshot(*(f"contact:{i}" for i in range(12)), *stops))
    assert [row["code"] for row in rows if row["shown"]] == stops
    rows = alarm_rows(snapshot(*(f"contact:{i}" for i in range(12))))
    assert sum(row["shown"] for row in rows) == MAX_SHOWN
    assert alarm_lines(rows)[-1] == "alarm      2 more; --json has all"


def test_shelved_alarms_are_listed() -> None:
    rows = alarm_rows(snapshot("contact:a"), {"contact:a"})
    assert alarm_lines(rows) == ["shelved    contact:a"]


def test_an_unknown_code_is_shown() -> None:
    """The unit can have newer software than the reader."""
    rows = alarm_rows(snapshot("new_code:x"))
    assert alarm_lines(rows) == ["alarm      P2 --- new_code:x  text  (first)"]


def test_no_alarm() -> None:
    assert alarm_lines(alarm_rows(snapshot())) == ["alarm      none"]


def test_root_alarms_make_no_circle() -> None:
    entries = catalogue().entries

    def roots(code: str, path: tuple[str, ...]) -> None:
        assert code not in path, (*path, code)
        for root in entries[code].suppressed_by:
            roots(root, (*path, code))

    for code in entries:
        roots(code, ())
