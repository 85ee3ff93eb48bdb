# SPDX-License-Identifier: Apache-2.0
"""Rules of a group of CDUs, as pure functions of the reports that a unit has.

Does not send and does not act; see `agent.control.group.component`. `reports` maps the number of a
unit to its report; the own unit is in it. While the views of two units differ, all rules fail to
more cooling: a unit runs if any unit selects it.

N+1: the selected units without the largest one carry the load.

The heat of a unit can be not known. It then counts with its capacity where a unit may start, and no
unit stops.
"""

from agent.control.group.report import is_healthy, load_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.group.report import GroupReport

    Reports = dict[int, GroupReport]

UP_PCT, DOWN_PCT, NEED_PCT = 85, 70, 110
"""Load in percent of what the selected units carry without the largest one: a unit is added above
the first, and removed if the rest stays below the second. The third is the margin after a loss."""


def ring(first: int, count: int) -> "list[int]":
    """Return the units 1 to `count` in the order of the ring from unit `first`."""
    return [(first - 1 + i) % count + 1 for i in range(count)]


def is_majority(reports: "Reports", count: int) -> bool:
    """Return whether more than half of the `count` units report."""
    return 2 * len(reports) > count


def lower_median(values: "list[int]") -> int:
    """Return the median, of an even number of `values` the lower one of both."""
    return sorted(values)[(len(values) - 1) // 2]


def slot_of(reports: "Reports") -> int:
    """Return the period of rotation that most units report; 0: no unit knows UTC.

    The lower median, so that one clock that is wrong moves no lead: two leads of one header would
    control the same pressure.
    """
    slots = [report.slot for report in reports.values() if report.slot]
    return lower_median(slots) if slots else 0


def lead_of(reports: "Reports", count: int, slot: int) -> int:
    """Return the lead: the first healthy unit in the ring from the unit of `slot`; 0: none.

    `slot` counts the periods of rotation since 1970. A unit that does not report moves only its own
    turn.
    """
    for unit in ring(slot % count + 1, count):
        if unit in reports and is_healthy(reports[unit]):
            return unit
    return 0


def without_load(reports: "Reports") -> "list[int]":
    """Return the units whose heat is not known."""
    return [unit for unit, report in sorted(reports.items()) if load_of(report) is None]


def load_w(reports: "Reports") -> "int | None":
    """Return the heat that all units reject, W; None: that of a unit is not known."""
    if not reports or without_load(reports):
        return None
    total: int = sum([report.load_w for report in reports.values()])
    return total


def most_load_w(reports: "Reports") -> int:
    """Return the most heat that all units can reject now, W: their capacity if it is not known."""
    total = 0
    for report in reports.values():
        load = load_of(report)
        total += report.capacity_w if load is None else load
    return total


def spare_free_w(reports: "Reports", units: "list[int]") -> int:
    """Return what healthy `units` can reject without the largest of them, W."""
    capacities = [reports[unit].capacity_w for unit in units if unit in reports]
    return sum(capacities) - max(capacities) if capacities else 0


def healthy_order(reports: "Reports", count: int, lead: int) -> "list[int]":
    """Return the healthy units in the order of the ring from the lead."""
    order = ring(lead if lead else 1, count)
    return [unit for unit in order if unit in reports and is_healthy(reports[unit])]


def can_carry(reports: "Reports", units: "list[int]", recent_w: int = 0) -> bool:
    """Return whether healthy `units` carry the load with a margin, also after the loss of one.

    `recent_w`: the least load, W; see `agent.control.group.recent_load`.
    """
    free_w = spare_free_w(reports, units)
    most_w = max(most_load_w(reports), recent_w)
    return len(units) >= 2 and 100 * free_w >= NEED_PCT * most_w


def is_overloaded(reports: "Reports", selected: "list[int]") -> bool:
    """Return whether the load is above what `selected` should carry."""
    return 100 * most_load_w(reports) > UP_PCT * spare_free_w(reports, selected)


def can_remove(reports: "Reports", selected: "list[int]", unit: int, recent_w: int = 0) -> bool:
    """Return whether the rest of `selected` carries the load well without `unit`.

    No unit is removed while the heat of any unit is not known. `recent_w`: the least load, W.
    """
    load = load_w(reports)
    if load is None:
        return False
    rest = [other for other in selected if other != unit]
    if len(rest) < 2 and len(rest) < len(reports):
        return False
    return 100 * max(load, recent_w) < DOWN_PCT * spare_free_w(reports, rest)


def mask_of(units: "list[int]") -> int:
    """Return the bits of units."""
    mask = 0
    for unit in units:
        mask |= 1 << unit - 1
    return mask


def units_of(mask: int, count: int) -> "list[int]":
    """Return the units of bits, in the order of their numbers."""
    return [unit for unit in range(1, count + 1) if mask >> unit - 1 & 1]


def must_run(reports: "Reports", own: int, selected: "list[int]") -> bool:
    """Return whether the own unit runs: by its own view, or by that of any other unit."""
    if own in selected or len(reports) == 1:
        return True
    return any(report.selected >> own - 1 & 1 for unit, report in reports.items() if unit != own)


def is_whole(reports: "Reports", count: int) -> bool:
    """Return whether all units report, and receive all others: one integrator is enough then."""
    everyone = (1 << count) - 1
    return len(reports) == count and all(report.received == everyone for report in reports.values())
