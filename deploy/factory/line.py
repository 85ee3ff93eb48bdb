# SPDX-License-Identifier: Apache-2.0
"""One unit on the line: flash, key, configuration, start, end-of-line test, signed record.

    flash    the image without a configuration; the first start ends in the recovery mode
    key      the unit makes its key and tells the public part; the private part stays on it
    config   the bench's test, then the configuration of the unit, through the recovery mode
    start    the agent opens its field bus; the first byte on it is timed
    record   JSON with sorted keys, signed by the key of the factory

Does not know the bench: `run_test` is a command that gets the flash and returns the verdict.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import FactoryError
from deploy.factory.database import Database, UnitRow
from deploy.factory.emulated_board import EmulatedBoard

_RECOVERY_MS, _KEY_MS, _LINE_MS, _START_MS = 4000, 8000, 500, 4000
_COLUMNS = 76
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
FIRST_OUTPUT_MS = 1000
"""Longest time from power on to the first byte on the field bus."""


@dataclass(frozen=True)
class ProductionLine:
    """The line. `image`: flash content of each new unit; `made`: what the record says about it.

    `config(serial)` returns the configuration. `run_test(flash)` returns the name, the verdict and
    the digest of the end-of-line test. `sign` returns a signature of 64 bytes. `open_board(flash)`
    returns a board without power. `write_papers(serial, public)` writes what goes with a good unit,
    before its row: without a label a unit can be made again.
    """

    folder: Path
    image: Path
    made: dict[str, Any]
    config: Callable[[str], bytes]
    run_test: Callable[[Path], dict[str, Any]]
    sign: Callable[[bytes], bytes]
    open_board: Callable[[Path], EmulatedBoard]
    write_papers: Callable[[str, str], None]


def check_serial(serial: str) -> str:
    """Return a serial number that can stand in file names. Raises FactoryError."""
    if not _SERIAL.fullmatch(serial):
        raise FactoryError(f"{serial!r}: a serial number has 1 to 32 letters, digits, _ . -")
    return serial


def produce(production: ProductionLine, database: Database, serial: str) -> UnitRow:
    """Produce a unit; store and return its row. A failure is a row, too."""
    check_serial(serial)
    _check_new(database, serial)
    flash = production.folder / f"{serial}.bin"
    with _reserve(flash):
        _check_new(database, serial)
        return _produce(production, database, serial, flash)


def _check_new(database: Database, serial: str) -> None:
    found = database.find(serial)
    if found is not None and (found.state == "good" or found.serial != serial):
        raise FactoryError(f"{serial}: the unit {found.serial} exists and is {found.state}")


@contextlib.contextmanager
def _reserve(flash: Path) -> Iterator[None]:
    """Keep other factories from the unit. Raises FactoryError if one makes it."""
    with flash.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FactoryError(f"{flash}: another factory makes this unit") from None
        yield


def _produce(production: ProductionLine, database: Database, serial: str, flash: Path) -> UnitRow:
    shutil.copyfile(production.image, flash)
    fields: dict[str, Any] = {"serial": serial, **production.made}
    reason = ""
    try:
        fields |= _prepare(production, serial, flash)
        if database.has_key(fields["public"], serial):
            raise FactoryError("another unit has the same key")
        fields["test"] = production.run_test(flash)
        if fields["test"]["verdict"] != "pass":
            raise FactoryError(f"end-of-line test: {fields['test']['verdict']}")
    except FactoryError as error:
        reason = str(error)
    row = make_row(production, fields, reason)
    if row.public is not None:
        production.write_papers(serial, row.public)
    database.store(row)
    return row


def make_row(production: ProductionLine, fields: dict[str, Any], reason: str) -> UnitRow:
    """Return the signed row. A failed unit has no key in the database: it can be made again."""
    state = "failed" if reason else "good"
    record = json.dumps({**fields, "state": state, "reason": reason}, sort_keys=True)
    signature = production.sign(record.encode()).hex()
    public = None if reason else fields["public"]
    return UnitRow(str(fields["serial"]), state, reason, public, record, signature)


def _prepare(production: ProductionLine, serial: str, flash: Path) -> dict[str, Any]:
    """Make key and configuration, and start once; return what the record says about it."""
    config = production.config(serial)
    digest = hashlib.sha256(config).hexdigest()
    board = production.open_board(flash)
    try:
        board.power_on()
        board.read_until("recovery mode", _RECOVERY_MS)
        board.type_line("key")
        public = board.read_until("unit key ", _KEY_MS).partition("unit key ")[2]
        _send_config(board, config, digest)
        board.power_off()
        board.power_on()
        board.read_until("port 4: opened", _START_MS)
        board.power_off()
        board.power_on()  # the first start with a configuration writes its seal and its copy
        board.read_until("port 4: opened", _START_MS)
        board.wait_for_output(_LINE_MS)
        first_ms = board.first_output_ms()
    finally:
        board.close()
    if not re.fullmatch(r"[0-9a-f]{64}", public):
        raise FactoryError(f"not a public key: {public!r}")
    if first_ms is None or first_ms > FIRST_OUTPUT_MS:
        raise FactoryError(f"first byte on the field bus: {first_ms} ms after power on")
    return {"public": public, "config_sha256": digest, "first_output_ms": first_ms}


def _send_config(board: EmulatedBoard, config: bytes, digest: str) -> None:
    """Send a configuration to the recovery mode."""
    board.type_line("config " + digest)
    text = base64.b64encode(config).decode()
    for at in range(0, len(text), _COLUMNS):
        board.type_line(text[at : at + _COLUMNS])
        board.run_ms(10)
    board.type_line(".")
    answer = board.read_until("coldloop: ", _KEY_MS)
    if not answer.endswith("stored"):
        raise FactoryError(f"configuration: {answer}")
