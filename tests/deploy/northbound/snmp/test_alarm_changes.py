# SPDX-License-Identifier: Apache-2.0
"""Changes of alarms, against the states of the agent: each acknowledgement is seen once."""

import random
from dataclasses import replace
from typing import Any

import pytest

from agent.northbound import alarm_states
from agent.northbound.alarm_states import AlarmStates
from deploy.northbound.snapshot import CLEARED_KEPT, AlarmFollower, AlarmItem, Snapshot

ALARM = AlarmItem(130, "supply_high", "", 1, "active_unacknowledged", "hot", "Look.")
ACKED = replace(ALARM, state="active_acknowledged")
ENDED = replace(ALARM, state="cleared_unacknowledged")
SHELVED = replace(ALARM, state="shelved")


def record(*alarms: AlarmItem, uptime_us: int = 1) -> Snapshot:
    return Snapshot(stale=False, alarms=alarms, uptime_us=uptime_us)


def changes(*snapshots: Snapshot) -> list[str]:
    """Return the changes after the first record."""
    follower = AlarmFollower()
    return [[change for change, _ in follower.update(s)] for s in snapshots][-1]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (ALARM, ACKED, ["acknowledged"]),
        (ALARM, ENDED, ["cleared"]),
        (ENDED, None, ["acknowledged"]),
        (ACKED, None, ["cleared"]),
        (ALARM, None, ["cleared", "acknowledged"]),
        (ENDED, ALARM, ["raised"]),
        (ENDED, ACKED, ["raised", "acknowledged"]),
        (None, ACKED, ["raised", "acknowledged"]),
        (ACKED, ALARM, ["cleared", "raised"]),
        (ALARM, replace(SHELVED, acknowledged=True), ["acknowledged"]),
        (SHELVED, ACKED, ["raised", "acknowledged"]),
        (ALARM, SHELVED, []),
        (SHELVED, replace(SHELVED, ended=True), []),
        (replace(SHELVED, ended=True), SHELVED, []),
        (None, SHELVED, []),
        (replace(SHELVED, ended=True), ENDED, ["cleared"]),
        (replace(SHELVED, ended=True), None, ["cleared"]),
        (replace(SHELVED, acknowledged=True), None, ["cleared"]),
        (SHELVED, ALARM, ["raised"]),
    ],
)
def test_each_change(
    before: AlarmItem | None, after: AlarmItem | None, expected: list[str]
) -> None:
    first, second = ([] if a is None else [a] for a in (before, after))
    assert changes(record(*first), record(*second)) == expected


def test_an_alarm_that_the_agent_drops_is_not_acknowledged() -> None:
    others = [replace(ENDED, name=str(number)) for number in range(CLEARED_KEPT)]
    assert changes(record(ENDED, *others[1:]), record(*others)) == []
    assert changes(record(ENDED, uptime_us=9), record(uptime_us=2)) == [], "another run"
    assert changes(record(ENDED), Snapshot(), record()) == ["acknowledged"]
    assert alarm_states._MAX_CLEARED == CLEARED_KEPT


class ActiveAlarms:
    """The list of active alarms that `AlarmStates` follows."""

    def __init__(self) -> None:
        self.active: list[Any] = []

    def add_listener(self, listener: Any) -> None:
        self.call = listener

    def utc(self, _now: int) -> None:
        return None


@pytest.mark.parametrize("seed", range(20))
def test_each_acknowledgement_of_the_agent_is_found(seed: int) -> None:
    """Random raises, ends, acknowledgements and shelvings; a record after each."""
    rng = random.Random(seed)
    alarms: Any = ActiveAlarms()
    states, follower = AlarmStates(alarms, alarms, ()), AlarmFollower()
    alarms.add_listener(states._on_change)
    expected, found = [], []
    for now in range(300):
        code = rng.choice(("a", "b", "c"))
        entry = states._find(code)
        is_active = entry is not None and entry.cleared_at is None
        is_shelved = entry is not None and entry.shelved_until > now
        action = rng.choice(("change", "acknowledge", "shelve", "unshelve"))
        if action == "change":
            alarms.call(now, "cleared" if is_active else "raised", code, "")
            if not is_shelved:
                expected.append((code, "cleared" if is_active else "raised"))
        elif action == "acknowledge" and states.acknowledge(code):
            if is_active or not is_shelved:
                expected.append((code, "acknowledged"))
        elif action == "shelve" and is_active:
            states.shelve(code, 1, now)
        elif action == "unshelve" and entry is not None:
            states.unshelve(code)
            if is_shelved:
                expected.append((code, "raised" if is_active else "cleared"))
        items = [
            replace(
                ALARM,
                code=e.code,
                state=e.state(now),
                acknowledged=e.acknowledged,
                ended=e.cleared_at is not None,
            )
            for e in states.entries
        ]
        found += [(a.code, change) for change, a in follower.update(record(*items, uptime_us=now))]
    assert found == expected
