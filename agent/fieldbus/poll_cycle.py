# SPDX-License-Identifier: Apache-2.0
"""The polls of one device: which blocks are pending, which slow block is next.

Does not decide when a cycle begins and does not decode registers; see `device_session` and
`drivers.device.device`.

The bus reads fast points in every cycle. It spreads slow points over their own period. A pending
poll is not sent again, so a slow bus does not grow a queue. The blocks come from
`drivers.modbus.plan.poll_plan`. When the device rejects a block, the plan changes.
"""

from collections import namedtuple

from drivers.device.identity import TaggedRequest
from drivers.modbus.plan.poll_plan import ILLEGAL_DATA_CODES
from drivers.modbus.transaction import OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.device.device import ModbusDevice
    from drivers.modbus.bus import Bus
    from drivers.modbus.plan.poll_plan import PollPlan
    from drivers.modbus.transaction import TransactionResult

RequestTag = namedtuple("RequestTag", ("session", "block", "number"))
"""The tag of a request on the bus.

session   number of the device session
block     index of the block of a poll; below 0: a kind of other request (see below)
number    of a poll: the version of its plan; of a write: its batch; of a recovery probe: its number
"""

WRITE_KIND, RECOVERY_KIND, WATCHDOG_KIND = -1, -2, -3
CHANNEL_KIND = -4
"""Writes of the second actuator on a device; those of the third have the next lower kind."""


class PollCycle:
    """The polls of one device. The blocks of the fast plan come before those of the slow plan."""

    def __init__(
        self, number: int, device: "ModbusDevice", bus: "Bus", plans: "tuple[PollPlan, PollPlan]"
    ) -> None:
        self._number = number
        self._device = device
        self._bus = bus
        self._fast, self._slow = plans
        self._slow_period_us = max(1, device.profile.periods[1])
        self._slow_elapsed = 0  # elapsed time times the number of slow blocks, µs
        self._slow_next = 0
        self._plan_version = 0
        self._set_blocks()

    def _set_blocks(self) -> None:
        """Use the blocks of both plans; results for older blocks are ignored from now on."""
        self._plan_version += 1
        blocks = self._fast.blocks + self._slow.blocks
        self._fast_count = len(self._fast.blocks)
        self._device.set_blocks(blocks)
        self._polls = [
            TaggedRequest(request.pdu, RequestTag(self._number, request.tag, self._plan_version))
            for request in self._device.poll_requests()
        ]
        self._pending = [False] * len(blocks)
        self._fast_pending = 0

    def reset(self) -> None:
        """Forget which polls are pending; a result that still comes is used."""
        self._pending = [False] * len(self._pending)
        self._fast_pending = 0

    def is_complete(self) -> bool:
        """Return whether no fast poll is pending."""
        return self._fast_pending == 0

    @property
    def block_count(self) -> int:
        """Number of requests that read all points."""
        return len(self._polls)

    def retry_excluded(self, now: int) -> None:
        """Try points again that the plans have excluded, when it is time."""
        if now >= self._fast.retry_at or now >= self._slow.retry_at:
            self._fast.retry_excluded(now)
            self._slow.retry_excluded(now)
            self._set_blocks()

    def poll_fast(self) -> None:
        """Request every fast block that is not pending."""
        for i in range(self._fast_count):
            self._poll_block(i)

    def poll_slow(self, cycle_us: int) -> None:
        """Request as many slow blocks as this cycle needs to read all of them in their period."""
        count = len(self._polls) - self._fast_count
        if not count:
            return
        period = self._slow_period_us
        self._slow_elapsed = min(self._slow_elapsed + count * cycle_us, count * period)
        while self._slow_elapsed >= period:
            self._slow_elapsed -= period
            self._poll_block(self._fast_count + self._slow_next % count)
            self._slow_next += 1

    def _poll_block(self, i: int) -> None:
        if not self._pending[i]:
            request = self._polls[i]
            if self._bus.submit(self._device.unit, request.pdu, request.tag):
                self._pending[i] = True
                if i < self._fast_count:
                    self._fast_pending += 1

    def handle_result(self, tag: "RequestTag", result: "TransactionResult") -> bool:
        """Store the result of a poll; return whether it completed a round of fast polls."""
        if tag.number != self._plan_version:
            return False
        block = tag.block
        is_fast = block < self._fast_count
        if self._pending[block]:
            self._pending[block] = False
            if is_fast:
                self._fast_pending -= 1
        if result.status == OK:
            self._device.store_block(block, result.values, result.done_at)
            self._update_plan(block, False, result.done_at)
        else:
            self._device.block_failed(block, result.done_at)
            if result.code in ILLEGAL_DATA_CODES:
                self._update_plan(block, True, result.done_at)
        return self._fast_pending == 0 and block < self._fast_count

    def _update_plan(self, block: int, is_rejected: bool, now: int) -> None:
        plan = self._fast if block < self._fast_count else self._slow
        version = plan.version
        if is_rejected:
            plan.exclude(self._device.blocks[block], now)
        else:
            plan.block_answered(self._device.blocks[block])
        if plan.version != version:
            self._set_blocks()
