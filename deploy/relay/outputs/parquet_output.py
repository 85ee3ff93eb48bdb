# SPDX-License-Identifier: Apache-2.0
"""Parquet output: files partitioned by day and site, for DuckDB, Spark, pandas and others.

Does not compact; a file has the rows of about 20 s. Layout below the folder of the option:

    rows/day=DATE/site=NAME/FILE.parquet      unit, log, record, run, t, signal, value, estimated
    rows/day=undated/site=NAME/FILE.parquet   the same; t is empty, uptime_ms is not
    notes/day=DATE/site=NAME/FILE.parquet     unit, log, record, t, content (JSON)

A file is complete: it is written, synchronised and then renamed; a new folder is synchronised too.
The list of the files of a batch is stored before. The transaction that moves the position of the
output over the batch removes the list. If a list is there, its batch comes again: then its files
are deleted first. So a kill at any moment loses and doubles nothing. The name of a file is random,
so no file replaces another one.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from deploy.relay.decode.row_format import Item, Note, Rows
from deploy.relay.outputs.base import Output, OutputContext, OutputError
from deploy.relay.outputs.file_check import check_folder

_KEY = "parquet/files"
"""Files of the batch that is not acknowledged yet."""
_ROWS = pa.schema(
    [
        ("unit", pa.string()),
        ("log", pa.string()),
        ("record", pa.int64()),
        ("run", pa.int64()),
        ("t", pa.timestamp("ms", "UTC")),
        ("uptime_ms", pa.int64()),
        ("signal", pa.string()),
        ("value", pa.float64()),
        ("estimated", pa.bool_()),
    ]
)
_NOTES = pa.schema(
    [
        ("unit", pa.string()),
        ("log", pa.string()),
        ("record", pa.int64()),
        ("t", pa.timestamp("ms", "UTC")),
        ("content", pa.string()),
    ]
)
_Table = list[tuple[object, ...]]


class ParquetOutput(Output):
    """Writes below the folder of the option."""

    BATCH = 2000
    LINGER_S = 20.0

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        self._root = Path(context.argument)

    def check(self) -> None:
        """Write a file without a name in the folder, or where it would be made."""
        check_folder(self._root, may_be_made=True)

    def deliver(self, items: list[Item]) -> None:
        """Write the items as new files, one for each day and site."""
        parts: dict[Path, _Table] = {}
        for item in items:
            if isinstance(item, Note):
                parts.setdefault(_folder("notes", item.unit, item.time_ms), []).append(
                    _note_row(item)
                )
            else:
                _add_rows(parts, item)
        name = os.urandom(12).hex()
        files = {self._root / folder / f"{name}.parquet": rows for folder, rows in parts.items()}
        try:
            self._begin(list(files))
            for path, rows in files.items():
                _write_file(path, rows, _NOTES if "notes" in path.parts else _ROWS)
        except OSError as error:
            raise OutputError(f"{self._root}: {error}") from None

    def acknowledged(self) -> None:
        """Remove the list of the files of the batch."""
        if self.context.store is not None:
            self.context.store.remove_state(_KEY)

    def _begin(self, files: list[Path]) -> None:
        """Delete the files of a batch that comes again; store the list of the new ones."""
        store = self.context.store
        if store is None:
            return
        for name in json.loads(store.load_state(_KEY).get(_KEY, "[]")):
            for path in (self._root / name, _part_of(self._root / name)):
                path.unlink(missing_ok=True)
        store.store_state(_KEY, json.dumps([str(path.relative_to(self._root)) for path in files]))


def _folder(kind: str, unit: str, time_ms: int | None) -> Path:
    day = f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}" if time_ms else "undated"
    site = quote(unit.partition("/")[0], safe="")
    return Path(kind) / f"day={day}" / f"site={site}"


def _add_rows(parts: dict[Path, _Table], rows: Rows) -> None:
    unit = rows.unit.partition("/")[2]
    head = (unit, rows.generation, rows.number, rows.run)
    for at, values in rows.values:
        folder = _folder("rows", rows.unit, at if rows.is_dated else None)
        times = (at, None) if rows.is_dated else (None, at)
        parts.setdefault(folder, []).extend(
            (*head, *times, name, value, rows.estimated > 0)
            for name, value in zip(rows.names, values, strict=True)
            if value is not None
        )


def _note_row(note: Note) -> tuple[object, ...]:
    unit = note.unit.partition("/")[2]
    return (
        *(unit, note.generation, note.number, note.time_ms or None),
        json.dumps(note.content, separators=(",", ":")),
    )


def _write_file(path: Path, rows: _Table, schema: pa.Schema) -> None:
    _make_folder(path.parent)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=schema)
    part = _part_of(path)
    try:
        with open(part, "wb") as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=["unit", "log"])
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)  # a full disk: the next try needs the place
        raise
    _sync_folder(path.parent)


def _part_of(path: Path) -> Path:
    """Return the name of a file that is being written; readers skip names that begin with a dot."""
    return path.with_name(f".{path.name}.part")


def _make_folder(path: Path) -> None:
    """Make a folder and those above it, each durable in the one above it."""
    if path.is_dir():
        return
    _make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
