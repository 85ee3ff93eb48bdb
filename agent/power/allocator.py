"""Who gets how much of a budget: water-filling by priority, in whole watts.

Pure. Every load first gets the least it can run with. What is left fills the loads of the highest
priority to what they may have, then those of the next; where it does not suffice for all of one
priority, each gets the same share of what lies between its least and its most. So the loads of the
lowest priority are throttled first, and alike.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    LoadDemand = tuple[int, int, int]


def allocate_power(budget_w: int, demands: "list[LoadDemand]") -> "tuple[list[int], int]":
    """Share `budget_w` watts among `demands`: (priority, least, most), highest priority first
    served.

    Returns the watts of each, in order, and what is missing for the least of all (0 or more).
    """
    allocated = [min_w for _, min_w, _ in demands]
    left_w = budget_w - sum(allocated)
    if left_w <= 0:
        return allocated, -left_w
    for priority in sorted({demand[0] for demand in demands}, reverse=True):
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
