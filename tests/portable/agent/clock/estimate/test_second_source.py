# SPDX-License-Identifier: Apache-2.0
"""A second source limits what a drag of the receiver's time could do, and nothing else."""

from agent.clock.estimate.error_budget import ErrorBudget, StatedErrors
from agent.clock.estimate.second_source import SecondSource
from protocols.time_units import SECOND
from tests.portable.support.check import eq

MS = 1_000_000
"""In ns."""


class DragSource:
    """A source: 1 ms to each side; a drag could have begun 9 ms below and 5 ms above."""

    def __init__(self, disputed: bool = False, young: bool = False) -> None:
        self.disputed = disputed
        self.young = young
        self.interval = self

    def is_young(self, _now: int) -> bool:
        return self.young

    def stated(self, _now: int, guarded: bool = True) -> "tuple[int, int]":
        return (-9 * MS, 5 * MS) if guarded else (-MS, MS)

    def is_disputed(self) -> bool:
        return self.disputed


def bound_ms(limits: "tuple[int, int] | None", source: "DragSource | None" = None) -> float:
    budget = ErrorBudget(source or DragSource(), StatedErrors(2_000, None, 0, 0))
    return budget.bound_ns(source or DragSource(), 0, 0, limits) / MS


def test_limits_grow_with_the_oscillator_and_meet():
    second = SecondSource(10_000_000)  # 10 ppm
    eq(second.at(0), None)
    second.add(-3 * MS, 3 * MS, 0)
    eq(second.at(100 * SECOND), (-4 * MS - 1, 4 * MS + 1))
    second.add(-9 * MS, 2 * MS, 100 * SECOND)
    eq(second.at(100 * SECOND), (-4 * MS - 2, 2 * MS + 1))
    second.add(7 * MS, 9 * MS, 200 * SECOND)  # does not meet the earlier one: begins again
    eq(second.at(200 * SECOND), (7 * MS - 1, 9 * MS + 1))
    second.drop()
    eq(second.at(200 * SECOND), None)


def test_a_drag_reaches_no_further_than_the_second_source():
    eq(bound_ms(None), 11.0)
    eq(bound_ms((-20 * MS, 20 * MS)), 11.0)
    eq(bound_ms((-4 * MS, 4 * MS)), 4.0)  # the latency is no error of the second source
    eq(bound_ms((-MS // 2, MS // 2)), 3.0)  # the receiver can be the one that is true


def test_a_second_source_does_not_decide_a_contradiction():
    eq(bound_ms((-4 * MS, 4 * MS), DragSource(True)), 11.0)
    eq(bound_ms((4 * MS, 6 * MS)), 11.0)  # it does not meet the interval of the receiver


def test_the_bound_has_the_second_source_while_it_cannot_tell_which_one_is_true():
    eq(bound_ms((14 * MS, 16 * MS)), 16.0)  # apart
    eq(bound_ms((-16 * MS, -14 * MS)), 16.0)
    eq(bound_ms((-4 * MS, 15 * MS)), 7.0)
    eq(bound_ms((-4 * MS, 15 * MS), DragSource(young=True)), 15.0)  # false from its begin on
    eq(bound_ms((-15 * MS, 4 * MS), DragSource(disputed=True)), 15.0)
