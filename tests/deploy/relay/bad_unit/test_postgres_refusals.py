# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL that refuses the rows of one unit, by a trigger or a policy: the others go on."""

from collections.abc import Iterator

import pytest

from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.postgres_output import PostgresOutput
from tests.deploy.relay.relay_rig import ALARM, PipelineRig, bulk, note_record, pack
from tests.deploy.relay.stores.servers import PostgresServer, postgres
from tests.deploy.relay.stores.test_stores import ITEMS, context, rows

_TRIGGER = (
    "CREATE TRIGGER judge BEFORE INSERT ON coldloop_sample FOR EACH ROW EXECUTE FUNCTION judge()"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresServer]:
    with postgres() as started:
        yield started


@pytest.fixture
def server(cluster: PostgresServer) -> PostgresServer:
    """Return the server with empty tables."""
    cluster.query("DROP TABLE IF EXISTS coldloop_sample, coldloop_repeat, coldloop_note")
    output = PostgresOutput(context(cluster.uri))
    output.deliver([rows(1)])
    output.close()
    cluster.query("TRUNCATE coldloop_sample")
    return cluster


def deliver(uri: str) -> tuple[list[str], OutputError | None]:
    """Deliver blocks of a bad unit between those of a good one; return what is refused."""
    rig = PipelineRig(required={"postgres"})
    output = PostgresOutput(context(uri))
    rig.add_output("postgres", output)
    error = None
    try:
        rig.receive(pack(ALARM, bulk(1)))
        rig.receive(pack(ALARM, bulk(1), note_record(9, b"{}")), unit="s1/bad")
        rig.receive(pack(bulk(2)))
        try:
            rig.settle()
        except OutputError as caught:
            error = caught
        return rig.reasons("s1/bad"), error
    finally:
        output.close()
        rig.close()


def refuse_bad_rows(server: PostgresServer, code: str) -> None:
    server.query(
        "CREATE OR REPLACE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.unit = 'bad' THEN RAISE EXCEPTION 'not this one' USING ERRCODE="
        f"'{code}'; END IF; RETURN NEW; END $$"
    )
    server.query(_TRIGGER)


def count(server: PostgresServer, unit: str) -> int:
    statement = f"SELECT COUNT(DISTINCT record) FROM coldloop_sample WHERE unit='{unit}'"
    return int(server.query(statement)[0][0])


_CODES = ("P0001", "P0002", "P0003", "P0004", "21000", "22012", "23514", "27000", "38000", "44000")


@pytest.mark.parametrize("code", [*_CODES, "45000", "MY001", "42501", "54000", "55000"])
def test_a_row_that_a_trigger_refuses_is_refused_alone(server: PostgresServer, code: str) -> None:
    refuse_bad_rows(server, code)
    assert deliver(server.uri) == (["refused"], None)
    assert (count(server, "u1"), count(server, "bad")) == (2, 0)


@pytest.mark.parametrize("code", ["53100", "25006", "57014", "40001", "55P03", "42P01"])
def test_an_error_of_the_server_refuses_nothing(server: PostgresServer, code: str) -> None:
    refuse_bad_rows(server, code)
    reasons, error = deliver(server.uri)
    assert reasons == []
    assert error is not None


@pytest.mark.parametrize("code", ["P0001", "54000", "55000"])
def test_a_statement_that_is_refused_without_a_row_too(server: PostgresServer, code: str) -> None:
    """As all are (54000) when the server has no more numbers of transactions."""
    refuse_bad_rows(server, code)
    server.query(
        "CREATE OR REPLACE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION 'none' USING ERRCODE='{code}'; END $$"
    )
    server.query("DROP TRIGGER judge ON coldloop_sample")
    server.query(_TRIGGER.replace("EACH ROW", "EACH STATEMENT"))
    reasons, error = deliver(server.uri)
    assert reasons == []
    assert "refuses everything" in str(error)


def test_a_row_that_a_policy_refuses(server: PostgresServer) -> None:
    for statement in (
        "DROP ROLE IF EXISTS policed",
        "CREATE ROLE policed LOGIN",
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO policed",
        "GRANT UPDATE ON coldloop_note TO policed",
        "ALTER TABLE coldloop_sample ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY units ON coldloop_sample USING (true) WITH CHECK (unit <> 'bad')",
    ):
        server.query(statement)
    assert deliver(server.uri.replace("postgres@", "policed@")) == (["refused"], None)
    assert (count(server, "u1"), count(server, "bad")) == (2, 0)
    server.query("DROP OWNED BY policed")


@pytest.mark.parametrize("right", ["INSERT ON coldloop_sample", "UPDATE ON coldloop_note"])
def test_a_right_that_is_missing_refuses_nothing(server: PostgresServer, right: str) -> None:
    for statement in (
        "DROP ROLE IF EXISTS writer",
        "CREATE ROLE writer LOGIN",
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO writer",
        "GRANT UPDATE ON coldloop_note TO writer",
        f"REVOKE {right} FROM writer",
    ):
        server.query(statement)
    output = PostgresOutput(context(server.uri.replace("postgres@", "writer@")))
    try:
        with pytest.raises(OutputError, match="permission denied"):
            output.check()
        assert output.refuses_all()
    finally:
        output.close()
        server.query("DROP OWNED BY writer")


def test_a_limit_of_time_of_the_role_does_not_end_a_large_batch(server: PostgresServer) -> None:
    """A batch that it ends would come again and again, and all units would wait."""
    server.query("ALTER ROLE postgres SET statement_timeout = '300ms'")
    server.query(
        "CREATE OR REPLACE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_sleep(0.01); RETURN NEW; END $$"
    )
    server.query(_TRIGGER)
    output = PostgresOutput(context(server.uri))
    try:
        output.deliver([rows(number) for number in range(1, 4)])
        output.deliver(ITEMS)
    finally:
        output.close()
        server.query("ALTER ROLE postgres RESET statement_timeout")
