# SPDX-License-Identifier: Apache-2.0
"""ClickHouse output: a server by HTTP, or the embedded engine chdb in a folder.

Does not aggregate; use materialized views. It makes its tables:

    coldloop_sample   site, unit, signal, t (UTC), value, log, record, nth
    coldloop_uptime   rows without UTC: site, unit, log, run, record, uptime_ms, signal, value, nth
    coldloop_note     alarms and events: site, unit, log, record, t, content (JSON)

t of a note without a time is 1970. nth: number of earlier rows of the record with this time. Tables
of earlier versions get it. A table is a ReplacingMergeTree whose key has all columns but the
values, so a repetition disappears when parts are merged. Of a note that comes again with its time,
the later one stays. Read with `FINAL` (`SELECT … FROM coldloop_sample FINAL`), which drops it
immediately. The engine writes to the disk before it acknowledges (`fsync_after_insert`,
`fsync_part_directory`); its default does not.

The token of the output is the password of the user in the URL. The embedded engine needs the extra
`clickhouse`. One process can open its folder, so it is for one relay.
SOURCE: ClickHouse documentation, HTTP interface, MergeTree settings, JSONEachRow.
"""

import importlib
import json
import re
import urllib.parse
from pathlib import Path
from typing import Any, Protocol

from deploy.errors import DeployError
from deploy.relay.decode.row_format import Item, Note, Rows
from deploy.relay.outputs.base import Output, OutputContext, OutputError
from deploy.relay.outputs.file_check import check_folder
from deploy.relay.outputs.http_client import HttpClient, RefusedError

_NO_TIME = "1970-01-01 00:00:00.000"
_DURABLE = "SETTINGS fsync_after_insert=1, fsync_part_directory=1"
_NAME = "LowCardinality(String)"
_TABLES = (
    (
        f"CREATE TABLE IF NOT EXISTS coldloop_sample (site {_NAME}, unit {_NAME}, signal {_NAME},"
        " t DateTime64(3, 'UTC'), value Float64, log String, record Int64,"
        " nth UInt32) ENGINE=ReplacingMergeTree PARTITION BY toYYYYMM(t)"
        f" ORDER BY (site, unit, signal, t, log, record, nth) {_DURABLE}"
    ),
    (
        "ALTER TABLE coldloop_sample ADD COLUMN IF NOT EXISTS nth UInt32,"
        " MODIFY ORDER BY (site, unit, signal, t, log, record, nth)"
    ),
    (
        f"CREATE TABLE IF NOT EXISTS coldloop_uptime (site {_NAME}, unit {_NAME}, log String,"
        f" run Int64, record Int64, uptime_ms Int64, signal {_NAME}, value Float64,"
        " nth UInt32) ENGINE=ReplacingMergeTree"
        f" ORDER BY (site, unit, log, record, uptime_ms, signal, nth) {_DURABLE}"
    ),
    (
        "ALTER TABLE coldloop_uptime ADD COLUMN IF NOT EXISTS nth UInt32,"
        " MODIFY ORDER BY (site, unit, log, record, uptime_ms, signal, nth)"
    ),
    (
        f"CREATE TABLE IF NOT EXISTS coldloop_note (site {_NAME}, unit {_NAME}, log String,"
        " record Int64, t DateTime64(3, 'UTC'), content String) ENGINE=ReplacingMergeTree"
        f" ORDER BY (site, unit, log, record, content) {_DURABLE}"
    ),
)
_OF_AN_ITEM = (26, 27, 38, 41, 69, 72, 117, 130, 131, 321)
"""Codes of ClickHouse for data that it cannot parse or hold. All others are of the server."""
_CODE = re.compile(r"Code: (\d+)")
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class _Engine(Protocol):
    def execute(self, statement: str, data: bytes = b"") -> None:
        """Execute a statement. Raises OutputError, RefusedError."""

    def check(self) -> None:
        """Try whether it can be used. Raises OutputError, RefusedError."""


class _Server:
    """A server by HTTP; `url`: http://USER@HOST:PORT/DATABASE."""

    def __init__(self, url: str, context: OutputContext) -> None:
        parts = urllib.parse.urlsplit(url)
        database = parts.path.strip("/") or "default"
        if not _DATABASE.fullmatch(database):
            raise DeployError(f"--clickhouse {url}: not the name of a database")
        host = parts.netloc.rpartition("@")[2]
        self._settings = {"database": database, "wait_end_of_query": "1", "async_insert": "0"}
        if parts.username:
            self._settings["user"] = parts.username
        try:
            self._client = HttpClient(f"{parts.scheme}://{host}/", context, "X-ClickHouse-Key")
        except OSError as error:
            raise DeployError(f"--clickhouse {url}: {error}") from None

    def execute(self, statement: str, data: bytes = b"") -> None:
        """Post the data with the statement in the URL."""
        query = urllib.parse.urlencode({**self._settings, "query": statement})
        try:
            self._client.post(data, "application/x-ndjson", f"?{query}")
        except RefusedError as error:
            _raise(str(error))

    def check(self) -> None:
        """Execute a statement without a result: address, login and database."""
        self.execute("SELECT 1 FORMAT Null")


class _Embedded:
    """The embedded engine in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session: Any = None
        try:
            self._module: Any = importlib.import_module("chdb.session")
        except ImportError as error:
            raise DeployError(
                f"--clickhouse {folder} needs chdb ({error}): pip install 'coldloop[clickhouse]'"
            ) from None

    def execute(self, statement: str, data: bytes = b"") -> None:
        """Execute in this process. A folder that cannot be opened is tried again."""
        self._open()
        try:
            self._session.query(statement + " " + data.decode())
        except RuntimeError as error:
            _raise(str(error))

    def check(self) -> None:
        """Write a file without a name: one process can open the folder, perhaps a relay."""
        check_folder(self._folder, may_be_made=True)

    def _open(self) -> None:
        if self._session is not None:
            return
        session = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            session = self._module.Session(str(self._folder))
            session.query("CREATE DATABASE IF NOT EXISTS coldloop")
            session.query("USE coldloop")
        except (OSError, RuntimeError) as error:
            if session is not None:
                session.close()
            raise OutputError(f"--clickhouse {self._folder}: {str(error)[:200]}") from None
        self._session = session


def _raise(text: str) -> None:
    code = _CODE.search(text)
    if code is not None and int(code[1]) in _OF_AN_ITEM:
        raise RefusedError(f"ClickHouse: {text[:200]}")
    raise OutputError(f"ClickHouse: {text[:200]}")


class ClickhouseOutput(Output):
    """Writes to the server or to the folder of the option."""

    BATCH = 1000
    LINGER_S = 2.0
    TAKES_TIMES = True

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        where = context.argument
        is_server = where.startswith(("http://", "https://"))
        self._engine: _Engine = _Server(where, context) if is_server else _Embedded(Path(where))
        self._has_tables = False

    def check(self) -> None:
        """Ask the server for nothing; of the embedded engine, the folder. Raises OutputError."""
        self._engine.check()

    def deliver(self, items: list[Item]) -> None:
        """Insert the items, one statement for each table."""
        tables: dict[str, list[bytes]] = {}
        for item in items:
            if isinstance(item, Note):
                tables.setdefault("coldloop_note", []).append(_note_line(item))
            elif item.is_dated:
                tables.setdefault("coldloop_sample", []).extend(_row_lines(item, "t"))
            else:
                tables.setdefault("coldloop_uptime", []).extend(_row_lines(item, "uptime_ms"))
        try:
            self._make_tables()
            for table, lines in tables.items():
                if lines:
                    statement = f"INSERT INTO {table} FORMAT JSONEachRow"
                    self._engine.execute(statement, b"\n".join(lines))
        except OutputError:
            self._has_tables = False
            raise

    def _make_tables(self) -> None:
        if not self._has_tables:
            for statement in _TABLES:
                self._engine.execute(statement)
            self._has_tables = True


def _line(content: dict[str, object]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def _seconds(time_ms: int) -> str:
    if not time_ms:
        return _NO_TIME  # ClickHouse reads fewer than ten digits as a date
    return f"{time_ms // 1000}.{time_ms % 1000:03d}"


def _row_lines(rows: Rows, key: str) -> list[bytes]:
    site, _, unit = rows.unit.partition("/")
    head: dict[str, object] = {"site": site, "unit": unit, "log": rows.generation}
    head["record"] = rows.number
    if key == "uptime_ms":
        head["run"] = rows.run
    timed = [
        (at if key == "uptime_ms" else _seconds(at), nth, values)
        for at, nth, values in rows.counted()
    ]
    return [
        _line({**head, key: at, "nth": nth, "signal": name, "value": v})
        for at, nth, values in timed
        for name, v in zip(rows.names, values, strict=True)
        if v is not None
    ]


def _note_line(note: Note) -> bytes:
    site, _, unit = note.unit.partition("/")
    head = {"site": site, "unit": unit, "log": note.generation, "record": note.number}
    return _line({**head, "t": _seconds(note.time_ms), "content": _line(note.content).decode()})
