# SPDX-License-Identifier: Apache-2.0
"""What one unit can make the relay keep or compute is bounded, whatever it sends."""

import random
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from deploy.relay import command
from deploy.relay.intake import satcom_envelope
from deploy.relay.intake.satcom_envelope import decode_datagram
from deploy.relay.limits import UnitLimits
from deploy.relay.records import database as relay_database
from deploy.relay.records import datagram_numbers, row_limits
from deploy.relay.records.database import RelayDatabase
from deploy.relay.records.quarantine import LOT
from protocols import datagram
from protocols.errors import DecodeError
from tests.deploy.relay.relay_rig import (
    ALARM,
    GENERATION,
    UNIT,
    PipelineRig,
    bulk,
    note_record,
    pack,
)

_OTHER = "s1/u2"


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> RelayDatabase:
    for table in row_limits.MOST:
        monkeypatch.setitem(row_limits.MOST, table, 100)
    monkeypatch.setattr(datagram_numbers, "MOST", 100)
    return RelayDatabase(":memory:", "a")


def _count(database: RelayDatabase, table: str, unit: str = UNIT) -> int:
    return int(database.query(f"SELECT COUNT(*) FROM {table} WHERE unit=?", unit)[0][0])


def test_ranges_of_received_records_are_bounded(database: RelayDatabase) -> None:
    with database.transaction():
        assert database.mark_received(_OTHER, GENERATION, 4003)
        for ident in range(1, 2000, 2):
            assert database.mark_received(UNIT, GENERATION, 4 * ident + 3)
        for other in range(500):
            assert database.mark_received(UNIT, other.to_bytes(3, "big"), 4 * other + 7)
    assert _count(database, "received") <= 100
    assert _count(database, "received", _OTHER) == 1
    with database.transaction():
        assert database.mark_received(_OTHER, GENERATION, 4003) == []
        newest = (499).to_bytes(3, "big")
        assert database.mark_received(UNIT, newest, 4 * 499 + 7) == []
    database.close()


def test_clocks_of_runs_are_bounded(database: RelayDatabase) -> None:
    with database.transaction():
        for run in range(500):
            database.store_run_clock(UNIT, GENERATION, run, 1000 * run, 1000.0)
    assert _count(database, "run_clock") <= 100
    assert database.run_clock(UNIT, GENERATION, 499) == (499_000, 1000.0)
    database.close()


def test_numbers_of_datagrams_are_bounded(database: RelayDatabase) -> None:
    draw = random.Random(1)
    with database.transaction():
        for _ in range(500):
            database.is_new_datagram(UNIT, draw.randrange(1 << 24), b"x", draw.choice((0, 9)))
        assert database.is_new_datagram(UNIT, 7, b"x")
        assert not database.is_new_datagram(UNIT, 7, b"x")
    assert _count(database, "datagram") <= 100
    database.close()


def test_an_undone_transaction_does_not_lift_the_limit(database: RelayDatabase) -> None:
    def mark(first: int) -> None:
        for ident in range(first, first + 200, 2):
            database.mark_received(UNIT, GENERATION, 4 * ident + 3)

    for start in range(1, 4000, 200):
        with suppress(KeyError), database.transaction():
            mark(start)
            raise KeyError
        with database.transaction():
            mark(start)
    assert _count(database, "received") <= 100
    database.close()


def test_fragments_of_one_record_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_database, "MAX_CHUNK_BYTES", 10_000)
    database = RelayDatabase(":memory:", "a")
    with database.transaction():
        for index in range(100):
            assert database.add_chunk(UNIT, GENERATION, 7, index, 200, bytes(1000)) is None
            stored = database.query("SELECT SUM(LENGTH(data)) FROM chunk")[0][0] or 0
            assert stored <= 11_000
        assert database.add_chunk(_OTHER, GENERATION, 7, 0, 2, b"a") is None
        assert database.add_chunk(_OTHER, GENERATION, 7, 1, 2, b"b") == b"ab"
    database.close()


def test_a_message_with_too_many_records_is_held_whole() -> None:
    rig = PipelineRig(limits=UnitLimits(records=10))
    due = rig.send(pack(*[note_record(ident, b"{}") for ident in range(1, 12)]))
    assert rig.ranges(due) == []
    assert rig.reasons() == ["message"]
    assert rig.database.query("SELECT COUNT(*) FROM received") == [(0,)]
    assert rig.ranges(rig.send(pack(*[bulk(ident) for ident in range(1, 11)]))) != []
    rig.close()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (datagram.LIVE, bytes(6) + b"\xff" * 200_000),
        (datagram.ALARM, (b"\x06\x01\0\0\0\0x") * 28_000),
    ],
    ids=["a value without an end", "thousands of alarms"],
)
def test_a_large_datagram_is_cheap(kind: int, content: bytes) -> None:
    database = RelayDatabase(":memory:", "a")
    parts = datagram.split(kind, 3, content, 250_000)
    start = time.thread_time()
    with database.transaction():
        assert [decode_datagram(database, UNIT, part).number for part in parts[:-1]] == []
        with pytest.raises(DecodeError):
            decode_datagram(database, UNIT, parts[-1])
    assert time.thread_time() - start < 0.3
    assert satcom_envelope.is_datagram(parts[0])
    database.close()


def test_a_schema_that_many_blocks_wait_for_holds_up_no_other_unit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are released in lots; a record of another unit waits for one lot."""
    for name in ("_LOT_S", "_TIDY_S"):
        monkeypatch.setattr(f"deploy.relay.pipeline.{name}", 1e9)
    rig = PipelineRig(limits=UnitLimits(cpu_share=1e9))
    rig.send(pack(ALARM), unit=_OTHER)
    total = 1000
    for first in range(1, total, 100):
        rig.send(pack(*[bulk(ident) for ident in range(first, first + 100)]))
    assert len(rig.reasons(UNIT)) == total
    rig.receive(pack(ALARM))
    released = len(rig.database.outbox())
    assert 0 < released <= LOT
    rig.receive(pack(bulk(1)), unit=_OTHER)
    assert rig.ranges(rig.settle(), _OTHER) == [(3, 1, 1)]
    left = len(rig.reasons(UNIT))
    assert left == total - released
    while left:
        rig.pipeline._tidy(force=True)
        rig.settle()
        before, left = left, len(rig.reasons(UNIT))
        assert before - LOT <= left < before
    numbers = [rows.number >> 2 for rows in rig.rows() if rows.unit == UNIT]
    assert sorted(numbers) == list(range(1, total + 1))
    rig.close()


def test_a_retry_of_many_records_gives_the_relay_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deploy.relay.commands.quarantine_command._LOT", 10)
    path = tmp_path / "relay.db"
    rig = PipelineRig(path)
    rig.send(pack(*[note_record(ident, b"no") for ident in range(1, 36)]))
    transactions: list[int] = []
    transaction = RelayDatabase.transaction

    def counted(database: RelayDatabase) -> AbstractContextManager[None]:
        transactions.append(1)
        return transaction(database)

    monkeypatch.setattr(RelayDatabase, "transaction", counted)
    assert command.run(["quarantine", "retry", "--store", str(path)]) == 0
    assert len(transactions) == 1 + 4, "one opens the file"
    assert capsys.readouterr().out == "35 given back to the relay\n"
    assert rig.reasons(UNIT) == ["budget"] * 35
    rig.pipeline._tidy(force=True)
    rig.settle()
    assert rig.reasons(UNIT) == ["note"] * 35, "still bad, still here"
    rig.close()
