# SPDX-License-Identifier: Apache-2.0
"""Poll plan of one device: the reads that fetch its points.

Does not schedule polls and does not decode registers. `drivers.modbus.plan.block_planner` computes
the blocks. It is loaded for a plan, and MicroPython unloads it after the start. The plan learns
from the reads that the device rejects; `drivers.modbus.plan.plan_learning` has the rules, and is
loaded at the first rejection.
"""

from protocols.modbus.pdu import MAX_READ
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.modbus.plan.block_planner import PlannedItem
    from drivers.modbus.plan.plan_learning import PlanLearning
    from drivers.modbus.register_span import ReadBlock
    from drivers.modbus.wire_time import WireTime


ILLEGAL_DATA_CODES = (2, 3)
"""Exception codes "illegal data address" and "illegal data value": registers that do not exist, or
too many of them."""


class PollPlan:
    """The plan of one device, which learns from the rejections of the device.

    `blocks` is the present plan; `version` increases with each change. `points` must not change.
    From `retry_at` (monotonic microseconds) on, `retry_excluded` tries each excluded point in a
    block of its own.
    """

    def __init__(
        self,
        points: "Sequence[PlannedItem]",
        wire: "WireTime",
        holes: "Sequence[ReadBlock]" = (),
        fixed: "Sequence[ReadBlock]" = (),
        max_block: int = MAX_READ,
    ) -> None:
        self.version = 0
        self.retry_at = NEVER
        self.blocks: list[ReadBlock] = []
        self._points = points
        self._wire = wire
        self._holes = holes
        self._fixed = fixed
        self._max_block = max_block
        self._learning: PlanLearning | None = None
        # Blocks that the device answered, in this plan or an older one.
        self._known_blocks: list[ReadBlock] = []
        self._replan()

    def _replan(self) -> None:
        from drivers.modbus.plan.block_planner import plan_blocks  # noqa: PLC0415 - unloaded after loading

        blocked, fixed = list(self._holes), self._fixed
        retry_spans: list[ReadBlock] = []
        learning = self._learning
        if learning is not None:
            blocked += learning.blocked()
            fixed, retry_spans = learning.fixed, learning.retry_spans
            learning.plan_changed()
            self.retry_at = learning.retry_at
        blocks = plan_blocks(self._points, self._wire, blocked, fixed, self._max_block)
        self.blocks = sorted(blocks + retry_spans)
        self.version += 1

    def exclude(self, block: "ReadBlock", now: int) -> None:
        """Learn from a read of `block` that the device rejected at `now`."""
        if block not in self.blocks:
            return  # of an older plan
        if self._learning is None:
            from drivers.modbus.plan.plan_learning import PlanLearning  # noqa: PLC0415 - a rare rejection

            self._learning = PlanLearning(self._points, self._fixed)
        if self._learning.exclude(block, self._known_blocks, now):
            self._replan()

    def block_answered(self, block: "ReadBlock") -> None:
        """Learn from a read of `block` that the device answered."""
        if block not in self._known_blocks:
            self._known_blocks.append(block)
        if self._learning is not None and self._learning.block_answered(block, self.blocks):
            self._replan()

    def retry_excluded(self, now: int) -> bool:
        """Try the excluded points again if `retry_at` has passed; return whether the plan changed.

        The pause between tries doubles each time.
        """
        if self._learning is None or now < self.retry_at:
            return False
        self._learning.retry()
        self._replan()
        return True

    @property
    def excluded(self) -> "list[ReadBlock]":
        """The points that the plan leaves out."""
        return [] if self._learning is None else self._learning.excluded

    @property
    def learned_count(self) -> int:
        """Number of learned borders and excluded points."""
        return 0 if self._learning is None else self._learning.learned_count
