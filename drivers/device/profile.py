"""Device profiles: a register map as data, checked, and compiled for quick decoding.

Not a file reader: the caller hands over the parsed JSON. `drivers.device.profile_check` says what
is wrong with a profile, `drivers.device.device` reads and writes a device after it,
`docs/engineer/profiles.md` explains every key. All numbers in a profile are integers: MicroPython's
JSON floats may be an ulp off.

    {"model": "x", "title": "…", "source": "…", "met_hardware": false,
     "points": [{"name": "SpeedControlPercent", "address": 1, "type": "u16", "scale": [1, 200],
                 "unit": "%", "min": 0, "max": 20000, "write": true, "limits": [0, 20000]}],
     "bits": [{"name": "Tripped", "address": 3, "bit": 3, "alarm": true}],
     "pump": {"setpoint": "SpeedControlPercent", "feedback": "…", "run": [["ControlWord", 1151]],
              "stop": [["ControlWord", 1150]], "trip": "Tripped"}}

What a compiled point gives is a count, always an integer: value = count * num / den, in `unit`
(UCUM: Cel, kPa, L/min, %). For most points the count is the register. Where the register has an
offset, or is a float, or needs a scale factor or a range from another register, the count is what
comes out after that (`mul`, `add`, `step` and the links), so that nobody else has to know.

Points of poll class "never" are there for a technician: they are checked, then left out unless
`include_unpolled` is set, so that a map of hundreds of registers costs a small controller only what
it reads.
"""

import sys

import drivers.device
from drivers.device import profile_entries as entries
from drivers.device.number_format import FLOATS, compile_order
from drivers.errors import ProfileError
from protocols.modbus.pdu import MAX_READ, MAX_READ_BITS
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.number_format import Order

    Raw = dict[str, Any]
    Span = tuple[int, int, int]
    Needs = list[tuple[str, int]]

FAST = "fast"
SLOW = "slow"
NEVER = "never"


class Point:
    """One number: `registers` registers from `address` on the wire, read with `function`.

    `low` and `high` bound what is plausible, `limits` what may be written, both as the device
    writes it (counts, for floats); `none` are values that mean "no value". What most points have
    not stands here as the class's own value and costs the point nothing.
    """

    kind = "u16"
    order: "Order" = ((0,), False)
    poll = FAST
    unit = "1"
    num = 1
    den = 1
    mul = 1
    add = 0
    step = (1, 1)  # counts in one of the device's units: of floats, and of points with links
    none: "tuple[int, ...]" = ()
    limits: "tuple[int, int] | None" = None
    ramp = 0  # counts a second, 0 for any
    verify = "same"
    within = 0
    needs: "Needs" = []
    field: "tuple[int, int] | None" = None
    weights: "tuple[int, ...]" = ()
    bcd = False
    exponent = ""
    bottom: "str | None" = None
    top: "str | None" = None
    full = 0

    def __init__(self, fields: "Raw") -> None:
        self.name: str = fields["name"]
        self.function: int = fields["function"]
        self.address: int = fields["address"]
        self.registers: int = entries.register_count(fields)
        self.low, self.high = entries.raw_range(fields)
        if fields["type"] != self.kind:
            self.kind = fields["type"]
        self.order = _shared_order(fields.get("order", ""), self.registers)
        for key in ("poll", "unit", "verify", "within", "ramp", "bcd", "exponent", "full"):
            if key in fields:
                setattr(self, key, fields[key])
        for key in ("none", "weights", "field", "limits"):
            if key in fields:
                setattr(self, key, tuple(fields[key]))
        if "needs" in fields:
            self.needs = [(name, raw) for name, raw in fields["needs"]]
        if "range" in fields:
            self.bottom, self.top = fields["range"]
        if not fields.get("read", True):
            self.poll = NEVER
        self._set_scale(fields)
        self._set_bounds(fields)

    def _set_scale(self, fields: "Raw") -> None:
        """How the count is made of the device's value, and what it is worth."""
        numerator, denominator = fields.get("scale", (1, 1))
        shift = fields.get("offset", (0, 1))
        if "step" in fields:
            self.num, self.den = fields["step"]
            self.step = reduce_fraction(numerator * self.den, denominator * self.num)
            if shift[0]:
                self.add = shift[0] * self.den // (shift[1] * self.num)
            return
        denominator <<= fields.get("fraction", 0)
        if shift[0]:
            # value = (raw + shift / scale) * scale; a finer count where that is no integer
            self.add, self.mul = reduce_fraction(shift[0] * denominator, shift[1] * numerator)
            denominator *= self.mul
        if (numerator, denominator) != (1, 1):
            self.num, self.den = numerator, denominator

    def _set_bounds(self, fields: "Raw") -> None:
        """Plausible range; a "no value" at its end is left out of it, which costs nothing."""
        self.low = fields.get("min", self.low)
        self.high = fields.get("max", self.high)
        while self.low in self.none:
            self.low += 1
        while self.high in self.none:
            self.high -= 1
        if self.none:
            self.none = tuple([value for value in self.none if self.low <= value <= self.high])

    @property
    def is_plain(self) -> bool:
        """Whether the count is one or two whole registers, and nothing more."""
        is_integer = self.kind in ("u16", "i16", "u32", "i32") and not self.order[1]
        is_unscaled = self.mul == 1 and not (self.add or self.none or self.field)
        return is_integer and is_unscaled and not self.is_linked

    @property
    def is_linked(self) -> bool:
        """Whether another point's value is needed to make this one's."""
        return bool(self.exponent or self.top)

    @property
    def is_float(self) -> bool:
        """Whether limits and plausible range are counts: of a float."""
        return self.kind in FLOATS


class Bit:
    """One flag. `alarm`: it is on when something is wrong; `invert`: it is on when the bit is 0.

    `mask` is the bit in its register; 1 for a coil or discrete input, which has no register.
    """

    registers = 1
    poll = FAST
    alarm = False
    invert = False
    write = ""

    def __init__(self, fields: "Raw") -> None:
        self.name: str = fields["name"]
        self.function: int = fields["function"]
        self.address: int = fields["address"]
        self.mask = 1 << fields.get("bit", 0)
        for key in ("poll", "alarm", "invert", "write"):
            if fields.get(key, False):
                setattr(self, key, fields[key])


class Text:
    """A piece of ASCII, two letters a register."""

    poll = FAST

    def __init__(self, fields: "Raw") -> None:
        self.name: str = fields["name"]
        self.function: int = fields["function"]
        self.address: int = fields["address"]
        self.registers: int = fields["registers"]
        self.swapped: bool = fields.get("swapped", False)
        self.poll = fields.get("poll", FAST)


class DeviceProfile:
    """A compiled profile. Raises `ProfileError`: one line a fault, with profile, entry and rule.

    `include_unpolled`: points that are never polled are taken in too, as slow ones, and the
    profile's own blocks are left aside. `base` is the address that a `scan` found, else its usual
    one. `is_checked`: it is known to keep every rule, so that a board need not look again at each
    start.

    `pump` and `valve` are the role's data as given, empty when the device is none. `holes` and
    `fixed_blocks` are (function, address, count); `periods` are microseconds of fast and slow
    polling. `has_own_blocks` says whether `blocks` are the maker's, not just the nearest at hand.
    """

    def __init__(
        self,
        raw: "Raw",
        include_unpolled: bool = False,
        base: "int | None" = None,
        is_checked: bool = False,
    ) -> None:
        model_name = type(raw) is dict and type(raw.get("model")) is str and raw["model"]
        self.model: str = model_name or "profile"
        errors = [] if is_checked else _find_faults(raw, self.model)
        if errors:
            raise ProfileError("\n".join(errors))
        self.title: str = raw["title"]
        self.source: str = raw["source"]
        self.met_hardware: bool = raw["met_hardware"]
        self.scan: Raw = raw.get("scan", {})
        self.base: int = (self.scan.get("usual", 0)) if base is None else base
        self.identity: list[Raw] = raw.get("identity", [])
        self.watchdog: Raw = raw.get("watchdog", {})
        self.write_with: int = raw.get("write_with", 0)
        self.pump: Raw = raw.get("pump", {})
        self.valve: Raw = raw.get("valve", {})
        periods = raw.get("periods", {})
        self.periods = (
            periods.get(FAST, 1000) * MILLISECOND,
            periods.get(SLOW, 10_000) * MILLISECOND,
        )
        self.max_block: int = raw.get("max_block", MAX_READ)
        self.holes = self._spans(raw, "holes")
        self.fixed_blocks = self._spans(raw, "fixed_blocks")
        self._load_entries(raw, include_unpolled)
        self.blocks = [] if include_unpolled else self._spans(raw, "blocks")
        self.has_own_blocks = bool(self.blocks)
        if not self.blocks:
            self.blocks = naive_plan(self)

    def _spans(self, raw: "Raw", key: str) -> "list[Span]":
        found = []
        for span in raw.get(key, []):
            wire_address = entries.wire_address(
                span["address"], raw.get("notation", "base0"), span.get("function")
            )
            if wire_address is not None:
                found.append((wire_address[0], wire_address[1] + self.base, span["count"]))
        return found

    def _load_entries(self, raw: "Raw", include_unpolled: bool) -> None:
        referenced = referenced_names(raw)
        self.points: list[Point] = []
        self.bits: list[Bit] = []
        self.texts: list[Text] = []
        self._point_indexes: dict[str, int] = {}
        self._bit_indexes: dict[str, int] = {}
        for fields in entries.iter_points(raw):
            if self._is_included(fields, include_unpolled, referenced):
                self._point_indexes[fields["name"]] = len(self.points)
                self.points.append(Point(fields))
        for fields in entries.iter_bits(raw):
            if self._is_included(fields, include_unpolled, referenced):
                self._bit_indexes[fields["name"]] = len(self.bits)
                self.bits.append(Bit(fields))
        for fields in entries.iter_texts(raw):
            if self._is_included(fields, include_unpolled, referenced):
                self.texts.append(Text(fields))

    def _is_included(self, fields: "Raw", include_unpolled: bool, referenced: "set[str]") -> bool:
        """Whether an entry is taken in; moves it to the base that was found."""
        fields["address"] += self.base
        is_polled = fields.get("poll", FAST) != NEVER
        if include_unpolled and not is_polled:
            fields["poll"] = SLOW
        return (
            include_unpolled
            or is_polled
            or not fields.get("read", True)
            or fields["name"] in referenced
        )

    def has_point(self, name: str) -> bool:
        """Whether there is a point with this name."""
        return name in self._point_indexes

    def has_bit(self, name: str) -> bool:
        """Whether there is a bit with this name."""
        return name in self._bit_indexes

    def point_index(self, name: str) -> int:
        """The number of a point. Raises `ProfileError` when there is none with this name."""
        if name not in self._point_indexes:
            raise ProfileError("%s: point %s: does not exist" % (self.model, name))
        return self._point_indexes[name]

    def bit_index(self, name: str) -> int:
        """The number of a bit. Raises `ProfileError` when there is none with this name."""
        if name not in self._bit_indexes:
            raise ProfileError("%s: bit %s: does not exist" % (self.model, name))
        return self._bit_indexes[name]

    def polled_items(self, poll: str = "") -> "list[Point | Bit | Text]":
        """What a plan has to fetch: all of one poll class, or of both; for
        `drivers.modbus.poll_plan`.
        """
        found: list[Point | Bit | Text] = []
        found.extend(self.points)
        found.extend(self.bits)
        found.extend(self.texts)
        return [item for item in found if item.poll == (poll or item.poll) != NEVER]


def _find_faults(raw: "Any", name: str) -> "list[str]":
    """The checker is imported here, so that `unload_checker` can set its memory free."""
    from drivers.device.profile_check import check_profile  # noqa: PLC0415

    return check_profile(raw, name)


def unload_checker() -> None:
    """Drop the code that only loading needs, 11 KiB on a board; it comes back by itself."""
    for name in ("profile_check", "profile_entry_check", "profile_rules"):
        sys.modules.pop("drivers.device." + name, None)
        if hasattr(drivers.device, name):
            delattr(drivers.device, name)


def referenced_names(raw: "Raw") -> "set[str]":
    """Names that a device needs though it may not poll them."""
    names: set[str] = set()
    for fields in raw.get("points", []):
        if fields.get("poll") == NEVER:
            continue
        for key in ("exponent", "verify"):
            names.add(fields.get(key, ""))
        names.update([name for name in fields.get("range", ()) if name])
        names.update([pair[0] for pair in fields.get("needs", ())])
    for role in (raw.get("pump", {}), raw.get("valve", {})):
        names.update([role[key] for key in ("setpoint", "feedback", "trip") if key in role])
        for key in ("run", "stop", "reset"):
            names.update([pair[0] for pair in role.get(key, ())])
    if "watchdog" in raw:
        names.add(raw["watchdog"]["point"])
    return names


def _shared_order(order: str, registers: int) -> "Order":
    """As `decode.compile_order`, but the usual orders are the same object for all points."""
    compiled = compile_order(order, registers)
    return _COMMON_ORDERS.get(compiled, compiled)


_COMMON_ORDERS = {compile_order("", count): compile_order("", count) for count in (1, 2, 4)}


def reduce_fraction(numerator: int, denominator: int) -> "tuple[int, int]":
    """A fraction in its lowest terms, the denominator above 0."""
    divisor, remainder = abs(numerator), abs(denominator)
    while remainder:
        divisor, remainder = remainder, divisor % remainder
    if denominator < 0:
        divisor = -divisor
    return numerator // divisor, denominator // divisor


def naive_plan(profile: DeviceProfile) -> "list[Span]":
    """Blocks of registers that lie side by side, and the fixed ones: right, but not the quickest.

    `drivers.modbus.poll_plan` knows the wire and reads through gaps where that pays.
    """
    blocks: list[Span] = []
    previous = (0, 0, 0)
    for span in sorted({(p.function, p.address, p.registers) for p in profile.polled_items()}):
        fixed = [block for block in profile.fixed_blocks if entries.is_within(span, block)]
        if fixed and fixed[0] in blocks:
            continue
        merged = _merge_blocks(previous, span, profile)
        if merged and not fixed:
            blocks.pop()
        previous = fixed[0] if fixed else merged or span
        blocks.append(previous)
    return blocks


def _merge_blocks(previous: "Span", span: "Span", profile: DeviceProfile) -> "Span | None":
    """A block and what lies behind it without a gap as one block, if that may be."""
    function, address, count = span
    start = previous[1]
    end = max(start + previous[2], address + count)
    max_length = MAX_READ_BITS if function < 3 else profile.max_block
    is_adjacent = (
        function == previous[0] and address <= start + previous[2] and end - start <= max_length
    )
    return (
        (function, start, end - start)
        if is_adjacent and previous not in profile.fixed_blocks
        else None
    )
