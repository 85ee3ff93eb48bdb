# SPDX-License-Identifier: Apache-2.0
"""Tables of PostgreSQL: readers, rights, earlier versions, and rows that a table cannot take."""

from collections.abc import Iterator

import psycopg
import pytest

from deploy.relay.outputs import postgres_output
from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.postgres_output import PostgresOutput
from tests.deploy.relay.relay_rig import ALARM, PipelineRig, bulk, pack
from tests.deploy.relay.stores.servers import PostgresServer, postgres
from tests.deploy.relay.stores.test_stores import ITEMS, context, rows


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as started:
        yield started


def test_a_reader_with_an_open_transaction_holds_up_nothing(server: PostgresServer) -> None:
    first = PostgresOutput(context(server.uri))
    first.deliver([rows(1)])
    first.close()
    with psycopg.connect(server.uri) as reader:
        reader.execute("SELECT count(*) FROM coldloop_sample").fetchall()
        output = PostgresOutput(context(server.uri))
        output.deliver([rows(2)])  # a new connection
        output.check()
        output.close()
        reader.rollback()


def test_a_change_of_a_table_waits_some_seconds_for_a_reader(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_output, "_LOCK_WAIT_S", 1)
    first = PostgresOutput(context(server.uri))
    first.deliver([rows(1)])
    first.close()
    server.query("ALTER TABLE coldloop_sample DROP COLUMN nth")
    output = PostgresOutput(context(server.uri))
    with psycopg.connect(server.uri) as reader:
        reader.execute("SELECT count(*) FROM coldloop_sample").fetchall()
        with pytest.raises(OutputError, match="lock timeout"):
            output.deliver([rows(1)])
        reader.rollback()
    output.deliver([rows(1)])
    output.close()


def test_a_role_without_the_right_to_make_tables(server: PostgresServer) -> None:
    first = PostgresOutput(context(server.uri))
    first.deliver([rows(1)])
    first.close()
    for statement in (
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "CREATE ROLE writer LOGIN",
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO writer",
        "GRANT UPDATE ON coldloop_note TO writer",
    ):
        server.query(statement)
    output = PostgresOutput(context(server.uri.replace("postgres@", "writer@")))
    output.check()
    output.deliver([*ITEMS, *ITEMS])
    output.close()


_UPTIME = (
    "CREATE TABLE coldloop_uptime (site text NOT NULL, unit text NOT NULL, log text NOT NULL,"
    " record bigint NOT NULL, run bigint, uptime_ms bigint NOT NULL, signal text NOT NULL,"
    " value double precision, "
)
_EARLIER = {
    "0.2": (
        "CREATE TABLE coldloop_sample (site text NOT NULL, unit text NOT NULL, signal text NOT"
        " NULL, t timestamptz NOT NULL, value double precision,"
        " PRIMARY KEY (site, unit, signal, t))"
    ),
    "before nth": _UPTIME + "PRIMARY KEY (site, unit, log, record, uptime_ms, signal))",
    "nth without NULL": _UPTIME + "nth integer NOT NULL DEFAULT 0);"
    " CREATE UNIQUE INDEX coldloop_uptime_key"
    " ON coldloop_uptime (site, unit, log, record, uptime_ms, signal, nth)",
}


@pytest.mark.parametrize("version", _EARLIER)
def test_tables_of_earlier_versions_are_completed_once(
    server: PostgresServer, version: str
) -> None:
    for table in ("sample", "repeat", "uptime", "note"):
        server.query(f"DROP TABLE IF EXISTS coldloop_{table}")
    server.query(_EARLIER[version])
    item = rows(1, dated=version == "0.2")
    if version == "0.2":  # the batch that comes again at the upgrade
        server.query(
            "INSERT INTO coldloop_sample VALUES ('s1', 'u1', 'supply',"
            f" to_timestamp({item.values[0][0] // 1000}), {item.values[0][1][0]})"
        )
    for _ in range(2):
        output = PostgresOutput(context(server.uri))
        output.deliver([item])
        assert postgres_output._has_tables(output._connect())
        output.close()
    table = "coldloop_sample" if version == "0.2" else "coldloop_uptime"
    assert server.query(f"SELECT COUNT(*) FROM {table}") == [(19,)]
    assert server.query("SELECT COUNT(*) FROM coldloop_repeat") == [(0,)]
    # what an earlier version writes: without the column, so it is NULL
    columns = "site, unit, log, record, uptime_ms, signal, value"
    for _ in range(2):
        server.query(
            f"INSERT INTO coldloop_uptime ({columns}) VALUES ('a', 'b', '01', 1, 5, 'x', 1)"
            " ON CONFLICT DO NOTHING"
        )
    assert server.query("SELECT COUNT(*) FROM coldloop_uptime WHERE site='a'") == [(1,)]


def test_a_late_row_that_the_server_cannot_take_is_refused_alone(server: PostgresServer) -> None:
    """As a compressed chunk of TimescaleDB before 2.11: error 0A000."""
    rig = PipelineRig(required={"postgres"})
    output = PostgresOutput(context(server.uri))
    output.deliver([rows(1)])
    server.query("TRUNCATE coldloop_sample")
    server.query(
        "CREATE OR REPLACE FUNCTION compressed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.t < to_timestamp(1735689630) THEN RAISE EXCEPTION 'not supported on compressed"
        " chunks' USING ERRCODE='0A000'; END IF; RETURN NEW; END $$"
    )
    server.query(
        "CREATE TRIGGER compressed BEFORE INSERT ON coldloop_sample FOR EACH ROW"
        " EXECUTE FUNCTION compressed()"
    )
    rig.add_output("postgres", output)
    rig.send(pack(ALARM, bulk(1), bulk(5), bulk(6)))
    assert rig.reasons() == ["refused"]
    assert server.query("SELECT COUNT(DISTINCT record) FROM coldloop_sample") == [(2,)]
    server.query("DROP TRIGGER compressed ON coldloop_sample")
    server.query("DROP FUNCTION compressed")
    output.close()
    rig.close()
