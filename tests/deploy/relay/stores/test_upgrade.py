# SPDX-License-Identifier: Apache-2.0
"""Files of earlier and later versions of the relay, and a file that both have used."""

import sqlite3
from pathlib import Path

import pytest

from deploy.relay.records.database import RelayDatabase
from tests.deploy.relay.relay_rig import (
    ALARM,
    GENERATION,
    SCHEMA,
    UNIT,
    PipelineRig,
    bulk,
    pack,
)

_TABLES_0_2 = (
    "CREATE TABLE IF NOT EXISTS schema (number BLOB PRIMARY KEY, text BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS had (unit TEXT, life BLOB, class INTEGER, first INTEGER,"
    " last INTEGER, PRIMARY KEY (unit, life, class, first)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, relay TEXT, unit TEXT,"
    " number INTEGER, kind INTEGER, payload BLOB);"
)


def test_a_file_of_version_0_2_keeps_its_records(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    old = sqlite3.connect(path)
    old.executescript(
        "CREATE TABLE schema (number BLOB PRIMARY KEY, text BLOB NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE had (unit TEXT, life BLOB, class INTEGER, first INTEGER, last INTEGER,"
        " PRIMARY KEY (unit, life, class, first)) WITHOUT ROWID;"
        "CREATE TABLE outbox (id INTEGER PRIMARY KEY, relay TEXT, unit TEXT, number INTEGER,"
        " kind INTEGER, payload BLOB);"
    )
    old.execute("INSERT INTO schema VALUES (?,?)", (SCHEMA.number, SCHEMA.text))
    old.execute("INSERT INTO had VALUES (?,?,3,1,1)", (UNIT, GENERATION))
    old.execute("INSERT INTO outbox VALUES (9,'a',?,7,2,?)", (UNIT, bulk(1)[2]))
    old.commit()
    old.close()
    RelayDatabase(path, "a").close()
    rig = PipelineRig(path)
    rig.settle()
    assert [rows.number for rows in rig.rows()] == [7]
    assert rig.ranges(rig.send(pack(bulk(1)))) == [(3, 1, 1)]
    assert len(rig.rows()) == 1
    rig.close()


def test_a_file_of_version_2_keeps_its_records_under_the_new_names(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    rig = PipelineRig(path)
    rig.send(pack(bulk(1)))
    rig.close()
    old = sqlite3.connect(path)
    old.executescript(
        "ALTER TABLE received RENAME TO had; ALTER TABLE chunk RENAME TO piece;"
        "ALTER TABLE piece RENAME COLUMN part TO place; ALTER TABLE piece RENAME total TO of;"
        "PRAGMA user_version=2;"
    )
    for table in ("had", "outbox", "quarantine", "run_clock", "piece"):
        old.execute(f"ALTER TABLE {table} RENAME COLUMN generation TO life")
    old.commit()
    old.close()
    reopened = PipelineRig(path)
    assert reopened.ranges(reopened.send(pack(bulk(1)))) == [(3, 1, 1)]
    assert not reopened.rows(), "a duplicate"
    names = {row[0] for row in reopened.database.query("SELECT name FROM sqlite_master")}
    assert {"received", "chunk"} <= names
    assert not names & {"had", "piece"}
    reopened.close()


def test_two_logs_of_a_unit_in_a_file_of_version_0_2_stay_two(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    with sqlite3.connect(path) as old:
        old.executescript(_TABLES_0_2)
        old.execute("INSERT INTO schema VALUES (?,?)", (SCHEMA.number, SCHEMA.text))
        old.execute("INSERT INTO had VALUES (?,?,3,1,2)", (UNIT, GENERATION))
        for number in (7, 11, 7, 11):
            row = ("a", UNIT, number, bulk(number >> 2)[2])
            old.execute(
                "INSERT INTO outbox (relay, unit, number, kind, payload) VALUES (?,?,?,2,?)", row
            )
    old.close()
    rig = PipelineRig(path)
    rig.settle()
    assert len({(rows.generation, rows.number) for rows in rig.rows()}) == 4
    rig.close()


def test_a_file_of_a_later_version_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    RelayDatabase(path, "a").close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    with pytest.raises(sqlite3.DatabaseError, match="a later version made this file"):
        RelayDatabase(path, "a")
    assert db.execute("PRAGMA user_version").fetchone() == (99,)
    db.close()


@pytest.mark.parametrize("version", [2, 3])
def test_a_file_that_an_earlier_version_has_used_keeps_all(tmp_path: Path, version: int) -> None:
    path = tmp_path / "relay.db"
    rig = PipelineRig(path)
    rig.send(pack(ALARM, bulk(1), bulk(2), bulk(5)))
    rig.pipeline._tidy(force=True)
    rig.close()
    with sqlite3.connect(path) as old:  # as version 0.2, or 2, at a roll-back
        old.executescript(_TABLES_0_2)
        old.execute("INSERT INTO had VALUES (?,?,3,2,3)", (UNIT, GENERATION))
        old.execute(
            "CREATE TABLE piece (unit TEXT, life BLOB, number INTEGER, place INTEGER, of INTEGER,"
            " data BLOB, PRIMARY KEY (unit, life, number, place)) WITHOUT ROWID"
        )
        old.execute(
            "INSERT INTO outbox (relay, unit, number, kind, payload) VALUES ('a',?,?,2,?)",
            (UNIT, 3 * 4 + 3, bulk(3)[2]),
        )
        old.execute(f"PRAGMA user_version={version}")
    old.close()
    again = PipelineRig(path)
    again.settle()
    assert [rows.number >> 2 for rows in again.rows()] == [3]
    again.items.clear()
    due = again.send(pack(bulk(1), bulk(2), bulk(3), bulk(5)))
    assert again.ranges(due) == [(3, 1, 3), (3, 5, 5)]
    assert again.rows() == [], "all are known"
    names = {row[0] for row in again.database.query("SELECT name FROM sqlite_master")}
    assert not names & {"had", "piece", "schema"}
    again.close()
