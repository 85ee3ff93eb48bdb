# SPDX-License-Identifier: Apache-2.0
"""Numbers in registers: integers and floats in both word orders, with a value for "no value".

A `RegisterFormat` encodes a value in its own unit as register words. It limits a value to the range
of the format, as transmitters do. Does not use a Modbus library, only `struct`.
"""

from __future__ import annotations

import struct
from math import nan

Words = tuple[int, ...]

_INTEGERS = {"h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8}


class RegisterFormat:
    """One number format: `code` is a letter of `struct` (h H i I q Q f d).

    `step` is the value of one register unit, and `offset` is the value at 0 (not used for floats).
    `swapped` puts the low word first; `no_value` is the raw value for "no value".
    """

    __slots__ = (
        "_high",
        "_low",
        "_no_value_words",
        "_swapped",
        "_value_struct",
        "_word_struct",
        "offset",
        "step",
    )

    def __init__(
        self,
        code: str,
        step: float = 1.0,
        offset: float = 0.0,
        swapped: bool = False,
        no_value: int | None = None,
    ) -> None:
        self.step = step
        self.offset = offset
        self._swapped = swapped
        self._value_struct = struct.Struct(">" + code)
        self._word_struct = struct.Struct(f">{self._value_struct.size // 2}H")
        self._low = self._high = 0
        size = _INTEGERS.get(code)
        if size is not None:
            bits = 8 * size
            self._low = -(1 << bits - 1) if code.islower() else 0
            self._high = (1 << bits - 1) - 1 if code.islower() else (1 << bits) - 1
            self._no_value_words = self._pack_integer(no_value or 0)
        else:
            self._no_value_words = self._pack_float(nan if no_value is None else float(no_value))

    def encode(self, value: float | None) -> Words:
        """Return the registers of a value in its own unit; None stands for "no value"."""
        if value is None:
            return self._no_value_words
        high = self._high
        if high == 0:
            return self._pack_float(value / self.step)
        raw = round((value - self.offset) / self.step)
        if raw > high:
            raw = high
        elif raw < self._low:
            raw = self._low
        if high <= 0xFFFF:  # one register, the usual case
            return (raw & 0xFFFF,)
        return self._pack_integer(raw)

    @property
    def register_count(self) -> int:
        """Number of registers of one value."""
        return self._word_struct.size // 2

    def _pack_integer(self, raw: int) -> Words:
        return self._to_words(self._value_struct.pack(raw))

    def _pack_float(self, raw: float) -> Words:
        return self._to_words(self._value_struct.pack(raw))

    def _to_words(self, data: bytes) -> Words:
        words: Words = self._word_struct.unpack(data)
        return words[::-1] if self._swapped else words


def encode_text(value: str, size: int) -> Words:
    """Return `size` registers of ASCII text, padded with NUL."""
    raw = value.encode("ascii")[: 2 * size].ljust(2 * size, b"\0")
    return struct.unpack(f">{size}H", raw)
