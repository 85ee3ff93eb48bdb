# SPDX-License-Identifier: Apache-2.0
"""One unit sends mutated blocks, schemas, notes and datagrams; another unit must not notice.

All is in memory, and the blocks before their mutation are made once. MUTATIONS=N sets the number of
messages of a soak run (10 million), SEED=N another run.
"""

import os
import random
import time
from binascii import crc32

import pytest

from deploy.relay.limits import UnitLimits
from protocols import datagram
from protocols.telemetry import message as telemetry_message
from tests.deploy.relay.relay_rig import (
    ALARM,
    SCHEMA,
    START_MS,
    PipelineRig,
    block_of,
    block_of_run,
    bulk,
    pack,
)
from tests.deploy.relay.test_relay import merged_record

_BAD, _GOOD = "bad/u", "good/u"
_BATCH = 150
"""A relay takes up to 200 messages in a transaction."""
_NOTES = (
    b'{"t":1735689600000,"m":5,"alarm":"raised","code":"leak","text":"x"}',
    b'{"a":[1,2,{"b":"\xc3\xa9"}]}',
)


class Mutator:
    """Makes messages; most are wrong somewhere."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._merged = merged_record(1, 3)[2]
        draw = self._random
        self._blocks = [block_of(seq) for seq in range(100)]
        for _ in range(300):
            times = [draw.choice((None, START_MS + 1000 * i)) for i in range(6)]
            self._blocks.append(block_of_run(draw.randrange(5), draw.randrange(10**6), times))

    def _bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def _mutate(self, data: bytes) -> bytes:
        out, draw = bytearray(data), self._random
        for _ in range(draw.choice((0, 1, 1, 2, 5))):
            if not out:
                break
            at = draw.randrange(len(out))
            kind = draw.randrange(4)
            if kind == 0:
                out[at] = draw.randrange(256)
            elif kind == 1:
                del out[at : at + draw.randrange(1, 9)]
            elif kind == 2:
                out[at:at] = self._bytes(draw.randrange(1, 9))
            else:
                out[at] ^= 1 << draw.randrange(8)
        return bytes(out)

    def _block(self) -> bytes:
        """Return a mutated block with a valid check."""
        data = self._random.choice(self._blocks)
        out = bytearray(self._mutate(data))
        if len(out) > 10:
            check = crc32(memoryview(out)[:-2])
            out[-2:] = bytes((check >> 8 & 255, check & 255))
        return bytes(out)

    def _record(self) -> tuple[int, int, bytes]:
        draw = self._random
        number = 4 * draw.randrange(1, 10**7)
        kind = draw.randrange(5)
        if kind == 0:
            return number + 3, telemetry_message.ROWS, self._block()
        if kind == 1:
            return number, telemetry_message.JSON_EVENT, self._mutate(draw.choice(_NOTES))
        if kind == 2:
            return number, telemetry_message.SCHEMA, self._mutate(SCHEMA.text)
        if kind == 3:
            return number + 3, telemetry_message.MERGED, self._mutate(self._merged)
        return number + draw.randrange(4), draw.randrange(8), self._bytes(draw.randrange(40))

    def messages(self) -> list[bytes]:
        """Return a message, or the datagrams of one."""
        draw = self._random
        records = [self._record() for _ in range(draw.randrange(1, 5))]
        message = pack(*records, generation=bytes(draw.randrange(4) for _ in range(3)))
        kind = draw.randrange(4)
        if kind == 0:
            return [self._mutate(message)]
        if kind == 1:
            parts = datagram.split(draw.randrange(4), draw.randrange(1 << 24), message, 340)
            return [self._mutate(part) if draw.random() < 0.3 else part for part in parts]
        return [message]


def run(count: int, seed: int) -> tuple[float, float]:
    """Send `count` mutated messages; return CPU s of the worst batch, and how many were sent."""
    limits = UnitLimits(messages_per_s=1e9, bytes_per_s=1e15, quarantine_bytes=1 << 20)
    rig = PipelineRig(limits=limits, undated_wait_s=0.5)
    mutator = Mutator(seed)
    rig.send(pack(ALARM), unit=_GOOD)
    sent = batch = 0
    worst = 0.0
    while sent < count:
        batch += 1
        bad = [(_BAD, message) for _ in range(_BATCH) for message in mutator.messages()]
        sent += len(bad)
        good = (_GOOD, pack(bulk(batch)))
        start = time.process_time()
        rig.pipeline.receive([*bad[:10], good, *bad[10:]])
        due = rig.settle()
        worst = max(worst, time.process_time() - start)
        assert (3, batch, batch) in rig.ranges(due, _GOOD)
        assert [rows.number >> 2 for rows in rig.rows() if rows.unit == _GOOD] == [batch]
        rig.items.clear()
        if batch % 50 == 0:
            rig.pipeline._tidy(force=True)
    assert rig.reasons(_GOOD) == []
    internal = rig.database.query("SELECT DISTINCT detail FROM quarantine WHERE reason='internal'")
    assert internal == []
    rig.close()
    return worst, sent


def test_a_bad_unit_harms_no_other_one() -> None:
    worst, _ = run(2000, 1)
    assert worst < 5.0


@pytest.mark.soak
def test_millions_of_mutations() -> None:
    count = int(os.environ.get("MUTATIONS", "10000000"))
    print(run(count, int(os.environ.get("SEED", "2"))))
