# SPDX-License-Identifier: Apache-2.0
"""The guard against late replies: all states of its model. See `stale_reply_model`."""

from __future__ import annotations

import pytest

from drivers.modbus.stale_reply.unit_guard import (
    FORGOTTEN,
    HELD,
    HOLD_ENDED,
    PROVEN,
    SUSPECT,
    SYNCED,
    TABLE,
    TIMED_OUT,
    next_state,
)
from tests.drivers.modbus.stale_reply_model import (
    READ_A,
    READ_B,
    THEIRS,
    WIDE_A,
    WIDE_B,
    WIDE_THEIRS,
    Explorer,
)

# name -> (requests, replies the device can be behind, function 8 permitted, states, polls until
# each state has a good value)
CASES = {
    "one request": ((READ_A,), 1, True, 18_379, 5),
    "no function 8": ((READ_A,), 2, False, 7_971, 15),
}
THEIR_CASES = {
    "one register of theirs": THEIRS,
    "two of theirs": WIDE_THEIRS,
    "the register of ours": READ_A,
}
LONG_CASES = {
    "mixed lengths": ((READ_A, WIDE_B), 1),
    "two behind": ((READ_A, READ_B), 2),
    "two registers": ((WIDE_A, WIDE_B), 1),
}
MOST_STATES = 3_000_000
MOST_POLLS = 12


def explore(explorer: Explorer, states: int, polls: int) -> None:
    """Explore all states; their number and the longest way to a good value are exact."""
    explorer.run(states, polls)
    print(explorer.states, explorer.transitions, explorer.most_polls)
    assert (explorer.states, explorer.most_polls) == (states, polls)


@pytest.mark.parametrize("name", CASES)
def test_no_reply_is_taken_for_another(name: str) -> None:
    requests, behind, diagnostics, states, polls = CASES[name]
    explore(Explorer(requests, behind, diagnostics), states, polls)


@pytest.mark.soak
def test_two_requests_without_function_8() -> None:
    explore(Explorer((READ_A, READ_B), 1, False), 87_966, 18)


@pytest.mark.soak
def test_a_device_without_function_8() -> None:
    """An exception to function 8 can be an older one; a read of another function is the proof."""
    explore(Explorer((READ_A,), 1, refuses=True), 36_088, 19)


@pytest.mark.soak
def test_no_reply_to_another_master_ends_a_request_of_ours() -> None:
    explore(Explorer((READ_A,), 1, False, theirs=(WIDE_THEIRS,)), 105_923, 19)


@pytest.mark.soak
def test_two_requests_of_one_shape() -> None:
    Explorer((READ_A, READ_B), 1).run(MOST_STATES, MOST_POLLS)


@pytest.mark.soak
def test_function_8_is_not_permitted_at_any_time() -> None:
    explore(Explorer((READ_A,), 1, learns=True), 46_437, 24)


@pytest.mark.soak
def test_no_copy_that_a_request_cuts_is_counted() -> None:
    Explorer((READ_A, READ_B), 1, cuts_copies=True).run(MOST_STATES, MOST_POLLS)


@pytest.mark.soak
@pytest.mark.parametrize("name", THEIR_CASES)
def test_no_reply_to_another_master_is_taken_as_ours(name: str) -> None:
    Explorer((READ_A,), 1, theirs=(THEIR_CASES[name],)).run(MOST_STATES, MOST_POLLS)


@pytest.mark.soak
@pytest.mark.parametrize("name", LONG_CASES)
def test_no_reply_is_taken_for_another_long(name: str) -> None:
    requests, behind = LONG_CASES[name]
    Explorer(requests, behind).run(MOST_STATES, MOST_POLLS)


def test_table_has_one_transition_for_each_pair() -> None:
    pairs = [(state, event) for state, event, _ in TABLE]
    assert len(pairs) == len(set(pairs)) == 7
    assert {after for *_, after in TABLE} == {SYNCED, HELD, SUSPECT}
    assert next_state(HELD, PROVEN) == SYNCED
    assert next_state(HELD, HOLD_ENDED) == SUSPECT
    assert next_state(SUSPECT, TIMED_OUT) == SUSPECT
    with pytest.raises(ValueError, match="no transition"):
        next_state(SYNCED, FORGOTTEN)
