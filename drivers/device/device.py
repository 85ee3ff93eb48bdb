# SPDX-License-Identifier: Apache-2.0
"""One device on a bus: its poll requests, the meaning of its registers, its write requests.

Does not send requests and does not choose the values to write; see `agent.fieldbus.device_session`.
One `DeviceProfile` can serve many devices.

How it works. For each block there is a decode plan, made once. `store_block` follows the plan and
changes the readings in place. If the registers of a block are the same as last time, only the times
change. Most points are one or two whole registers (fast plan: steps of plain numbers). The other
points (general plan) go through `drivers.device.number_format`. A linked point needs the value of
another point, for example a scale factor or the range of a percentage. It takes the last good value
of that point at any age, because such registers are settings.

A failed poll leaves the readings unchanged. They age, and the reader of a value checks its age.
"""

from drivers.device import write_request
from drivers.device.identity import (
    MATCH,
    MISMATCH,
    UNKNOWN,
    TaggedRequest,
    evaluate_probe,
    probe_requests,
)
from drivers.device.number_format import (
    FLOATS,
    decode,
    decode_split,
    decode_text,
)
from drivers.device.profile import LinkedSetting, RangeLimits
from drivers.errors import ProfileError
from drivers.modbus.register_span import search_block
from protocols.modbus.pdu import read
from protocols.rounding import divide_rounded, round_half_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drivers.device.profile import Bit, DeviceProfile, Point
    from drivers.modbus.register_span import ReadBlock

    FindBlock = Callable[[list[ReadBlock], int, int, int], tuple[int, int]]
    Pairs = list[tuple[int, int]]
    Values = tuple[int, ...]
    FastStep = tuple["Reading", int, int, int, int]
    PairStep = tuple["Reading", int, int, int, int, int]
    GeneralStep = tuple["Reading", Point, int]
    AlarmStep = tuple[int, int, int, int]
    DecodePlan = tuple[
        tuple[FastStep, ...],
        tuple[PairStep, ...],
        tuple[GeneralStep, ...],
        tuple[GeneralStep, ...],
        tuple[AlarmStep, ...],
        tuple["Reading", ...],
    ]
    """Steps of plain points of one and of two registers, of other points and linked points, of
    alarm bits; and the readings without those of linked points."""

NONE = "none"
GOOD = "good"
BAD = "bad"
"""Qualities of a reading: never read; a plausible value; the device has no value, or the value is
outside the plausible range of the profile."""


class Reading:
    """The last reading of one point.

    `raw` is the count. `read_at` is the monotonic time in microseconds, 0 before the first reading.
    `quality` is NONE, GOOD or BAD.
    """

    __slots__ = ("quality", "raw", "read_at")

    def __init__(self) -> None:
        self.raw = 0
        self.read_at = 0
        self.quality = NONE


def _fast_step(point: "Point", reading: Reading, at: int) -> "FastStep":
    """Return (reading, register, sign limit, low, high) of a plain point of one register.

    A raw value above the sign limit is negative (two's complement). The step is a plain tuple,
    because `store_block` unpacks it for each point of each poll.
    """
    return (reading, at, (1 << 16 - (point.kind[0] == "i")) - 1, point.low, point.high)


def _pair_step(point: "Point", reading: Reading, at: int) -> "PairStep":
    """Return the same of a point of two registers, with the high and the low one."""
    first, second = at + point.order.positions[0], at + point.order.positions[1]
    limit = (1 << 32 - (point.kind[0] == "i")) - 1
    return (reading, first, second, limit, point.low, point.high)


def _decode_plan(
    fast: "list[FastStep]",
    pairs: "list[PairStep]",
    general: "list[GeneralStep]",
    linked: "list[GeneralStep]",
    alarms: "list[AlarmStep]",
) -> "DecodePlan":
    """Return the plan of one block. It has tuples: a list takes 32 bytes of a board."""
    unlinked = [step[0] for step in fast] + [step[0] for step in pairs]
    unlinked += [step[0] for step in general]
    return tuple(fast), tuple(pairs), tuple(general), tuple(linked), tuple(alarms), tuple(unlinked)


class ModbusDevice:
    """One unit on one bus, read and written by its `profile`.

    `readings` are in the order of the points of the profile. `blocks` are the reads of one poll
    round, by default those of the profile. `failures` counts, for each block, the failed polls in
    a row. `identity` is "unknown", "match" or "mismatch". A device with a mismatch is not written;
    `mismatch_reason` gives the reason. `find_block` is another search than `search_block`.
    """

    def __init__(
        self,
        name: str,
        unit: int,
        profile: "DeviceProfile",
        blocks: "list[ReadBlock] | None" = None,
        find_block: "FindBlock" = search_block,
    ) -> None:
        self._search = find_block
        self.name = name
        self.unit = unit
        self.profile = profile
        self.readings = [Reading() for _ in profile.points]
        self.forget_identity()
        self.set_blocks(profile.blocks if blocks is None else blocks)

    def set_blocks(self, blocks: "list[ReadBlock]") -> None:
        """Use other blocks from now on. Keep the readings, forget the registers."""
        self.blocks = blocks
        self.failures = [0] * len(blocks)
        self._poll_requests = [
            TaggedRequest(read(block.function, block.address, block.count), number)
            for number, block in enumerate(blocks)
        ]
        self._registers: list[Values] = [()] * len(blocks)
        self._alarms: list[str] = []
        self._block_alarms: list[Sequence[str]] = [()] * len(blocks)
        fast: list[list[FastStep]] = [[] for _ in blocks]
        pairs: list[list[PairStep]] = [[] for _ in blocks]
        general: list[list[GeneralStep]] = [[] for _ in blocks]
        linked: list[list[GeneralStep]] = [[] for _ in blocks]
        for point, reading in zip(self.profile.points, self.readings):
            number, at = self._search(self.blocks, point.function, point.address, point.registers)
            if number < 0:
                continue
            if point.is_plain and point.registers == 1:
                fast[number].append(_fast_step(point, reading, at))
            elif point.is_plain:
                pairs[number].append(_pair_step(point, reading, at))
            else:
                (linked if point.is_linked else general)[number].append((reading, point, at))
        self._plans = [
            _decode_plan(*steps) for steps in zip(fast, pairs, general, linked, self._plan_alarms())
        ]

    def forget_values(self) -> None:
        """Forget all readings and registers, for a program that shows only the values of now."""
        for reading in self.readings:
            reading.quality = NONE
            reading.read_at = 0
        self.set_blocks(self.blocks)

    def forget_bits(self, tag: int) -> None:
        """Forget the registers of block `tag`: bits, alarms and texts. The readings stay and age.

        For a program that shows bits without their age.
        """
        self._registers[tag] = ()
        self._set_block_alarms(tag, ())

    def _plan_alarms(self) -> "list[list[AlarmStep]]":
        """Return steps for each block. A step is a register with alarm bits.

        It is (offset, mask, bits that are active at 0, address).
        """
        plans: list[list[AlarmStep]] = [[] for _ in self.blocks]
        for bit in self.profile.bits:
            number, at = self._search(self.blocks, bit.function, bit.address, 1)
            if number < 0 or not bit.alarm:
                continue
            plan = plans[number]
            inverted = bit.mask if bit.invert else 0
            if plan and plan[-1][0] == at:
                inverted |= plan[-1][2]
                plan[-1] = (at, plan[-1][1] | bit.mask, inverted, bit.address)
            else:
                plan.append((at, bit.mask, inverted, bit.address))
        return plans

    def poll_requests(self) -> "list[TaggedRequest]":
        """Return the requests of one poll round. The tag is the number of the block."""
        return self._poll_requests

    def store_block(self, tag: int, values: "Values", now: int) -> None:
        """Decode the registers of block `tag`, received at `now`. `values` is the whole block."""
        self.failures[tag] = 0
        fast, pairs, general, linked, alarms, unlinked = self._plans[tag]
        if values == self._registers[tag]:
            for unchanged in unlinked:
                unchanged.read_at = now
            if linked:
                self._store_general(linked, values, now)
            return
        self._registers[tag] = values
        good, bad = GOOD, BAD  # local names are faster
        for reading, at, limit, low, high in fast:
            raw = values[at]
            if raw > limit:
                raw -= 0x10000
            reading.raw = raw
            reading.read_at = now
            reading.quality = good if low <= raw <= high else bad
        if pairs:
            self._store_pairs(pairs, values, now)
        if general or linked or alarms:
            self._store_general(general, values, now)
            self._store_general(linked, values, now)
            self._update_alarms(tag, alarms, values)

    def _store_pairs(self, plan: "Sequence[PairStep]", values: "Values", now: int) -> None:
        for reading, first, second, limit, low, high in plan:
            raw = (values[first] << 16) | values[second]
            if raw > limit:
                raw -= 0x100000000
            reading.raw = raw
            reading.read_at = now
            reading.quality = GOOD if low <= raw <= high else BAD

    def _store_general(self, plan: "Sequence[GeneralStep]", values: "Values", now: int) -> None:
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
                reading.raw = raw * point.count_factor + point.count_offset
            reading.quality = GOOD

    def _linked_count(self, point: "Point", raw: int) -> "int | None":
        """Return the count of a linked point; None if a reading that it needs is not good."""
        if point.exponent:
            exponent = self.setting_value(point.exponent)
            if exponent is None or not -10 <= exponent.count <= 10:
                return None
            numerator, denominator = point.step
            power = 10 ** abs(exponent.count)
            is_scaled_up = exponent.count >= 0
            return divide_rounded(
                raw * numerator * (power if is_scaled_up else 1),
                denominator * (1 if is_scaled_up else power),
            )
        limits = self.range_limits(point)
        if limits is None:
            return None
        return divide_rounded(
            limits.low * point.full + raw * (limits.high - limits.low),
            point.full * limits.denominator,
        )

    def setting_value(self, name: str) -> "LinkedSetting | None":
        """Return the value of a point that others need; None if its reading is not good."""
        i = self.profile.point_index(name)
        if self.readings[i].quality != GOOD:
            return None
        point = self.profile.points[i]
        return LinkedSetting(self.readings[i].raw, point.numerator, point.denominator)

    def range_limits(self, point: "Point") -> "RangeLimits | None":
        """Return the range of a point; None if a reading that it needs is not good."""
        bottom = self.setting_value(point.bottom) if point.bottom else LinkedSetting(0, 1, 1)
        top = self.setting_value(point.top) if point.top else LinkedSetting(0, 1, 1)
        if bottom is None or top is None:
            return None
        bottom_den, top_den = (
            bottom.denominator * point.numerator,
            top.denominator * point.numerator,
        )
        low = bottom.count * bottom.numerator * point.denominator * top_den
        high = top.count * top.numerator * point.denominator * bottom_den
        return RangeLimits(low, high, bottom_den * top_den)

    def _update_alarms(self, tag: int, plan: "Sequence[AlarmStep]", values: "Values") -> None:
        names: tuple[str, ...] = ()
        function = self.blocks[tag].function
        for at, mask, inverted, address in plan:
            active = (values[at] ^ inverted) & mask
            if active:
                for bit in self.profile.bits:
                    is_same = bit.alarm and bit.address == address and bit.function == function
                    if is_same and bit.mask & active:
                        names += (bit.name,)
        if names != self._block_alarms[tag]:
            self._set_block_alarms(tag, names)

    def _set_block_alarms(self, tag: int, names: "Sequence[str]") -> None:
        self._block_alarms[tag] = names
        self._alarms = [name for block_names in self._block_alarms for name in block_names]

    def block_failed(self, tag: int, now: int) -> None:
        """Count a failed poll of block `tag`. The readings stay and age."""
        self.failures[tag] += 1

    def point_index(self, name: str) -> int:
        """Return the index of a point. Raises `ProfileError` for an unknown point."""
        return self.profile.point_index(name)

    def value(self, i: int) -> float:
        """Return point `i` in its unit. The caller checks quality and age of the reading first."""
        point = self.profile.points[i]
        return self.readings[i].raw * point.numerator / point.denominator

    def to_count(self, i: int, value: float) -> int:
        """Return the count nearest to `value` (in the unit of point `i`); halves away from zero."""
        point = self.profile.points[i]
        return round_half_away(value * point.denominator / point.numerator)

    def is_bit_on(self, name: str) -> bool:
        """Return whether a bit was on when last read; False before that. Raises `ProfileError`."""
        bit = self.profile.bits[self.profile.bit_index(name)]
        word = self.register_value(bit)
        return word is not None and (word & bit.mask != 0) != bit.invert

    def register_value(self, bit: "Bit") -> "int | None":
        """Return the last read register of a bit, or the coil itself; None before that."""
        number, at = self._search(self.blocks, bit.function, bit.address, 1)
        if number < 0 or not self._registers[number]:
            return None
        return self._registers[number][at]

    def active_alarm_bits(self) -> "list[str]":
        """Return the names of the active alarm bits, block by block in the order of the profile."""
        return self._alarms

    def text_value(self, name: str) -> "str | None":
        """Return a text as last read; None before that. Raises `ProfileError` if unknown."""
        for item in self.profile.texts:
            if item.name == name:
                number, at = self._search(self.blocks, item.function, item.address, item.registers)
                if number < 0 or not self._registers[number]:
                    return None
                return decode_text(self._registers[number][at : at + item.registers], item.swapped)
        raise ProfileError("%s: text %s: does not exist" % (self.profile.model, name))

    # Writing: see `drivers.device.write_request`.

    def build_write(self, pairs: "Pairs") -> bytes:
        """Return the single request that writes (point index, count) pairs.

        The points must be side by side, because one request is all or nothing. Raises
        `EncodeError` if they are not, if a point is read-only or if a value is outside its limits.
        Raises it also if the device is not the model of the profile.
        """
        return write_request.build_write(self, pairs)

    def build_writes(self, pairs: "Pairs") -> "list[bytes]":
        """Return the requests that write the pairs, in their order; see `build_write`.

        The prerequisites of a point (for example a remote bit) come first, unless the last poll
        showed them. Raises `EncodeError` as `build_write`, but accepts points with gaps.
        """
        return write_request.build_writes(self, pairs)

    def build_bit_write(self, name: str, on: bool) -> bytes:
        """Return the request that turns a bit on or off. Raises `EncodeError`, `ProfileError`."""
        return write_request.build_bit_write(self, name, on)

    def ramp_limited(self, i: int, previous: int, target: int, elapsed_us: int) -> int:
        """Return the count to write now, on the way from `previous` to `target` within the ramp."""
        return write_request.ramp_limited(self.profile.points[i], previous, target, elapsed_us)

    def watchdog_request(self) -> "tuple[bytes, int] | None":
        """Return (request, period in microseconds) of the watchdog; None without a watchdog."""
        return write_request.watchdog_request(self)

    def readback_matches(self, pairs: "Pairs") -> "bool | None":
        """Return whether the latest poll shows the written pairs; None while a point is unread.

        The profile gives the readback of each point: the point itself, another point, or none.
        """
        return write_request.readback_matches(self, pairs)

    # Identity: see `drivers.device.identity`.

    def forget_identity(self) -> None:
        """Set the identity to unknown and forget the probes that matched."""
        self.identity = UNKNOWN
        self.mismatch_reason = ""
        self._matched_probes = 0

    def set_identity(self, identity: str, reason: str = "") -> None:
        """Set the identity without a probe; `reason` belongs to a mismatch."""
        self.identity, self.mismatch_reason = identity, reason

    def identity_probes(self) -> "list[TaggedRequest]":
        """Return the requests that show whether the device is the model of the profile."""
        return probe_requests(self.profile)

    def store_probe_result(self, tag: int, status: str, code: int, values: "Values") -> None:
        """Evaluate the result of probe `tag`, with the status of a `TransactionResult`.

        After a mismatch the identity only becomes "match" if all probes match, from the first on.
        """
        verdict = evaluate_probe(self.profile, tag, status, code, values)
        if tag == 0:
            self._matched_probes = 0
        if verdict.identity == MISMATCH:
            self._matched_probes = 0
            self.set_identity(MISMATCH, verdict.reason)
        elif verdict.identity == MATCH:
            self._matched_probes |= 1 << tag
            if self._matched_probes == (1 << len(self.identity_probes())) - 1:
                self.set_identity(MATCH)


def _decode_count(point: "Point", values: "Values", at: int) -> "int | None":
    """Return the number in the registers of a point; None if they hold no number."""
    if point.weights:
        return decode_split(values, at, point.weights, point.bcd)
    if point.field:
        low, width = point.field
        return values[at] >> low & ((1 << width) - 1)
    step = point.step if point.kind in FLOATS and not point.is_linked else (1, 1)
    return decode(point.kind, values, at, point.order, step)
