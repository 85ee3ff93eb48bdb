"""Every rule that a device profile must keep, and every entry that breaks one, by name.

Not the compiler (that is `drivers.device.profile`) and not the published schema, which says only what a
schema can. `check` never stops at the first error: a technician who writes a profile sees them all.

How it works, in two passes. First each entry by itself, in `drivers.device.profile_entry_check`: its keys, types
and ranges of values, and what contradicts itself. What is good is then judged against the others:
names and addresses taken twice, blocks and holes, roles and references that point at nothing. An
entry of bad shape is left out there, so that one mistake is one line.
"""

from drivers.device import profile_entries as entries
from drivers.device.profile_entry_check import BIT_TABLES, Judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Raw = dict[str, Any]

_REFERRING = ("exponent", "range", "needs", "verify", "alias")
_LISTS = ("blocks", "fixed_blocks", "holes")


def check(raw: "Any", name: str) -> "list[str]":
    """Every rule that a profile breaks, as "name: entry: rule"; empty when it is good.

    `raw` is the parsed JSON, `name` that of its file.
    """
    return Checker(raw, name).errors


class Checker(Judge):
    """One profile's check; `errors` when it is made."""

    def __init__(self, raw: "Any", name: str) -> None:
        super().__init__(name)
        self._names: dict[str, Raw] = {}  # of points, texts and bits -> the entry, see _remember
        self._wanted: set[str] = set()  # names that something refers to
        self._words: dict[int, str] = {}  # function << 16 | address -> who has the register
        self._parts: dict[int, list[tuple[int, str]]] = {}  # the same -> (mask, bit or field)
        self._judges = {
            "point": self._judge_point,
            "text": self._judge_text,
            "bit": self._judge_bit,
        }
        self._raw: Raw = raw
        if type(raw) is not dict:
            self._err("profile", "is not an object")
            return
        if self._shape("profile", "profile", raw):
            self._check_lists()

    def _label(self, kind: str, number: int, raw: "Any") -> str:
        name = raw.get("name") if type(raw) is dict else None
        return "%s %s" % (kind, name) if type(name) is str else "%ss[%d]" % (kind, number)

    # One pass over the lists; then what refers to others.

    def _check_lists(self) -> None:
        raw = self._raw
        if "defaults" in raw:
            self._shape("defaults", "defaults", raw["defaults"])
        self._spans: dict[str, list[tuple[int, int, int]]] = {}
        for key in _LISTS:
            self._spans[key] = self._check_spans(key)
        if raw.get("blocks") == []:
            self._err("profile", "blocks is empty; leave it out to have them planned")
        if not (raw.get("points") or raw.get("bits") or raw.get("flags") or raw.get("texts")):
            self._err("profile", "has no points, bits, flags or texts")
        self._gather_wanted()
        for kind in ("point", "text", "bit", "flag"):
            self._check_entries(kind)
        for name in sorted(self._names):
            if self._names[name]:
                self._check_references(name, self._names[name])
        self._check_aside()
        self.errors.sort()

    def _gather_wanted(self) -> None:
        raw = self._raw
        for key in ("points", "bits", "texts"):
            for entry in raw.get(key, []):
                if type(entry) is dict:
                    _gather([entry[k] for k in _REFERRING if k in entry], self._wanted)
        _gather([raw[key] for key in ("pump", "valve", "watchdog") if key in raw], self._wanted)

    def _check_spans(self, key: str) -> "list[tuple[int, int, int]]":
        found: list[tuple[int, int, int]] = []
        for number, raw in enumerate(self._raw.get(key, [])):
            entry = "%s[%d]" % (key, number)
            if not self._shape("block", entry, raw):
                continue
            place = entries.wire_address(raw["address"], self._notation(), raw.get("function"))
            if place is None:
                self._err(entry, "address %r is none" % (raw["address"],))
                continue
            span = (place[0], place[1], raw["count"])
            if span[1] + span[2] > 65536:
                self._err(entry, "ends after address 65535")
            most = self._raw.get("max_block", 125) if place[0] not in BIT_TABLES else 2000
            if key != "holes" and span[2] > most:
                self._err(entry, "count %d is more than %d in one read" % (span[2], most))
            self._check_apart(key, entry, span, found)
            found.append(span)
        return found

    def _check_apart(
        self, key: str, entry: str, span: "tuple[int, int, int]", found: "list[Any]"
    ) -> None:
        for other in found:
            if entries.touch(span, other):
                self._err(entry, "overlaps the one at %d" % other[1])
        if key != "holes":
            return
        for kind in ("blocks", "fixed_blocks"):
            for block in self._spans[kind]:
                if entries.touch(span, block):
                    self._err(entry, "lies within %s at %d" % (kind, block[1]))

    def _notation(self) -> str:
        return str(self._raw.get("notation", entries.NOTATIONS[0]))

    def _check_entries(self, kind: str) -> None:
        for number, raw in enumerate(self._raw.get(kind + "s", [])):
            entry = self._label(kind, number, raw)
            if not self._shape(kind, entry, raw):
                continue
            if kind == "flag":
                for bit in entries.flag_bits(raw):
                    self._check_entry("bit", "bit " + bit["name"], bit)
            else:
                self._check_entry(kind, entry, raw)

    def _check_entry(self, kind: str, entry: str, raw: "Raw") -> None:
        keys = entries.SHARED if kind == "point" else entries.SHARED_BY_ALL
        own = entries.filled(raw, self._raw, keys)
        if "address" not in own:
            self._err(entry, "address %r is none in %s" % (raw["address"], self._notation()))
            return
        good = self._judges[kind](entry, own)
        if own["name"] in self._names:
            self._err(entry, "the name is taken already")
            return
        if good:
            own["_kind"] = kind
            self._place(entry, own)
            self._remember(own)

    def _remember(self, own: "Raw") -> None:
        """Keep an entry that refers to another, or is referred to; of the rest the name will do."""
        refers = own["name"] in self._wanted or [key for key in _REFERRING if key in own]
        self._names[own["name"]] = own if refers else {}

    # Places.

    def _place(self, entry: str, own: "Raw") -> None:
        """The registers of an entry: not taken, not in a hole, in one block if there are any."""
        span = (own["function"], own["address"], entries.registers(own))
        if span[1] + span[2] > 65536:
            self._err(entry, "ends after address 65535")
        for hole in self._spans["holes"]:
            if entries.touch(span, hole):
                self._err(entry, "lies in the hole at %d" % hole[1])
        for block in self._spans["fixed_blocks"]:
            if entries.touch(span, block) and not entries.within(span, block):
                self._err(entry, "is cut by the fixed block at %d" % block[1])
        blocks = self._spans["blocks"]
        if len(blocks) < len(self._raw.get("blocks", [])):
            blocks = []  # one of them is bad: no judgement by the rest
        polled = own.get("poll", "fast") != "never" and own.get("read", True)
        if polled and blocks and not [b for b in blocks if entries.within(span, b)]:
            self._err(entry, "address %d is outside every block" % span[1])
        self._take(entry, own, span)

    def _take(self, entry: str, own: "Raw", span: "tuple[int, int, int]") -> None:
        key = span[0] << 16 | span[1]
        mask = _mask(own)
        if mask:
            parts = self._parts.setdefault(key, [])
            for other, name in parts:
                if other & mask and own.get("alias") != name:
                    self._err(entry, "bits of register %d are those of %s" % (span[1], name))
            parts.append((mask, own["name"]))
            return
        for register in range(key, key + span[2]):
            taken = self._words.get(register, "")
            if taken and own.get("alias") != taken:
                self._err(entry, "address %d is that of %s" % (register & 0xFFFF, taken))
                return
            self._words[register] = own["name"]

    # What refers to others.

    def _check_references(self, name: str, own: "Raw") -> None:
        entry = own["_kind"] + " " + name
        if "alias" in own:
            other = self._names.get(own["alias"])
            if (
                other is None
                or other is own
                or (own["function"], own["address"]) != (other["function"], other["address"])
            ):
                self._err(entry, "alias %s has not the same address" % own["alias"])
        if "exponent" in own:
            self._check_exponent(entry, own["exponent"])
        for other_name in own.get("range", ()):
            if other_name is not None:
                self._point(entry, other_name)
        if "needs" in own:
            self._check_needs(entry, own["needs"])
        verify = own.get("verify", "same")
        if verify not in ("same", "none"):
            self._check_verify(entry, verify, own)

    def _check_exponent(self, entry: str, name: "Any") -> None:
        other = self._point(entry, name)
        if other is not None and (other["type"] != "i16" or "scale" in other or "offset" in other):
            self._err(entry, "exponent %s is not a plain i16" % name)

    def _check_needs(self, entry: str, needs: "Any") -> None:
        for pair in needs:
            if type(pair) is not list or len(pair) != 2 or type(pair[1]) is not int:
                self._err(entry, "needs is not a list of [name, raw]")
                return
            other = self._names.get(pair[0]) if type(pair[0]) is str else None
            if other is None or not other.get("write"):
                self._err(entry, "needs %r, which cannot be written" % (pair[0],))
            elif other["_kind"] == "bit" and pair[1] not in (0, 1):
                self._err(entry, "needs %s to be %d, a bit" % (pair[0], pair[1]))

    def _check_verify(self, entry: str, name: "Any", own: "Raw") -> None:
        other = self._point(entry, name)
        if other is None:
            return
        for key in ("scale", "step", "offset", "unit"):
            if other.get(key) != own.get(key):
                self._err(entry, "is verified by %s, which has another %s" % (name, key))

    def _point(self, entry: str, name: "Any") -> "Raw | None":
        own = self._names.get(name) if type(name) is str else None
        if own is None or own["_kind"] != "point":
            self._err(entry, "%r is not a point" % (name,))
            return None
        return own

    def _writable(self, entry: str, name: "Any") -> "Raw | None":
        own = self._point(entry, name)
        if own is not None and not own.get("write", False):
            self._err(entry, "%s is not to be written" % name)
            return None
        return own

    def _check_aside(self) -> None:
        """Identity probes, watchdog, scan, periods and roles."""
        raw = self._raw
        for role in ("pump", "valve"):
            if role in raw:
                self._check_role(role, raw[role])
        if "pump" in raw and "valve" in raw:
            self._err("valve", "the profile is a pump already")
        for number, probe in enumerate(raw.get("identity", [])):
            entry = "identity[%d]" % number
            if self._shape("probe", entry, probe) and ("object" in probe) == ("address" in probe):
                self._err(entry, "has either an object or an address")
        if "watchdog" in raw and self._shape("watchdog", "watchdog", raw["watchdog"]):
            self._limited("watchdog", raw["watchdog"]["point"], raw["watchdog"]["value"])
        for key in ("scan", "periods"):
            if key in raw:
                self._shape(key, key, raw[key])

    def _limited(self, entry: str, name: "Any", value: "Any") -> "Raw | None":
        """The point `name` if it may be written with `value`."""
        own = self._writable(entry, name)
        if own is None:
            return None
        low, high = own["limits"]
        if type(value) is not int or not low <= value <= high:
            self._err(entry, "%s %r is not %d to %d" % (name, value, low, high))
        return own

    def _check_role(self, role: str, raw: "Any") -> None:
        """What a role refers to exists; what it writes at once is one request, unless `apart`."""
        if not self._shape(role, role, raw):
            return
        setpoint = self._writable(role, raw["setpoint"])
        self._point(role, raw["feedback"])
        if role == "valve" or setpoint is None:
            return
        trip = self._names.get(raw["trip"])
        if trip is None or trip["_kind"] != "bit":
            self._err(role, "trip %r is not a bit" % (raw["trip"],))
        for key in [key for key in ("run", "stop", "reset") if key in raw]:
            self._check_command(role + "." + key, raw[key], setpoint, raw.get("apart", False))

    def _check_command(self, entry: str, pairs: "Any", setpoint: "Raw", apart: bool) -> None:
        places = [(setpoint["address"], entries.registers(setpoint))]
        for pair in pairs:
            if type(pair) is not list or len(pair) != 2:
                self._err(entry, "is not a list of [point, raw]")
                return
            own = self._limited(entry, pair[0], pair[1])
            if own is None:
                return
            places.append((own["address"], entries.registers(own)))
        places.sort()
        for before, after in zip(places, places[1:]):
            if before[0] + before[1] != after[0] and not apart:
                self._err(entry, "does not lie side by side with the set-point")
                return


def _gather(value: "Any", names: "set[str]") -> None:
    """Add every text in `value` and in the lists and objects within it."""
    if type(value) is str:
        names.add(value)
    elif type(value) is dict:
        for key in value:
            _gather(value[key], names)
    elif type(value) is list:
        for one in value:
            _gather(one, names)


def _mask(own: "Raw") -> int:
    if "field" in own:
        low, width = own["field"]
        return int(((1 << width) - 1) << low)
    if own["_kind"] == "bit":
        return 1 << int(own.get("bit", 0))
    return 0
