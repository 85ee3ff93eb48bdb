# SPDX-License-Identifier: Apache-2.0
"""A column of integers as binary decisions for the range coder, and back.

Theory of operation. Sensors give a slow drift plus noise, rounded to counts. The model tracks a
level in 1/256 of a count. Its gain adapts: it grows while the errors keep their sign (the level
lags) and shrinks while they alternate (the level follows noise). The rounded level is the
prediction. Its fraction shows which neighbour is more likely. Therefore the first decisions of a
value ("equal to the prediction?", "above it?") have one context for each eighth of a count. The
usual size of errors, in half octaves, selects the set of contexts. From 64 counts on, the lowest
bits are sent without a model. An error of more than eight times the usual size is a step: the level
moves to the value immediately. The gain adapts only by errors of about half a count or more: the
sign of a smaller one is that of the rounding. Gain and usual size of a column are the first guess
for the next column.

The model uses only integers, shifts and comparisons, so that two interpreters agree.
`push_decisions` is one loop without calls because a board runs it for every value. `ColumnDecoder`
reverses it decision by decision.
"""

from protocols.telemetry.initial_contexts import ESCAPE, FIRST, MORE, PER_OCTAVE, RAW, SIDE, TOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Push = Callable[[int], None]
    Bit = Callable[[int], int]

GAIN, MAX_GAIN, MIN_GAIN = 56, 240, 16
"""Initial gain of the level and its limits, in 1/256."""
SPREAD = 300
"""Initial expected size of an error, in 1/256 of a count."""
MAX_SHIFT = 5
"""The spread follows errors by 1/2, then 1/4, and finally 1/32."""
_MAX_UNARY = 14
"""Limit in counts (after the shift); a larger number is sent by its length."""
_UNSHIFTED = 6
"""The first octaves are sent without a shift."""
MAX_BITS = 56
"""Maximum number of bits of a number."""
_ROUNDING = 120
"""Smaller errors, in 1/256 of a count, say nothing about the gain."""
_START_GAINS = (128, 85, 64, 51)
"""Least gain of the first values: that of a mean of all values so far."""


def initial_state() -> "list[int]":
    """Return gain, spread and shift before the first column of a block."""
    return [GAIN, SPREAD, 1]


def linear_state() -> "list[int]":
    """Return the same for the residuals of a line: they are near 0."""
    return [GAIN, 32, 3]


def octave_of(spread: int) -> int:
    """Return the octave of a spread: 0 below 16/256, 1 below 32/256, …"""
    octave = 0
    spread >>= 4
    while spread:
        octave += 1
        spread >>= 1
    return octave


def _octave_params(spread: int) -> "tuple[int, int, int, int, int]":
    """Return the limits of the half octave, its contexts, the shift of the sent value, half of the
    shift.
    """
    octave = octave_of(spread)
    down = max(octave - _UNSHIFTED, 0)
    if not octave:
        return 0, 16, 0, 0, 0
    middle = 12 << octave
    upper = spread >= middle
    base = min(2 * octave + upper, 15) * PER_OCTAVE
    half = (1 << down) >> 1
    if upper:
        return middle, 16 << octave, base, down, half
    return 8 << octave, middle, base, down, half


def push_decisions(  # noqa: C901, PLR0912, PLR0915 - one loop without calls, for its speed
    values: "Iterable[int]", start: int, push: "Push", state: "list[int]"
) -> None:
    """Push the decisions for `values`, which follow the value `start`; updates `state`."""
    level, gain, spread, last_error = start << 8, state[0], state[1], 0
    shift, count, next_shift_at, low_bits = state[2], 0, 3, 0
    low, high, base, down, half = _octave_params(spread)
    for value in values:
        target = level + 128
        at = base + ((target & 255) >> 5) << 1
        deviation = value - (target >> 8)
        if down:
            low_bits = deviation + half
            deviation = low_bits >> down
        if not deviation:
            push(at)
        else:
            push(at | 1)
            at += SIDE << 1
            push(at | (deviation > 0))
            if deviation < 0:
                deviation = -deviation
            more = (base + MORE) << 1
            if deviation > _MAX_UNARY:
                _push_long(deviation, more, push)
            else:
                top = more + 10
                while deviation > 1:
                    push(more | 1)
                    if more < top:
                        more += 2
                    deviation -= 1
                push(more)
        if down:
            _push_raw(low_bits, down, push)
        error = (value << 8) - level
        size = error if error >= 0 else -error
        if size > (spread << 3) + 256:
            size = (spread << 3) + 256
            level += error
            last_error = 0
        else:
            product = 0 if size < _ROUNDING else last_error * error
            last_error = 0 if size < _ROUNDING else error
            if product > 0:
                if gain < MAX_GAIN:
                    gain += 1
            elif product and gain > MIN_GAIN:
                gain -= 1
            low_gain = count < 4 and gain < _START_GAINS[count]
            level += (error * (_START_GAINS[count] if low_gain else gain)) >> 8
        spread += (size - spread) >> shift
        count += 1  # noqa: SIM113 - enumerate costs a tuple a value
        if count == next_shift_at and shift < MAX_SHIFT:
            shift += 1
            next_shift_at += count + 1
        if spread >= high or spread < low:
            low, high, base, down, half = _octave_params(spread)
    state[0], state[1], state[2] = gain, spread, 2


def _push_long(deviation: int, more: int, push: "Push") -> None:
    """Push a number above _FAR: all steps up to there, then the rest by its length."""
    for step in range(_MAX_UNARY):
        push((more + 2 * min(step, 5)) | 1)
    push_number(deviation - _MAX_UNARY, ESCAPE, 24, push)


def push_number(number: int, first: int, contexts: int, push: "Push") -> None:
    """Push a number of 1 or more: its length in unary, in `contexts` contexts, then its bits."""
    bits = 0
    while number >> bits > 1:
        push((first + min(bits, contexts - 1)) << 1 | 1)
        bits += 1
    push((first + min(bits, contexts - 1)) << 1)
    _push_raw(number, bits, push)


def push_first(number: int, last_bits: int, push: "Push") -> int:
    """Push the first value of a column. Return its length, the next `last_bits`."""
    bits = 0
    while number >> bits > 1:
        push((FIRST + min(bits, 31) + (32 if bits < last_bits else 0)) << 1 | 1)
        bits += 1
    push((FIRST + min(bits, 31) + (32 if bits < last_bits else 0)) << 1)
    if bits:
        push((TOP + min(bits, 15)) << 1 | (number >> bits - 1) & 1)
        if bits > 1:
            _push_raw(number >> 1, bits - 2, push)
            push(TOP << 1 | number & 1)
    return bits


def _push_raw(number: int, bits: int, push: "Push") -> None:
    """Push the lowest bits of a number, the highest first."""
    for place in range(bits - 1, -1, -1):
        push(RAW << 1 | (number >> place) & 1)


def decode_number(first: int, contexts: int, bit: "Bit") -> int:
    """Reverse `push_number`; a longer number ends at MAX_BITS."""
    bits = 0
    while bits < MAX_BITS and bit(first + min(bits, contexts - 1)):
        bits += 1
    return 1 << bits | _decode_raw(bits, bit)


def decode_first(last_bits: int, bit: "Bit") -> "tuple[int, int]":
    """Reverse `push_first`; return the number and its length."""
    bits = 0
    while bits < MAX_BITS and bit(FIRST + min(bits, 31) + (32 if bits < last_bits else 0)):
        bits += 1
    number = 1
    if bits:
        number = 2 | bit(TOP + min(bits, 15))
        if bits > 1:
            number = number << (bits - 2) | _decode_raw(bits - 2, bit)
            number = number << 1 | bit(TOP)
    return number, bits


def _decode_raw(bits: int, bit: "Bit") -> int:
    """Reverse `_push_raw`."""
    number = 0
    for _ in range(bits):
        number = number << 1 | bit(RAW)
    return number


class ColumnDecoder:
    """Reverses `push_decisions`, with the same state: call `next_value` once per value."""

    def __init__(self, start: int, bit: "Bit", state: "list[int]") -> None:
        self._bit = bit
        self._level = start << 8
        self._gain, self._spread, self._shift = state
        self._last_error = 0
        self._count = 0
        self._next_shift_at = 3

    def save(self, state: "list[int]") -> None:
        """Update `state` after the last value."""
        state[0], state[1], state[2] = self._gain, self._spread, 2

    def next_value(self) -> int:
        """Return the next value."""
        _, _, base, down, half = _octave_params(self._spread)
        target = self._level + 128
        deviation = self._decode_deviation(base, base + ((target & 255) >> 5))
        if down:
            deviation = (deviation << down | _decode_raw(down, self._bit)) - half
        value = (target >> 8) + deviation
        self._adapt((value << 8) - self._level)
        return value

    def _decode_deviation(self, base: int, at: int) -> int:
        bit = self._bit
        if not bit(at):
            return 0
        above = bit(at + SIDE)
        deviation = 1
        while deviation <= _MAX_UNARY and bit(base + MORE + min(deviation - 1, 5)):
            deviation += 1
        if deviation > _MAX_UNARY:
            deviation = _MAX_UNARY + decode_number(ESCAPE, 24, bit)
        return deviation if above else -deviation

    def _adapt(self, error: int) -> None:
        size = abs(error)
        limit = (self._spread << 3) + 256
        if size > limit:
            size = limit
            self._level += error
            self._last_error = 0
        else:
            self._adapt_gain(error, size)
            gain = self._gain
            if self._count < 4:
                gain = max(gain, _START_GAINS[self._count])
            self._level += (error * gain) >> 8
        self._spread += (size - self._spread) >> self._shift
        self._count += 1
        if self._count == self._next_shift_at and self._shift < MAX_SHIFT:
            self._shift += 1
            self._next_shift_at += self._count + 1

    def _adapt_gain(self, error: int, size: int) -> None:
        if size < _ROUNDING:
            self._last_error = 0
            return
        if self._last_error:
            if (self._last_error > 0) == (error > 0):
                self._gain = min(self._gain + 1, MAX_GAIN)
            else:
                self._gain = max(self._gain - 1, MIN_GAIN)
        self._last_error = error
