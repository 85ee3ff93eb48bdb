# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL output with a real TimescaleDB, which is killed too."""

from collections.abc import Iterator

import psycopg
import pytest

from deploy.relay.outputs.base import OutputError
from deploy.relay.outputs.postgres_output import PostgresOutput
from tests.deploy.relay.relay_rig import ALARM, START_MS, PipelineRig, bulk, pack
from tests.deploy.relay.stores.servers import PostgresServer, postgres
from tests.deploy.relay.stores.test_stores import ITEMS, context, rows

_HYPERTABLES = "SELECT hypertable_name, num_chunks FROM timescaledb_information.hypertables"
_DAY_MS = 86_400_000


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with postgres(preload="timescaledb") as started:
        yield started


def test_a_hypertable_has_each_row_once(server: PostgresServer) -> None:
    server.query("CREATE EXTENSION timescaledb")
    output = PostgresOutput(context(server.uri))
    output.deliver(ITEMS)
    output.deliver(ITEMS)
    output.close()
    again = PostgresOutput(context(server.uri))
    again.deliver([*ITEMS, rows(30, start=1_735_689_600_000 + 30 * _DAY_MS)])
    again.close()
    assert server.query(_HYPERTABLES) == [("coldloop_sample", 2)]
    assert server.query("SELECT COUNT(*) FROM coldloop_sample") == [(57,)]
    assert server.query(
        "SELECT COUNT(*) FROM (SELECT time_bucket('1 day', t) FROM coldloop_sample GROUP BY 1) AS d"
    ) == [(2,)]


def test_late_rows_in_a_compressed_chunk(server: PostgresServer) -> None:
    server.query("CREATE EXTENSION timescaledb")
    output = PostgresOutput(context(server.uri))
    output.deliver(ITEMS)
    try:
        server.query(
            "ALTER TABLE coldloop_sample SET (timescaledb.compress, timescaledb.compress_segmentby"
            " = 'site, unit, signal')"
        )
    except psycopg.errors.FeatureNotSupported:
        output.close()
        pytest.skip("TimescaleDB with its own licence compresses; Debian has the Apache part")
    server.query("SELECT compress_chunk(c) FROM show_chunks('coldloop_sample') AS c")
    late = rows(1, start=START_MS + 500)  # between the rows that are compressed
    for _ in range(2):
        output.deliver([*ITEMS, late])
    assert server.query("SELECT COUNT(*) FROM coldloop_sample") == [(57,)]
    assert server.query("SELECT COUNT(*) FROM coldloop_repeat") == [(0,)]
    output.close()


def test_rows_from_before_the_extension_stop_nothing(
    server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    before = PostgresOutput(context(server.uri))
    before.deliver(ITEMS)
    before.close()
    server.query("CREATE EXTENSION timescaledb")
    output = PostgresOutput(context(server.uri))
    output.deliver([*ITEMS, rows(3)])
    output.close()
    assert server.query(_HYPERTABLES) == []
    assert server.query("SELECT COUNT(*) FROM coldloop_sample") == [(57,)]
    assert "stays a plain table" in capsys.readouterr().err
    # What docs/operator/relay.md tells a person to do.
    server.query("SELECT create_hypertable('coldloop_sample', 't', migrate_data => true)")
    output.deliver([rows(4)])
    output.close()
    assert server.query("SELECT COUNT(*) FROM coldloop_sample") == [(76,)]
    assert capsys.readouterr().err == ""


def test_a_hypertable_that_is_killed_loses_nothing(server: PostgresServer) -> None:
    server.query("CREATE EXTENSION timescaledb")
    rig = PipelineRig(required={"store"})
    rig.add_output("store", PostgresOutput(context(server.uri)))
    worker = rig.pipeline.workers["store"]
    rig.send(pack(ALARM, bulk(1)))
    server.kill()
    rig.receive(pack(bulk(2), bulk(3)))
    while rig.pipeline.process():
        pass
    with pytest.raises(OutputError, match="PostgreSQL: "):
        worker.step()
    assert rig.ranges(rig.pipeline.take_receipts()) == []
    server.start()
    assert rig.ranges(rig.settle()) == [(3, 2, 3)]
    assert server.query("SELECT COUNT(*), COUNT(DISTINCT t) FROM coldloop_sample") == [(150, 30)]
    worker.output.close()
    rig.close()
