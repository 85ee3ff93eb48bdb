# SPDX-License-Identifier: Apache-2.0
"""The context indices of the column model and their initial probabilities, format version 2.

The initial values are trained in advance (`python -m benchmarks.telemetry.codec_train`, on streams
that no test uses). So a short block need not learn common statistics. Each context has one byte, in
1/256. They are part of the format: a change of one byte requires a new version.

The contexts of a value belong to a half octave of the signal's spread (0: up to 1/16 of a count,
15: 48 counts or more, shifted down). The first two also depend on the eighth of a count of the
prediction:
    zero[8]   does the value differ from the rounded prediction?
    side[8]   is it above?
    more[6]   is it farther off than 1, 2, … 6 or more?
"""

from array import array
from binascii import unhexlify

ZERO, SIDE, MORE, PER_OCTAVE = 0, 8, 16, 22
OCTAVES = 16
ESCAPE = OCTAVES * PER_OCTAVE
"""Length of the number by which a value is more than 14 off; 24 contexts."""
RAW = ESCAPE + 24
"""Bits without a model."""
FIRST = RAW + 1
"""Length of the first value of a signal; twice 32 contexts: up to the length of the one before."""
TOP = FIRST + 64
"""Its last bit (the sign), then its second bit by its length; 16 contexts."""
MODE = TOP + 16
"""Kind of the column; 8 contexts."""
PRESENT = MODE + 8
"""Is a value present? After an absent one, after a present one."""
RISE = PRESENT + 2
"""Length of the rise of a counter, of a period or of a modulus; 16 contexts."""
COUNT = RISE + 16

_INITIAL = unhexlify(
    "e06a383605176da2202a333884d1c0e065f0e8e6e8d18080808080808080808080"
    "808080808080808080808076605623114a3b4913131a7789dde6db16e9d0edecd6"
    "785c36271743585e10172a638df2edee12d5dce8eecd79513b36273e5c6e070721"
    "6893def5fa05b5ededc4ca7056452d32445475020e215b97e0f9fd0267b8dbecd9"
    "7456413337425873030c1f529fe6f6fb024e9db6c3d2755e4b3f4d4a5d7708112a"
    "5d98d9f0f70831879590ad958c888685868d9631445a7287a4bacf291a346e8cb2"
    "a29c949491999ba042506079879faec13722377c6576c2b9b7beacbcbcb95a676d"
    "75839097a27b787975696dd5d5d5d5d1d5d5d56a70787c82848d96a5958273675c"
    "d8d9d9d7d7d7d8da6b72788080878f91ac9d8d7f7367dbd9e3e5e2e4e1e5706b5f"
    "7b7a7d8483c3bdb7a99492dedadae2dfe1dae46b6a807770809579c0b7a09898a2"
    "c9cccacfcbcccacd7f7c7a807c827c7ebcb5adaaa5bacaba907c0f408080808080"
    "808080808080808080808080807ef7fefeb79a8dd5b3fcdedcb18698f4edc52a62"
    "8136f8f8f8f8f8f8f8f8f8f8dffcfbf5e6eee9e6e0fee1d8fdf7f4f6f0eeecf7ec"
    "fcfcfcfcfcfcfcfcfcfcfcfec69d8e9b433e80a91e067f05e1136c9b2ba2978111"
    "b692a4f7f6fef1f7efbaf6f4dcdbfef55302808080"
)


def initial_table() -> "array[int]":
    """Return a new table of probabilities in 1/32768."""
    table = array("H", bytes(2 * len(_INITIAL)))
    for at, start in enumerate(_INITIAL):
        table[at] = start * 128 + 64
    return table
