"""What one entry of a device profile says of itself: its shape, and what contradicts itself.

Not a judge of entries against each other (that is `drivers.device.profile_check`). The shape is compared
with a table (`drivers.device.profile_rules`): keys, types and ranges of values. Then come the rules within
a point, a text or a bit: type and size, scale and step, bounds, how it may be written.
"""

from drivers.device import profile_entries as entries
from drivers.device.number_format import FLOATS, ORDERS, TYPES
from drivers.device.profile_rules import KINDS, REQUIRED, SHAPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Raw = dict[str, Any]

BIT_TABLES = (1, 2)
"""The functions whose items are bits."""
_HOLDING = 3
_COIL = 1


class Judge:
    """Collects `errors`, as "name: entry: rule"; each judgement says whether all is well."""

    def __init__(self, name: str) -> None:
        self.errors: list[str] = []
        self._name = name

    def _err(self, entry: str, rule: str) -> bool:
        self.errors.append("%s: %s: %s" % (self._name, entry, rule))
        return False

    def _shape(self, kind: str, entry: str, raw: "Any") -> bool:
        """Whether `raw` has the keys and values that `kind` may have; says what it has not."""
        if type(raw) is not dict:
            return self._err(entry, "is not an object")
        good = True
        shapes = SHAPES[kind]
        for key in sorted(raw):
            if key not in shapes:
                good = self._err(entry, "unknown key %s" % key)
                continue
            shape = shapes[key]
            rule = KINDS[shape[0]](raw[key], shape)
            if rule:
                good = self._err(entry, "%s %s" % (key, rule))
        for key in REQUIRED.get(kind, ()):
            if key not in raw:
                good = self._err(entry, "%s is missing" % key)
        return good

    def _judge_point(self, entry: str, own: "Raw") -> bool:
        before = len(self.errors)
        kind = own.get("type")
        if type(kind) is not str or kind not in TYPES:
            return self._err(entry, "type %r is none of %s" % (kind, ", ".join(sorted(TYPES))))
        if own["function"] in BIT_TABLES:
            self._err(entry, "functions 1 and 2 have bits, no points")
        self._judge_size(entry, own, kind)
        if len(self.errors) == before:
            self._judge_scale(entry, own, kind)
            self._judge_bounds(entry, own, kind)
            self._judge_write(entry, own, kind)
        return len(self.errors) == before

    def _judge_size(self, entry: str, own: "Raw", kind: str) -> None:
        for key, kinds in (("registers", ("bcd",)), ("weights", ("split",)), ("field", ("u16",))):
            if key in own and kind not in kinds:
                self._err(entry, "%s is for type %s, not %s" % (key, kinds[0], kind))
            elif key not in own and kind in kinds and key != "field":
                self._err(entry, "type %s needs %s" % (kind, key))
                return
        if own.get("bcd") and kind != "split":
            self._err(entry, "bcd is for type split; a number in BCD has type bcd")
        if "order" in own and own["order"] not in ORDERS.get(entries.registers(own), ()):
            self._err(
                entry, "order %r is none of %d registers" % (own["order"], entries.registers(own))
            )
        if "field" in own:
            low, width = own["field"]
            if width < 1 or low + width > 16:
                self._err(entry, "field %r is not [lowest bit, bits] of 16" % (own["field"],))

    def _judge_scale(self, entry: str, own: "Raw", kind: str) -> None:
        for key in ("scale", "step", "offset"):
            top, bottom = own.get(key, (1, 1))
            if bottom < 1 or (top == 0 and key != "offset") or (top < 0 and key == "step"):
                least = {"scale": "not 0", "step": "above 0", "offset": "any"}[key]
                self._err(entry, "%s is not [%s, above 0]" % (key, least))
                return
        stepped = kind in FLOATS or "exponent" in own or "range" in own
        if stepped != ("step" in own):
            rule = "needs a step: what one count is" if stepped else "step without need: use scale"
            self._err(entry, rule)
            return
        others = [key for key in ("exponent", "offset", "scale") if key in own]
        if "range" in own and ("full" not in own or others):
            self._err(entry, "range needs full, and neither exponent, offset nor scale")
        if "fraction" in own and stepped:
            self._err(entry, "fraction is for integers with a scale")
        offset, step = own.get("offset", (0, 1)), own.get("step", (1, 1))
        if stepped and (offset[0] * step[1]) % (offset[1] * step[0]):
            self._err(entry, "offset is no multiple of the step")

    def _judge_bounds(self, entry: str, own: "Raw", kind: str) -> None:
        low, high = entries.extent(own)
        for key in ("min", "max"):
            if key in own and not low <= own[key] <= high:
                self._err(entry, "%s %d is not %d to %d" % (key, own[key], low, high))
        if own.get("min", low) > own.get("max", high):
            self._err(entry, "min is above max")
        for value in own.get("none", ()):
            if kind in FLOATS or not low <= value <= high:
                self._err(entry, "none %d is no value of type %s" % (value, kind))

    def _judge_write(self, entry: str, own: "Raw", kind: str) -> None:
        if not own.get("write", False):
            for key in ("limits", "ramp", "needs", "verify"):
                if key in own:
                    self._err(entry, key + " without write")
            if not own.get("read", True):
                self._err(entry, "is neither read nor written")
            return
        if own["function"] != _HOLDING:
            self._err(entry, "an input register cannot be written")
        if kind == "split":
            self._err(entry, "type split cannot be written")
        low, high = entries.extent(own)
        limits = own.get("limits")
        if limits is None:
            self._err(entry, "limits is missing")
        elif not low <= limits[0] <= limits[1] <= high:
            self._err(entry, "limits %r are not within %d to %d, low first" % (limits, low, high))
        if not own.get("read", True) and own.get("verify", "same") == "same":
            self._err(entry, "is never read: verify must be none or another point")

    def _judge_text(self, entry: str, own: "Raw") -> bool:
        if own["function"] in BIT_TABLES:
            return self._err(entry, "functions 1 and 2 have bits, no texts")
        return True

    def _judge_bit(self, entry: str, own: "Raw") -> bool:
        single = own["function"] in BIT_TABLES
        if single == ("bit" in own):
            rule = "bit is for registers" if single else "bit is missing"
            return self._err(entry, rule)
        how = own.get("write")
        writable = ("coil",) if own["function"] == _COIL else ("mask", "register")
        if how is not None and (how not in writable or own["function"] in (2, 4)):
            return self._err(entry, "write %s is not for function %d" % (how, own["function"]))
        return True
