# SPDX-License-Identifier: Apache-2.0
"""Hostile messages for the tests of `agent.remote.message.verifier`: no exception, none accepted.

Does not use coverage feedback. Valid messages are cut, spliced, flipped and encoded again. So most
of them pass the first checks, and the deep checks are reached often (the tests count that).
"""

import random
from collections import Counter
from typing import Any

from agent.remote.message import command, patch
from agent.remote.message.keyring import Keyring
from agent.remote.message.reject import Rejection
from agent.remote.message.verifier import MessageVerification, VerifyContext
from protocols import cbor
from protocols.cbor import Decimal, Map
from protocols.signed_message import COMMAND, KINDS, MANIFEST, PATCH, SignedMessage, pack

NOW_S = 1_795_500_000
_ATOMS: tuple[Any, ...] = (
    0, 1, 23, 24, 255, 256, 65535, 65536, 1 << 32, (1 << 63) - 1, -1, -(1 << 63), True, False, None,
    b"", b"\0" * 65, "", "a", "control.supply.setpoint_c", "confirm", "@gulf", Decimal(325, 1),
)  # fmt: skip


def make_keyring() -> Keyring:
    """Return two keys without their private keys."""
    return Keyring(
        [
            {"number": 1, "public": "58" + "66" * 31, "role": "operate"},
            {"number": 2, "public": "59" + "66" * 31, "role": "limits"},
        ]
    )


def make_context() -> VerifyContext:
    return VerifyContext("s1/u1", ["gulf"], 3, bytes(32), [100, 100, 100])


def _make_body(rng: random.Random) -> tuple[int, bytes]:
    counter = NOW_S - rng.randrange(3) * 10_000_000
    if rng.random() < 0.5:
        changes: list[tuple[Any, Any]] = [(rng.randrange(25), _value(rng, 2))]
        if rng.random() < 0.3:
            changes.append((rng.choice(("site", "devices", "control.dp.x")), _value(rng, 3)))
        group = rng.choice(("", "", "gulf", "africa"))
        version = rng.choice((3, 3, 3, 0, 4))
        return PATCH, patch.encode_patch(counter, version, counter + 3600, 3600, changes, 0, group)
    name = rng.choice(("confirm", "rollback", "acknowledge", "dance", "restart"))
    return COMMAND, command.encode_command(counter, counter + 3600, name, [("counter", 5)])


def _value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(4)
    if kind == 0 and depth:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 1 and depth:
        keys = rng.sample(range(50), rng.randrange(4))
        return Map([(key, _value(rng, depth - 1)) for key in keys])
    return rng.choice(_ATOMS)


def make_valid(rng: random.Random) -> bytes:
    """Return a valid message, except for its signatures."""
    kind, body = _make_body(rng)
    numbers = rng.choice(((1,), (1,), (1, 2), (2, 1), (9,)))
    return pack(SignedMessage(kind, body, [(n, rng.randbytes(64)) for n in numbers]))


def _reencode(rng: random.Random) -> bytes:
    """Return a message with a valid form at each level and one invalid value."""
    parts: list[Any] = [rng.choice((*KINDS, 0, 7)), b"", rng.randbytes(65)]
    body = [_value(rng, 3) for _ in range(rng.randrange(9))]
    if rng.random() < 0.7:
        body = [200, 3, 20_000, None, 60, Map([(1, 33)])]
        body[rng.randrange(len(body))] = _value(rng, 3)
    if rng.random() < 0.3:
        body = [200, 20_000_000, "confirm", Map([])]
        body[rng.randrange(len(body))] = _value(rng, 3)
    parts[1] = cbor.encode(body)
    if rng.random() < 0.1:
        parts[rng.randrange(3)] = _value(rng, 2)
    return cbor.encode(parts)


def _mutate(rng: random.Random, data: bytes) -> bytes:
    mutated = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(mutated)) if mutated else 0
        operation = rng.randrange(5)
        if operation == 0 and mutated:
            mutated[at] ^= 1 << rng.randrange(8)
        elif operation == 1 and mutated:
            mutated[at] = rng.choice((0, 0x18, 0x1B, 0x5F, 0x7F, 0x9F, 0xBF, 0xFF, 0xC4, 0xF6))
        elif operation == 2:
            del mutated[at : at + rng.randrange(1, 9)]
        elif operation == 3:
            mutated[at:at] = rng.randbytes(rng.randrange(1, 9))
        else:
            del mutated[at:]
    return bytes(mutated)


def make_hostile(rng: random.Random) -> bytes:
    """Return a message of one of the kinds above."""
    kind = rng.randrange(10)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind < 4:
        return _reencode(rng)
    data = make_valid(rng)
    return data if kind == 4 else _mutate(rng, data)


def fuzz(count: int, seed: int) -> Counter[str]:
    """Verify `count` hostile messages; count the results ("verify": it reached the signatures).

    Everything but a rejection is an exception and ends it.
    """
    rng, keys, context = random.Random(seed), make_keyring(), make_context()
    answers: Counter[str] = Counter()
    for _ in range(count):
        try:
            MessageVerification(make_hostile(rng), keys, context, NOW_S)
            answers["verify"] += 1
        except Rejection as refusal:
            answers[refusal.reason] += 1
    return answers


__all__ = ["MANIFEST", "fuzz", "make_hostile", "make_valid"]
