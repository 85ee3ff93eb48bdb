# SPDX-License-Identifier: Apache-2.0
"""The check of one profile entry alone: its shape and its contradictions.

Does not compare entries with each other; see `drivers.device.profile_check`. First it compares the
shape with a table (`drivers.device.profile_rules`): keys, types and ranges of values. Then it
applies the rules within a point, a text or a bit: type and size, scale and step, bounds, write
function.
"""

from drivers.device import profile_entries as entries
from drivers.device.number_format import FLOATS
from drivers.device.number_types import ORDERS, TYPES
from drivers.device.profile_rules import KINDS, REQUIRED, SHAPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Raw = dict[str, Any]

BIT_TABLES = (1, 2)
"""The function codes that read bits."""
_HOLDING = 3
_COIL = 1


class EntryChecker:
    """Collects `errors` as "name: entry: rule". Each check returns whether it found no error."""

    def __init__(self, name: str) -> None:
        self.errors: list[str] = []
        self._name = name

    def _add_error(self, entry: str, rule: str) -> bool:
        self.errors.append("%s: %s: %s" % (self._name, entry, rule))
        return False

    def _check_shape(self, kind: str, entry: str, raw: "Any") -> bool:
        """Check the keys and values of `raw` against the rules for `kind`."""
        if type(raw) is not dict:
            return self._add_error(entry, "is not an object")
        is_valid = True
        shapes = SHAPES[kind]
        for key in sorted(raw):
            if key not in shapes:
                is_valid = self._add_error(entry, "unknown key %s" % key)
                continue
            shape = shapes[key]
            rule = KINDS[shape[0]](raw[key], shape)
            if rule:
                is_valid = self._add_error(entry, "%s %s" % (key, rule))
        for key in REQUIRED.get(kind, ()):
            if key not in raw:
                is_valid = self._add_error(entry, "%s is missing" % key)
        return is_valid

    def _check_point(self, entry: str, fields: "Raw") -> bool:
        errors_before = len(self.errors)
        kind = fields.get("type")
        if type(kind) is not str or kind not in TYPES:
            return self._add_error(
                entry, "type %r is none of %s" % (kind, ", ".join(sorted(TYPES)))
            )
        if fields["function"] in BIT_TABLES:
            self._add_error(entry, "functions 1 and 2 have bits, no points")
        self._check_size(entry, fields, kind)
        if len(self.errors) == errors_before:
            self._check_scale(entry, fields, kind)
            self._check_bounds(entry, fields, kind)
            self._check_write(entry, fields, kind)
        return len(self.errors) == errors_before

    def _check_size(self, entry: str, fields: "Raw", kind: str) -> None:
        for key, kinds in (("registers", ("bcd",)), ("weights", ("split",)), ("field", ("u16",))):
            if key in fields and kind not in kinds:
                self._add_error(entry, "%s is for type %s, not %s" % (key, kinds[0], kind))
            elif key not in fields and kind in kinds and key != "field":
                self._add_error(entry, "type %s needs %s" % (kind, key))
                return
        if fields.get("bcd") and kind != "split":
            self._add_error(entry, "bcd is for type split; a number in BCD has type bcd")
        if "order" in fields and fields["order"] not in ORDERS.get(
            entries.register_count(fields), ()
        ):
            self._add_error(
                entry,
                "order %r is none of %d registers"
                % (fields["order"], entries.register_count(fields)),
            )
        if "field" in fields:
            low, width = fields["field"]
            if width < 1 or low + width > 16:
                self._add_error(
                    entry, "field %r is not [lowest bit, bits] of 16" % (fields["field"],)
                )

    def _check_scale(self, entry: str, fields: "Raw", kind: str) -> None:
        for key in ("scale", "step", "offset"):
            numerator, denominator = fields.get(key, (1, 1))
            if (
                denominator < 1
                or (numerator == 0 and key != "offset")
                or (numerator < 0 and key == "step")
            ):
                minimum = {"scale": "not 0", "step": "above 0", "offset": "any"}[key]
                self._add_error(entry, "%s is not [%s, above 0]" % (key, minimum))
                return
        needs_step = kind in FLOATS or "exponent" in fields or "range" in fields
        if needs_step != ("step" in fields):
            rule = (
                "needs a step: what one count is" if needs_step else "step without need: use scale"
            )
            self._add_error(entry, rule)
            return
        others = [key for key in ("exponent", "offset", "scale") if key in fields]
        if "range" in fields and ("full" not in fields or others):
            self._add_error(entry, "range needs full, and neither exponent, offset nor scale")
        if "fraction" in fields and needs_step:
            self._add_error(entry, "fraction is for integers with a scale")
        offset, step = fields.get("offset", (0, 1)), fields.get("step", (1, 1))
        if needs_step and (offset[0] * step[1]) % (offset[1] * step[0]):
            self._add_error(entry, "offset is no multiple of the step")

    def _check_bounds(self, entry: str, fields: "Raw", kind: str) -> None:
        low, high = entries.raw_range(fields)
        for key in ("min", "max"):
            if key in fields and not low <= fields[key] <= high:
                self._add_error(entry, "%s %d is not %d to %d" % (key, fields[key], low, high))
        if fields.get("min", low) > fields.get("max", high):
            self._add_error(entry, "min is above max")
        for value in fields.get("none", ()):
            if kind in FLOATS or not low <= value <= high:
                self._add_error(entry, "none %d is no value of type %s" % (value, kind))

    def _check_write(self, entry: str, fields: "Raw", kind: str) -> None:
        if not fields.get("write", False):
            for key in ("limits", "ramp", "needs", "verify"):
                if key in fields:
                    self._add_error(entry, key + " without write")
            if not fields.get("read", True):
                self._add_error(entry, "is neither read nor written")
            return
        if fields["function"] != _HOLDING:
            self._add_error(entry, "an input register cannot be written")
        if kind == "split":
            self._add_error(entry, "type split cannot be written")
        low, high = entries.raw_range(fields)
        limits = fields.get("limits")
        if limits is None:
            self._add_error(entry, "limits is missing")
        elif not low <= limits[0] <= limits[1] <= high:
            self._add_error(
                entry, "limits %r are not within %d to %d, low first" % (limits, low, high)
            )
        if not fields.get("read", True) and fields.get("verify", "same") == "same":
            self._add_error(entry, "is never read: verify must be none or another point")

    def _check_text(self, entry: str, fields: "Raw") -> bool:
        if fields["function"] in BIT_TABLES:
            return self._add_error(entry, "functions 1 and 2 have bits, no texts")
        return True

    def _check_bit(self, entry: str, fields: "Raw") -> bool:
        is_bit_table = fields["function"] in BIT_TABLES
        if is_bit_table == ("bit" in fields):
            rule = "bit is for registers" if is_bit_table else "bit is missing"
            return self._add_error(entry, rule)
        write_kind = fields.get("write")
        writable = ("coil",) if fields["function"] == _COIL else ("mask", "register")
        if write_kind is not None and (write_kind not in writable or fields["function"] in (2, 4)):
            return self._add_error(
                entry, "write %s is not for function %d" % (write_kind, fields["function"])
            )
        return True
