"""Where each context of the model stands in the range coder's table, and where it starts.

The starts are trained ahead (`python -m benchmarks.codec_train`, on streams that no test uses) and
shipped, so that a short block need not learn what is common to all: one byte a context, in 1/256.
They are part of the format: a change of one byte makes another version of it.

A value's contexts belong to an octave of the signal's spread (0: a sixteenth of a count or less, 7:
64 counts and above, shifted down), and the first two to an eighth of a count of the prediction:
    zero[8]   does the value differ from the prediction, rounded?
    side[8]   is it above?
    more[6]   is it farther off than 1, 2, … 6 or more?
"""

from array import array
from binascii import unhexlify

ZERO, SIDE, MORE, PER_OCTAVE = 0, 8, 16, 22
OCTAVES = 8
ESCAPE = OCTAVES * PER_OCTAVE
"""How long the number is that says how far beyond 14 a value is off; 24 contexts."""
RAW = ESCAPE + 24
"""Bits that no model knows anything of."""
FIRST = RAW + 1
"""How long the number is that a signal starts with; 32 contexts."""
MODE = FIRST + 32
"""What kind of column follows; 4 contexts."""
PRESENT = MODE + 4
"""Is a value there? After one that was not, after one that was."""
RISE = PRESENT + 2
"""How long the number is that says how far a counter came; 16 contexts."""
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
    """Return a fresh table of probabilities in 1/32768."""
    table = array("H", bytes(2 * len(_INITIAL)))
    for at, start in enumerate(_INITIAL):
        table[at] = start * 128 + 64
    return table
