# SPDX-License-Identifier: Apache-2.0
"""Mutated messages of one unit, and a pipeline with the embedded store that takes them.

Not a test: `test_mutations` and `test_delay` are. It imports neither pytest nor an MQTT client, so
that any Python can run a long campaign:

    PYTHONPATH=. python3 -m tests.deploy.relay.bad_unit.mutator COUNT SEED

CPython with numba takes the compiled reader, PyPy the reference; the first is quicker here. The
blocks before their mutation are made once. All is in memory. Each batch has one message of a
good unit; its rows must have their receipt and be committed in the store before the next batch.
"""

import gc
import random
import sys
import time
from binascii import crc32

from deploy.relay.limits import UnitLimits
from deploy.relay.outputs.base import OutputContext
from deploy.relay.outputs.fleet_store import FleetStoreOutput
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
    merged_record,
    pack,
)

BAD, GOOD = "bad/u", "good/u"
_BATCH = 150
"""A relay takes up to 200 messages in a transaction."""
_RIG_BATCHES = 500
"""A new store after so many batches: a full quarantine takes another path than an empty one."""
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
        out, draw = bytearray(data), self._random.random
        for _ in range((0, 1, 1, 2, 5)[int(5 * draw())]):
            if not out:
                break
            at = int(len(out) * draw())
            kind, number = int(4 * draw()), int(256 * draw())
            if kind == 0:
                out[at] = number
            elif kind == 1:
                del out[at : at + 1 + number % 8]
            elif kind == 2:
                out[at:at] = self._bytes(1 + number % 8)
            else:
                out[at] ^= 1 << number % 8
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


class MutationRun:
    """One relay's pipeline with its store; `send` gives it a batch."""

    def __init__(self) -> None:
        limits = UnitLimits(
            messages_per_s=1e9, bytes_per_s=1e15, quarantine_bytes=1 << 20, cpu_share=1e9
        )
        self._rig = PipelineRig(limits=limits, undated_wait_s=0.5, required={"fleet"})
        context = OutputContext(
            ":memory:",
            "r",
            "",
            None,  # type: ignore[arg-type]
            lambda: 0,
            lambda: START_MS,
            dict,
        )
        self._store = FleetStoreOutput(context)
        self._rig.add_output("fleet", self._store)
        self._rig.send(pack(ALARM), unit=GOOD)
        self._batches = 0

    def send(self, bad: list[bytes]) -> None:
        """Send mutated messages and one of the good unit; check that it has noticed nothing."""
        self._batches += 1
        number, rig = self._batches, self._rig
        messages = [(BAD, message) for message in bad]
        messages.insert(10, (GOOD, pack(bulk(number))))
        rig.pipeline.receive(messages)
        due = rig.settle()
        assert (3, number, number) in rig.ranges(due, GOOD)
        assert [rows.number >> 2 for rows in rig.rows() if rows.unit == GOOD] == [number]
        stored = self._store._db.execute(
            "SELECT COUNT(*), MAX(record) FROM block WHERE unit=?", (GOOD,)
        ).fetchone()
        assert stored == (number, number * 4 + telemetry_message.BULK)
        assert not self._store._db.in_transaction
        rig.items.clear()
        if number % 50 == 0:
            rig.pipeline._tidy(force=True)

    def close(self) -> None:
        """Check that no message was an error of the relay itself."""
        assert self._rig.reasons(GOOD) == []
        internal = self._rig.database.query(
            "SELECT DISTINCT detail FROM quarantine WHERE reason='internal'"
        )
        assert internal == []
        worker = self._rig.pipeline.workers["fleet"]
        assert worker.error == ""
        self._store.close()
        self._rig.close()


def run(count: int, seed: int, progress: bool = False) -> tuple[float, int]:
    """Send `count` mutated messages; return CPU s of the worst batch, and how many were sent."""
    mutator = Mutator(seed)
    campaign = MutationRun()
    sent = batch = 0
    worst = 0.0
    while sent < count:
        batch += 1
        bad = [message for _ in range(_BATCH) for message in mutator.messages()]
        sent += len(bad)
        start = time.process_time()
        campaign.send(bad)
        worst = max(worst, time.process_time() - start)
        if batch % _RIG_BATCHES == 0:
            campaign.close()
            campaign = MutationRun()
            gc.collect()
            if progress:
                print(sent, round(time.process_time()), round(worst, 2), flush=True)
    campaign.close()
    return worst, sent


if __name__ == "__main__":
    # No limit of CPU time here, and each of its readings is a system call.
    time.thread_time = time.perf_counter
    gc.disable()
    print(run(int(sys.argv[1]), int(sys.argv[2]), progress=True))
