"""One device in the agent: when it is asked, what is wanted of it, what is known of its health.

Not a driver: `drivers.device.device` makes and reads the requests, `drivers.modbus.bus` sends them.
Not a loop: what to write is decided elsewhere.

Polls. Fast points are read every cycle, slow ones spread over their own period. A poll that has
not been answered is not asked again, so that a slow bus never grows a queue. The blocks come from
`drivers.modbus.poll_plan`; what the device refuses changes the plan.

Writes. Before the first one the device is identified; to another model nothing is written. Of the
writes one batch is on its way at most, and what is wanted by then goes out after it, so that old
wishes are never carried out; only a stop does not wait for anything else. What is wanted stays
wanted until a poll that began after the write shows it, as the profile says where; if
`_REWRITE_AFTER` such rounds of polls do not, it is written again. A device that has shown nothing
of what it was told for `_UNVERIFIED_AFTER` rounds is stubborn, whether the wish has changed
meanwhile or not, and is tried on. What was wanted of a lost device may not be what is wanted now
that it is heard: it gets what it missed only if that is still wanted after the loops have decided
anew.
"""

from drivers.device.device import ModbusDevice
from drivers.device.identity import MATCH, MISMATCH, UNKNOWN
from drivers.modbus.poll_plan import REFUSAL_CODES, PollPlan
from drivers.modbus.transaction import OK, STOP, WRITE
from protocols.errors import EncodeError
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.config_records import DeviceConfig
    from drivers.device.profile import DeviceProfile
    from drivers.modbus.bus import Bus
    from drivers.modbus.poll_plan import PlannedItem
    from drivers.modbus.transaction import TransactionResult
    from drivers.modbus.wire_time import WireTime

    Pairs = list[tuple[int, int]]
    Tag = tuple[int, int, int]

OVERLOADED_AFTER = 3
"""Cycles in a row that a bus has not kept up with before that is reported."""
_LOST_AFTER = 3
_REWRITE_AFTER = 2
_UNVERIFIED_AFTER = 10
_DECISION_CYCLES = 2
"""Cycles after which the loops have surely decided on a device that is heard again."""
_REIDENTIFY_US = 10_000 * MILLISECOND
"""How long another model is left alone until it is asked again who it is: a device that refuses
everything while it starts looks like one."""
_MAX_READ_US = 90 * MILLISECOND
"""How long a read may take on a bus with something to stop: what is to stop must be told within
100 ms, of which slow devices take some."""
_WRITE, _PROBE, _WATCHDOG = -1, -2, -3


def make_layouts(
    profile: "DeviceProfile", wire: "WireTime", has_actuators: bool
) -> "tuple[PollPlan, PollPlan]":
    """The plans of a device's fast and slow points; `has_actuators`: the bus has something to stop."""
    fixed = list(profile.fixed_blocks)
    if profile.has_own_blocks:
        fixed.extend(profile.blocks)
    max_block = profile.max_block
    if has_actuators:
        max_block = min(max_block, wire.max_read(3, _MAX_READ_US))
    fast = PollPlan(profile.polled_items("fast"), wire, profile.holes, fixed, max_block)
    slow_points = [item for item in profile.polled_items("slow") if not _inside(item, fast.blocks)]
    return fast, PollPlan(slow_points, wire, profile.holes, fixed, max_block)


def _inside(item: "PlannedItem", blocks: "list[tuple[int, int, int]]") -> bool:
    for function, start, size in blocks:
        end = item.address + item.registers
        if function == item.function and start <= item.address and end <= start + size:
            return True
    return False


class DeviceSession:
    """One device with its bus, its outstanding polls, its wanted outputs and its health.

    `transactions` are the requests that have come to an end, `errors` those of them that were not
    "ok". `lost`: it has not answered for some cycles. `write_unverified`: it does not show what is
    written. `write_error`: why the last write could not even be made, empty if it could.
    """

    def __init__(
        self, number: int, config: "DeviceConfig", bus: "Bus", wire: "WireTime", has_actuators: bool
    ) -> None:
        self.name = config.name
        self.profile = config.profile
        self.bus = bus
        self.unit = config.unit
        self.lost = True
        self.write_unverified = False
        self.write_error = ""
        self.silent_cycles = 0
        self.answered_at = 0
        self.transactions = 0
        self.errors = 0
        self._number = number
        self._fast, self._slow = config.layouts or make_layouts(config.profile, wire, has_actuators)
        config.layouts = None  # a plan changes with what its device refuses: it is no other's
        self.device = ModbusDevice(config.name, config.unit, config.profile, [])
        self._plan_version = 0
        self._set_blocks()
        self._probes = self.device.identity_probes()
        self._probes_pending = 0
        self._reidentify_at = 0
        self._answered = False
        self._cycle_us = 0
        self._slow_credit = 0
        self._slow_next = 0
        self._watchdog_due = 0
        self._requested: Pairs = []
        self._priority = WRITE
        self._write_pending = False
        self._write_only = False
        self._batch_pdus: list[bytes] = []  # of the batch, behind the one on its way
        self._write_active = False
        self._batch_number = 0
        self._batch_priority = WRITE
        self._superseded = False
        self._acknowledged = False
        self._verifying = False
        self._awaiting_decision = 0
        self._unverified_rounds = 0
        self._rounds_since_write = 0

    def _set_blocks(self) -> None:
        """Take the blocks of both plans; what is under way for the old ones does not count."""
        self._plan_version += 1
        blocks = self._fast.blocks + self._slow.blocks
        self._fast_count = len(self._fast.blocks)
        self.device.set_blocks(blocks)
        self._polls: list[tuple[bytes, Tag]] = [
            (pdu, (self._number, i, self._plan_version)) for pdu, i in self.device.poll_requests()
        ]
        self._pending = [False] * len(blocks)
        self._fast_pending = 0  # fast polls that are not answered yet

    def polls_complete(self) -> bool:
        """Say whether no fast poll of this device is outstanding."""
        return self._fast_pending == 0

    @property
    def block_count(self) -> int:
        """How many requests read all points."""
        return len(self._polls)

    @property
    def identity_mismatch(self) -> bool:
        """Whether another model answers at this address than the profile's."""
        return self.device.identity == MISMATCH

    # Polling.

    def poll(self, now: int, cycle_us: int) -> None:
        """Begin a cycle: judge the last one, ask for every block that is not asked for still."""
        self._update_comm_state()
        self._cycle_us = cycle_us
        if now >= self._fast.retry_at or now >= self._slow.retry_at:
            self._fast.retry_excluded(now)
            self._slow.retry_excluded(now)
            self._set_blocks()
        if self._awaiting_decision:
            self._awaiting_decision -= 1
        if self.identity_mismatch and now >= self._reidentify_at:
            self._probe()
        self.poll_now()
        slow = len(self._polls) - self._fast_count
        if slow:
            self._poll_slow(slow, cycle_us)
        if self.profile.watchdog:
            self._service_watchdog(now, cycle_us)

    def poll_now(self) -> None:
        """Ask for every fast block that is not asked for still."""
        if self.device.identity != MATCH:
            self._identify()
        self._verifying = not self._write_active
        for i in range(self._fast_count):
            self._poll_block(i)

    def _poll_block(self, i: int) -> None:
        if not self._pending[i]:
            pdu, tag = self._polls[i]
            if self.bus.submit(self.unit, pdu, tag):
                self._pending[i] = True
                if i < self._fast_count:
                    self._fast_pending += 1

    def _poll_slow(self, count: int, cycle_us: int) -> None:
        """Ask for so many slow blocks that all of them come round in their period."""
        period = max(1, self.profile.periods[1])
        self._slow_credit = min(self._slow_credit + count * cycle_us, count * period)
        while self._slow_credit >= period:
            self._slow_credit -= period
            self._poll_block(self._fast_count + self._slow_next % count)
            self._slow_next += 1

    def _update_comm_state(self) -> None:
        if not self._answered:
            self.silent_cycles += 1
            if self.silent_cycles >= _LOST_AFTER and not self.lost:
                self.lost = True
                self.device.identity = UNKNOWN  # who comes back may be another one
        self._answered = False

    # Identity and watchdog.

    def _identify(self) -> None:
        if not self._probes:
            self.device.identity = MATCH
            return
        if not self.identity_mismatch:
            self._probe()

    def _probe(self) -> None:
        if self._probes_pending:
            return
        for pdu, tag in self._probes:
            if self.bus.submit(self.unit, pdu, (self._number, _PROBE, tag)):
                self._probes_pending += 1

    def _probe_done(self, result: "TransactionResult") -> None:
        self._probes_pending = max(
            0, self._probes_pending - 1
        )  # the bus's own probe may be one of ours
        self.device.store_probe_result(result.tag[2], result.status, result.code, result.values)
        self._reidentify_at = result.done_at + _REIDENTIFY_US
        if self.device.identity == MATCH and self._write_pending and not self._awaiting_decision:
            self._start_write()

    def _service_watchdog(self, now: int, cycle_us: int) -> None:
        """Write the watchdog's register often enough that one lost write does no harm."""
        if now < self._watchdog_due or self.device.identity != MATCH or self.lost:
            return
        kick = self._watchdog_request()
        if kick is not None:
            pdu, period = kick
            tag = (self._number, _WATCHDOG, 0)
            if self.bus.submit(self.unit, pdu, tag, WRITE):
                self._watchdog_due = now + max(0, period // 2 - cycle_us // 2)

    def _watchdog_request(self) -> "tuple[bytes, int] | None":
        try:
            return self.device.watchdog_request()
        except EncodeError as error:
            self.write_error = str(error)
            return None

    # Writing.

    def ramp_limited(self, i: int, value: float) -> "tuple[float, int]":
        """What point `i` may be asked for now to come to `value` (its unit): (value, count).

        It moves from what is wanted of it, or from what it shows, no faster than its ramp.
        """
        count = self.device.to_count(i, value)
        point = self.profile.points[i]
        if not point.ramp:
            return value, count
        previous = self.device.readings[i].raw
        for index, requested in self._requested:
            if index == i:
                previous = requested
        count = self.device.ramp_limited(i, previous, count, self._cycle_us)
        return count * point.num / point.den, count

    def request_outputs(self, outputs: "Pairs", stop: bool = False) -> None:
        """Ask for points (index, count) to be written and seen written.

        `stop`: before everything else that waits. What cannot be written (a limit, another model)
        is not sent; `write_error` says why.
        """
        if outputs != self._requested:
            self._requested = outputs
            self._priority = STOP if stop else WRITE
            points = self.profile.points
            self._write_only = False not in [points[i].verify == "none" for i, _ in outputs]
            self._awaiting_decision = 0
            self._start_write()

    def _start_write(self) -> None:
        self._rounds_since_write = 0
        if self._write_active and self._batch_priority >= self._priority:
            self._superseded = True
            return
        self._superseded = False
        self._write_pending = True
        if self.device.identity != MATCH:
            self._identify()
        if self.device.identity != MATCH:
            return
        self.write_error = ""
        try:
            requests = self.device.build_writes(self._requested)
        except EncodeError as error:
            self.write_error = str(error)
            return
        self._start_batch(requests)

    def _start_batch(self, requests: "list[bytes]") -> None:
        """Give the bus a new batch; what is left of an older one is not waited for any more."""
        self._write_pending = False
        self._batch_number += 1
        self._batch_priority = self._priority
        self._batch_pdus = requests
        self._acknowledged = True
        self._verifying = False
        self._submit_next()

    def _submit_next(self) -> None:
        """The next request of the batch: each goes out when the one before it has been taken."""
        tag = (self._number, _WRITE, self._batch_number)
        self._write_active = self.bus.submit(
            self.unit, self._batch_pdus.pop(0), tag, self._priority
        )
        if not self._write_active:
            self._acknowledged = False

    def _write_done(self, ok: bool) -> None:
        """A request of the batch has come to an end, one way or the other.

        What was not taken may be what the next one needs (a remote bit, a reference before the run
        command), so the rest waits for another try; but a stop is told whatever else fails.
        """
        self._write_active = False
        self._acknowledged = self._acknowledged and ok
        if self._superseded:
            self._start_write()
        elif self._batch_pdus and (ok or self._batch_priority == STOP):
            self._submit_next()

    def _verify_write(self) -> None:
        """After a full round of polls: is what was wanted there?"""
        if not self._requested or self.identity_mismatch:
            return
        shown = not self._write_pending and self.device.readback_matches(self._requested)
        if shown and (self._acknowledged or not self._write_only):
            if self._verifying:
                self._unverified_rounds = self._rounds_since_write = 0
                self.write_unverified = False
            return
        self._unverified_rounds += 1
        self.write_unverified = self._unverified_rounds >= _UNVERIFIED_AFTER
        if self._write_pending:
            if not self._awaiting_decision:
                self._start_write()  # it could not be made before
        elif self._verifying:
            self._rounds_since_write += 1
            if self._rounds_since_write >= _REWRITE_AFTER and not self._awaiting_decision:
                self._start_write()

    # Results.

    def handle_result(self, result: "TransactionResult") -> None:
        """Take what the bus says of a poll, a write, a probe or a watchdog's write."""
        ok = result.status == OK
        self.transactions += 1
        self.errors += not ok
        if ok:
            self._answered = True
            if self.lost:
                self._awaiting_decision = _DECISION_CYCLES
            self.lost = False
            self.silent_cycles = 0
            self.answered_at = result.done_at
        _, block, number = result.tag
        if block >= 0:
            self._poll_done(block, number, result)
        elif block == _PROBE:
            self._probe_done(result)
        elif block == _WRITE and number == self._batch_number:
            self._write_done(ok)

    def _poll_done(self, block: int, version: int, result: "TransactionResult") -> None:
        if version != self._plan_version:
            return
        if self._pending[block]:
            self._pending[block] = False
            if block < self._fast_count:
                self._fast_pending -= 1
        if result.status == OK:
            self.device.store_block(block, result.values, result.done_at)
            self._update_plan(block, False, result.done_at)
        else:
            self.device.block_failed(block, result.done_at)
            if result.code in REFUSAL_CODES:
                self._update_plan(block, True, result.done_at)
        if self._fast_pending == 0 and block < self._fast_count and self._answered:
            self._verify_write()

    def _update_plan(self, block: int, refused: bool, now: int) -> None:
        layout = self._fast if block < self._fast_count else self._slow
        version = layout.version
        if refused:
            layout.exclude(self.device.blocks[block], now)
        else:
            layout.block_answered(self.device.blocks[block])
        if layout.version != version:
            self._set_blocks()
