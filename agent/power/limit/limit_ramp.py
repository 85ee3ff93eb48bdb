# SPDX-License-Identifier: Apache-2.0
"""Ramp of the power limits: down immediately, up slowly.

Does not send limits; see `agent.power.load`.

Down: immediately, if by more than 1/`_DEADBAND_DIVISOR` of the rating, or to the minimum. Up: not
before `hold_us` after the last step down, then by at most `step_pct` each `step_us`, and only in
the restore slot of the row (`in_restore_slot`). So the loads of many rows do not step up together.
A disturbance that is shorter than the hold time moves a load only once.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.power.load import Load

_DEADBAND_DIVISOR = 50
"""A smaller step down is not sent."""

_JITTER_DIVISOR = 4
"""A step can come this fraction of a period early, because ticks are slewed; the slot decides."""


class LimitRamp:
    """Timing of the limits of a row: µs, and `step_pct` in percent of the rating."""

    def __init__(self, hold_us: int, step_pct: int, step_us: int) -> None:
        self.hold_us = hold_us
        self.step_pct = step_pct
        self.step_us = step_us

    def step_limit(self, load: "Load", target: int, in_restore_slot: bool, now: int) -> bool:
        """Move `load.limit_w` towards `target`. Return True if it moved."""
        change_w = target - load.limit_w
        if change_w < 0:
            if -change_w * _DEADBAND_DIVISOR < load.max_w and target > load.min_w:
                return False
            load.lower_limit(target, now)
            return True
        if change_w == 0 or not in_restore_slot or now - load.lowered_at < self.hold_us:
            return False
        if now - load.raised_at < self.step_us - self.step_us // _JITTER_DIVISOR:
            return False
        if change_w * _DEADBAND_DIVISOR < load.max_w and target < load.max_w:
            return False
        step_w = min(change_w, max(1, load.max_w * self.step_pct // 100))
        load.raise_limit(load.limit_w + step_w, now)
        return True
