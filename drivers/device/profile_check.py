# SPDX-License-Identifier: Apache-2.0
"""The check of a device profile: all its errors, with the names of the entries.

Does not compile (see `drivers.device.profile`). The published schema can express only a part of the
rules. `check_profile` does not stop at the first error, so the author of a profile sees all errors.

How it works, in two passes. First `drivers.device.profile_entry_check` checks each entry alone:
keys, types, ranges and contradictions. Then valid entries are checked against the others: duplicate
names and addresses, blocks and holes, roles, and references to unknown entries. The second pass
skips an entry with errors, so that one mistake gives one line.
"""

from collections import namedtuple

from drivers.device import profile_entries as entries
from drivers.device.profile_entry_check import BIT_TABLES, EntryChecker
from drivers.modbus.register_span import ReadBlock, is_within, overlaps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Raw = dict[str, Any]

_TakenBits = namedtuple("_TakenBits", ("mask", "owner"))
"""Bits of a register, and the name of the entry that has them."""

_REFERENCE_KEYS = ("exponent", "range", "needs", "verify", "alias")
_LISTS = ("blocks", "fixed_blocks", "holes")


def check_profile(raw: "Any", name: str) -> "list[str]":
    """Return all errors of a profile as "name: entry: rule"; empty if it is valid.

    `raw` is the parsed JSON, `name` the name of its file.
    """
    return ProfileChecker(raw, name).errors


class ProfileChecker(EntryChecker):
    """The check of one profile. The constructor makes it; `errors` is the result."""

    def __init__(self, raw: "Any", name: str) -> None:
        super().__init__(name)
        self._names: dict[str, Raw] = {}  # name -> entry, see `_keep_entry`
        self._referenced: set[str] = set()  # names to which other entries refer
        self._taken_registers: dict[int, str] = {}  # function << 16 | address -> name of the owner
        self._taken_bits: dict[int, list[_TakenBits]] = {}  # the same key
        self._entry_checks = {
            "point": self._check_point,
            "text": self._check_text,
            "bit": self._check_bit,
        }
        self._raw: Raw = raw
        if type(raw) is not dict:
            self._add_error("profile", "is not an object")
            return
        if self._check_shape("profile", "profile", raw):
            self._check_lists()

    def _label(self, kind: str, number: int, raw: "Any") -> str:
        name = raw.get("name") if type(raw) is dict else None
        return "%s %s" % (kind, name) if type(name) is str else "%ss[%d]" % (kind, number)

    # Entries, then references between entries.

    def _check_lists(self) -> None:
        raw = self._raw
        if "defaults" in raw:
            self._check_shape("defaults", "defaults", raw["defaults"])
        self._spans: dict[str, list[ReadBlock]] = {}
        for key in _LISTS:
            self._spans[key] = self._check_spans(key)
        if raw.get("blocks") == []:
            self._add_error("profile", "blocks is empty; leave it out to have them planned")
        if not (raw.get("points") or raw.get("bits") or raw.get("flags") or raw.get("texts")):
            self._add_error("profile", "has no points, bits, flags or texts")
        self._gather_referenced()
        for kind in ("point", "text", "bit", "flag"):
            self._check_entries(kind)
        for name in sorted(self._names):
            if self._names[name]:
                self._check_references(name, self._names[name])
        self._check_extras()
        self.errors.sort()

    def _gather_referenced(self) -> None:
        raw = self._raw
        for key in ("points", "bits", "texts"):
            for entry in raw.get(key, []):
                if type(entry) is dict:
                    _gather_names(
                        [entry[k] for k in _REFERENCE_KEYS if k in entry], self._referenced
                    )
        _gather_names(
            [raw[key] for key in entries.ROLES + ("watchdog",) if key in raw], self._referenced
        )

    def _check_spans(self, key: str) -> "list[ReadBlock]":
        found: list[ReadBlock] = []
        for number, raw in enumerate(self._raw.get(key, [])):
            entry = "%s[%d]" % (key, number)
            if not self._check_shape("block", entry, raw):
                continue
            wire_address = entries.wire_address(
                raw["address"], self._notation(), raw.get("function")
            )
            if wire_address is None:
                self._add_error(entry, "address %r is none" % (raw["address"],))
                continue
            span = ReadBlock(wire_address.function, wire_address.address, raw["count"])
            if span.address + span.count > 65536:
                self._add_error(entry, "ends after address 65535")
            max_count = self._raw.get("max_block", 125) if span.function not in BIT_TABLES else 2000
            if key != "holes" and span.count > max_count:
                self._add_error(
                    entry, "count %d is more than %d in one read" % (span.count, max_count)
                )
            self._check_overlap(key, entry, span, found)
            found.append(span)
        return found

    def _check_overlap(
        self, key: str, entry: str, span: "ReadBlock", found: "list[ReadBlock]"
    ) -> None:
        for other in found:
            if overlaps(span, other):
                self._add_error(entry, "overlaps the one at %d" % other.address)
        if key != "holes":
            return
        for kind in ("blocks", "fixed_blocks"):
            for block in self._spans[kind]:
                if overlaps(span, block):
                    self._add_error(entry, "lies within %s at %d" % (kind, block.address))

    def _notation(self) -> str:
        return str(self._raw.get("notation", entries.NOTATIONS[0]))

    def _check_entries(self, kind: str) -> None:
        for number, raw in enumerate(self._raw.get(kind + "s", [])):
            entry = self._label(kind, number, raw)
            if not self._check_shape(kind, entry, raw):
                continue
            if kind == "flag":
                for bit in entries.flag_bits(raw):
                    self._check_entry("bit", "bit " + bit["name"], bit)
            else:
                self._check_entry(kind, entry, raw)

    def _check_entry(self, kind: str, entry: str, raw: "Raw") -> None:
        keys = entries.POINT_DEFAULT_KEYS if kind == "point" else entries.ENTRY_DEFAULT_KEYS
        fields = entries.with_defaults(raw, self._raw, keys)
        if "address" not in fields:
            self._add_error(entry, "address %r is none in %s" % (raw["address"], self._notation()))
            return
        is_valid = self._entry_checks[kind](entry, fields)
        if fields["name"] in self._names:
            self._add_error(entry, "the name is taken already")
            return
        if is_valid:
            fields["_kind"] = kind
            self._check_place(entry, fields)
            self._keep_entry(fields)

    def _keep_entry(self, fields: "Raw") -> None:
        """Keep an entry with references in either direction; keep only the name of others."""
        is_referenced = fields["name"] in self._referenced or [
            key for key in _REFERENCE_KEYS if key in fields
        ]
        self._names[fields["name"]] = fields if is_referenced else {}

    # Addresses.

    def _check_place(self, entry: str, fields: "Raw") -> None:
        """Check the registers of an entry: free, outside of holes, within one block."""
        span = ReadBlock(fields["function"], fields["address"], entries.register_count(fields))
        if span.address + span.count > 65536:
            self._add_error(entry, "ends after address 65535")
        for hole in self._spans["holes"]:
            if overlaps(span, hole):
                self._add_error(entry, "lies in the hole at %d" % hole.address)
        for block in self._spans["fixed_blocks"]:
            if overlaps(span, block) and not is_within(span, block):
                self._add_error(entry, "is cut by the fixed block at %d" % block.address)
        blocks = self._spans["blocks"]
        if len(blocks) < len(self._raw.get("blocks", [])):
            blocks = []  # one of them is invalid: the others are incomplete
        is_polled = fields.get("poll", "fast") != "never" and fields.get("read", True)
        if is_polled and blocks and not [b for b in blocks if is_within(span, b)]:
            self._add_error(entry, "address %d is outside every block" % span.address)
        self._claim_registers(entry, fields, span)

    def _claim_registers(self, entry: str, fields: "Raw", span: "ReadBlock") -> None:
        key = span.function << 16 | span.address
        mask = _bit_mask(fields)
        if mask:
            parts = self._taken_bits.setdefault(key, [])
            for part in parts:
                if part.mask & mask and fields.get("alias") != part.owner:
                    self._add_error(
                        entry,
                        "bits of register %d are those of %s" % (span.address, part.owner),
                    )
            parts.append(_TakenBits(mask, fields["name"]))
            return
        for register in range(key, key + span.count):
            owner = self._taken_registers.get(register, "")
            if owner and fields.get("alias") != owner:
                self._add_error(entry, "address %d is that of %s" % (register & 0xFFFF, owner))
                return
            self._taken_registers[register] = fields["name"]

    # References to other entries.

    def _check_references(self, name: str, fields: "Raw") -> None:
        entry = fields["_kind"] + " " + name
        if "alias" in fields:
            other = self._names.get(fields["alias"])
            if (
                other is None
                or other is fields
                or (fields["function"], fields["address"]) != (other["function"], other["address"])
            ):
                self._add_error(entry, "alias %s has not the same address" % fields["alias"])
        if "exponent" in fields:
            self._check_exponent(entry, fields["exponent"])
        for other_name in fields.get("range", ()):
            if other_name is not None:
                self._find_point(entry, other_name)
        if "needs" in fields:
            self._check_needs(entry, fields["needs"])
        verify = fields.get("verify", "same")
        if verify not in ("same", "none"):
            self._check_verify(entry, verify, fields)

    def _check_exponent(self, entry: str, name: "Any") -> None:
        other = self._find_point(entry, name)
        if other is not None and (other["type"] != "i16" or "scale" in other or "offset" in other):
            self._add_error(entry, "exponent %s is not a plain i16" % name)

    def _check_needs(self, entry: str, needs: "Any") -> None:
        for pair in needs:
            if type(pair) is not list or len(pair) != 2 or type(pair[1]) is not int:
                self._add_error(entry, "needs is not a list of [name, raw]")
                return
            other = self._names.get(pair[0]) if type(pair[0]) is str else None
            if other is None or not other.get("write"):
                self._add_error(entry, "needs %r, which cannot be written" % (pair[0],))
            elif other["_kind"] == "bit" and pair[1] not in (0, 1):
                self._add_error(entry, "needs %s to be %d, a bit" % (pair[0], pair[1]))

    def _check_verify(self, entry: str, name: "Any", fields: "Raw") -> None:
        other = self._find_point(entry, name)
        if other is None:
            return
        for key in ("scale", "step", "offset", "unit"):
            if other.get(key) != fields.get(key):
                self._add_error(entry, "is verified by %s, which has another %s" % (name, key))

    def _find_point(self, entry: str, name: "Any") -> "Raw | None":
        fields = self._names.get(name) if type(name) is str else None
        if fields is None or fields["_kind"] != "point":
            self._add_error(entry, "%r is not a point" % (name,))
            return None
        return fields

    def _find_writable(self, entry: str, name: "Any") -> "Raw | None":
        fields = self._find_point(entry, name)
        if fields is not None and not fields.get("write", False):
            self._add_error(entry, "%s is not to be written" % name)
            return None
        return fields

    def _check_extras(self) -> None:
        """Check identity probes, watchdog, scan, periods and roles."""
        raw = self._raw
        for role in entries.ROLES:
            if role in raw:
                self._check_role(role, raw[role])
        self._check_shared(raw)
        for number, probe in enumerate(raw.get("identity", [])):
            entry = "identity[%d]" % number
            if self._check_shape("probe", entry, probe) and ("object" in probe) == (
                "address" in probe
            ):
                self._add_error(entry, "has either an object or an address")
        if "watchdog" in raw and self._check_shape("watchdog", "watchdog", raw["watchdog"]):
            self._find_limited("watchdog", raw["watchdog"]["point"], raw["watchdog"]["value"])
        for key in ("scan", "periods"):
            if key in raw:
                self._check_shape(key, key, raw[key])

    def _find_limited(self, entry: str, name: "Any", value: "Any") -> "Raw | None":
        """Return the point `name`; report an error if `value` cannot be written to it."""
        fields = self._find_writable(entry, name)
        if fields is None:
            return None
        low, high = fields["limits"]
        if type(value) is not int or not low <= value <= high:
            self._add_error(entry, "%s %r is not %d to %d" % (name, value, low, high))
        return fields

    def _check_role(self, role: str, raw: "Any") -> None:
        """Check the points of a role; its commands are one request each, unless `apart` is set."""
        if not self._check_shape(role, role, raw):
            return
        if role == "cdu":
            self._check_cdu(raw)
            return
        setpoint = self._find_writable(role, raw["setpoint"])
        if "feedback" in raw:
            self._find_point(role, raw["feedback"])
        if role == "valve" or setpoint is None:
            return
        if "trip" in raw:
            trip = self._names.get(raw["trip"])
            if trip is None or trip["_kind"] != "bit":
                self._add_error(role, "trip %r is not a bit" % (raw["trip"],))
        if ("run" in raw) != ("stop" in raw):
            self._add_error(role, "has only one of run and stop")
        for key in [key for key in ("run", "stop", "reset") if key in raw]:
            self._check_command(role + "." + key, raw[key], setpoint, raw.get("apart", False))

    def _check_cdu(self, raw: "Raw") -> None:
        """Check the set-points of a CDU that controls itself: their units are °C and kPa."""
        if not raw:
            self._add_error("cdu", "has no set-point: supply, dp or both")
        for key, unit in (("supply", "Cel"), ("dp", "kPa")):
            if key not in raw:
                continue
            fields = self._find_writable("cdu", raw[key])
            if fields is not None and fields.get("unit") != unit:
                self._add_error("cdu", "%s is in %s, not in %s" % (raw[key], fields["unit"], unit))

    def _check_shared(self, raw: "Raw") -> None:
        """Check that no two roles write the same point: each would undo the other's value."""
        owners: dict[str, str] = {}
        for role in entries.ROLES:
            for name in _written_names(raw.get(role)):
                owner = owners.setdefault(name, role)
                if owner != role:
                    self._add_error(role, "%s is written by the role %s too" % (name, owner))

    def _check_command(self, entry: str, pairs: "Any", setpoint: "Raw", allow_gaps: bool) -> None:
        spans = [ReadBlock(entries.HOLDING, setpoint["address"], entries.register_count(setpoint))]
        for pair in pairs:
            if type(pair) is not list or len(pair) != 2:
                self._add_error(entry, "is not a list of [point, raw]")
                return
            fields = self._find_limited(entry, pair[0], pair[1])
            if fields is None:
                return
            spans.append(
                ReadBlock(entries.HOLDING, fields["address"], entries.register_count(fields))
            )
        spans.sort()
        for previous, following in zip(spans, spans[1:]):
            if previous.address + previous.count != following.address and not allow_gaps:
                self._add_error(entry, "does not lie side by side with the set-point")
                return


def _gather_names(value: "Any", names: "set[str]") -> None:
    """Add all texts in `value`, also in its nested lists and objects."""
    if type(value) is str:
        names.add(value)
    elif type(value) is dict:
        for key in value:
            _gather_names(value[key], names)
    elif type(value) is list:
        for item in value:
            _gather_names(item, names)


def _written_names(role: "Any") -> "set[str]":
    """Return the points that a role writes; nothing of an invalid role."""
    names: set[str] = set()
    if type(role) is dict:
        names.update(
            [role[key] for key in ("setpoint", "supply", "dp") if type(role.get(key)) is str]
        )
        for key in ("run", "stop", "reset"):
            pairs = role.get(key)
            for pair in pairs if type(pairs) is list else ():
                if type(pair) is list and pair and type(pair[0]) is str:
                    names.add(pair[0])
    return names


def _bit_mask(fields: "Raw") -> int:
    if "field" in fields:
        low, width = fields["field"]
        return int(((1 << width) - 1) << low)
    if fields["_kind"] == "bit":
        return 1 << int(fields.get("bit", 0))
    return 0
