# SPDX-License-Identifier: Apache-2.0
"""Fuzzed envelopes: they are only rejected, and nothing is applied."""

import os
import random
from concurrent.futures import ProcessPoolExecutor

import pytest

from agent.remote.message.reject import Rejection
from agent.remote.message.verifier import MessageVerification
from tests.agent.remote import message_fuzzer

BEFORE_THE_SIGNATURE = {
    "malformed", "wrong_target", "unknown_signer", "wrong_role", "replay", "rollback",
    "wrong_base", "expired", "verify",
}  # fmt: skip


def test_hostile_messages_are_rejected() -> None:
    seen = message_fuzzer.fuzz(20_000, 9)
    assert sum(seen.values()) == 20_000
    assert seen.keys() >= BEFORE_THE_SIGNATURE - {"replay"}, seen
    assert seen["verify"] > 400, seen


def test_signature_check_rejects_forged_messages() -> None:
    chance, tried = random.Random(2), 0
    while tried < 40:
        try:
            verification = MessageVerification(
                message_fuzzer.make_hostile(chance),
                message_fuzzer.make_keyring(),
                message_fuzzer.make_context(),
                message_fuzzer.NOW_S,
            )
        except Rejection:
            continue
        tried += 1
        with pytest.raises(Rejection, match="bad_signature"):
            _finish(verification)


def _finish(verification: MessageVerification) -> None:
    while not verification.step():
        pass


@pytest.mark.soak
def test_fifty_million_hostile_messages_are_rejected() -> None:
    workers = os.cpu_count() or 1
    with ProcessPoolExecutor(workers) as pool:
        rounds = list(pool.map(message_fuzzer.fuzz, [100_000] * 500, range(1000, 1500)))
    assert sum(sum(seen.values()) for seen in rounds) == 50_000_000
