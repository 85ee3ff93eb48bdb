"""One device on a bus: what to ask it, what its registers mean, and how to write to it.

Not a bus and not a policy: it makes request PDUs and takes registers; when they are sent, and what
a value is used for, is decided elsewhere. One `DeviceProfile` may serve many devices.

How it works: a plan for each block is made once, of what the block holds and nothing else.
`store_block` walks it and changes the readings in place; when a block's registers are the same as
last time only the times move. Most points are one or two whole registers: those are steps of plain
numbers; the rest goes through `drivers.device.number_format`. A failed poll leaves the readings as
they are: they age, and the reader judges age. A point that needs another one (a scale factor, the
range of a percentage) takes that one's last good value, whatever its age: such registers are
settings.
"""

from drivers.device import write_request
from drivers.device.identity import MATCH, MISMATCH, UNKNOWN, evaluate_probe, probe_requests
from drivers.device.number_format import (
    FLOATS,
    TYPES,
    decode,
    decode_split,
    decode_text,
    divide_rounded,
)
from drivers.errors import ProfileError
from protocols.modbus.pdu import read
from protocols.rounding import round_half_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.device.profile import Bit, DeviceProfile, Point

    Pairs = list[tuple[int, int]]
    Values = tuple[int, ...]
    Span = tuple[int, int, int]
    FastStep = tuple["Reading", int, int, int, int, int]
    GeneralStep = tuple["Reading", Point, int]
    AlarmStep = tuple[int, int, int, int]

NONE = "none"
GOOD = "good"
BAD = "bad"


class Reading:
    """The last of one point: `to_count` count, `read_at` (microseconds, 0 if never), `quality`.

    Quality: "none" (never read), "bad" (the device says that there is no value, or it is outside
    the plausible range of the profile) or "good".
    """

    __slots__ = ("quality", "raw", "read_at")

    def __init__(self) -> None:
        self.raw = 0
        self.read_at = 0
        self.quality = NONE


def _fast_step(point: "Point", reading: Reading, at: int) -> "FastStep":
    """(reading, register, second register or -1, sign limit, low, high) of a plain point.

    A raw value above the sign limit is negative in two's complement.
    """
    positions = point.order[0]
    second = at + positions[1] if point.registers == 2 else -1
    return (reading, at + positions[0], second, TYPES[point.kind][2], point.low, point.high)


class ModbusDevice:
    """One unit on one bus, read and written after `profile`. `readings` are in the profile's order.

    `blocks` are (function, address, count), what one request each reads; without them they are the
    profile's. `failures` counts, for each block, polls in a row that were not answered.
    `identity` is "unknown", "match" or "mismatch"; to what is a mismatch, for the reason that
    `mismatch_reason` gives, nothing is written.
    """

    def __init__(
        self, name: str, unit: int, profile: "DeviceProfile", blocks: "list[Span] | None" = None
    ) -> None:
        self.name = name
        self.unit = unit
        self.profile = profile
        self.readings = [Reading() for _ in profile.points]
        self.identity = UNKNOWN
        self.set_blocks(profile.blocks if blocks is None else blocks)

    def set_blocks(self, blocks: "list[Span]") -> None:
        """Read by other blocks from now on; readings stay, registers are forgotten."""
        self.blocks = blocks
        self.failures = [0] * len(blocks)
        self._poll_requests = [(read(*block), number) for number, block in enumerate(blocks)]
        self._registers: list[Values] = [()] * len(blocks)
        self._alarms: list[str] = []
        self._block_alarms: list[list[str]] = [[] for _ in blocks]
        self._fast_plans: list[list[FastStep]] = [[] for _ in blocks]
        self._general_plans: list[list[GeneralStep]] = [[] for _ in blocks]
        self._linked_plans: list[list[GeneralStep]] = [[] for _ in blocks]
        self._alarm_plans: list[list[AlarmStep]] = [[] for _ in blocks]
        for point, reading in zip(self.profile.points, self.readings):
            number, at = self._find_block(point.function, point.address, point.registers)
            if number < 0:
                continue
            if point.is_plain:
                self._fast_plans[number].append(_fast_step(point, reading, at))
            else:
                (self._linked_plans if point.is_linked else self._general_plans)[number].append(
                    (reading, point, at)
                )
        self._plan_alarms()
        others = zip(self._general_plans, self._linked_plans, self._alarm_plans)
        self._unlinked_readings = [
            [step[0] for step in plan] + [step[0] for step in rich]
            for plan, rich in zip(self._fast_plans, self._general_plans)
        ]
        self._has_general = [bool(rich or links or alarms) for rich, links, alarms in others]

    def _plan_alarms(self) -> None:
        """For each register with alarm bits: (offset, mask, inverted bits, address)."""
        for bit in self.profile.bits:
            number, at = self._find_block(bit.function, bit.address, 1)
            if number < 0 or not bit.alarm:
                continue
            plan = self._alarm_plans[number]
            inverted = bit.mask if bit.invert else 0
            if plan and plan[-1][0] == at:
                inverted |= plan[-1][2]
                plan[-1] = (at, plan[-1][1] | bit.mask, inverted, bit.address)
            else:
                plan.append((at, bit.mask, inverted, bit.address))

    def _find_block(self, function: int, address: int, registers: int) -> "tuple[int, int]":
        """(block, offset) of registers; block -1 when no block reads them."""
        for number, (code, start, count) in enumerate(self.blocks):
            if code == function and start <= address and address + registers <= start + count:
                return number, address - start
        return -1, 0

    def poll_requests(self) -> "list[tuple[bytes, int]]":
        """Every request of one round, as (PDU, tag). The tag is the number of the block."""
        return self._poll_requests

    def store_block(self, tag: int, values: "Values", now: int) -> None:
        """Take the registers of block `tag`, as many as it has, received at `now`."""
        self.failures[tag] = 0
        if values == self._registers[tag]:
            for unchanged in self._unlinked_readings[tag]:
                unchanged.read_at = now
            if self._linked_plans[tag]:
                self._store_general(self._linked_plans[tag], values, now)
            return
        self._registers[tag] = values
        for reading, at, second, limit, low, high in self._fast_plans[tag]:
            raw = values[at]
            if second >= 0:
                raw = (raw << 16) | values[second]
                if raw > limit:
                    raw -= 0x100000000
            elif raw > limit:
                raw -= 0x10000
            reading.raw = raw
            reading.read_at = now
            reading.quality = GOOD if low <= raw <= high else BAD
        if self._has_general[tag]:
            self._store_general(self._general_plans[tag], values, now)
            self._store_general(self._linked_plans[tag], values, now)
            self._update_alarms(tag, values)

    def _store_general(self, plan: "list[GeneralStep]", values: "Values", now: int) -> None:
        for reading, point, at in plan:
            reading.read_at = now
            raw = _decode_count(point, values, at)
            reading.quality = BAD
            if raw is None or not point.low <= raw <= point.high or raw in point.none:
                continue
            if point.is_linked:
                count = self._linked_count(point, raw)
                if count is None:
                    continue
                reading.raw = count
            else:
                reading.raw = raw * point.mul + point.add
            reading.quality = GOOD

    def _linked_count(self, point: "Point", raw: int) -> "int | None":
        """The count of a point that needs another one; None while that one is not good."""
        if point.exponent:
            exponent = self.setting_value(point.exponent)
            if exponent is None or not -10 <= exponent[0] <= 10:
                return None
            numerator, denominator = point.step
            power = 10 ** abs(exponent[0])
            is_scaled_up = exponent[0] >= 0
            return divide_rounded(
                raw * numerator * (power if is_scaled_up else 1),
                denominator * (1 if is_scaled_up else power),
            )
        limits = self.range_limits(point)
        if limits is None:
            return None
        low, high, denominator = limits
        return divide_rounded(low * point.full + raw * (high - low), point.full * denominator)

    def setting_value(self, name: str) -> "tuple[int, int, int] | None":
        """(count, numerator, denominator) of a point that others need; None if it is not good."""
        i = self.profile.point_index(name)
        if self.readings[i].quality != GOOD:
            return None
        point = self.profile.points[i]
        return self.readings[i].raw, point.num, point.den

    def range_limits(self, point: "Point") -> "tuple[int, int, int] | None":
        """The ends of a range in counts of `point`, as (low, high, denominator of both)."""
        limits = []
        for name in (point.bottom, point.top):
            limit = self.setting_value(name) if name else (0, 1, 1)
            if limit is None:
                return None
            limits.append((limit[0] * limit[1] * point.den, limit[2] * point.num))
        (low, below), (high, under) = limits
        return low * under, high * below, below * under

    def _update_alarms(self, tag: int, values: "Values") -> None:
        names: list[str] = []
        function = self.blocks[tag][0]
        for at, mask, inverted, address in self._alarm_plans[tag]:
            active = (values[at] ^ inverted) & mask
            if active:
                for bit in self.profile.bits:
                    is_same = bit.alarm and bit.address == address and bit.function == function
                    if is_same and bit.mask & active:
                        names.append(bit.name)
        if names != self._block_alarms[tag]:
            self._block_alarms[tag] = names
            self._alarms = [name for block_names in self._block_alarms for name in block_names]

    def block_failed(self, tag: int, now: int) -> None:
        """Block `tag` was not answered, or by an exception; what is known stays and ages."""
        self.failures[tag] += 1

    def point_index(self, name: str) -> int:
        """The number of a point. Raises `ProfileError` for an unknown one."""
        return self.profile.point_index(name)

    def value(self, i: int) -> float:
        """Point `i` in its unit. Look at the reading's quality and age first."""
        point = self.profile.points[i]
        return self.readings[i].raw * point.num / point.den

    def to_count(self, i: int, value: float) -> int:
        """The nearest count to `value` (in the unit of point `i`); halves away from zero."""
        point = self.profile.points[i]
        return round_half_away(value * point.den / point.num)

    def is_bit_on(self, name: str) -> bool:
        """Whether a bit was on when last read; False before that. Raises `ProfileError`."""
        bit = self.profile.bits[self.profile.bit_index(name)]
        word = self.register_value(bit)
        return word is not None and (word & bit.mask != 0) != bit.invert

    def register_value(self, bit: "Bit") -> "int | None":
        """The register of a bit as last read, or the coil itself; None before that."""
        number, at = self._find_block(bit.function, bit.address, 1)
        if number < 0 or not self._registers[number]:
            return None
        return self._registers[number][at]

    def active_alarm_bits(self) -> "list[str]":
        """The names of the alarm bits that are on, block by block in the profile's order."""
        return self._alarms

    def text_value(self, name: str) -> "str | None":
        """A text as last read; None before that. Raises `ProfileError` for an unknown one."""
        for item in self.profile.texts:
            if item.name == name:
                number, at = self._find_block(item.function, item.address, item.registers)
                if number < 0 or not self._registers[number]:
                    return None
                return decode_text(self._registers[number][at : at + item.registers], item.swapped)
        raise ProfileError("%s: text %s: does not exist" % (self.profile.model, name))

    # Writing: the work is done in `drivers.device.write_request`.

    def build_write(self, pairs: "Pairs") -> bytes:
        """The one request that writes (point index, count) pairs.

        Raises `EncodeError` when a point is not to be written, a value is outside its limits, the
        points do not lie side by side (one request is all or nothing, several are not), or the
        device is not the model that the profile describes.
        """
        return write_request.build_write(self, pairs)

    def build_writes(self, pairs: "Pairs") -> "list[bytes]":
        """As `build_write`, but in as many requests as it takes, in the order of the pairs.

        What a point needs first (a remote bit, a command word) comes first, unless the last poll
        has shown it. Raises `EncodeError` before there is any request.
        """
        return write_request.build_writes(self, pairs)

    def build_bit_write(self, name: str, on: bool) -> bytes:
        """The request that turns a bit on or off. Raises `EncodeError` or `ProfileError`."""
        return write_request.build_bit_write(self, name, on)

    def ramp_limited(self, i: int, previous: int, target: int, elapsed_us: int) -> int:
        """The count to write now to go from `previous` to `target` no faster than the ramp allows."""
        return write_request.ramp_limited(self.profile.points[i], previous, target, elapsed_us)

    def watchdog_request(self) -> "tuple[bytes, int] | None":
        """(request, period in microseconds) that keeps the device's watchdog content, or None."""
        return write_request.watchdog_request(self)

    def readback_matches(self, pairs: "Pairs") -> "bool | None":
        """Whether the latest poll shows what was written; None while a point was never read.

        Each point is looked for where its profile says: in itself, in another point, or nowhere.
        """
        return write_request.readback_matches(self, pairs)

    # Identity: the work is done in `drivers.device.identity`.

    @property
    def identity(self) -> str:
        """Whether it is the profile's model; to set it "unknown" forgets what was proven."""
        return self._identity

    @identity.setter
    def identity(self, found: str) -> None:
        self._identity = found
        if found == UNKNOWN:
            self.mismatch_reason = ""
            self._matched_probes = 0

    def identity_probes(self) -> "list[tuple[bytes, int]]":
        """The requests that show whether the device is the profile's model, as (PDU, tag)."""
        return probe_requests(self.profile)

    def store_probe_result(self, tag: int, status: str, code: int, values: "Values") -> None:
        """Take the result of a probe, as `bus.Result` has it; see `identity` and `mismatch_reason`.

        Another model becomes the profile's only when all probes match, from the first one on.
        """
        found, reason = evaluate_probe(self.profile, tag, status, code, values)
        if tag == 0:
            self._matched_probes = 0
        if found == MISMATCH:
            self._matched_probes = 0
            self.identity, self.mismatch_reason = MISMATCH, reason
        elif found == MATCH:
            self._matched_probes |= 1 << tag
            if self._matched_probes == (1 << len(self.identity_probes())) - 1:
                self.identity, self.mismatch_reason = MATCH, ""


def _decode_count(point: "Point", values: "Values", at: int) -> "int | None":
    """What stands in a point's registers; None if that is no number."""
    if point.weights:
        return decode_split(values, at, point.weights, point.bcd)
    if point.field:
        low, width = point.field
        return values[at] >> low & ((1 << width) - 1)
    step = point.step if point.kind in FLOATS and not point.is_linked else (1, 1)
    return decode(point.kind, values, at, point.order, step)
