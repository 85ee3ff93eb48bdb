# SPDX-License-Identifier: Apache-2.0
"""Allocation of a power budget to the loads: water-filling by priority, in integer watts.

Pure: reads no sensors and sends no limits; see `agent.power.component`.

Each load first gets its minimum. The rest fills the loads of the highest priority up to their
maximum, then those of the next priority. If it does not suffice for all loads of a priority, each
gets the same fraction of the span between its minimum and its maximum. So loads of the lowest
priority are limited first, and equally.
"""

from collections import namedtuple

LoadDemand = namedtuple("LoadDemand", ("priority", "min_w", "max_w"))
"""The power that a load needs and can use, W. Priority 9 comes before 1."""


def allocate_power(budget_w: int, demands: "list[LoadDemand]") -> "tuple[list[int], int]":
    """Allocate `budget_w` watts to `demands`; the highest priority comes first.

    Returns the watts of each load, in order, and the watts missing for all minimums (0 or more).
    """
    allocated = [min_w for _, min_w, _ in demands]
    left_w = budget_w - sum(allocated)
    if left_w <= 0:
        return allocated, -left_w
    for priority in sorted({priority for priority, _, _ in demands}, reverse=True):
        spans = [
            max(0, max_w - min_w) if load_priority == priority else 0
            for load_priority, min_w, max_w in demands
        ]
        total = sum(spans)
        portion = min(left_w, total)
        if total == 0:
            continue
        for i, span in enumerate(spans):
            allocated[i] += span * portion // total
        left_w -= portion
        if left_w <= 0:
            break
    return allocated, 0
