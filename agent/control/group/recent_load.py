# SPDX-License-Identifier: Apache-2.0
"""The largest heat of the row in the last one to two minutes.

Does not select units; see `agent.control.group.staging`. When a unit stops or is lost, its heat is
missing in the sum until the coolant of the others is warmer. The heat of the row has not changed:
without a memory the rest seemed to be enough.
"""

WINDOW_S = 60
"""Longer than the heat of a lost unit needs to the others: a rack with its coolant follows a step
with a time constant of 10 s to 30 s."""


class RecentLoad:
    """The memory of one unit. `most_w`: the largest heat of this window and the one before, W."""

    def __init__(self) -> None:
        self.most_w = 0
        self._now_w = self._before_w = 0
        self._ends_s: int | None = None

    def step(self, load_w: "int | None", now_s: int) -> None:
        """Take the heat of this second, W. None, a heat that is not known, changes nothing."""
        if self._ends_s is None or now_s >= self._ends_s:
            self._before_w, self._now_w = self._now_w, 0
            self._ends_s = now_s + WINDOW_S
        self._now_w = max(self._now_w, load_w or 0)
        self.most_w = max(self._now_w, self._before_w)
