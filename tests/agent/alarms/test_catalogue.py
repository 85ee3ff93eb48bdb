# SPDX-License-Identifier: Apache-2.0
"""The catalogue finds entries, and refuses wrong ones."""

from typing import Any

import pytest

from agent.alarms.catalogue import catalogue, parse, span_text

ENTRY = {
    "number": 901,
    "priority": 3,
    "means": "a",
    "cause": "b",
    "consequence": "c",
    "do": "d",
    "respond_s": 3600,
}


def build(**changes: Any) -> dict[str, Any]:
    entry = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
    package = {"title": "Room", "one": entry, "root": {**ENTRY, "number": 902}}
    return {"retired": {"old": 900}, "package": package}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"do": None}, "one: missing do"),
        ({"extra": 1}, "one: unknown extra"),
        ({"priority": 5}, "one: priority 5 is not 1 to 4"),
        ({"priority": 1}, "one: respond_s is not 1 to 300"),
        ({"cause": " "}, "one: cause is empty"),
        ({"number": 900}, "one: number 900 belongs to old"),
        ({"suppressed_by": ["two"]}, "one: suppressed_by two: no such code"),
        ({"priority": 1, "respond_s": 9, "suppressed_by": ["root"]}, "root: has a lower priority"),
        ({"priority": 2, "respond_s": 9, "suppressed_by": ["root"]}, "root: has a lower priority"),
        ({"suppressed_by": ["one"]}, "one: suppresses itself"),
        ({"continued_by": ["two"]}, "one: continued_by two: no such other code"),
        ({"continued_by": ["one"]}, "one: continued_by one: no such other code"),
        ({"lag_s": 60}, "one: lag_s needs suppressed_by"),
        ({"lag_s": 20, "suppressed_by": ["root"]}, "one: lag_s needs suppressed_by"),
        ({"lag_s": 181, "suppressed_by": ["root"]}, "one: lag_s needs suppressed_by"),
    ],
)
def test_a_wrong_entry_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse(build(**changes))


def test_an_entry_is_latching_if_it_has_a_reset() -> None:
    assert not parse(build()).entries["one"].latching
    assert parse(build(reset="Send `reset`.")).entries["one"].latching


def test_find_takes_a_code_a_source_and_a_number() -> None:
    found = catalogue()
    assert found.find("bus_lost:bus1") is found.find("301") is found.entries["bus_lost"]
    assert found.find("nothing") is None
    assert found.priority("bus_lost:bus1") == 1
    assert found.priority("nothing") == 2


def test_span() -> None:
    assert [span_text(s) for s in (90, 120, 3600, 604_800)] == ["90 s", "2 min", "1 h", "7 days"]


def test_lost_coolant_explains_what_lost_flow_explains() -> None:
    """Only a wet supply needs its own message: the lost coolant does not make it wet."""
    entries = catalogue().entries
    effects = {code for code, entry in entries.items() if "flow_low" in entry.suppressed_by}
    same = {code for code in effects if "coolant_loss" in entries[code].suppressed_by}
    assert effects - same == {"dew"}
