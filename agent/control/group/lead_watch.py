# SPDX-License-Identifier: Apache-2.0
"""Whether the reported speed of the lead holds the pressure of the header.

Does not control; see `agent.control.group.component`. A unit that takes the speed of the lead reads
the pressure too. If this one is far from the set-point for `OFF_S`, the speed that the lead reports
is not what it needs: it is false, or the lead cannot pump. The unit then refuses the lead and
controls with droop. It takes the lead again when both speeds and the pressure have agreed for
`OFF_S`, or if another unit controls.
"""

OFF_S = 60
"""Time of a difference: more than a start or the loss of a unit needs."""
_OFF_SHARE = 0.15
"""Difference of the pressure, part of the set-point. The sensors and a change of stages stay below
it, after some seconds."""
_NEAR_PCT = 5.0
"""Largest difference of both speeds, percent, with which the lead is taken again."""


class LeadWatch:
    """The check of one unit. `refused`: number of the refused lead; 0: none."""

    def __init__(self) -> None:
        self.refused = 0
        self._lead = 0
        self._count_s = 0

    def step(
        self, lead: int, off_share: "float | None", lead_pct: float, own_pct: "float | None"
    ) -> None:
        """Take this second: unit `lead` controls (0: this unit or none). `off_share`: difference of
        the pressure from the set-point, part of the set-point. None: not known.
        """
        if lead != self._lead:
            self._lead, self.refused, self._count_s = lead, 0, 0
        if not lead or off_share is None:
            return
        is_off = abs(off_share) > _OFF_SHARE
        if self.refused:
            is_near = own_pct is not None and abs(own_pct - lead_pct) <= _NEAR_PCT
            changes = is_near and not is_off
        else:
            changes = is_off
        self._count_s = self._count_s + 1 if changes else 0
        if self._count_s >= OFF_S:
            self._count_s = 0
            self.refused = 0 if self.refused else lead
