# SPDX-License-Identifier: Apache-2.0
"""The remote protocol with two units, all interleavings; see `pair_search`.

The number of states is a part of the result: a change of the protocol that loses states must be
seen.
"""

from collections.abc import Iterator

import pytest

from agent.remote.message.verifier import MessageVerification
from deploy.ops import messages
from tests.agent.remote import pair_search
from tests.agent.remote import protocol_model as model
from tests.agent.remote.pair_search import Found, PairSearch, Shared

FEW = (pair_search.ALWAYS[0], pair_search.ALWAYS[6])
"""Messages of a search that is small enough to visit each pair on its own."""


@pytest.fixture(name="broken")
def _break(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Break a rule: results of the product with the rule must not be kept, nor those without."""
    model.forget()
    yield monkeypatch
    model.forget()


@pytest.mark.parametrize(
    ("crashes", "commands", "has_utc", "found"),
    [
        (1, 0, True, Found(2_047_462, 2_100, 4)),
        pytest.param(1, 1, True, Found(33_608_366, 7_920, 4), marks=pytest.mark.soak),
        pytest.param(1, 1, False, Found(85_897_050, 12_229, 4), marks=pytest.mark.soak),
    ],
)
def test_every_interleaving_of_two_units_keeps_the_promises(
    crashes: int, commands: int, has_utc: bool, found: Found
) -> None:
    assert PairSearch(crashes, commands, has_utc).run() == found


def test_rows_give_the_states_that_a_search_of_single_pairs_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pair_search, "ALWAYS", FEW)
    search = PairSearch(1, 1, True)
    start = (Shared(1, 1), 0, 0)
    seen, waiting = {start}, [start]
    while waiting:
        for after in search.pairs_of(*waiting.pop()) - seen:
            seen.add(after)
            waiting.append(after)
    assert PairSearch(1, 1, True).run().states == len(seen) > 1000


def _accept(*_: object) -> None:
    """Check nothing."""


def test_an_epoch_for_one_key_is_found(broken: pytest.MonkeyPatch) -> None:
    broken.setattr(MessageVerification, "_check_epoch", _accept)
    with pytest.raises(AssertionError, match="one key opened an epoch"):
        PairSearch(0, 0, True).run()


def test_a_counter_without_bound_is_found(broken: pytest.MonkeyPatch) -> None:
    broken.setattr(MessageVerification, "_check_ahead", _accept)
    with pytest.raises(AssertionError):
        PairSearch(0, 0, True).run()


def test_a_tool_that_trusts_each_report_is_found(broken: pytest.MonkeyPatch) -> None:
    """One unit with a counter far ahead must not decide the counter of the others."""
    broken.setattr(messages, "ACCEPTED_AHEAD_S", 1 << 32)
    with pytest.raises(AssertionError, match="the group refuses its change"):
        PairSearch(0, 0, True).run()


def test_a_trial_without_a_limit_of_one_is_found(broken: pytest.MonkeyPatch) -> None:
    broken.setattr(model, "is_on_trial", lambda _: False)
    with pytest.raises(AssertionError):
        PairSearch(0, 0, True).run()
