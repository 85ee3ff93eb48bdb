# SPDX-License-Identifier: Apache-2.0
"""An exception at each of the first 200 calls of each piece of a unit costs no tick.

The unit and the table of its pieces are those of the portable test, which runs a sample of calls on
MicroPython. At each call of a piece the process forks: in the copy this call raises, and the copy
runs on for some seconds and judges. The kind of the exception changes from call to call.
"""

from __future__ import annotations

import os
from typing import Any, Never

import pytest

from hil.kernel.raise_in import ERRORS, InjectedError, find_piece
from tests.portable.agent.core import test_guard_pieces

_UNIT: Any = test_guard_pieces  # a portable module has no types
CALLS = 200
LONGEST_S = 230
"""A device is polled once a second."""
AFTER_S = 6
"""A component is off for 1 s after its first exception. A pump whose first reading is lost starts
up to 5 s later."""
LEAST = {"broker": 60, "chrony": 200, "ntp": 200, "pps": 200}
"""Calls of the pieces that are called fewer than 200 times in this time."""
_WORDS = ("injected", *(word for word in ERRORS if word != "heap"))


class CallForker:
    """Counts the calls of a piece; a copy of the process raises at each. `failed`: bad calls."""

    def __init__(self) -> None:
        self.count = 0
        self.failed: list[int] = []
        self.is_copy = False

    def wrap(self, piece: Any, name: str) -> None:
        """Replace a method of `piece`."""
        method = getattr(piece, name)

        def counted(*arguments: Any) -> Any:
            if not self.is_copy and self.count < CALLS:
                self.count += 1
                if self._is_new_copy():
                    word = _WORDS[self.count % len(_WORDS)]
                    raise ERRORS.get(word, InjectedError)("injected")
            return method(*arguments)

        setattr(piece, name, counted)

    def _is_new_copy(self) -> bool:
        child = os.fork()
        if child == 0:
            self.is_copy = True
        elif os.waitpid(child, 0)[1] != 0:
            self.failed.append(self.count)
        return child == 0


def run_piece(piece: str) -> CallForker:
    """Run the unit with copies for the calls of one piece."""
    rig, counter = _UNIT.make_rig(), CallForker()
    found = find_piece(rig.agent, piece)
    assert found is not None
    for name in found[1]:
        counter.wrap(found[0], name)
    second, end = 0, LONGEST_S
    try:
        while second < end and (counter.is_copy or counter.count < CALLS):
            second += 1
            _UNIT.run_second(rig, second)
            if counter.is_copy and end == LONGEST_S:
                end = second + AFTER_S
        if counter.is_copy:
            _end_copy(rig, (piece, counter.count))
    except BaseException:
        if counter.is_copy:
            os._exit(1)
        raise
    return counter


def _end_copy(rig: Any, case: tuple[str, int]) -> Never:
    """End a copy with 0 if the unit is good: one fault at least, and no other effect."""
    os._exit(0 if _UNIT.judge(rig, case) >= 1 else 2)


@pytest.mark.soak
@pytest.mark.parametrize("piece", _UNIT.PIECES)
def test_each_of_the_first_200_calls(piece: str) -> None:
    counter = run_piece(piece)
    assert counter.failed == []
    assert counter.count >= LEAST.get(piece, CALLS)


def test_a_copy_that_loses_a_tick_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows that the method works: nothing contains the exceptions of the device sessions."""
    monkeypatch.setattr("tests.agent.runtime.test_guard_calls.CALLS", 3)
    monkeypatch.setattr("agent.core.fault.guard.Guard.handle", _raise)
    assert run_piece("cdu").failed == [1, 2, 3]


def _raise(_guard: object, _piece: object, error: Exception, *_: object) -> None:
    raise error
