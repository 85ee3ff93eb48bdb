# SPDX-License-Identifier: Apache-2.0
"""An adaptive binary range coder: binary decisions to bytes and back.

Does not map values to decisions; see `protocols.telemetry.column_model`. A decision is
`context << 1 | bit`. Each context holds the probability of a 1, in 1/32768. It moves by 1/256
towards each coded bit, by 1/64 in version 1 of the format. The width of the coder is divided in
1/4096, in version 1 in 1/32768, where a narrow width lost half a percent. Carries are delayed as in
the coder of LZMA (Igor Pavlov, public domain). The registers are 28 bits wide and thus small
integers on a 32-bit board. Bytes after the end read as zeros; therefore the encoder omits up to
four zeros at the end.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable

    Probabilities = list[int] | array[int]

ONE = 32768
"""A probability of 1."""
_RATE, _DROP = 8, 3
_MAX_TRIMMED, _READ_AHEAD = 4, 4
_SPARE_V1 = 64
"""Version 1 omitted all zeros at the end; a long run of decisions 1 can end with many."""
_TOP = 1 << 28
_MIN_RANGE = 1 << 20
_BYTE_ONES = 0xFF << 20


class RangeEncoder:
    """Encodes decisions to bytes; adapts `probabilities`."""

    def __init__(self, probabilities: "Probabilities") -> None:
        self._probabilities = probabilities
        self._low = 0
        self._range = _TOP - 1
        self._pending_byte = -1
        self._pending_ones = 0
        self._out = bytearray()

    def encode(self, decisions: "Iterable[int]") -> None:
        """Add decisions. The loop has no calls because it runs for every bit."""
        probabilities = self._probabilities
        low, width = self._low, self._range
        for decision in decisions:
            context = decision >> 1
            probability = probabilities[context]
            part = (width >> 12) * (probability >> 3)
            if decision & 1:
                width = part
                probabilities[context] = probability + ((ONE - probability) >> _RATE)
            else:
                low += part
                width -= part
                probabilities[context] = probability - (probability >> _RATE)
            while width < _MIN_RANGE:
                self._shift(low)
                low = (low & (_MIN_RANGE - 1)) << 8
                width <<= 8
        self._low, self._range = low, width

    def _shift(self, low: int) -> None:
        """Output the top byte of `low`, after no carry can change it."""
        if _BYTE_ONES <= low < _TOP:
            self._pending_ones += 1
            return
        carry = low >> 28
        out = self._out
        if self._pending_byte >= 0:
            out.append((self._pending_byte + carry) & 255)
        while self._pending_ones:
            out.append((255 + carry) & 255)
            self._pending_ones -= 1
        self._pending_byte = (low >> 20) & 255

    def finish(self) -> bytes:
        """Return all bytes: the minimum that identifies this message."""
        low, width = self._low, self._range
        value = low
        for zeros in (20, 12, 4, 0):
            mask = (1 << zeros) - 1
            value = (low + mask) & ~mask
            if value < low + width:
                break
        for _ in range(5):
            self._shift(value)
            value = (value & (_MIN_RANGE - 1)) << 8
        out = self._out
        end = len(out)
        while end and not out[end - 1] and len(out) - end < _MAX_TRIMMED:
            end -= 1
        return bytes(memoryview(out)[:end])


class RangeDecoder:
    """Decodes bytes to decisions; adapts `probabilities` as the encoder did."""

    def __init__(
        self, probabilities: "Probabilities", data: bytes, rate: int = _RATE, drop: int = _DROP
    ) -> None:
        self._rate = rate
        self._drop = drop
        self._spare = _MAX_TRIMMED + _READ_AHEAD if drop else _SPARE_V1
        self._probabilities = probabilities
        self._data = data
        self._position = 4
        self._range = _TOP - 1
        head = bytes(data[:4]) + bytes(4)
        first_bytes = head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3]
        self._code = first_bytes >> 4
        self._low_bits = first_bytes & 15  # 28 bits end within a byte

    def decode_bit(self, context: int) -> int:
        """Return the next decision of a context."""
        probabilities = self._probabilities
        probability = probabilities[context]
        part = (self._range >> (15 - self._drop)) * (probability >> self._drop)
        if self._code < part:
            self._range = part
            probabilities[context] = probability + ((ONE - probability) >> self._rate)
            decision = 1
        else:
            self._code -= part
            self._range -= part
            probabilities[context] = probability - (probability >> self._rate)
            decision = 0
        while self._range < _MIN_RANGE:
            at = self._position
            next_byte = self._data[at] if at < len(self._data) else 0
            self._position = at + 1
            self._code = self._code << 8 | self._low_bits << 4 | next_byte >> 4
            self._low_bits = next_byte & 15
            self._range <<= 8
        return decision

    def is_overrun(self) -> bool:
        """Return True if more bytes were read than a message can have: the data are invalid."""
        return self._position > len(self._data) + self._spare

    def has_more(self) -> bool:
        """Return True if the message has more bytes than were needed: not all is decoded.

        The decoder reads at least three bytes ahead, and the encoder omits zeros at the end.
        """
        return self._position < len(self._data)
