"""Fuzzed envelopes: nothing but a refusal comes of them, and nothing is applied."""

import os
import random
from concurrent.futures import ProcessPoolExecutor

import pytest

from agent.remote.message.reject import Refusal
from agent.remote.message.verifier import Examination
from tests.agent.remote import message_fuzzer

BEFORE_THE_SIGNATURE = {
    "malformed", "wrong_target", "unknown_signer", "wrong_role", "replay", "rollback",
    "wrong_base", "expired", "verify",
}  # fmt: skip


def test_a_hundred_thousand_hostile_messages_are_refused() -> None:
    seen = message_fuzzer.fuzz(100_000, 1)
    assert sum(seen.values()) == 100_000
    assert seen.keys() >= BEFORE_THE_SIGNATURE - {"replay"}, seen
    assert seen["verify"] > 2000, seen


def test_what_reaches_the_signature_fails_there() -> None:
    chance, tried = random.Random(2), 0
    while tried < 40:
        try:
            examination = Examination(
                message_fuzzer.hostile(chance),
                message_fuzzer.keyring(),
                message_fuzzer.place(),
                message_fuzzer.NOW_S,
            )
        except Refusal:
            continue
        tried += 1
        with pytest.raises(Refusal, match="bad_signature"):
            _finish(examination)


def _finish(examination: Examination) -> None:
    while not examination.step():
        pass


@pytest.mark.soak
def test_ten_million_hostile_messages_are_refused() -> None:
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers) as pool:
        rounds = list(pool.map(message_fuzzer.fuzz, [100_000] * 100, range(1000, 1100)))
    assert sum(sum(seen.values()) for seen in rounds) == 10_000_000
