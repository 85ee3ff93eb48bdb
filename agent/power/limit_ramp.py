"""From the watts a load should have to the limit it is told: down at once, up slowly.

Down: at once, if by more than `_DEADBAND_DIVISOR` of the rating, or to the least. Up: not before
`hold_us` after the last step down, then by at most `step` at a time, one step every `step_us`, and
only in the row's own slot (`in_restore_slot`), so that the loads of many rows do not step together.
This is hysteresis in time: what comes and goes within the hold moves a load once.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.power.load import Load

_DEADBAND_DIVISOR = 50
"""Steps down smaller than a fiftieth of the rating are not worth a command."""

_JITTER_DIVISOR = 4
"""The slot says when; a step may come that part of a period early, since ticks are slewed."""


class LimitRamp:
    """The timing of one row's limits: microseconds, `step_pct` in percent of the rating."""

    def __init__(self, hold_us: int, step_pct: int, step_us: int) -> None:
        self.hold_us = hold_us
        self.step_pct = step_pct
        self.step_us = step_us

    def step_limit(self, load: "Load", target: int, in_restore_slot: bool, now: int) -> bool:
        """Move `load.limit_w` towards `target`; true when it moved."""
        change_w = target - load.limit_w
        if change_w < 0:
            if -change_w * _DEADBAND_DIVISOR < load.max_w and target > load.min_w:
                return False
            load.limit_w = target
            load.lowered_at = now
            return True
        if change_w == 0 or not in_restore_slot or now - load.lowered_at < self.hold_us:
            return False
        if now - load.raised_at < self.step_us - self.step_us // _JITTER_DIVISOR:
            return False
        if change_w * _DEADBAND_DIVISOR < load.max_w and target < load.max_w:
            return False
        load.limit_w += min(change_w, max(1, load.max_w * self.step_pct // 100))
        load.raised_at = now
        return True
