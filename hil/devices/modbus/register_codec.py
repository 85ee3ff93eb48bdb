"""Numbers as registers: integers, floats, both word orders, and what stands for "no value".

A `Kind` turns a value in its own unit into register words. A value beyond the range shows as the
range's end, as transmitters do. Built on `struct` alone.
"""

from __future__ import annotations

import struct
from math import nan

Words = tuple[int, ...]

_INTEGERS = {"h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8}


class Kind:
    """One type of number: `code` is struct's letter (h H i I q Q f d).

    `step` is the value of one unit of the register, `offset` the value at 0 (both unused for
    floats, but for `step`); `swapped` puts the low word first; `missing` is the raw value that
    shows when there is none.
    """

    __slots__ = ("_form", "_high", "_low", "_missing", "_out", "_swapped", "offset", "step")

    def __init__(
        self,
        code: str,
        step: float = 1.0,
        offset: float = 0.0,
        swapped: bool = False,
        missing: float | None = None,
    ) -> None:
        self.step = step
        self.offset = offset
        self._swapped = swapped
        self._form = struct.Struct(">" + code)
        self._out = struct.Struct(f">{self._form.size // 2}H")
        self._low = self._high = 0
        size = _INTEGERS.get(code)
        if size is not None:
            bits = 8 * size
            self._low = -(1 << bits - 1) if code.islower() else 0
            self._high = (1 << bits - 1) - 1 if code.islower() else (1 << bits) - 1
            self._missing = self._packed(0 if missing is None else int(missing))
        else:
            self._missing = self._packed(nan if missing is None else missing)

    def words(self, value: float | None) -> Words:
        """Registers of a value in its own unit; None: of no value."""
        if value is None:
            return self._missing
        if self._high == 0:
            return self._packed(value / self.step)
        raw = round((value - self.offset) / self.step)
        return self._packed(min(max(raw, self._low), self._high))

    @property
    def size(self) -> int:
        """How many registers it takes."""
        return self._out.size // 2

    def _packed(self, raw: float) -> Words:
        words: Words = self._out.unpack(self._form.pack(raw))
        return words[::-1] if self._swapped else words


def text(value: str, size: int) -> Words:
    """`size` registers of ASCII, padded with NUL."""
    raw = value.encode("ascii")[: 2 * size].ljust(2 * size, b"\0")
    return struct.unpack(f">{size}H", raw)
