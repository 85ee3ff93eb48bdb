# SPDX-License-Identifier: Apache-2.0
"""`coldloop factory`: produce units, list them, verify their records.

    make SERIAL...    produce units; --count N makes N from the first serial number on
    list              the units of the database
    verify            check all signatures with the public key of the factory

Boards are emulated RP2040 (`coldloop firmware emulate`). The configuration is a file in which
{serial} stands for the serial number in small letters.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.errors import DeployError, FactoryError
from deploy.factory.database import Database, UnitRow
from deploy.factory.emulated_board import Fixture
from deploy.factory.label import label_svg
from deploy.factory.line import ProductionLine, check_serial, produce
from deploy.firmware.config_file import read_config
from deploy.firmware.memory_layout import read_header
from deploy.firmware.rp2 import uf2
from deploy.firmware.rp2.build import RP2_BOARDS, Rp2Options, build_uf2
from deploy.firmware.supervisor.release_keys import read_public
from deploy.ops import keys
from deploy.ops.arguments import PASSPHRASE
from drivers.ports.cpython.emulator_pipe import FLASH_VARIABLE

BOARD = "rp2040"
ROOT = Path(__file__).resolve().parents[2]


def run(argv: list[str]) -> int:
    """Run the command. Returns 1 if a unit failed or a record is wrong."""
    parser = argparse.ArgumentParser(
        prog="coldloop factory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("make", "list", "verify"))
    parser.add_argument("serials", metavar="SERIAL", nargs="*", help="serial numbers")
    parser.add_argument("--database", type=Path, default=Path("units.sqlite"), metavar="FILE")
    parser.add_argument("--out", type=Path, default=Path("out/factory"), metavar="DIR")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration of a unit")
    parser.add_argument("--key", type=Path, metavar="FILE", help="key of the factory")
    parser.add_argument("--public", type=Path, metavar="FILE", help="its public file, for verify")
    parser.add_argument(
        "--count", type=int, default=1, metavar="N", help="number of units (1); skips good ones"
    )
    parser.add_argument("--release", type=int, default=1, metavar="N", help="release (1)")
    parser.add_argument(
        "--test", default="smoke", metavar="NAME", help="scenario of the end-of-line test (smoke)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record a line")
    arguments = parser.parse_args(argv)
    try:
        if arguments.action == "make":
            return _make(arguments)
        if not arguments.database.is_file():
            raise FactoryError(f"{arguments.database}: no database of units; name it by --database")
        action = {"list": _list, "verify": _verify}[arguments.action]
        with contextlib.closing(Database(arguments.database)) as database:
            return action(arguments, database)
    except (DeployError, OSError, UnicodeDecodeError) as error:
        print(f"coldloop factory: {error}", file=sys.stderr)
        return 2


def _make(arguments: argparse.Namespace) -> int:
    """Check all arguments before anything is written, then make the units."""
    if not arguments.serials or arguments.config is None or arguments.key is None:
        raise FactoryError("make needs SERIAL, --config and --key")
    serials = next_serials(arguments.serials, arguments.count)
    key = keys.load(arguments.key, os.environ.get(PASSPHRASE, ""))
    template = arguments.config.read_text(encoding="utf-8")
    with contextlib.closing(Database(arguments.database)) as database:
        serials = select_new(database, serials, skips_good=arguments.count > 1)
        return _make_all(arguments, database, serials, key.sign, template)


def _make_all(
    arguments: argparse.Namespace,
    database: Database,
    serials: list[str],
    sign: Callable[[bytes], bytes],
    template: str,
) -> int:
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed_count = 0
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Fixture()) as fixture:
        image, build_record = _build_image(Path(folder), arguments.release)
        production = ProductionLine(
            arguments.out,
            image,
            build_record,
            lambda serial: _make_config(template, serial, arguments.out),
            lambda flash: _run_test(flash, arguments.test),
            sign,
            fixture.insert,
            lambda serial, public: _write_papers(arguments, serial, public),
        )
        for serial in serials:
            row = produce(production, database, serial)
            failed_count += row.state != "good"
            _print_row(row, arguments.json)
    return 1 if failed_count else 0


def select_new(database: Database, serials: list[str], skips_good: bool) -> list[str]:
    """Return the units that are not good yet: so a run of many that was stopped goes on.

    Raises FactoryError for a good unit that was named alone or in a list, without `skips_good`.
    """
    found = {serial: database.find(serial) for serial in serials}
    good = [serial for serial, row in found.items() if row is not None and row.state == "good"]
    if good and not skips_good:
        raise FactoryError(f"{', '.join(good)}: good already; no unit was made")
    if good:
        print(f"{len(good)} of {len(serials)} units are good already", file=sys.stderr)
    return [serial for serial in serials if serial not in good]


def _write_papers(arguments: argparse.Namespace, serial: str, public: str) -> None:
    label = label_svg(serial, BOARD, arguments.release, public)
    (arguments.out / f"{serial}.svg").write_text(label, encoding="utf-8")
    write_enrolment(arguments.out, serial, public)


def write_enrolment(folder: Path, serial: str, public: str) -> Path:
    """Write the public key of a unit for `coldloop config unit enroll`; return the file."""
    raw = json.loads((folder / f"{serial}.json").read_text(encoding="utf-8"))
    path = folder / f"{serial}.unit.json"
    text = json.dumps({"unit": f"{raw['site']}/{raw['unit']}", "public": public})
    path.write_text(text + "\n", encoding="utf-8")
    return path


def next_serials(serials: list[str], count: int) -> list[str]:
    """Return the serial numbers; `count` counts up from a single one. Raises FactoryError."""
    for serial in serials:
        check_serial(serial)
    if len({serial.lower() for serial in serials}) < len(serials):
        raise FactoryError(f"{' '.join(serials)}: one serial number is there twice")
    if count == 1:
        return serials
    match = re.fullmatch(r"(.*?)(\d+)", serials[0])
    if len(serials) != 1 or match is None or count < 1:
        raise FactoryError("--count needs one serial number that ends with digits")
    width, first = len(match[2]), int(match[2])
    return [check_serial(f"{match[1]}{first + offset:0{width}}") for offset in range(count)]


def _make_config(template: str, serial: str, folder: Path) -> bytes:
    """Write and check the configuration of a unit; names of units have small letters."""
    path = folder / f"{serial}.json"
    path.write_text(template.replace("{serial}", serial.lower()), encoding="utf-8")
    return read_config(path)


def _build_image(folder: Path, release: int) -> tuple[Path, dict[str, Any]]:
    """Build the flash content of a new unit; return it and what the record says about it."""
    board = RP2_BOARDS[BOARD]
    record = build_uf2(board, folder, Rp2Options(None, release))
    image = uf2.flash_image(
        Path(record["uf2"]).read_bytes(), uf2.FAMILIES[BOARD], board.flash_kib * 1024
    )
    path = folder / "new.bin"
    path.write_bytes(image)
    digest = read_header(Path(record["app"]).read_bytes()).digest
    return path, {"board": BOARD, "release": release, "app_sha256": digest}


def _run_test(flash: Path, name: str) -> dict[str, Any]:
    """Run a scenario of the bench on the unit; return name, verdict and digest."""
    command = [sys.executable, str(ROOT / "coldloop.py"), "hil", "run", name]
    completed = subprocess.run(
        [*command, "--dut", BOARD, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, FLASH_VARIABLE: str(flash)},
        check=False,
    )
    try:
        result = json.loads(completed.stdout.splitlines()[0])
        return {"name": name, "verdict": result["verdict"], "digest": result["digest"]}
    except (ValueError, IndexError, KeyError, TypeError):
        raise FactoryError(f"end-of-line test: {completed.stderr.strip()[-200:]}") from None


def _list(arguments: argparse.Namespace, database: Database) -> int:
    for row in database.units():
        _print_row(row, arguments.json)
    return 0


def _print_row(row: UnitRow, as_json: bool) -> None:
    text = json.dumps(vars(row)) if as_json else ""
    print(text or f"{row.serial}  {row.state}  {row.reason or row.public}", flush=True)


def _verify(arguments: argparse.Namespace, database: Database) -> int:
    if arguments.public is None:
        raise FactoryError("verify needs --public")
    public = read_public(arguments.public)
    rows = database.units()
    invalid, count = [row.serial for row in rows if not is_signed(row, public)], len(rows)
    if arguments.json:
        print(json.dumps({"units": count, "wrong": invalid}))
    else:
        print(
            "\n".join(
                [
                    *(f"{serial}  wrong" for serial in invalid),
                    f"{count} units, {len(invalid)} wrong",
                ]
            )
        )
    return 1 if invalid else 0


def is_signed(row: UnitRow, public: bytes) -> bool:
    """Return whether a row is what the factory signed."""
    from protocols.signing import ed25519  # noqa: PLC0415 - the other actions do not need it

    try:
        signature = bytes.fromhex(row.signature)
        is_valid = ed25519.verify(public, row.record.encode(), signature)
        fields = row.fields()
        key = fields["public"] if fields["state"] == "good" else None
        recorded = (fields["serial"], fields["state"], fields["reason"], key, signature.hex())
    except (ValueError, KeyError, TypeError):
        return False
    return is_valid and recorded == (
        row.serial,
        row.state,
        row.reason,
        row.public,
        row.signature,
    )
