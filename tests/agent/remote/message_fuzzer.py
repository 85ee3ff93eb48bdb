"""Hostile messages by the thousand, for the tests of `agent.remote.message.verifier`: no exception, no entry.

Not a fuzzer with feedback: good messages are cut, spliced, flipped and re-encoded, so that most get
past the first checks, and the deep ones are reached often (the tests count how often).
"""

import random
from collections import Counter
from typing import Any

from agent.remote.message import command, patch
from agent.remote.message.keyring import Keyring
from agent.remote.message.reject import Refusal
from agent.remote.message.verifier import Examination, Place
from protocols import cbor
from protocols.cbor import Decimal, Map
from protocols.signed_message import COMMAND, KINDS, MANIFEST, PATCH, Envelope, pack

NOW_S = 1_795_500_000
_ATOMS: tuple[Any, ...] = (
    0, 1, 23, 24, 255, 256, 65535, 65536, 1 << 32, (1 << 63) - 1, -1, -(1 << 63), True, False, None,
    b"", b"\0" * 65, "", "a", "control.supply.setpoint_c", "confirm", "@gulf", Decimal(325, 1),
)  # fmt: skip


def keyring() -> Keyring:
    """Two keys; nobody holds their private halves."""
    return Keyring(
        [
            {"number": 1, "public": "58" + "66" * 31, "role": "operate"},
            {"number": 2, "public": "59" + "66" * 31, "role": "limits"},
        ]
    )


def place() -> Place:
    return Place("s1/u1", ["gulf"], 3, bytes(32), [100, 100, 100])


def _bodies(chance: random.Random) -> tuple[int, bytes]:
    counter = NOW_S - chance.randrange(3) * 10_000_000
    if chance.random() < 0.5:
        changes: list[tuple[Any, Any]] = [(chance.randrange(25), _value(chance, 2))]
        if chance.random() < 0.3:
            changes.append((chance.choice(("site", "devices", "control.dp.x")), _value(chance, 3)))
        group = chance.choice(("", "", "gulf", "africa"))
        version = chance.choice((3, 3, 3, 0, 4))
        return PATCH, patch.write(counter, version, counter + 3600, 3600, changes, 0, group)
    name = chance.choice(("confirm", "rollback", "acknowledge", "dance", "restart"))
    return COMMAND, command.write(counter, counter + 3600, name, [("counter", 5)])


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(4)
    if kind == 0 and depth:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 1 and depth:
        keys = chance.sample(range(50), chance.randrange(4))
        return Map([(key, _value(chance, depth - 1)) for key in keys])
    return chance.choice(_ATOMS)


def good(chance: random.Random) -> bytes:
    """A message that a holder of the keys could have made, but for its signatures."""
    kind, body = _bodies(chance)
    numbers = chance.choice(((1,), (1,), (1, 2), (2, 1), (9,)))
    return pack(Envelope(kind, body, [(n, chance.randbytes(64)) for n in numbers]))


def _reencoded(chance: random.Random) -> bytes:
    """Right in form at every level, wrong in meaning at one."""
    parts: list[Any] = [chance.choice((*KINDS, 0, 7)), b"", chance.randbytes(65)]
    body = [_value(chance, 3) for _ in range(chance.randrange(9))]
    if chance.random() < 0.7:
        body = [200, 3, 20_000, None, 60, Map([(1, 33)])]
        body[chance.randrange(len(body))] = _value(chance, 3)
    if chance.random() < 0.3:
        body = [200, 20_000_000, "confirm", Map([])]
        body[chance.randrange(len(body))] = _value(chance, 3)
    parts[1] = cbor.encode(body)
    if chance.random() < 0.1:
        parts[chance.randrange(3)] = _value(chance, 2)
    return cbor.encode(parts)


def _changed(chance: random.Random, data: bytes) -> bytes:
    bad = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(bad)) if bad else 0
        what = chance.randrange(5)
        if what == 0 and bad:
            bad[at] ^= 1 << chance.randrange(8)
        elif what == 1 and bad:
            bad[at] = chance.choice((0, 0x18, 0x1B, 0x5F, 0x7F, 0x9F, 0xBF, 0xFF, 0xC4, 0xF6))
        elif what == 2:
            del bad[at : at + chance.randrange(1, 9)]
        elif what == 3:
            bad[at:at] = chance.randbytes(chance.randrange(1, 9))
        else:
            del bad[at:]
    return bytes(bad)


def hostile(chance: random.Random) -> bytes:
    """One message of any of the kinds above."""
    kind = chance.randrange(10)
    if kind == 0:
        return chance.randbytes(chance.randrange(200))
    if kind < 4:
        return _reencoded(chance)
    data = good(chance)
    return data if kind == 4 else _changed(chance, data)


def fuzz(count: int, seed: int) -> Counter[str]:
    """Look at `count` hostile messages; how often each word was the answer ("verify": got there).

    Anything but a refusal is an exception, and ends it.
    """
    chance, keys, here = random.Random(seed), keyring(), place()
    seen: Counter[str] = Counter()
    for _ in range(count):
        try:
            Examination(hostile(chance), keys, here, NOW_S)
            seen["verify"] += 1
        except Refusal as refusal:
            seen[refusal.reason] += 1
    return seen


__all__ = ["MANIFEST", "fuzz", "good", "hostile"]
