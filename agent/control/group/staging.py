# SPDX-License-Identifier: Apache-2.0
"""Which units of a group run, over time: stages with delays, and rotation of the lead.

Does not act; see `agent.control.group.component`. Each unit has one, and steps it once a second
with its reports. A lost or failed unit is replaced at the next step. Other changes have delays, so
that the group does not cycle: at most one in 300 s. A start takes effect immediately, a stop a
second later. No unit stops while the heat of a unit is not known. At the start all units run. After
a change of the lead the new one runs for `PROVE_S` seconds together with the others; then one unit
stops. Units whose views differ take that of the lead after `AGREE_S` seconds; until then a unit
runs if any view selects it. After a partition each part selects what runs in the other one.
"""

from agent.control.group import rules
from agent.control.group.recent_load import RecentLoad
from agent.control.group.report import RUNNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.group.rules import Reports

UP_S, DOWN_S, CHANGE_S, PROVE_S, LEAST_ON_S, AGREE_S = 60, 900, 301, 120, 1800, 30


class Staging:
    """The selection of one unit. `count`: number of units of the group. Times are seconds.

    `lead`: the unit that controls what is shared; 0: none; None: no step yet. `selected`: the units
    that run. `reason`: of the last change. `changes`: number of changes without a failure.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.lead: int | None = None
        self.selected = list(range(1, count + 1))
        self.reason = "start"
        self.changes = 0
        self._slot = 0
        self._over_s = self._under_s = self._apart_s = 0
        self._changed_s = -CHANGE_S
        self._since_s: dict[int, int] = {}
        self._prove_until = 0
        self._received: list[int] = []
        self._recent = RecentLoad()

    def step(self, reports: "Reports", now_s: int) -> None:
        """Take the `reports` of this second."""
        self._recent.step(rules.load_w(reports), now_s)
        is_majority = rules.is_majority(reports, self._count)
        slot = rules.slot_of(reports)
        if slot and (is_majority or not self._slot):
            self._slot = slot
        before, self.lead = self.lead, rules.lead_of(reports, self._count, self._slot)
        if self.lead != before and before and self.lead and self.lead not in self.selected:
            self._add(self.lead, "rotation", now_s)
            self._prove_until = now_s + PROVE_S
        order = rules.healthy_order(reports, self._count, self.lead)
        self._join(reports, order)
        self._replace_lost(reports, order, now_s)
        self._stage(reports, order, is_majority, now_s)
        self._agree(reports, now_s)

    def _add(self, unit: int, reason: str, now_s: int) -> None:
        self.selected = sorted(self.selected + [unit])
        self._since_s[unit] = now_s
        self.reason = "%s: unit %d starts" % (reason, unit)

    def _join(self, reports: "Reports", order: "list[int]") -> None:
        """Select the running units of a part of the group that is received again.

        That part had lost this one, so it selected what it needed alone. A unit that has just
        started selects all units. It is no such part if no other unit selects it.
        """
        everyone = (1 << self._count) - 1
        for unit in order:
            report = reports[unit]
            is_new = self._received and unit not in self._received
            is_part = report.selected >> unit - 1 & 1 and (
                report.selected != everyone or _is_wanted(reports, unit)
            )
            if is_new and is_part and report.flags & RUNNING and unit not in self.selected:
                self.selected = sorted(self.selected + [unit])
                self.reason = "received again: unit %d" % unit
        self._received = list(reports)

    def _replace_lost(self, reports: "Reports", order: "list[int]", now_s: int) -> None:
        """Drop units that are lost or failed, and add others for them immediately.

        If all healthy units cannot carry the load, the failed ones go on: each does what it can.
        """
        usable = [unit for unit in self.selected if unit in order]
        if len(self.selected) == len(usable) >= min(2, len(order)):
            return
        failed = [unit for unit in self.selected if unit not in usable]
        for unit in failed:
            self.reason = "failure: unit %d" % unit
        self.selected = usable
        self._under_s = 0
        for unit in order:
            if rules.can_carry(reports, self.selected, self._recent.most_w):
                return
            if unit not in self.selected:
                self._add(unit, "failure", now_s)
        if not rules.can_carry(reports, self.selected, self._recent.most_w):
            self.selected = sorted(self.selected + [unit for unit in failed if unit in reports])

    def _stage(self, reports: "Reports", order: "list[int]", is_majority: bool, now_s: int) -> None:
        usable = [unit for unit in self.selected if unit in order]
        is_over = rules.is_overloaded(reports, usable)
        self._over_s = self._over_s + 1 if is_over else 0
        last = self._last_in(order, now_s)
        recent_w = self._recent.most_w
        can_remove = is_majority and last and rules.can_remove(reports, usable, last, recent_w)
        self._under_s = self._under_s + 1 if can_remove else 0
        is_proven = self._prove_until and now_s >= self._prove_until
        if self._over_s >= UP_S and now_s - self._changed_s >= CHANGE_S:
            for unit in order:
                if unit not in self.selected:
                    self._add(unit, "load", now_s)
                    self._count_change(now_s)
                    return
        is_due = self._under_s >= DOWN_S and now_s - self._changed_s >= CHANGE_S
        if can_remove and (is_proven or is_due):
            self.selected = [unit for unit in self.selected if unit != last]
            self.reason = "%s: unit %d stops" % ("rotation" if is_proven else "load", last)
            self._prove_until = 0
            self._count_change(now_s)

    def _count_change(self, now_s: int) -> None:
        self._changed_s = now_s
        self._over_s = self._under_s = 0
        self.changes += 1

    def _last_in(self, order: "list[int]", now_s: int) -> int:
        """Return the selected unit that is last in `order` and has run long enough; 0: none."""
        for unit in reversed(order):
            if unit in self.selected and unit != self.lead:
                since_s = self._since_s.get(unit, -LEAST_ON_S)
                return unit if now_s - since_s >= LEAST_ON_S else 0
        return 0

    def _agree(self, reports: "Reports", now_s: int) -> None:
        """Take the selection of the lead if it differs from the own one for `AGREE_S`.

        Only if the lead has the reports of the same units: else its selection is for other ones.
        While the heat of a unit is not known, no unit is removed.
        """
        lead = reports.get(self.lead or 0)
        theirs = 0
        if lead is not None and lead.received == rules.mask_of(sorted(reports)):
            theirs = lead.selected
        own = rules.mask_of(self.selected)
        if theirs and rules.load_w(reports) is None:
            theirs |= own
        if not theirs or theirs == own:
            self._apart_s = 0
            return
        self._apart_s += 1
        if self._apart_s >= AGREE_S:
            self._apart_s = 0
            for unit in rules.units_of(theirs & ~own, self._count):
                self._since_s[unit] = now_s
            self.selected = rules.units_of(theirs, self._count)
            self.reason = "as lead %d" % (self.lead or 0)


def _is_wanted(reports: "Reports", unit: int) -> bool:
    """Return whether a third unit, that runs, selects `unit`."""
    return any(
        other != unit and report.flags & RUNNING and report.selected >> unit - 1 & 1
        for other, report in reports.items()
    )
