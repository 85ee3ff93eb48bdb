# SPDX-License-Identifier: Apache-2.0
"""Bounds and followers of one header without bytes: starts, stops, another lead."""

import pytest

from agent.control.group.approach import HeaderApproach, HeaderLeave, HeaderView, LeadFollower


def climb(approach: HeaderApproach, view: HeaderView, seconds: int) -> list[float | None]:
    """Return the ceilings of a unit that follows them in each second."""
    found: list[float | None] = []
    for _ in range(seconds):
        found.append(approach.ceiling(view, 1.0))
        view = view._replace(own_pct=found[-1] or view.own_pct)
    return found


def test_a_unit_that_starts_is_fast_until_it_pushes_and_then_slow() -> None:
    approach = HeaderApproach()
    idle = climb(approach, HeaderView(80.0, 3, 5.0, 1.0, False), 6)
    assert idle == [40.0, 41.0, 42.0, 43.0, 44.0, 45.0]
    slow = climb(approach, HeaderView(80.0, 3, 50.0, 1.0, True), 69)
    assert slow[0] == pytest.approx(45.5)
    assert slow[-1] == pytest.approx(79.5)
    assert approach.ceiling(HeaderView(80.0, 3, 79.5, 1.0, True), 1.0) is None


def test_few_others_get_more_time() -> None:
    for others, rate in ((1, 0.2), (2, 0.4), (3, 0.5), (15, 0.5)):
        ceiling = HeaderApproach().ceiling(HeaderView(80.0, others, 60.0, 1.0, True), 1.0)
        assert ceiling == pytest.approx(60.0 + rate)


def test_a_high_header_makes_a_start_slower() -> None:
    ceiling = HeaderApproach().ceiling(HeaderView(80.0, 3, 60.0, 1.1, True), 1.0)
    assert ceiling == pytest.approx(60.05)


def test_the_end_of_a_start_is_the_present_speed_of_the_others() -> None:
    approach = HeaderApproach()
    assert climb(approach, HeaderView(80.0, 3, 60.0, 1.0, True), 10)[-1] == pytest.approx(65.0)
    assert approach.ceiling(HeaderView(65.2, 3, 65.0, 1.0, True), 1.0) is None


def test_the_own_speed_is_not_that_of_the_others() -> None:
    approach = HeaderApproach()
    assert climb(approach, HeaderView(0.0, 0, 25.0, 1.0, False), 1) == [30.0]
    assert approach.ceiling(HeaderView(80.0, 3, 30.0, 1.0, False), 1.0) == pytest.approx(40.0)


def test_a_unit_without_reports_starts_slowly_into_a_header_that_has_a_pressure() -> None:
    approach = HeaderApproach()
    assert climb(approach, HeaderView(0.0, 0, 28.0, 1.0, False), 3) == [31.0, 32.0, 33.0]
    assert climb(approach, HeaderView(0.0, 0, 33.0, 1.0, True), 1) == [33.2]


def test_the_ceiling_waits_for_the_unit() -> None:
    approach = HeaderApproach()
    view = HeaderView(80.0, 3, 10.0, 1.0, False)
    assert [approach.ceiling(view, 1.0) for _ in range(20)] == [40.0] * 20


def test_a_low_header_makes_a_start_fast_and_an_empty_one_free() -> None:
    fast = climb(HeaderApproach(), HeaderView(80.0, 3, 40.0, 0.7, False), 3)
    assert fast == [45.0, 50.0, 55.0]
    free = HeaderApproach()
    assert free.ceiling(HeaderView(80.0, 3, 0.0, 0.2, False), 1.0) is None
    assert free.ceiling(HeaderView(80.0, 3, 60.0, 1.0, True), 1.0) is None


def test_pumps_that_pushed_nothing_for_some_seconds_start_again() -> None:
    approach = HeaderApproach()
    assert approach.ceiling(HeaderView(70.0, 3, 70.0, 1.0, True), 1.0) is None
    stopped = HeaderView(85.0, 3, 0.0, 1.0, False)
    assert [approach.ceiling(stopped, 1.0) for _ in range(5)] == [None] * 3 + [42.5] * 2
    short = HeaderApproach()
    assert short.ceiling(HeaderView(70.0, 3, 70.0, 1.0, True), 1.0) is None
    for _ in range(3):
        assert short.ceiling(stopped, 1.0) is None
    assert short.ceiling(HeaderView(72.0, 3, 60.0, 1.0, True), 1.0) is None, "the other pump runs"


def test_a_unit_that_leaves_falls_slowly_until_it_pushes_nothing() -> None:
    leave = HeaderLeave()
    view = HeaderView(72.0, 3, 70.0, 1.0, True)
    assert [leave.ceiling(view, 1.0) for _ in range(3)] == [69.5, 69.0, 68.5]
    assert leave.ceiling(view._replace(level=0.7), 1.0) == 68.5
    assert leave.ceiling(view._replace(pushes=False), 1.0) is None
    assert leave.ceiling(view, 1.0) is None, "it has stopped: a flow starts no pump"
    leave.restart()
    assert leave.ceiling(view, 1.0) == 69.5
    assert leave.ceiling(view._replace(others_pct=0.0), 1.0) is None, "no other one feeds it"


def test_a_follower_moves_with_the_lead_and_closes_a_difference_slowly() -> None:
    follower = LeadFollower()
    assert follower.speed(1, 80.0, 74.0, 1.0) == pytest.approx(74.25)
    assert follower.speed(1, 83.0, 74.25, 1.0) == pytest.approx(77.5)
    assert follower.speed(1, 83.0, 82.9, 1.0) == pytest.approx(83.0)
    assert follower.speed(2, 75.0, 83.0, 1.0) == pytest.approx(82.75), "another lead"
    follower.stop()
    assert follower.speed(2, 60.0, 82.75, 1.0) == pytest.approx(82.5)
