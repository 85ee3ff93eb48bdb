"""One device in the agent: when it is asked, what is wanted of it, what is known of its health.

Not a driver: `drivers.device.device` makes and reads the requests, `drivers.modbus.bus` sends them. Not a loop:
what to write is decided elsewhere.

Polls. Fast points are read every cycle, slow ones spread over their own period. A poll that has
not been answered is not asked again, so that a slow bus never grows a queue. The blocks come from
`drivers.modbus.poll_plan`; what the device refuses changes the plan.

Writes. Before the first one the device is identified; to another model nothing is written. Of the
writes one batch is on its way at most, and what is wanted by then goes out after it, so that old
wishes are never carried out; only a stop does not wait for anything else. What is wanted stays
wanted until a poll that began after the write shows it, as the profile says where; if
`_AGAIN_AFTER` such rounds of polls do not, it is written again. A device that has shown nothing of
what it was told for `_STUBBORN_AFTER` rounds is stubborn, whether the wish has changed meanwhile or
not, and is tried on. What was wanted of a lost device may not be what is wanted now that it is
heard: it gets what it missed only if that is still wanted after the loops have decided anew.
"""

from drivers.device.device import Device
from drivers.device.identity import MATCH, MISMATCH, UNKNOWN
from drivers.modbus.poll_plan import REFUSALS, Layout
from drivers.modbus.transaction import OK, STOP, WRITE
from protocols.errors import EncodeError
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.config_records import DeviceConfig
    from drivers.device.profile import Profile
    from drivers.modbus.bus import Bus
    from drivers.modbus.poll_plan import Item
    from drivers.modbus.transaction import Result
    from drivers.modbus.wire_time import Wire

    Pairs = list[tuple[int, int]]
    Tag = tuple[int, int, int]

OVERLOADED_AFTER = 3
"""Cycles in a row that a bus has not kept up with before that is reported."""
_LOST_AFTER = 3
_AGAIN_AFTER = 2
_STUBBORN_AFTER = 10
_DECIDED_AFTER = 2
"""Cycles after which the loops have surely decided on a device that is heard again."""
_STRANGER_AGAIN_US = 10_000 * MILLISECOND
"""How long another model is left alone until it is asked again who it is: a device that refuses
everything while it starts looks like one."""
_STOP_WAIT_US = 90 * MILLISECOND
"""How long a read may take on a bus with something to stop: what is to stop must be told within
100 ms, of which slow devices take some."""
_WRITE, _PROBE, _WATCHDOG = -1, -2, -3


def layouts(profile: "Profile", wire: "Wire", stops: bool) -> "tuple[Layout, Layout]":
    """The plans of a device's fast and slow points; `stops`: the bus has something to stop."""
    fixed = list(profile.fixed_blocks)
    if profile.own_blocks:
        fixed.extend(profile.blocks)
    longest = profile.max_block
    if stops:
        longest = min(longest, wire.cap(3, _STOP_WAIT_US))
    fast = Layout(profile.polled("fast"), wire, profile.holes, fixed, longest)
    rest = [item for item in profile.polled("slow") if not _inside(item, fast.blocks)]
    return fast, Layout(rest, wire, profile.holes, fixed, longest)


def _inside(item: "Item", blocks: "list[tuple[int, int, int]]") -> bool:
    for function, start, size in blocks:
        end = item.address + item.registers
        if function == item.function and start <= item.address and end <= start + size:
            return True
    return False


class Station:
    """One device with its bus, its outstanding polls, its wanted outputs and its health.

    `transactions` are the requests that have come to an end, `errors` those of them that were not
    "ok". `lost`: it has not answered for some cycles. `stubborn`: it does not show what is written.
    `refusal`: why the last write could not even be made, empty if it could.
    """

    def __init__(
        self, number: int, config: "DeviceConfig", bus: "Bus", wire: "Wire", stops: bool
    ) -> None:
        self.name = config.name
        self.profile = config.profile
        self.bus = bus
        self.unit = config.unit
        self.lost = True
        self.stubborn = False
        self.refusal = ""
        self.silent_cycles = 0
        self.answered_at = 0
        self.transactions = 0
        self.errors = 0
        self._number = number
        self._fast, self._slow = config.layouts or layouts(config.profile, wire, stops)
        config.layouts = None  # a plan changes with what its device refuses: it is no other's
        self.device = Device(config.name, config.unit, config.profile, [])
        self._version = 0
        self._arrange()
        self._probes = self.device.probes()
        self._probing = 0
        self._stranger_until = 0
        self._answered = False
        self._cycle_us = 0
        self._slow_credit = 0
        self._slow_next = 0
        self._watchdog_due = 0
        self._wanted: Pairs = []
        self._level = WRITE
        self._to_write = False
        self._blind = False
        self._requests: list[bytes] = []  # of the batch, behind the one on its way
        self._writing = False
        self._batch = 0
        self._batch_level = WRITE
        self._overtaken = False
        self._acknowledged = False
        self._judging = False
        self._undecided = 0
        self._unseen = 0
        self._since_write = 0

    def _arrange(self) -> None:
        """Take the blocks of both plans; what is under way for the old ones does not count."""
        self._version += 1
        blocks = self._fast.blocks + self._slow.blocks
        self._fast_count = len(self._fast.blocks)
        self.device.arrange(blocks)
        self._polls: list[tuple[bytes, Tag]] = [
            (pdu, (self._number, i, self._version)) for pdu, i in self.device.polls()
        ]
        self._waiting = [False] * len(blocks)
        self._open = 0  # fast polls that are not answered yet

    def settled(self) -> bool:
        """Say whether no fast poll of this device is outstanding."""
        return self._open == 0

    @property
    def blocks(self) -> int:
        """How many requests read all points."""
        return len(self._polls)

    @property
    def stranger(self) -> bool:
        """Whether another model answers at this address than the profile's."""
        return self.device.identity == MISMATCH

    # Polling.

    def poll(self, now: int, cycle_us: int) -> None:
        """Begin a cycle: judge the last one, ask for every block that is not asked for still."""
        self._judge()
        self._cycle_us = cycle_us
        if now >= self._fast.due or now >= self._slow.due:
            self._fast.retry(now)
            self._slow.retry(now)
            self._arrange()
        if self._undecided:
            self._undecided -= 1
        if self.stranger and now >= self._stranger_until:
            self._probe()
        self.ask()
        slow = len(self._polls) - self._fast_count
        if slow:
            self._ask_slow(slow, cycle_us)
        if self.profile.watchdog:
            self._keep_alive(now, cycle_us)

    def ask(self) -> None:
        """Ask for every fast block that is not asked for still."""
        if self.device.identity != MATCH:
            self._identify()
        self._judging = not self._writing
        for i in range(self._fast_count):
            self._ask(i)

    def _ask(self, i: int) -> None:
        if not self._waiting[i]:
            pdu, tag = self._polls[i]
            if self.bus.submit(self.unit, pdu, tag):
                self._waiting[i] = True
                if i < self._fast_count:
                    self._open += 1

    def _ask_slow(self, count: int, cycle_us: int) -> None:
        """Ask for so many slow blocks that all of them come round in their period."""
        period = max(1, self.profile.periods[1])
        self._slow_credit = min(self._slow_credit + count * cycle_us, count * period)
        while self._slow_credit >= period:
            self._slow_credit -= period
            self._ask(self._fast_count + self._slow_next % count)
            self._slow_next += 1

    def _judge(self) -> None:
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
        if not self.stranger:
            self._probe()

    def _probe(self) -> None:
        if self._probing:
            return
        for pdu, tag in self._probes:
            if self.bus.submit(self.unit, pdu, (self._number, _PROBE, tag)):
                self._probing += 1

    def _identified(self, result: "Result") -> None:
        self._probing = max(0, self._probing - 1)  # the bus's own probe may be one of ours
        self.device.identified(result.tag[2], result.status, result.code, result.values)
        self._stranger_until = result.at + _STRANGER_AGAIN_US
        if self.device.identity == MATCH and self._to_write and not self._undecided:
            self._write()

    def _keep_alive(self, now: int, cycle_us: int) -> None:
        """Write the watchdog's register often enough that one lost write does no harm."""
        if now < self._watchdog_due or self.device.identity != MATCH or self.lost:
            return
        kick = self._watchdog()
        if kick is not None:
            pdu, period = kick
            tag = (self._number, _WATCHDOG, 0)
            if self.bus.submit(self.unit, pdu, tag, WRITE):
                self._watchdog_due = now + max(0, period // 2 - cycle_us // 2)

    def _watchdog(self) -> "tuple[bytes, int] | None":
        try:
            return self.device.watchdog()
        except EncodeError as error:
            self.refusal = str(error)
            return None

    # Writing.

    def paced(self, i: int, value: float) -> "tuple[float, int]":
        """What point `i` may be asked for now to come to `value` (its unit): (value, count).

        It moves from what is wanted of it, or from what it shows, no faster than its ramp.
        """
        count = self.device.raw(i, value)
        point = self.profile.points[i]
        if not point.ramp:
            return value, count
        last = self.device.readings[i].raw
        for index, wanted in self._wanted:
            if index == i:
                last = wanted
        count = self.device.ramped(i, last, count, self._cycle_us)
        return count * point.num / point.den, count

    def want(self, pairs: "Pairs", stop: bool = False) -> None:
        """Ask for points (index, count) to be written and seen written.

        `stop`: before everything else that waits. What cannot be written (a limit, another model)
        is not sent; `refusal` says why.
        """
        if pairs != self._wanted:
            self._wanted = pairs
            self._level = STOP if stop else WRITE
            points = self.profile.points
            self._blind = False not in [points[i].verify == "none" for i, _ in pairs]
            self._undecided = 0
            self._write()

    def _write(self) -> None:
        self._since_write = 0
        if self._writing and self._batch_level >= self._level:
            self._overtaken = True
            return
        self._overtaken = False
        self._to_write = True
        if self.device.identity != MATCH:
            self._identify()
        if self.device.identity != MATCH:
            return
        self.refusal = ""
        try:
            requests = self.device.writes(self._wanted)
        except EncodeError as error:
            self.refusal = str(error)
            return
        self._send(requests)

    def _send(self, requests: "list[bytes]") -> None:
        """Give the bus a new batch; what is left of an older one is not waited for any more."""
        self._to_write = False
        self._batch += 1
        self._batch_level = self._level
        self._requests = requests
        self._acknowledged = True
        self._judging = False
        self._submit()

    def _submit(self) -> None:
        """The next request of the batch: each goes out when the one before it has been taken."""
        tag = (self._number, _WRITE, self._batch)
        self._writing = self.bus.submit(self.unit, self._requests.pop(0), tag, self._level)
        if not self._writing:
            self._acknowledged = False

    def _written(self, ok: bool) -> None:
        """A request of the batch has come to an end, one way or the other.

        What was not taken may be what the next one needs (a remote bit, a reference before the run
        command), so the rest waits for another try; but a stop is told whatever else fails.
        """
        self._writing = False
        self._acknowledged = self._acknowledged and ok
        if self._overtaken:
            self._write()
        elif self._requests and (ok or self._batch_level == STOP):
            self._submit()

    def _check_written(self) -> None:
        """After a full round of polls: is what was wanted there?"""
        if not self._wanted or self.stranger:
            return
        seen = not self._to_write and self.device.readback(self._wanted)
        if seen and (self._acknowledged or not self._blind):
            if self._judging:
                self._unseen = self._since_write = 0
                self.stubborn = False
            return
        self._unseen += 1
        self.stubborn = self._unseen >= _STUBBORN_AFTER
        if self._to_write:
            if not self._undecided:
                self._write()  # it could not be made before
        elif self._judging:
            self._since_write += 1
            if self._since_write >= _AGAIN_AFTER and not self._undecided:
                self._write()

    # Results.

    def result(self, result: "Result") -> None:
        """Take what the bus says of a poll, a write, a probe or a watchdog's write."""
        ok = result.status == OK
        self.transactions += 1
        self.errors += not ok
        if ok:
            self._answered = True
            if self.lost:
                self._undecided = _DECIDED_AFTER
            self.lost = False
            self.silent_cycles = 0
            self.answered_at = result.at
        _, block, number = result.tag
        if block >= 0:
            self._polled(block, number, result)
        elif block == _PROBE:
            self._identified(result)
        elif block == _WRITE and number == self._batch:
            self._written(ok)

    def _polled(self, block: int, version: int, result: "Result") -> None:
        if version != self._version:
            return
        if self._waiting[block]:
            self._waiting[block] = False
            if block < self._fast_count:
                self._open -= 1
        if result.status == OK:
            self.device.accept(block, result.values, result.at)
            self._learn(block, False, result.at)
        else:
            self.device.failed(block, result.at)
            if result.code in REFUSALS:
                self._learn(block, True, result.at)
        if self._open == 0 and block < self._fast_count and self._answered:
            self._check_written()

    def _learn(self, block: int, refused: bool, now: int) -> None:
        layout = self._fast if block < self._fast_count else self._slow
        version = layout.version
        if refused:
            layout.refuse(self.device.blocks[block], now)
        else:
            layout.accept(self.device.blocks[block])
        if layout.version != version:
            self._arrange()
