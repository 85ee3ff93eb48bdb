# SPDX-License-Identifier: Apache-2.0
"""The context indices of the column model and their initial probabilities.

The initial values are trained in advance (`python -m benchmarks.telemetry.codec_train`, on streams
that no test uses). So a short block need not learn common statistics. Each context has one byte, in
1/256. They are part of the format: a change of one byte requires a new version.

The contexts of a value belong to an octave of the signal's spread (0: up to 1/16 of a count, 7: 64
counts or more, shifted down). The first two also depend on the eighth of a count of the prediction:
    zero[8]   does the value differ from the rounded prediction?
    side[8]   is it above?
    more[6]   is it farther off than 1, 2, … 6 or more?
"""

from array import array
from binascii import unhexlify

ZERO, SIDE, MORE, PER_OCTAVE = 0, 8, 16, 22
OCTAVES = 8
ESCAPE = OCTAVES * PER_OCTAVE
"""Length of the number by which a value is more than 14 off; 24 contexts."""
RAW = ESCAPE + 24
"""Bits without a model."""
FIRST = RAW + 1
"""Length of the first value of a signal; 32 contexts."""
MODE = FIRST + 32
"""Kind of the column; 4 contexts."""
PRESENT = MODE + 4
"""Is a value present? After an absent one, after a present one."""
RISE = PRESENT + 2
"""Length of the rise of a counter; 16 contexts."""
COUNT = RISE + 16

_INITIAL = unhexlify(
    "aa26231906042e4b334033ac8580dbd55af3e8e9eacf6b323f23192539620f152f"
    "5e8ecff4f012b2e5eae0da755141302c3a4e70050c1c619ee0effd038be7d3ebd2"
    "735d4b393a4b5b7706122853a7dbeff8041c6cc08be4978d8c8e818b8d9534475a"
    "7489a4bbcd2d1d346e839acececbcbb1cfcad1656f707c8189959a9792887d79c1"
    "d9d7d9d7d8d8d7da6972778084868d93ab9c8b7f746fe0e1e4e0e8e1e0e0837f81"
    "8380817f86c1bab3b1b1d1f3efeaded5cfc5bfaf9e8f6a3c138080808080808080"
    "808080fcfcf7dddac8e1cdfee3dfdad3dff6eeda79a6a601808080808080808080"
    "80802c988222f8f6fefbfafec7ebf1d4d3f0680180808080"
)


def initial_table() -> "array[int]":
    """Return a new table of probabilities in 1/32768."""
    table = array("H", bytes(2 * len(_INITIAL)))
    for at, start in enumerate(_INITIAL):
        table[at] = start * 128 + 64
    return table
