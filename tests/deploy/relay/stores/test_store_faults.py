# SPDX-License-Identifier: Apache-2.0
"""Faults of a store that are not faults of a record: the records wait, none is refused."""

import dataclasses
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow.dataset as ds  # type: ignore[import-untyped]
import pytest

from deploy.relay.decode.row_format import Note
from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.fleet_store import FleetStoreOutput
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.outputs.kafka_output import KafkaOutput
from deploy.relay.outputs.parquet_output import ParquetOutput
from deploy.relay.outputs.postgres_output import PostgresOutput
from deploy.relay.outputs.text import row_text
from tests.deploy.relay.relay_rig import START_MS, UNIT
from tests.deploy.relay.stores.servers import PostgresServer, postgres
from tests.deploy.relay.stores.test_stores import context, rows


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as started:
        yield started


def _admin(server: PostgresServer, *statements: str) -> None:
    """Execute statements, then end the sessions of others, so that new settings apply."""
    options = "-c default_transaction_read_only=off"
    with psycopg.connect(server.uri, autocommit=True, options=options) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("SELECT pg_sleep(0.2)")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname='postgres'"
        )


def test_a_server_that_is_read_only_or_lacks_a_table_refuses_no_record(
    server: PostgresServer,
) -> None:
    output = PostgresOutput(context(server.uri))
    output.deliver([rows(1)])
    _admin(server, "ALTER SYSTEM SET default_transaction_read_only = on")
    for _ in range(3):
        with pytest.raises(OutputError, match="PostgreSQL: "):
            output.deliver([rows(2)])
    _admin(server, "ALTER SYSTEM RESET default_transaction_read_only", "DROP TABLE coldloop_sample")
    output.deliver([rows(2)])
    with psycopg.connect(server.uri, autocommit=True) as other:
        other.execute("DROP TABLE coldloop_sample")
    with pytest.raises(OutputError, match="does not exist"):
        output.deliver([rows(3)])
    output.deliver([rows(3)])
    assert server.query("SELECT COUNT(*) FROM coldloop_sample") == [(19,)]
    output.close()


def test_a_commit_waits_for_the_disk(server: PostgresServer) -> None:
    _admin(server, "ALTER SYSTEM SET synchronous_commit = off")
    server.query("CREATE TABLE seen (name text, setting text)")
    server.query(
        "CREATE FUNCTION note_settings() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO seen SELECT name, current_setting(name) FROM"
        " unnest(ARRAY['synchronous_commit', 'statement_timeout']) AS name; RETURN NULL; END $$"
    )
    server.query(
        "CREATE TRIGGER settings AFTER INSERT ON coldloop_sample EXECUTE FUNCTION note_settings()"
    )
    output = PostgresOutput(context(server.uri + "?options=-c%20statement_timeout%3D9s"))
    output.deliver([rows(4)])
    assert output._connection is not None
    output._connection.execute("DISCARD ALL")  # as from a pooler: each transaction is new
    for _ in range(8):
        output.deliver([rows(4)])
    seen = server.query("SELECT DISTINCT name, setting FROM seen ORDER BY name")
    assert seen == [("statement_timeout", "0"), ("synchronous_commit", "on")]
    prepared = output._connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert prepared == (0,)
    server.query("DROP TRIGGER settings ON coldloop_sample")
    _admin(
        server, "ALTER SYSTEM RESET synchronous_commit", "ALTER SYSTEM SET full_page_writes = off"
    )
    with pytest.raises(OutputError):
        output.deliver([rows(5)])
    with pytest.raises(OutputError, match="full_page_writes is off"):
        output.deliver([rows(5)])
    _admin(server, "ALTER SYSTEM RESET full_page_writes")
    output.deliver([rows(5)])
    output.close()


def test_rows_of_a_clock_that_was_set_back_are_kept(server: PostgresServer) -> None:
    output = PostgresOutput(context(server.uri))
    unit = "back/u1"
    first, second = rows(1, unit, START_MS), rows(2, unit, START_MS + 5000)
    output.deliver([first, second])
    for _ in range(2):
        output.deliver([second, first])
    samples = "SELECT t, value FROM {} WHERE site='back' AND signal='supply' ORDER BY t, record"
    kept = server.query(samples.format("coldloop_sample"))
    repeats = server.query(samples.format("coldloop_repeat"))
    assert (len(kept), len(repeats)) == (15, 5)
    values = [values[0] for item in (first, second) for _, values in item.values]
    assert sorted(value for _, value in kept + repeats) == values
    output.close()


def test_a_table_of_an_earlier_version_gets_the_new_columns(server: PostgresServer) -> None:
    with psycopg.connect(server.uri, autocommit=True) as other:
        other.execute("DROP TABLE coldloop_sample")
        other.execute(
            "CREATE TABLE coldloop_sample (site text NOT NULL, unit text NOT NULL,"
            " signal text NOT NULL, t timestamptz NOT NULL, value double precision,"
            " PRIMARY KEY (site, unit, signal, t))"
        )
    output = PostgresOutput(context(server.uri))
    output.deliver([rows(1)])
    assert server.query("SELECT DISTINCT log, record FROM coldloop_sample") == [("010203", 7)]
    output.close()


def test_a_damaged_fleet_store_refuses_no_record(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    output = FleetStoreOutput(context(str(path)))
    output.deliver([rows(n) for n in range(1, 40)])
    output._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    output.close()
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data)):
        data[at] = 0x5A
    path.write_bytes(data)
    damaged = FleetStoreOutput.__new__(FleetStoreOutput)
    damaged.__dict__.update(output.__dict__)
    damaged._opened = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with pytest.raises(OutputError, match="fleet"):
        damaged.deliver([rows(50, UNIT)])
    damaged.close()


def test_kafka_splits_long_blocks_and_refuses_what_is_too_large(tmp_path: Path) -> None:
    properties = tmp_path / "properties"
    properties.write_text("test.mock.num.brokers=1\n")
    output = KafkaOutput(context(f"127.0.0.1:1/fleet?{properties}"))
    long = rows(1)
    long = dataclasses.replace(long, values=long.values * 9000)  # 90,000 rows, above 1 MB of JSON
    messages = output._messages(long)
    assert max(len(message["value"]) for message in messages) < 600_000
    joined = [row for message in messages for row in json.loads(message["value"])["rows"]]
    assert joined == json.loads(row_text.rows_to_json(long))["rows"]
    assert [m["headers"]["part"] for m in messages] == [str(i) for i in range(len(messages))]
    output.deliver([long, rows(2)])
    note = Note(UNIT, 4, {"text": "x" * 1_100_000}, "010203", START_MS)
    with pytest.raises(RefusedError, match="MSG_SIZE_TOO_LARGE"):
        output.deliver([note])
    output.deliver([rows(3)])
    output.close()


def test_new_folders_of_parquet_are_durable_and_readers_skip_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    original = os.fsync

    def sync(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        original(file)

    monkeypatch.setattr(os, "fsync", sync)
    root = tmp_path / "out"
    ParquetOutput(context(str(root))).deliver([rows(1)])
    day = root / "rows" / "day=2025-01-01"
    assert {str(tmp_path), str(root), str(root / "rows"), str(day)} <= set(synced)
    assert str(day / "site=s1") == synced[-1]
    (part,) = [name for name in synced if name.endswith(".part")]
    Path(part).write_bytes(b"PAR1")  # as after a kill
    assert ds.dataset(root / "rows", partitioning="hive").to_table().num_rows == 19
