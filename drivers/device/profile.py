# SPDX-License-Identifier: Apache-2.0
"""Device profiles: a register map as data, checked and compiled for fast decoding.

Does not read files: the caller passes the parsed JSON. `drivers.device.profile_check` checks a
profile, `drivers.device.device` reads and writes a device by it. `docs/engineer/profiles.md`
explains all keys. All numbers in a profile are integers, because JSON floats of MicroPython can
have an error of one unit in the last place.

    {"model": "x", "title": "…", "source": "…", "met_hardware": false,
     "points": [{"name": "SpeedControlPercent", "address": 1, "type": "u16", "scale": [1, 200],
                 "unit": "%", "min": 0, "max": 20000, "write": true, "limits": [0, 20000]}],
     "bits": [{"name": "Tripped", "address": 3, "bit": 3, "alarm": true}],
     "pump": {"setpoint": "SpeedControlPercent", "feedback": "…", "run": [["ControlWord", 1151]],
              "stop": [["ControlWord", 1150]], "trip": "Tripped"}}

A compiled point gives a count, which is always an integer: value = count * numerator /
denominator, in `unit` (UCUM: Cel, kPa, L/min, %). For most points the count is the register. Some
registers have an offset, are floats, or need a scale factor or range from another register. Their
count is the result of that conversion (`count_factor`, `count_offset`, `step` and the links). Other
modules only see counts.

Points of poll class "never" are for diagnostic commands. They are checked and then left out,
unless `include_unpolled` is set. Thus a map of hundreds of registers costs a small controller only
the registers that it reads.
"""

import sys
from collections import namedtuple

import drivers.device
from drivers.device.number_format import FLOATS, ByteOrder
from drivers.errors import ProfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modbus.register_span import ReadBlock

    Raw = dict[str, Any]
    Needs = list[tuple[str, int]]

LinkedSetting = namedtuple("LinkedSetting", ("count", "numerator", "denominator"))
"""A good reading that another point needs: value = count * numerator / denominator."""

RangeLimits = namedtuple("RangeLimits", ("low", "high", "denominator"))
"""Both ends of a range in counts of the point that needs it: `low` and `high` by `denominator`."""

_ONLY_FOR_LOADING = (
    "number_types",
    "profile_check",
    "profile_entries",
    "profile_entry_check",
    "profile_loader",
    "profile_rules",
)

FAST = "fast"
SLOW = "slow"
NEVER = "never"


class Point:
    """One number: `registers` registers from `address` on the wire, read with `function`.

    `low` and `high` bound the plausible raw values, `limits` (low, high) the values that can be
    written; for floats these are counts. `none` are raw values that mean "no value". `field` is
    (lowest bit, number of bits). `step` is (numerator, denominator): counts in one unit of the
    device, for floats and linked points. The count is the raw value * `count_factor` +
    `count_offset`. A linked point names other points: `exponent` (scale factor) or `bottom` and
    `top` (ends of its range; `full` is the raw value at the top). `needs`: points and values to
    write before this one. `verify` and `within`: how a poll shows a written value.

    The class attributes are the values of most points. They cost a point no heap. `values` are the
    other attributes; see `drivers.device.profile_loader.point_values`.
    """

    name: str
    function: int
    address: int
    low: int
    high: int
    registers = 1
    kind = "u16"
    order = ByteOrder((0,), False)
    poll = FAST
    unit = "1"
    numerator = 1
    denominator = 1
    count_factor = 1
    count_offset = 0
    step = (1, 1)
    none: "tuple[int, ...]" = ()
    limits: "tuple[int, int] | None" = None
    ramp = 0  # counts per second, 0 for no limit
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

    def __init__(self, values: "Raw") -> None:
        for key in values:
            setattr(self, key, values[key])

    @property
    def is_plain(self) -> bool:
        """Whether the count is exactly one or two whole registers."""
        is_integer = self.kind in ("u16", "i16", "u32", "i32") and not self.order.swapped
        is_unscaled = self.count_factor == 1 and not (self.count_offset or self.none or self.field)
        return is_integer and is_unscaled and not self.is_linked

    @property
    def is_linked(self) -> bool:
        """Whether the count needs the value of another point."""
        return bool(self.exponent or self.top)

    @property
    def is_float(self) -> bool:
        """Whether the point is a float. Its limits and plausible range are then counts."""
        return self.kind in FLOATS


class Bit:
    """One flag.

    `alarm`: the flag is an alarm of the device. `invert`: the flag is on if the bit is 0. `mask` is
    the bit in its register, or 1 for a coil or discrete input.
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
    """An ASCII text with two characters in each register."""

    poll = FAST

    def __init__(self, fields: "Raw") -> None:
        self.name: str = fields["name"]
        self.function: int = fields["function"]
        self.address: int = fields["address"]
        self.registers: int = fields["registers"]
        self.swapped: bool = fields.get("swapped", False)
        self.poll = fields.get("poll", FAST)


class DeviceProfile:
    """A compiled profile.

    `include_unpolled` adds the points that are never polled, as slow points, and ignores the
    blocks of the profile. `base_address` is the address that a SunSpec scan found, by default the
    usual one. `is_checked` skips the check, for a profile that is known to be valid. Raises
    `ProfileError` with one line for each error: profile, entry and rule.

    `pump`, `valve`, `fan` and `cdu` are the data of the role with its defaults, empty without the
    role. A device can have several roles. `holes` are unreadable ranges, `fixed_blocks` atomic
    blocks. `periods` are (fast, slow) poll periods in
    microseconds. `has_own_blocks`: the profile gives the `blocks`. Without it they are a simple
    plan of adjacent registers.
    """

    title: str
    source: str
    met_hardware: bool
    scan: "Raw"
    base_address: int
    identity: "list[Raw]"
    watchdog: "Raw"
    write_with: int
    pump: "Raw"
    valve: "Raw"
    fan: "Raw"
    cdu: "Raw"
    periods: "tuple[int, int]"
    max_block: int
    points: "list[Point]"
    bits: "list[Bit]"
    texts: "list[Text]"
    holes: "list[ReadBlock]"
    fixed_blocks: "list[ReadBlock]"
    blocks: "list[ReadBlock]"
    has_own_blocks: bool

    def __init__(
        self,
        raw: "Raw",
        include_unpolled: bool = False,
        base_address: "int | None" = None,
        is_checked: bool = False,
    ) -> None:
        model_name = type(raw) is dict and type(raw.get("model")) is str and raw["model"]
        self.model: str = model_name or "profile"
        errors = [] if is_checked else _find_faults(raw, self.model)
        if errors:
            raise ProfileError("\n".join(errors))
        # Imported here, so that `unload_checker` can free the memory.
        from drivers.device import profile_loader as loader  # noqa: PLC0415

        fields = loader.profile_fields(raw, include_unpolled, base_address)
        for name in fields:
            setattr(self, name, fields[name])
        points, bits, texts = loader.entry_fields(raw, include_unpolled, self.base_address)
        self.points = [Point(loader.point_values(entry)) for entry in points]
        self.bits = [Bit(entry) for entry in bits]
        self.texts = [Text(entry) for entry in texts]
        if not self.blocks:
            self.blocks = loader.adjacent_blocks(
                self.polled_items(), self.fixed_blocks, self.max_block
            )
        self._point_indexes = {point.name: i for i, point in enumerate(self.points)}
        self._bit_indexes = {bit.name: i for i, bit in enumerate(self.bits)}

    def has_point(self, name: str) -> bool:
        """Return whether there is a point with this name."""
        return name in self._point_indexes

    def has_bit(self, name: str) -> bool:
        """Return whether there is a bit with this name."""
        return name in self._bit_indexes

    def point_index(self, name: str) -> int:
        """Return the index of a point. Raises `ProfileError` for an unknown name."""
        if name not in self._point_indexes:
            raise ProfileError("%s: point %s: does not exist" % (self.model, name))
        return self._point_indexes[name]

    def bit_index(self, name: str) -> int:
        """Return the index of a bit. Raises `ProfileError` for an unknown name."""
        if name not in self._bit_indexes:
            raise ProfileError("%s: bit %s: does not exist" % (self.model, name))
        return self._bit_indexes[name]

    def polled_items(self, poll: str = "") -> "list[Point | Bit | Text]":
        """Return the items of one poll class, or of both, for `drivers.modbus.plan.poll_plan`."""
        found: list[Point | Bit | Text] = []
        found.extend(self.points)
        found.extend(self.bits)
        found.extend(self.texts)
        return [item for item in found if item.poll == (poll or item.poll) != NEVER]


def _find_faults(raw: "Any", name: str) -> "list[str]":
    """Import the checker here, so that `unload_checker` can free its memory."""
    from drivers.device.profile_check import check_profile  # noqa: PLC0415

    return check_profile(raw, name)


def unload_checker() -> None:
    """Drop the code that only loading needs, 13 KiB on a board. The next profile loads it again."""
    for name in _ONLY_FOR_LOADING:
        sys.modules.pop("drivers.device." + name, None)
        if hasattr(drivers.device, name):
            delattr(drivers.device, name)
