# SPDX-License-Identifier: Apache-2.0
"""An exception at each of the first 200 calls of each piece of a unit costs no tick.

The unit and the table of its pieces are those of the portable test, which runs a sample of calls on
MicroPython. The kind of the exception changes from call to call.
"""

from __future__ import annotations

import pytest

from hil.kernel.raise_in import ERRORS
from tests.portable.agent.core import test_guard_pieces

CALLS = 200
LONGEST_S = 230
"""A device is polled once a second."""
RARE = ("broker", "chrony", "ntp", "pps")
"""Pieces that are called fewer times in this time."""
_WORDS = ("injected", *(word for word in ERRORS if word != "heap"))


@pytest.mark.soak
@pytest.mark.parametrize("piece", test_guard_pieces.PIECES)
def test_each_of_the_first_200_calls(piece: str) -> None:
    found = [
        test_guard_pieces.check_piece(piece, call, _WORDS[call % len(_WORDS)], LONGEST_S)
        for call in range(1, CALLS + 1)
    ]
    assert sum(found) >= CALLS or piece in RARE, sum(found)
