# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL output, with TimescaleDB if the database has it.

Does not aggregate; use views or continuous aggregates. It makes its tables:

    coldloop_sample   site, unit, signal, t (UTC), value, log, record, nth; key: site, unit, signal,
                      t; nth: number of earlier rows of the record with this time (NULL: 0)
    coldloop_repeat   the same, for a time that another row has already: the clock of the unit
                      was set back; key: all but value
    coldloop_uptime   rows without UTC: site, unit, log, run, record, uptime_ms, signal, value, nth
    coldloop_note     alarms and events: site, unit, log, record, t, content (jsonb)

A batch is one transaction: COPY into a temporary table, then INSERT without the rows that exist. So
a repetition doubles nothing. Where `synchronous_commit` is `off` it is set to `on`. A server with
`fsync` or `full_page_writes` off is refused, because it can lose a commit. The option is a
connection URI or string of libpq; it has the options for TLS (`sslmode=verify-full sslrootcert=…
sslcert=… sslkey=…`).
"""

import hashlib
import json
from datetime import UTC, datetime

import psycopg

from deploy.errors import DeployError
from deploy.relay.decode.row_format import Item, Note, Rows
from deploy.relay.outputs.base import Output, OutputContext, OutputError
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.terminal_text import report

_TABLES = """
CREATE TABLE IF NOT EXISTS coldloop_sample (
  site text NOT NULL, unit text NOT NULL, signal text NOT NULL, t timestamptz NOT NULL,
  value double precision, log text, record bigint, PRIMARY KEY (site, unit, signal, t));
ALTER TABLE coldloop_sample ADD COLUMN IF NOT EXISTS log text;
ALTER TABLE coldloop_sample ADD COLUMN IF NOT EXISTS record bigint;
ALTER TABLE coldloop_sample ADD COLUMN IF NOT EXISTS nth integer;
CREATE TABLE IF NOT EXISTS coldloop_repeat (
  site text NOT NULL, unit text NOT NULL, signal text NOT NULL, t timestamptz NOT NULL,
  value double precision, log text NOT NULL, record bigint NOT NULL);
ALTER TABLE coldloop_repeat ADD COLUMN IF NOT EXISTS nth integer;
ALTER TABLE coldloop_repeat ALTER COLUMN nth DROP NOT NULL;
ALTER TABLE coldloop_repeat DROP CONSTRAINT IF EXISTS coldloop_repeat_pkey;
CREATE UNIQUE INDEX IF NOT EXISTS coldloop_repeat_row
  ON coldloop_repeat (site, unit, signal, t, log, record, COALESCE(nth, 0));
DROP INDEX IF EXISTS coldloop_repeat_key;
CREATE TABLE IF NOT EXISTS coldloop_uptime (
  site text NOT NULL, unit text NOT NULL, log text NOT NULL, record bigint NOT NULL, run bigint,
  uptime_ms bigint NOT NULL, signal text NOT NULL, value double precision);
ALTER TABLE coldloop_uptime ADD COLUMN IF NOT EXISTS nth integer;
ALTER TABLE coldloop_uptime ALTER COLUMN nth DROP NOT NULL;
ALTER TABLE coldloop_uptime DROP CONSTRAINT IF EXISTS coldloop_uptime_pkey;
CREATE UNIQUE INDEX IF NOT EXISTS coldloop_uptime_row
  ON coldloop_uptime (site, unit, log, record, uptime_ms, signal, COALESCE(nth, 0));
DROP INDEX IF EXISTS coldloop_uptime_key;
CREATE TABLE IF NOT EXISTS coldloop_note (
  site text NOT NULL, unit text NOT NULL, log text NOT NULL, record bigint NOT NULL,
  t timestamptz, content jsonb NOT NULL, digest text NOT NULL,
  PRIMARY KEY (site, unit, log, record, digest));
"""
_HYPERTABLE = "SELECT create_hypertable('coldloop_sample', 't', if_not_exists => true)"
_STATE = """
SELECT c.relname || '.' || a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE a.attrelid IN (SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS name)
  AND a.attnum > 0 AND NOT (a.attname = 'nth' AND a.attnotnull)
UNION ALL SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid IN (SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS name)
"""
"""Columns that can be used and indexes of the tables; needs no right at them."""
_NEEDED = {
    *("coldloop_sample.log", "coldloop_sample.nth", "coldloop_repeat.nth", "coldloop_uptime.nth"),
    *("coldloop_repeat_row", "coldloop_uptime_row", "coldloop_note.digest"),
}
_REPLACED = {
    *("coldloop_repeat_key", "coldloop_repeat_pkey"),
    *("coldloop_uptime_key", "coldloop_uptime_pkey"),
}
_DEAD_PEER = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""A server that is gone without a word ends the connection in a minute; the default is 2 h. The
option can have other values."""
_LOCK_WAIT_S = 10
_LOCK = 0x636F6C64
"""Advisory lock of the set-up; relays start together."""
_PARTS = (
    ("coldloop_sample", "site, unit, signal, t, value, log, record, nth"),
    ("coldloop_uptime", "site, unit, log, record, run, uptime_ms, signal, value, nth"),
    ("coldloop_note", "site, unit, log, record, t, content, digest"),
)
_REPEATS = """
INSERT INTO coldloop_repeat SELECT n.site, n.unit, n.signal, n.t, n.value, n.log, n.record, n.nth
FROM new_coldloop_sample AS n JOIN coldloop_sample AS s USING (site, unit, signal, t)
WHERE CASE WHEN s.log IS NULL THEN s.value IS DISTINCT FROM n.value ELSE
  (s.log, s.record, COALESCE(s.nth, 0)) IS DISTINCT FROM (n.log, n.record, COALESCE(n.nth, 0)) END
ON CONFLICT DO NOTHING
"""
_TIMES = """
UPDATE coldloop_note AS s SET t=n.t FROM new_coldloop_note AS n
WHERE (s.site, s.unit, s.log, s.record, s.digest) = (n.site, n.unit, n.log, n.record, n.digest)
AND s.t IS NULL AND n.t IS NOT NULL
"""
_OF_AN_ITEM = (psycopg.DataError, psycopg.IntegrityError)
"""Errors of a value or a key."""
_SERVER_CLASSES = frozenset(
    ["08", "25", "26", "28", "2D", "3D", "3F", "40", "42", "53", "55", "57", "58", "F0", "HV", "XX"]
)
"""Classes of errors of the server, its configuration or its load: the items wait. SOURCE:
PostgreSQL, appendix "Error Codes". A trigger can raise the others, and codes of its own."""
_OF_BOTH = ("42501", "55000")
"""A right of the role or a policy for a row; a state of the server or of a part of a table:
`refuses_all` tells which."""
_MOST_KEY_CHARS = 2000
"""A longer text is no key for PostgreSQL; its hash is."""
_Rows = list[tuple[object, ...]]


class PostgresOutput(Output):
    """Writes to the database of the option."""

    BATCH = 500
    TAKES_TIMES = True

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        try:
            given = psycopg.conninfo.conninfo_to_dict(context.argument)
        except psycopg.Error as error:
            raise DeployError(f"--postgres: {_first_line(error)}") from None
        self._address = psycopg.conninfo.make_conninfo("", **{**_DEAD_PEER, **given})
        self._connection: psycopg.Connection | None = None

    def check(self) -> None:
        """Make the tables and insert no row, then undo it. Raises OutputError."""
        try:
            with psycopg.connect(self._address, connect_timeout=10) as connection:
                _make_durable(connection)
                if not _has_tables(connection):
                    _wait_for_locks(connection)
                    connection.execute(_TABLES)
                for table in (*[name for name, _ in _PARTS], "coldloop_repeat"):
                    connection.execute(f"CREATE TEMP TABLE new_{table} (LIKE {table})".encode())
                    connection.execute(
                        f"INSERT INTO {table} SELECT * FROM new_{table}"
                        " ON CONFLICT DO NOTHING".encode()
                    )
                connection.execute(_REPEATS)
                connection.execute(_TIMES)
                connection.rollback()
        except psycopg.Error as error:
            raise OutputError(f"PostgreSQL: {_first_line(error)}") from None

    def refuses_all(self) -> bool:
        """Return whether the server refuses the statements without a row too."""
        try:
            self.check()
        except OutputError:
            return True
        return False

    def deliver(self, items: list[Item]) -> None:
        """Write the items in one transaction."""
        tables: list[_Rows] = [[], [], []]
        for item in items:
            if isinstance(item, Note):
                tables[2].append(_note_row(item))
            elif item.is_dated:
                tables[0] += _sample_rows(item)
            else:
                tables[1] += _uptime_rows(item)
        try:
            self._write(tables)
        except _OF_AN_ITEM:
            raise
        except OutputError:
            self._disconnect()
            raise
        except psycopg.Error as error:
            if _can_be_of_an_item(error):
                raise RefusedError(f"PostgreSQL: {_first_line(error)}") from None
            self._disconnect()  # the server: down, read-only, full, without a table
            raise OutputError(f"PostgreSQL: {_first_line(error)}") from None

    def _write(self, tables: list[_Rows]) -> None:
        connection = self._connect()
        with connection.transaction(), connection.cursor() as cursor:
            _make_durable(connection)
            for (table, columns), rows in zip(_PARTS, tables, strict=True):
                if not rows:
                    continue
                staging = f"new_{table}"
                cursor.execute(
                    f"CREATE TEMP TABLE {staging} (LIKE {table}) ON COMMIT DROP".encode()
                )
                with cursor.copy(f"COPY {staging} ({columns}) FROM STDIN".encode()) as copy:
                    for row in rows:
                        copy.write_row(row)
                cursor.execute(
                    f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging}"
                    " ON CONFLICT DO NOTHING".encode()
                )
                if table == "coldloop_sample" and cursor.rowcount < len(rows):
                    cursor.execute(_REPEATS)
                if table == "coldloop_note" and cursor.rowcount < len(rows):
                    cursor.execute(_TIMES)

    def _connect(self) -> psycopg.Connection:
        if self._connection is None:
            connection = psycopg.connect(
                self._address, connect_timeout=10, autocommit=True, prepare_threshold=None
            )
            try:
                _make_tables(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close the connection."""
        self._disconnect()


def _make_tables(connection: psycopg.Connection) -> None:
    """Make the tables, or add what a table of an earlier version lacks.

    Only then: a change of a table waits for each reader, and all others wait behind it.
    """
    if not _has_tables(connection):
        with connection.transaction():
            _wait_for_locks(connection)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(_TABLES)
    _make_hypertable(connection)


def _has_tables(connection: psycopg.Connection) -> bool:
    tables = ["coldloop_repeat", *[table for table, _ in _PARTS]]
    found = {str(name) for (name,) in connection.execute(_STATE, {"tables": tables})}
    return found >= _NEEDED and not found & _REPLACED


def _wait_for_locks(connection: psycopg.Connection) -> None:
    """Let the transaction wait for a reader for some seconds only; the relay tries again."""
    connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT_S}s'".encode())


def _make_durable(connection: psycopg.Connection) -> None:
    """Make the commit of a transaction wait for the disk. Raises OutputError if it cannot.

    The limit of time of a role is lifted: it would end a batch after an outage again and again. All
    is for this transaction: a pooler such as PgBouncer gives the next one another session. It has
    no prepared statements either.
    """
    connection.execute(
        "SELECT set_config(name, '0', true) FROM pg_settings"
        " WHERE name IN ('statement_timeout', 'transaction_timeout') AND setting <> '0'"
    )
    settings = connection.execute(
        "SELECT current_setting('fsync'), current_setting('full_page_writes'),"
        " current_setting('synchronous_commit')"
    ).fetchone()
    fsync, full_pages, commit = settings or ("", "", "")
    if fsync != "on" or full_pages != "on":
        raise OutputError("PostgreSQL: fsync or full_page_writes is off: a commit can be lost")
    if commit == "off":
        connection.execute("SET LOCAL synchronous_commit = on")


def _make_hypertable(connection: psycopg.Connection) -> None:
    """Use TimescaleDB if the database has it, and if the table is still empty.

    To move the rows of a large table takes hours, with a lock on it: a person must decide that.
    Without a hypertable the rows are stored as in PostgreSQL.
    """
    extension = connection.execute(
        "SELECT 1 FROM pg_extension WHERE extname='timescaledb'"
    ).fetchone()
    if extension is None or _is_hypertable(connection):
        return
    try:
        with connection.transaction():
            _wait_for_locks(connection)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(_HYPERTABLE)
    except psycopg.Error as error:
        if connection.closed or isinstance(error, psycopg.errors.LockNotAvailable):
            raise
        report(f"PostgreSQL: coldloop_sample stays a plain table: {_first_line(error)}")


def _is_hypertable(connection: psycopg.Connection) -> bool:
    return bool(
        connection.execute(
            "SELECT 1 FROM timescaledb_information.hypertables"
            " WHERE hypertable_name='coldloop_sample' AND hypertable_schema=current_schema()"
        ).fetchone()
    )


def _can_be_of_an_item(error: psycopg.Error) -> bool:
    """Return whether a value, a trigger or a policy for a row can be the cause.

    For example a late row in a compressed chunk of an old TimescaleDB (0A000).
    """
    code = error.sqlstate or ""
    return code in _OF_BOTH or (len(code) == 5 and code[:2] not in _SERVER_CLASSES)


def _first_line(error: psycopg.Error) -> str:
    return (str(error) or repr(error)).splitlines()[0]


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)


def _sample_rows(rows: Rows) -> _Rows:
    site, _, unit = rows.unit.partition("/")
    return [
        (site, unit, name, at, value, rows.generation, rows.number, nth)
        for at, nth, values in [(_time(at), nth, values) for at, nth, values in rows.counted()]
        for name, value in zip(rows.names, values, strict=True)
        if value is not None
    ]


def _uptime_rows(rows: Rows) -> _Rows:
    site, _, unit = rows.unit.partition("/")
    return [
        (site, unit, rows.generation, rows.number, rows.run, at, name, value, nth)
        for at, nth, values in rows.counted()
        for name, value in zip(rows.names, values, strict=True)
        if value is not None
    ]


def _note_row(note: Note) -> tuple[object, ...]:
    site, _, unit = note.unit.partition("/")
    at = _time(note.time_ms) if note.time_ms else None
    # A note of a datagram has no record; then its content identifies it.
    digest = "" if note.number else json.dumps(note.content, sort_keys=True)
    if len(digest) > _MOST_KEY_CHARS:
        digest = hashlib.sha256(digest.encode()).hexdigest()
    return (site, unit, note.generation, note.number, at, json.dumps(note.content), digest)
