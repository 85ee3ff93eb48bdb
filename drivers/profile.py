"""Device profiles: a register map as data, checked once and compiled for quick decoding.

Not a file reader: the caller hands over the parsed JSON. A profile has blocks (what one request
reads), points (numbers, with canonical Redfish names), bits (flags in registers) and at most one
role, pump or valve, that says how it is commanded. All numbers are integers: MicroPython's JSON
floats may be an ulp off. The published form is `drivers/profiles/profile.schema.json`; the rules
below go further than it can.

    {"model": "x", "title": "…", "source": "…", "met_hardware": false,
     "blocks": [{"function": 3, "address": 0, "count": 5}],
     "points": [{"name": "SpeedControlPercent", "address": 1, "type": "u16", "scale": [1, 200],
                 "unit": "%", "min": 0, "max": 20000, "write": true, "limits": [0, 20000]}],
     "bits": [{"name": "Tripped", "address": 3, "bit": 3, "alarm": true}],
     "pump": {"setpoint": "SpeedControlPercent", "feedback": "…", "run": [["ControlWord", 1151]],
              "stop": [["ControlWord", 1150]], "trip": "Tripped"}}

value = raw * scale[0] / scale[1], in `unit` (UCUM: Cel, kPa, L/min, %). Addresses are as on the
wire. 32-bit types take two registers, high word first. `min` and `max` (raw) bound what is
plausible: outside, the reading is bad. `limits` (raw) bound what may be written.
"""

from drivers.errors import ProfileError
from protocols.modbus.pdu import MAX_READ, READ_HOLDING, READS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Raw = dict[str, Any]

# type -> (registers, lowest raw, highest raw)
TYPES = {
    "u16": (1, 0, 0xFFFF),
    "i16": (1, -0x8000, 0x7FFF),
    "u32": (2, 0, 0xFFFFFFFF),
    "i32": (2, -0x80000000, 0x7FFFFFFF),
}

_KEYS = {
    "": "model title source met_hardware notes blocks points bits pump valve",
    "block": "function address count",
    "point": "name address type scale unit min max write limits function",
    "bit": "name address bit alarm function",
    "pump": "setpoint feedback run stop trip",
    "valve": "setpoint feedback",
}


class Block:
    """What one request reads: `function` 3 or 4, `count` (1 to 125) registers from `address`."""

    def __init__(self, function: int, address: int, count: int) -> None:
        self.function = function
        self.address = address
        self.count = count


class Point:
    """One number. `low` and `high` bound the plausible raw values, `limits` the ones to be written.

    `block` is the number of the block that reads it, `offset` its first register there.
    """

    def __init__(self, name: str, kind: str, address: int, block: int, offset: int) -> None:
        self.name = name
        self.kind = kind
        self.registers, self.lowest, self.highest = TYPES[kind]
        self.address = address
        self.block = block
        self.offset = offset
        self.num = 1
        self.den = 1
        self.unit = ""
        self.low = self.lowest
        self.high = self.highest
        self.limits: tuple[int, int] | None = None


class Bit:
    """One flag: a bit (0 is the lowest) of a register. `alarm`: set means something is wrong."""

    def __init__(self, name: str, bit: int, alarm: bool, block: int, offset: int) -> None:
        self.name = name
        self.mask = 1 << bit
        self.alarm = alarm
        self.block = block
        self.offset = offset


class Profile:
    """A compiled profile. Raises `ProfileError`: profile, entry and the rule it breaks.

    `pump` and `valve` are the role's data as given, empty when the device is none.
    """

    def __init__(self, raw: "Raw") -> None:
        named = type(raw) is dict and type(raw.get("model")) is str and raw["model"]
        self.model: str = named or "profile"
        self._keys("", raw, "profile")
        self.model = self._text(raw, "model", "profile")
        self.title = self._text(raw, "title", "profile")
        self.source = self._text(raw, "source", "profile")
        self.met_hardware = self._flag(raw, "met_hardware", "profile")
        self.blocks: list[Block] = []
        for i, entry in enumerate(self._list(raw, "blocks")):
            self.blocks.append(self._block(i, entry))
        if not self.blocks:
            raise self._error("profile", "has no blocks")
        self.points: list[Point] = []
        self.bits: list[Bit] = []
        self._index: dict[str, int] = {}
        self._bit_index: dict[str, int] = {}
        self._taken: dict[tuple[int, int], str] = {}
        for i, entry in enumerate(self._list(raw, "points")):
            self._add_point(i, entry)
        for i, entry in enumerate(self._list(raw, "bits")):
            self._add_bit(i, entry)
        self.pump: Raw = self._role(raw, "pump")
        self.valve: Raw = self._role(raw, "valve")
        if self.pump and self.valve:
            raise self._error("valve", "the profile is a pump already")

    def has(self, name: str) -> bool:
        """Whether there is a point with this name."""
        return name in self._index

    def index(self, name: str) -> int:
        """The number of a point. Raises `ProfileError` when there is none with this name."""
        if name not in self._index:
            raise self._error("point " + name, "does not exist")
        return self._index[name]

    def bit_index(self, name: str) -> int:
        """The number of a bit. Raises `ProfileError` when there is none with this name."""
        if name not in self._bit_index:
            raise self._error("bit " + name, "does not exist")
        return self._bit_index[name]

    # What follows reads one kind of entry each, and refuses what breaks a rule.

    def _error(self, entry: str, rule: str) -> ProfileError:
        return ProfileError("%s: %s: %s" % (self.model, entry, rule))

    def _keys(self, kind: str, raw: "Raw", entry: str) -> None:
        if type(raw) is not dict:
            raise self._error(entry, "is not an object")
        for key in sorted(raw):
            if key not in _KEYS[kind].split(" "):
                raise self._error(entry, "unknown key %s" % key)

    def _text(self, raw: "Raw", key: str, entry: str) -> str:
        value = raw.get(key)
        if type(value) is not str or not value:
            raise self._error(entry, "%s is not a text" % key)
        return str(value)

    def _flag(self, raw: "Raw", key: str, entry: str) -> bool:
        value = raw.get(key, False)
        if type(value) is not bool:
            raise self._error(entry, "%s is not true or false" % key)
        return bool(value)

    def _list(self, raw: "Raw", key: str) -> "list[Any]":
        value = raw.get(key, [])
        if type(value) is not list:
            raise self._error("profile", "%s is not a list" % key)
        return list(value)

    def _int(
        self, raw: "Raw", key: str, low: int, high: int, entry: str, default: "int | None" = None
    ) -> int:
        value = raw.get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self._error(entry, "%s %r is not %d to %d" % (key, value, low, high))
        return int(value)

    def _pair(self, raw: "Raw", key: str, low: int, high: int, entry: str) -> "tuple[int, int]":
        value = raw.get(key)
        if type(value) is not list or len(value) != 2:
            raise self._error(entry, "%s is not a pair of integers" % key)
        for part in value:
            if type(part) is not int or not low <= part <= high:
                raise self._error(entry, "%s %r is not %d to %d" % (key, part, low, high))
        return (value[0], value[1])

    def _block(self, number: int, raw: "Raw") -> Block:
        entry = "blocks[%d]" % number
        self._keys("block", raw, entry)
        function = self._int(raw, "function", READS[0], READS[1], entry)
        address = self._int(raw, "address", 0, 65535, entry)
        count = self._int(raw, "count", 1, MAX_READ, entry)
        if address + count > 65536:
            raise self._error(entry, "ends after address 65535")
        for other in self.blocks:
            apart = address >= other.address + other.count or address + count <= other.address
            if function == other.function and not apart:
                raise self._error(entry, "overlaps the block at %d" % other.address)
        return Block(function, address, count)

    def _place(self, raw: "Raw", registers: int, entry: str) -> "tuple[int, int, int]":
        """(address, block, offset) of an entry; it must lie within one block of its function."""
        function = self._int(raw, "function", READS[0], READS[1], entry, READ_HOLDING)
        address = self._int(raw, "address", 0, 65536 - registers, entry)
        for number, block in enumerate(self.blocks):
            offset = address - block.address
            if block.function == function and 0 <= offset <= block.count - registers:
                return address, number, offset
        raise self._error(entry, "address %d is outside every block" % address)

    def _name(self, raw: "Raw", entry: str) -> str:
        name = self._text(raw, "name", entry)
        if name in self._index or name in self._bit_index:
            raise self._error(entry, "name %s is taken already" % name)
        return name

    def _add_point(self, number: int, raw: "Raw") -> None:
        entry = "points[%d]" % number
        self._keys("point", raw, entry)
        name = self._name(raw, entry)
        entry = "point " + name
        kind = raw.get("type")
        if type(kind) is not str or kind not in TYPES:
            raise self._error(entry, "type %r is none of i16, i32, u16, u32" % (kind,))
        address, block, offset = self._place(raw, TYPES[kind][0], entry)
        point = Point(name, kind, address, block, offset)
        function = self.blocks[block].function
        for register in range(address, address + point.registers):
            if (function, register) in self._taken:
                taken = self._taken[(function, register)]
                raise self._error(entry, "address %d is that of %s already" % (register, taken))
            self._taken[(function, register)] = name
        self._describe(point, raw, entry)
        self._index[name] = len(self.points)
        self.points.append(point)

    def _describe(self, point: Point, raw: "Raw", entry: str) -> None:
        """Take scale, unit, plausible range and write limits of a point."""
        low, high = point.lowest, point.highest
        if "scale" in raw:
            point.num, point.den = self._pair(raw, "scale", -1_000_000, 1_000_000, entry)
            if point.num == 0 or point.den <= 0:
                raise self._error(entry, "scale is not [not 0, above 0]")
        point.unit = self._text(raw, "unit", entry)
        point.low = self._int(raw, "min", low, high, entry, low)
        point.high = self._int(raw, "max", point.low, high, entry, high)
        if not self._flag(raw, "write", entry):
            if "limits" in raw:
                raise self._error(entry, "limits without write")
            return
        if self.blocks[point.block].function != READ_HOLDING:
            raise self._error(entry, "an input register cannot be written")
        point.limits = self._pair(raw, "limits", low, high, entry)
        if point.limits[0] > point.limits[1]:
            raise self._error(entry, "limits are the wrong way round")

    def _add_bit(self, number: int, raw: "Raw") -> None:
        entry = "bits[%d]" % number
        self._keys("bit", raw, entry)
        name = self._name(raw, entry)
        entry = "bit " + name
        _, block, offset = self._place(raw, 1, entry)
        position = self._int(raw, "bit", 0, 15, entry)
        bit = Bit(name, position, self._flag(raw, "alarm", entry), block, offset)
        for other in self.bits:
            if (other.block, other.offset, other.mask) == (block, offset, bit.mask):
                raise self._error(entry, "bit %d is that of %s already" % (position, other.name))
        self._bit_index[name] = len(self.bits)
        self.bits.append(bit)

    def _role(self, raw: "Raw", role: str) -> "Raw":
        """Check what a role refers to; what it writes at once must be one request."""
        if role not in raw:
            return {}
        given: Raw = raw[role]
        self._keys(role, given, role)
        for key in _KEYS[role].split(" "):
            if key not in given:
                raise self._error(role, "%s is missing" % key)
        setpoint = self._writable(given["setpoint"], role)
        self._known(given["feedback"], role)
        if role == "pump":
            for key in ("run", "stop"):
                self._command(given[key], setpoint, "pump." + key)
            trip = given["trip"]
            if type(trip) is not str or trip not in self._bit_index:
                raise self._error(role, "trip %r is not a bit" % (trip,))
        return given

    def _known(self, name: "Any", entry: str) -> Point:
        if type(name) is not str or name not in self._index:
            raise self._error(entry, "%r is not a point" % (name,))
        return self.points[self._index[name]]

    def _writable(self, name: "Any", entry: str) -> Point:
        point = self._known(name, entry)
        if point.limits is None:
            raise self._error(entry, "%s is not to be written" % point.name)
        return point

    def _command(self, pairs: "Any", setpoint: Point, entry: str) -> None:
        """Check [[point, raw], …]: in limits, and side by side with the set-point."""
        if type(pairs) is not list:
            raise self._error(entry, "is not a list of [point, raw]")
        places = [(setpoint.address, setpoint.registers)]
        for pair in pairs:
            if type(pair) is not list or len(pair) != 2:
                raise self._error(entry, "is not a list of [point, raw]")
            point = self._writable(pair[0], entry)
            low, high = point.limits or (0, 0)
            if type(pair[1]) is not int or not low <= pair[1] <= high:
                raise self._error(entry, "%s %r is not %d to %d" % (point.name, pair[1], low, high))
            places.append((point.address, point.registers))
        places.sort()
        for before, after in zip(places, places[1:]):
            if before[0] + before[1] != after[0]:
                raise self._error(entry, "does not lie side by side with the set-point")
