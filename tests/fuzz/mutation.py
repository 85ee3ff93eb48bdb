# SPDX-License-Identifier: Apache-2.0
"""Random changes of an input, without coverage; the same for each seed.

Does not judge; see `tests.fuzz.harness`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz.harness import MAX_INPUT

_VALUES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


def mutate(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return `data` with one to four random changes; a change can insert a part of another seed."""
    return change(data, rng, seeds, most=4)[:MAX_INPUT]


def change(data: bytes, rng: random.Random, seeds: Sequence[bytes] = (), most: int = 3) -> bytes:
    """Return `data` with one to `most` random changes. With `seeds` a change can insert a part."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(8 if seeds else 7)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = rng.choice(_VALUES)
        elif kind == 2:
            del changed[at:]
        elif kind == 3:
            changed[at:at] = changed[: rng.randint(0, 40)]
        elif kind == 4:
            changed[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 5:
            del changed[at : at + rng.randint(1, 8)]
        elif kind == 6 and seeds:
            changed[at:] = rng.choice(seeds)[rng.randint(0, 60) :]
        else:
            changed[at:at] = bytes((rng.choice(_VALUES),)) * rng.choice((1, 2, 4, 64, 300))
    return bytes(changed)
