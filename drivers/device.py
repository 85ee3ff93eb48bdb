"""One device on a bus: what to ask it, what its registers mean, and how to write to it.

Not a bus and not a policy: it makes request PDUs and takes registers; when they are sent, and what
a value is used for, is decided elsewhere. One `Profile` may serve many devices.

How it works: a plan for each block is made once. `accept` walks it and changes the readings in
place; when a block's registers are the same as last time only the times move. A failed poll leaves
the readings as they are: they age, and the reader judges age.
"""

from protocols.errors import EncodeError
from protocols.modbus.pdu import (
    READ_HOLDING,
    read_holding,
    read_input,
    write_multiple,
    write_single,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.profile import Point, Profile

    Pairs = list[tuple[int, int]]
    Step = tuple["Reading", int, int, int, int, int]

NONE = "none"
GOOD = "good"
BAD = "bad"


class Reading:
    """The last of one point: `raw` integer, `at` (microseconds, 0 if never), `quality`.

    Quality: "none" (never read), "bad" (outside the plausible range of the profile) or "good".
    """

    __slots__ = ("at", "quality", "raw")

    def __init__(self) -> None:
        self.raw = 0
        self.at = 0
        self.quality = NONE


def _step(point: "Point", reading: Reading) -> "Step":
    """(reading, register, second register or -1, sign limit, low, high) of one point.

    A raw value above the sign limit is negative in two's complement.
    """
    second = point.offset + 1 if point.registers == 2 else -1
    return (reading, point.offset, second, point.highest, point.low, point.high)


class Device:
    """One unit on one bus, read and written after `profile`. `readings` are in the profile's order.

    `failures` counts, for each block, polls in a row that were not answered.
    """

    def __init__(self, name: str, unit: int, profile: "Profile") -> None:
        self.name = name
        self.unit = unit
        self.profile = profile
        self.readings = [Reading() for _ in profile.points]
        self.failures = [0] * len(profile.blocks)
        self._polls: list[tuple[bytes, int]] = []
        self._plans: list[list[Step]] = []
        self._registers: list[tuple[int, ...]] = []
        self._alarms: list[str] = []
        self._alarm_blocks = {bit.block for bit in profile.bits if bit.alarm}
        for number, block in enumerate(profile.blocks):
            read = read_holding if block.function == READ_HOLDING else read_input
            self._polls.append((read(block.address, block.count), number))
            self._registers.append(())
            self._plans.append([])
        for point, reading in zip(profile.points, self.readings):
            self._plans[point.block].append(_step(point, reading))

    def polls(self) -> "list[tuple[bytes, int]]":
        """Every request of one round, as (PDU, tag). The tag is the number of the block."""
        return self._polls

    def accept(self, tag: int, values: "tuple[int, ...]", now: int) -> None:
        """Take the registers of block `tag`, as many as it has, received at `now`."""
        self.failures[tag] = 0
        if values == self._registers[tag]:
            for step in self._plans[tag]:
                step[0].at = now
            return
        self._registers[tag] = values
        for reading, at, second, limit, low, high in self._plans[tag]:
            raw = values[at]
            if second >= 0:
                raw = (raw << 16) | values[second]
                if raw > limit:
                    raw -= 0x100000000
            elif raw > limit:
                raw -= 0x10000
            reading.raw = raw
            reading.at = now
            reading.quality = GOOD if low <= raw <= high else BAD
        if tag in self._alarm_blocks:
            self._alarms = self._raised()

    def _raised(self) -> "list[str]":
        bits = enumerate(self.profile.bits)
        return [bit.name for i, bit in bits if bit.alarm and self._bit(i)]

    def failed(self, tag: int, now: int) -> None:
        """Block `tag` was not answered, or by an exception; what is known stays and ages."""
        self.failures[tag] += 1

    def index(self, name: str) -> int:
        """The number of a point. Raises `ProfileError` for an unknown one."""
        return self.profile.index(name)

    def value(self, i: int) -> float:
        """Point `i` in its unit. Look at the reading's quality and age first."""
        point = self.profile.points[i]
        return self.readings[i].raw * point.num / point.den

    def raw(self, i: int, value: float) -> int:
        """The nearest raw integer to `value` (in the unit of point `i`); halves away from zero."""
        point = self.profile.points[i]
        scaled = value * point.den / point.num
        return int(scaled + 0.5) if scaled >= 0 else -int(0.5 - scaled)

    def bit(self, name: str) -> bool:
        """Whether a bit was set when last read; False before that. Raises `ProfileError`."""
        return self._bit(self.profile.bit_index(name))

    def alarm_bits(self) -> "list[str]":
        """The names of the alarm bits that are set, in the profile's order."""
        return self._alarms

    def _bit(self, i: int) -> bool:
        bit = self.profile.bits[i]
        registers = self._registers[bit.block]
        return bool(registers) and registers[bit.offset] & bit.mask != 0

    def write(self, pairs: "Pairs") -> bytes:
        """The request that writes (point index, raw) pairs: function 6 for one register, else 16.

        Raises `EncodeError` when a point is not to be written, a value is outside its limits, or
        the points do not lie side by side (one request is all or nothing, several are not).
        """
        if not pairs:
            raise EncodeError("%s: nothing to write" % self.name)
        registers: list[tuple[int, int]] = []
        for i, raw in pairs:
            registers.extend(self._words(self.profile.points[i], raw))
        registers.sort()
        first = registers[0][0]
        for place, (address, _) in enumerate(registers):
            if address != first + place:
                raise EncodeError("%s: registers to write are not side by side" % self.name)
        if len(registers) == 1:
            return write_single(first, registers[0][1])
        return write_multiple(first, [word for _, word in registers])

    def _words(self, point: "Point", raw: int) -> "list[tuple[int, int]]":
        """(address, word) of a value, high word first; range-checked."""
        where = self.name + "." + point.name
        if point.limits is None:
            raise EncodeError("%s is not to be written" % where)
        low, high = point.limits
        if type(raw) is not int or not low <= raw <= high:
            raise EncodeError("%s %r is not %d to %d" % (where, raw, low, high))
        if point.registers == 1:
            return [(point.address, raw & 0xFFFF)]
        return [(point.address, (raw >> 16) & 0xFFFF), (point.address + 1, raw & 0xFFFF)]

    def readback(self, pairs: "Pairs") -> "bool | None":
        """Whether the latest poll shows what was written; None while a point was never read."""
        same = True
        for i, raw in pairs:
            reading = self.readings[i]
            if reading.quality == NONE:
                return None
            same = same and reading.raw == raw
        return same
