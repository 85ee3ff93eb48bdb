# SPDX-License-Identifier: Apache-2.0
"""Inputs and records of `test_traces`: pseudo-random numbers, and sums of outputs."""

from tests.portable.support.check import near

PARTS = 10


class Noise:
    """Pseudo-random numbers, equal on each interpreter."""

    def __init__(self):
        self._state = 12345

    def below(self, limit):
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 8) % limit

    def number(self, low, high):
        """Return a number from `low` to `high` in steps of a thousandth."""
        return low + (high - low) * self.below(1001) / 1000

    def sometimes(self, one_in, value, other):
        return value if self.below(one_in) == 0 else other


def number_of(value):
    """Return a number for an output: a number, None, a flag or a text."""
    if value is None:
        return -777.0
    if isinstance(value, str):
        return float(sum(value.encode()))
    return float(value)


class Record:
    """Weighted sums of the outputs; neighbours are in different sums."""

    def __init__(self):
        self.sums = [0.0] * PARTS
        self._count = 0

    def add(self, *outputs):
        for output in outputs:
            i = self._count
            self._count = i + 1
            self.sums[i // 3 % PARTS] += number_of(output) * (1.0 + i % 7 / 10)


def near_record(got, want):
    """Compare the sums of a record, with what the order of additions can change."""
    for i in range(PARTS):
        near(got[i], want[i], 1e-6, 1000)


class ExactRecord:
    """A checksum of integers, flags and texts. Each change of one of them changes it.

    For parts that use integers only: then all interpreters give the same number.
    """

    def __init__(self):
        self.sum = 1

    def add(self, *outputs):
        for output in outputs:
            if output is None:
                number = -777
            elif isinstance(output, str):
                number = len(output)
                for byte in output.encode():
                    number = number * 131 + byte
            else:
                number = int(output)
            self.sum = (self.sum * 1_000_003 + number) & 0x3FFFFFFFFFFFFFF
