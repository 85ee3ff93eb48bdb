# SPDX-License-Identifier: Apache-2.0
"""The alarm filter: which alarms reach a person, and when."""

import json
import random

import pytest

from agent.alarms.alarm_filter import (
    CHATTER_MS,
    RELAPSE_MS,
    ROOT_END_MS,
    ROOT_WAIT_MS,
    SETTLE_MS,
    URGENT_PLACES,
    WINDOW_MS,
    AlarmFilter,
    Notice,
)
from agent.alarms.catalogue import catalogue
from agent.alarms.grouping import MAX_SHOWN

BUSES = {"rpu": "bus1", "valve": "bus1", "meter": "bus2"}


def raise_all(found: AlarmFilter, now: int, *codes: str) -> None:
    for code in codes:
        found.change(now, True, code, f"text of {code}")


def named(notices: list[Notice]) -> list[str]:
    return [f"{notice.event} {notice.code}" for notice in notices]


def test_priority_1_comes_immediately_and_others_wait() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "fan_trip:fan1", "leak_critical:leak1")
    assert named(found.poll(0)) == ["raised leak_critical:leak1"]
    assert found.poll(SETTLE_MS - 1) == []
    assert named(found.poll(SETTLE_MS)) == ["raised fan_trip:fan1"]
    assert found.poll(SETTLE_MS + 1) == []


def test_a_short_alarm_gives_no_message() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "fan_trip:fan1")
    found.change(5000, False, "fan_trip:fan1")
    assert found.poll(SETTLE_MS) == []
    assert found.active() == []


def test_the_end_is_reported_if_the_beginning_was() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "fan_trip:fan1")
    found.poll(SETTLE_MS)
    found.change(SETTLE_MS + 1, False, "fan_trip:fan1")
    assert named(found.poll(SETTLE_MS + 2)) == ["cleared fan_trip:fan1"]


def test_a_root_that_comes_after_its_effects_explains_them() -> None:
    """A silent bus: its devices are lost one by one, then the bus."""
    found = AlarmFilter(BUSES)
    for at, code in enumerate(["device_lost:rpu", "device_lost:meter", "supply_sensor"]):
        raise_all(found, at * 1000, code)
        assert found.poll(at * 1000) == []
    raise_all(found, 4000, "device_lost:valve", "bus_lost:bus1")
    (root,) = found.poll(4000)
    assert root.code == "bus_lost:bus1"
    assert root.first_out, "the first alarm is explained by it"
    assert root.children == ("device_lost:rpu", "supply_sensor", "device_lost:valve")
    assert named(found.poll(20_000)) == ["raised device_lost:meter"], "it is on another bus"
    found.change(30_000, False, "bus_lost:bus1")
    assert named(found.poll(30_001)) == ["cleared bus_lost:bus1"]
    assert found.poll(30_000 + ROOT_END_MS) == [], "its effects can end some seconds later"
    later = found.poll(30_001 + ROOT_END_MS)
    assert "raised device_lost:rpu" in named(later), "it is active and no longer explained"


def test_chatter_is_held_on() -> None:
    found = AlarmFilter()
    notices = []
    for step in range(40):
        now = step * 5000
        found.change(now, step % 2 == 0, "fan_trip:fan1")
        notices += found.poll(now)
    assert named(notices) == ["raised fan_trip:fan1"]
    assert notices[0].chattering
    assert found.poll(39 * 5000 + CHATTER_MS - 1) == []
    assert named(found.poll(39 * 5000 + CHATTER_MS)) == ["cleared fan_trip:fan1"]


@pytest.mark.parametrize(("third_ms", "chattering"), [(59_999, True), (61_000, False)])
def test_the_third_change_in_a_minute_is_chatter(third_ms: int, chattering: bool) -> None:
    found = AlarmFilter()
    found.change(0, True, "fan_trip:fan1")
    found.change(1000, False, "fan_trip:fan1")
    found.change(third_ms, True, "fan_trip:fan1")
    (notice,) = found.poll(third_ms + SETTLE_MS)
    assert notice.chattering == chattering


def test_a_flood_is_a_count() -> None:
    found = AlarmFilter()
    codes = [f"contact:c{i:02}" for i in range(40)]
    raise_all(found, 0, *codes)
    notices = found.poll(SETTLE_MS)
    assert len(notices) == MAX_SHOWN - URGENT_PLACES - 1
    (flood,) = found.poll(2 * SETTLE_MS)
    assert flood.event == "flood"
    assert flood.text == "34 more alarms"
    assert {n.code for n in notices} | set(flood.children) == set(codes)
    raise_all(found, 30_000, "emergency_stop:stop")
    assert named(found.poll(30_000)) == ["raised emergency_stop:stop"], "also in a flood"


def test_a_flood_leaves_places_for_priority_1() -> None:
    found, sent = AlarmFilter(), 0
    raise_all(found, 0, *[f"contact:c{i:02}" for i in range(40)], "overheat")
    for now in range(0, WINDOW_MS, 1000):
        if now == 30_000:
            raise_all(found, now, "flow_low", "emergency_stop:stop")
        sent += len(found.poll(now))
        found.load(found.dump())
    assert sent == MAX_SHOWN


def test_a_shelved_alarm_returns() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "fan_trip:fan1", "leak_critical:leak1")
    shelved = {"fan_trip:fan1", "leak_critical:leak1"}
    assert named(found.poll(SETTLE_MS, shelved)) == ["raised leak_critical:leak1"]
    assert named(found.poll(2 * SETTLE_MS)) == ["raised fan_trip:fan1"]


def test_priority_4_gives_no_message() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "fouling")
    assert found.poll(WINDOW_MS) == []
    assert found.active() == ["fouling"]


def test_a_restart_ends_all_alarms() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "leak_critical:leak1")
    found.poll(0)
    found.restart(1)
    assert named(found.poll(1)) == ["cleared leak_critical:leak1"]


def test_at_most_10_messages_in_10_minutes_of_any_changes() -> None:
    """The alarms of priority 1 do not count."""
    rng = random.Random(1)
    entries = list(catalogue().entries)
    found, sent, first, open_codes = AlarmFilter(), [], 0, set[str]()
    for now in range(0, 1_300_000, 1000):
        for _ in range(rng.randrange(3)):
            code = f"{rng.choice(entries)}:{rng.randrange(4)}"
            found.change(now, rng.random() < 0.6, code)
        for notice in found.poll(now):
            if notice.event == "cleared":
                assert notice.code in open_codes
                open_codes.discard(notice.code)
            elif catalogue().priority(notice.code or "contact") == 1:
                first += 1
                open_codes.add(notice.code)
            else:
                sent.append(now)
                open_codes.add(notice.code)
    assert first > 0
    assert all(sum(now <= at < now + WINDOW_MS for at in sent) <= MAX_SHOWN for now in sent)


def test_a_failure_of_the_mains_explains_the_loss_of_flow() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "flow_low", "mains_low")
    assert named(found.poll(0)) == ["raised mains_low"]
    found.change(5_000, False, "mains_low")
    assert named(found.poll(5_000)) == ["cleared mains_low"]
    assert found.poll(24_900) == [], "the drives start"
    assert named(found.poll(25_000)) == ["raised flow_low"], "the flow does not come back"


def test_a_lost_bus_explains_the_supply_that_is_not_read() -> None:
    """The bus of the valve: the one of the first device. Another bus explains nothing."""
    for bus, messages in (("bus1", []), ("bus2", ["raised dew"])):
        found = AlarmFilter(BUSES)
        raise_all(found, 0, f"bus_lost:{bus}", "dew")
        assert named(found.poll(ROOT_WAIT_MS)) == [f"raised bus_lost:{bus}", *messages]


def test_a_lost_bus_explains_the_flow_that_is_not_read() -> None:
    """A flow that stays low after the end of the lost bus is a message of its own."""
    for bus, messages in (("bus1", []), ("bus2", ["raised flow_low"])):
        found = AlarmFilter(BUSES)
        raise_all(found, 0, f"bus_lost:{bus}", "flow_low")
        assert named(found.poll(ROOT_WAIT_MS)) == [f"raised bus_lost:{bus}", *messages]
        found.change(8_000, False, f"bus_lost:{bus}")
        assert named(found.poll(8_000)) == [f"cleared bus_lost:{bus}"]
        assert named(found.poll(8_000 + ROOT_END_MS - 1)) == []
        late = [] if messages else ["raised flow_low"]
        assert named(found.poll(8_000 + ROOT_END_MS)) == late


def test_a_hot_load_explains_the_shut_branch() -> None:
    """Its alarm asks for the same act. A branch without a hot load is a message of its own."""
    found = AlarmFilter()
    raise_all(found, 0, "device_hot:gpu1")
    assert named(found.poll(ROOT_WAIT_MS)) == ["raised device_hot:gpu1"]
    raise_all(found, 3_000, "branch_shut")
    assert named(found.poll(3_000)) == []
    found.change(30_000, False, "device_hot:gpu1")
    assert named(found.poll(30_000)) == ["cleared device_hot:gpu1"]
    assert named(found.poll(50_000)) == ["raised branch_shut"], "the load is not read any more"


def test_an_alarm_waits_for_the_alarm_that_can_explain_it() -> None:
    """Air in the loop: the devices show it before the flow meter does."""
    found = AlarmFilter()
    raise_all(found, 0, "device_hot:gpu1")
    assert found.poll(0) == []
    raise_all(found, ROOT_WAIT_MS - 1, "flow_low")
    assert found.poll(ROOT_WAIT_MS - 1) == []
    assert found.poll(ROOT_WAIT_MS) == []
    assert named(found.poll(2 * ROOT_WAIT_MS - 1)) == ["raised flow_low"]
    assert found.poll(60_000) == []
    found.change(60_000, False, "flow_low")
    assert named(found.poll(60_000)) == ["cleared flow_low"]
    assert named(found.poll(60_000 + ROOT_END_MS)) == ["raised device_hot:gpu1"]
    raise_all(found, 90_000, "device_lost:rpu", "bus_lost:bus1")
    assert named(found.poll(90_000)) == ["raised bus_lost:bus1"], "nothing explains it"


def test_alarms_of_several_loads_are_one_message() -> None:
    found = AlarmFilter()
    for i in (1, 2, 3):
        found.change(i * 100, True, f"shed_failed:gpu{i}")
    codes = [notice.code for notice in found.poll(1000)]
    assert codes == ["shed_failed:gpu1"]
    found.change(2000, False, "shed_failed:gpu1")
    found.change(2500, False, "shed_failed:gpu2")
    found.poll(2600)
    assert [n.code for n in found.poll(19_000) if n.event == "raised"] == []
    assert [n.code for n in found.poll(23_000) if n.event == "raised"] == ["shed_failed:gpu3"]


def test_alarms_of_several_leaks_are_each_a_message() -> None:
    found = AlarmFilter()
    found.change(0, True, "leak_critical:pan")
    found.change(0, True, "leak_critical:floor")
    assert len(found.poll(100)) == 2


def test_a_loss_of_coolant_explains_the_loss_of_flow_and_the_dry_run() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "mains_low", "coolant_loss")
    assert named(found.poll(0)) == ["raised mains_low", "raised coolant_loss"]
    raise_all(found, 5_000, "flow_low", "dry_run")
    assert named(found.poll(5_000)) == []


def report_flow_loss(found: AlarmFilter, end_ms: int) -> None:
    """A loss of flow is reported, and ends at `end_ms`."""
    raise_all(found, 0, "flow_low")
    assert named(found.poll(ROOT_WAIT_MS)) == ["raised flow_low"]
    found.change(end_ms, False, "flow_low")
    assert named(found.poll(end_ms)) == ["cleared flow_low"]


@pytest.mark.parametrize(("end_ms", "is_named"), [(60_000, False), (50_000, True)])
def test_an_effect_that_begins_soon_after_its_root_is_explained(
    end_ms: int, is_named: bool
) -> None:
    """Loads come back within `RELAPSE_MS`; later a hot device is an event of its own."""
    found = AlarmFilter()
    report_flow_loss(found, end_ms)
    begin_ms = 60_000 + RELAPSE_MS - 1
    raise_all(found, begin_ms, "device_hot:gpu1")
    due_ms = begin_ms + ROOT_WAIT_MS
    assert named(found.poll(due_ms)) == ["raised device_hot:gpu1"] * is_named
    if not is_named:
        assert named(found.poll(begin_ms + ROOT_END_MS - 1)) == []
        assert named(found.poll(begin_ms + ROOT_END_MS)) == ["raised device_hot:gpu1"]


def test_a_root_that_no_person_got_explains_no_relapse() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "flow_low")
    found.change(100, False, "flow_low")
    assert found.poll(200) == []
    raise_all(found, 300, "device_hot:gpu1")
    assert named(found.poll(300 + ROOT_WAIT_MS)) == ["raised device_hot:gpu1"]


def test_a_clogged_filter_continues_the_loss_of_flow() -> None:
    """The flow is little for ever, so the devices become hot minutes after the loss has ended."""
    found = AlarmFilter()
    report_flow_loss(found, 40_000)
    raise_all(found, 41_000, "filter_high")
    assert named(found.poll(51_000)) == ["raised filter_high"]
    found.load(json.loads(json.dumps(found.dump())))
    raise_all(found, 240_000, "device_hot:gpu1")
    assert found.poll(300_000) == []
    found.change(300_000, False, "filter_high")
    assert named(found.poll(300_000)) == ["cleared filter_high"]
    assert named(found.poll(300_000 + ROOT_END_MS)) == ["raised device_hot:gpu1"]


def test_a_clogged_filter_alone_explains_no_hot_device() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "filter_high", "device_hot:gpu1")
    assert named(found.poll(ROOT_WAIT_MS)) == ["raised device_hot:gpu1"]
    found = AlarmFilter()
    report_flow_loss(found, 3000)
    raise_all(found, 3000 + WINDOW_MS, "filter_high", "device_hot:gpu1")
    assert named(found.poll(3000 + WINDOW_MS + ROOT_WAIT_MS)) == ["raised device_hot:gpu1"]


def test_a_wet_supply_may_outlast_its_root_until_it_must_be_dry() -> None:
    """The bus is back, and the valve closes: dry in 120 s, and the alarm ends 60 s later."""
    for raised_ms, root in ((20_000, "bus_lost:bus1"), (20_000, "flow_low"), (100_000, "flow_low")):
        found = AlarmFilter()
        raise_all(found, 0, root)
        found.poll(ROOT_WAIT_MS)
        if raised_ms < 60_000:
            raise_all(found, raised_ms, "dew")
        found.poll(59_000)
        found.change(60_000, False, root)
        assert named(found.poll(60_000)) == [f"cleared {root}"]
        raise_all(found, raised_ms, "dew")
        due_ms = 60_000 + 180_000 if raised_ms < 60_000 else raised_ms + ROOT_END_MS
        assert named(found.poll(due_ms - 1_001)) == [], (root, raised_ms)
        assert named(found.poll(due_ms)) == ["raised dew"], (root, raised_ms)


def test_dew_without_a_root_is_sent_after_the_wait() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "dew")
    assert named(found.poll(ROOT_WAIT_MS)) == ["raised dew"]


def test_a_device_that_stays_hot_is_explained_by_the_coolant_that_is_lost() -> None:
    found = AlarmFilter()
    raise_all(found, 0, "flow_low", "device_hot:gpu1")
    raise_all(found, 3000, "coolant_loss")
    assert named(found.poll(3000)) == ["raised coolant_loss"]
    found.change(10_000, False, "flow_low")
    assert found.poll(10_000 + 2 * ROOT_END_MS) == []
    found.change(60_000, False, "coolant_loss")
    assert named(found.poll(60_000)) == ["cleared coolant_loss"]
    assert named(found.poll(60_000 + ROOT_END_MS)) == ["raised device_hot:gpu1"]
