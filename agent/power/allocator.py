"""Who gets how much of a budget: water-filling by priority, in whole watts.

Pure. Every load first gets the least it can run with. What is left fills the loads of the highest
priority to what they may have, then those of the next; where it does not suffice for all of one
priority, each gets the same share of what lies between its least and its most. So the loads of the
lowest priority are throttled first, and alike.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Claim = tuple[int, int, int]


def share(budget: int, claims: "list[Claim]") -> "tuple[list[int], int]":
    """Share `budget` watts among `claims`: (priority, least, most), highest priority first served.

    Returns the watts of each, in order, and what is missing for the least of all (0 or more).
    """
    given = [least for _, least, _ in claims]
    left = budget - sum(given)
    if left <= 0:
        return given, -left
    for priority in sorted({claim[0] for claim in claims}, reverse=True):
        spans = [max(0, most - least) if own == priority else 0 for own, least, most in claims]
        total = sum(spans)
        part = min(left, total)
        if total == 0:
            continue
        for i, span in enumerate(spans):
            given[i] += span * part // total
        left -= part
        if left <= 0:
            break
    return given, 0
