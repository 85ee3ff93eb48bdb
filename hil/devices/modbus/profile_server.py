# SPDX-License-Identifier: Apache-2.0
"""A Modbus server from the JSON of a device profile: the registers and bits of a model.

Does not emulate the behaviour of the model, and does not use the profile reader of the agent. Each
point starts at a plausible raw value: 0, or `min` if 0 is outside. Writable points accept numbers
within their `limits`, whatever their type. The conditions of `identity` are met: words, texts, and
the objects of function 43/14. Short gaps between entries hold 0, but for the `holes` of the
profile. Other registers do not exist and get exception 02.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from hil.devices.base import MILLISECOND
from hil.devices.modbus.server import (
    HOLDING,
    ILLEGAL_ADDRESS,
    ILLEGAL_VALUE,
    INPUT,
    ModbusServer,
)

Raw = dict[str, Any]

_TYPE_REGISTERS = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "u64": 4, "i64": 4, "f64": 4}
_FUNCTION_OF_DIGIT = {"0": 1, "1": 2, "3": INPUT, "4": HOLDING}
_READ_COILS, _READ_DISCRETE = 1, 2
_MAX_GAP_REGISTERS = 126
_FLOAT_FORMATS = {"f32": ">f", "f64": ">d"}


class ProfileServer(ModbusServer):
    """The server; `raw` is the parsed profile. Raises `ValueError` for an entry without an address.

    `names` maps the name of an entry to (function, first address, number of registers).
    """

    functions = frozenset((1, 2, 3, 4, 5, 6, 8, 15, 16, 17, 22, 23, 43))

    def __init__(self, raw: Raw, unit: int, turnaround_us: int = 5 * MILLISECOND) -> None:
        super().__init__(unit, turnaround_us)
        self._raw = raw
        self.inputs = {}
        self.names: dict[str, tuple[int, int, int]] = {}
        self._writable_coils: set[int] = set()
        self.limited: list[Raw] = []  # points whose limits are not those of one word
        self.server_id = str(raw.get("model", "")).encode()
        if raw.get("scan"):
            self._add_sunspec_chain(raw["scan"])
        for entry in raw.get("points", []):
            self._add_point(self._complete_entry(entry))
        for entry in iter_bit_entries(raw):
            self._add_bit(self._complete_entry(entry))
        for entry in raw.get("texts", []):
            fields = self._complete_entry(entry)
            self._add_registers(fields, [0x2020] * int(fields["registers"]))
        self._fill_gaps()
        self.identity = {0: "coldloop", 1: str(raw.get("model", "")), 2: "profile"}
        for condition in raw.get("identity", []):
            self._add_identity(condition)

    # Entries.

    def _complete_entry(self, entry: Raw) -> Raw:
        """Return the entry with the defaults of the profile, and its function and wire address."""
        raw = self._raw
        fields = {**raw.get("defaults", {}), **entry}
        address, notation = entry["address"], raw.get("notation", "base0")
        function = fields.get("function")
        if notation == "reference":
            digits = str(address)
            if isinstance(address, int) and address < 10_000:
                digits = f"{address:05d}"
            function = function or _FUNCTION_OF_DIGIT[digits[0]]
            address = int(digits[1:])
        base = int(raw["scan"].get("usual", 0)) if raw.get("scan") else 0
        fields["address"] = int(address) - (notation != "base0") + base
        fields["function"] = function or HOLDING
        return fields

    def _registers_of(self, function: int) -> dict[int, int]:
        inputs = self.inputs if self.inputs is not None else {}
        return inputs if function == INPUT else self.registers

    def _add_point(self, fields: Raw) -> None:
        data_type = fields.get("type", "u16")
        count = (
            _TYPE_REGISTERS.get(data_type)
            or len(fields.get("weights", ()))
            or fields.get("registers", 1)
        )
        raw = self._initial_value(fields)
        words = _words_of(raw, count, fields)
        if "field" in fields:  # some bits of a register, which other points can share
            table, address = self._registers_of(fields["function"]), fields["address"]
            table[address] = table.get(address, 0) | raw << fields["field"][0]
        self._add_registers(fields, words)
        if fields.get("write"):
            is_word = data_type == "u16" and "field" not in fields
            limits = fields.get("limits", (0, 0xFFFF)) if is_word else (0, 0xFFFF)
            for index in range(count):
                self.writable[fields["address"] + index] = limits
            if not is_word and "limits" in fields:
                self.limited.append({**fields, "count": count})

    @staticmethod
    def _initial_value(fields: Raw) -> int:
        low, high = int(fields.get("min", 0)), int(fields.get("max", 0))
        value = low if low > 0 or high < 0 else 0
        none = fields.get("none", [])
        return next((raw for raw in range(value, value + len(none) + 1) if raw not in none), value)

    def _add_registers(self, fields: Raw, words: Sequence[int]) -> None:
        table = self._registers_of(fields["function"])
        for offset, word in enumerate(words):
            table.setdefault(fields["address"] + offset, word)
        self.names[fields["name"]] = (fields["function"], fields["address"], len(words))

    def _add_bit(self, fields: Raw) -> None:
        function, address = fields["function"], fields["address"]
        value = int(bool(fields.get("invert")))  # off
        if function == _READ_COILS:
            self.coils[address] = value
            if fields.get("write"):
                self._writable_coils.add(address)
        elif function == _READ_DISCRETE:
            self.discrete_inputs[address] = value
        else:
            table = self._registers_of(function)
            table[address] = table.get(address, 0) | value << fields.get("bit", 0)
            if fields.get("write"):
                self.writable.setdefault(address, (0, 0xFFFF))
        self.names[fields["name"]] = (function, address, 1)

    def _add_identity(self, condition: Raw) -> None:
        text = condition.get("text") or next(iter(condition.get("any", [])), "")
        if "object" in condition:
            self.identity = {**self.identity, condition["object"]: str(text)}
            return
        table = self._registers_of(condition.get("function", HOLDING))
        words = condition.get("words")
        if words is None and "between" in condition:
            words = [condition["between"][0]]
        if words is None:
            data = str(text).encode().ljust(2 * int(condition.get("count", 1)), b"\0")
            words = struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])
        for offset, word in enumerate(words):
            table[condition["address"] + offset] = word

    def _add_sunspec_chain(self, scan: Raw) -> None:
        """The marker of SunSpec and the head of the model at its usual place."""
        first = int(scan["bases"][0])
        first_point = int(scan.get("usual", first + 4))
        words = [*scan["words"], 1, max(0, first_point - first - 6)]
        for offset, word in enumerate(words):
            self.registers[first + offset] = int(word)
        self.registers[first_point - 2] = int(scan["model"])
        self.registers[first_point - 1] = 105
        self.registers[first_point + 105], self.registers[first_point + 106] = 0xFFFF, 0

    def _fill_gaps(self) -> None:
        """A model can read through the gaps of its map, if the profile does not exclude them."""
        base = int(self._raw["scan"].get("usual", 0)) if self._raw.get("scan") else 0
        holes = [
            (hole["function"], address + base)
            for hole in self._raw.get("holes", [])
            for address in range(hole["address"], hole["address"] + hole["count"])
        ]
        for function in (HOLDING, INPUT):
            table = self._registers_of(function)
            used = sorted(table)
            for first, following in itertools.pairwise(used):
                if following - first <= _MAX_GAP_REGISTERS:
                    for address in range(first + 1, following):
                        if (function, address) not in holes:
                            table[address] = 0

    # Values.

    def set_registers(self, name: str, words: Sequence[int]) -> None:
        """Set the registers of an entry, or one bit. Raises `KeyError` for an unknown name."""
        function, address, count = self.names[name]
        if function in (_READ_COILS, _READ_DISCRETE):
            table = self.coils if function == _READ_COILS else self.discrete_inputs
        else:
            table = self._registers_of(function)
        for offset, word in enumerate(words[:count]):
            table[address + offset] = word
        self.version += 1

    def write(self, address: int, values: Sequence[int], now: int) -> int:
        """Write all values or none; return 0 or an exception code."""
        if not self.clamps:
            written = dict(enumerate(values, address))
            for fields in self.limited:
                span = range(fields["address"], fields["address"] + fields["count"])
                if written.keys().isdisjoint(span):
                    continue
                words = [written.get(at, self.registers.get(at, 0)) for at in span]
                number, (low, high) = _number_of(words, fields), fields["limits"]
                if number is None or not low <= number <= high:
                    return ILLEGAL_VALUE
        return super().write(address, values, now)

    def write_bits(self, address: int, bits: Sequence[bool], now: int) -> int:
        """Write coils that the profile permits; return 0 or an exception code."""
        addresses = range(address, address + len(bits))
        if not self._writable_coils.issuperset(addresses):
            return ILLEGAL_ADDRESS
        for coil, bit in zip(addresses, bits, strict=True):
            self.coils[coil] = int(bit)
        self.writes += 1
        self.version += 1
        return 0


def _words_of(raw: int, count: int, fields: Raw) -> list[int]:
    """Return the registers of a raw value, in the number type and the byte order of an entry."""
    data_type, order, size = fields.get("type", "u16"), fields.get("order", ""), 2 * count
    if data_type == "split":
        return _split_words(raw, fields)
    if data_type in _FLOAT_FORMATS:
        step = fields.get("step", [1, 1])
        data = struct.pack(_FLOAT_FORMATS[data_type], raw * step[0] / step[1])
    else:
        number = int(str(raw), 16) if data_type == "bcd" else raw
        data = (number & (1 << 8 * size) - 1).to_bytes(size, "big")
    if len(order) == size:  # else it is the default order of entries of another size
        data = bytes(data["ABCDEFGH".index(letter)] for letter in order)
    return list(struct.unpack(f">{count}H", data))


def _number_of(words: Sequence[int], fields: Raw) -> int | None:
    """Return the raw value in registers, of a float the count; None if they hold no number."""
    data_type, order = fields.get("type", "u16"), fields.get("order", "")
    data = struct.pack(f">{len(words)}H", *words)
    if len(order) == len(data):
        data = bytes(data[order.index(letter)] for letter in "ABCDEFGH"[: len(data)])
    if data_type in _FLOAT_FORMATS:
        (value,) = struct.unpack(_FLOAT_FORMATS[data_type], data)
        step = fields.get("step", [1, 1])
        return round(value * step[1] / step[0]) if math.isfinite(value) else None
    if data_type == "bcd":
        digits = data.hex()
        return int(digits) if digits.isdecimal() else None
    number: int = int.from_bytes(data, "big", signed=data_type.startswith("i"))
    if "field" in fields:
        low, width = fields["field"]
        number = number >> low & (1 << width) - 1
    return number


def _split_words(raw: int, fields: Raw) -> list[int]:
    """Return registers whose sum, each times its weight, is `raw`: the largest weights first."""
    weights = fields["weights"]
    words = [0] * len(weights)
    for index in sorted(range(len(weights)), key=lambda i: -abs(int(weights[i]))):
        part = min(max(0, raw // int(weights[index])), 9999 if fields.get("bcd") else 0xFFFF)
        raw -= part * int(weights[index])
        words[index] = int(str(part), 16) if fields.get("bcd") else part
    return words


def iter_bit_entries(raw: Raw) -> Iterator[Raw]:
    """Yield each bit of a profile as one entry, also those of the registers of flags."""
    yield from raw.get("bits", [])
    for flag_register in raw.get("flags", []):
        for index, name in enumerate(flag_register["bits"]):
            if name is not None:
                fields = {
                    key: flag_register[key]
                    for key in ("address", "function", "write")
                    if key in flag_register
                }
                for key in ("alarm", "invert"):
                    setting = flag_register.get(key, False)
                    fields[key] = index in setting if isinstance(setting, list) else setting
                yield {**fields, "name": name, "bit": index}
