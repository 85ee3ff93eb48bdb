# SPDX-License-Identifier: Apache-2.0
"""Production of units with a board by a script: database, record, label, failures."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.errors import FactoryError
from deploy.factory import command
from deploy.factory.command import is_signed, next_serials, select_new, write_enrolment
from deploy.factory.database import Database, UnitRow
from deploy.factory.label import label_svg
from deploy.factory.line import ProductionLine, produce
from deploy.firmware.supervisor import _unit_key
from deploy.ops.report.enrolled import EnrolledUnits
from tests.support.programs import require_program

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


class ScriptedBoard:
    """A board that answers as `answers` says; a missing word is a time-out."""

    answers: ClassVar[dict[str, str]]
    first_ms: ClassVar[float | None] = 735.0

    def __init__(self, _flash: Path) -> None:
        self.is_closed = False

    def power_on(self) -> None:
        pass

    def power_off(self) -> None:
        pass

    def run_ms(self, milliseconds: int) -> None:
        pass

    def wait_for_output(self, within_ms: int) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True

    def type_line(self, text: str) -> None:
        assert len(text) <= 76

    def read_until(self, word: str, within_ms: int) -> str:
        if word not in self.answers:
            raise FactoryError(f"the board did not say {word!r} within {within_ms} ms")
        return self.answers[word]

    def first_output_ms(self) -> float | None:
        return self.first_ms


def answers(public: str) -> dict[str, str]:
    return {
        "recovery mode": "coldloop: recovery mode: commands",
        "unit key ": "coldloop: unit key " + public,
        "coldloop: ": "coldloop: stored",
        "port 4: opened": "port 4: opened: uart:1",
    }


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with contextlib.closing(Database(tmp_path / "units.sqlite")) as database:
        yield database


def make(tmp_path: Path, database: Database, serial: str, **changes: Any) -> UnitRow:
    board = type("Board", (ScriptedBoard,), {"answers": answers("ab" * 32), **changes})
    image = tmp_path / "new.bin"
    image.write_bytes(b"\xff" * 64)
    verdict = changes.get("verdict", "pass")
    production = ProductionLine(
        tmp_path,
        image,
        {"board": "rp2040", "release": 3, "app_sha256": "00"},
        lambda serial: b'{"unit": "%s"}' % serial.encode(),
        lambda _: {"name": "smoke", "verdict": verdict, "digest": "d"},
        KEY.sign,
        board,
        changes.get("papers", lambda _serial, _public: None),
    )
    return produce(production, database, serial)


def test_a_good_unit_has_a_signed_record(tmp_path: Path, database: Database) -> None:
    row = make(tmp_path, database, "U1")
    fields = row.fields()
    assert (row.state, row.public, fields["release"]) == ("good", "ab" * 32, 3)
    assert fields["test"] == {"name": "smoke", "verdict": "pass", "digest": "d"}
    assert fields["first_output_ms"] == 735.0
    assert is_signed(row, PUBLIC)
    assert database.units() == [row]
    with pytest.raises(FactoryError, match="exists and is good"):
        make(tmp_path, database, "U1")


def test_every_change_of_a_row_is_found(tmp_path: Path, database: Database) -> None:
    row = make(tmp_path, database, "U1")
    for name, value in (
        ("serial", "U2"),
        ("state", "failed"),
        ("reason", "x"),
        ("public", "cd" * 32),
        ("public", None),
        ("record", row.record.replace("735", "134")),
        ("signature", "00" * 64),
        ("signature", "none"),
        ("signature", row.signature.upper()),
    ):
        assert not is_signed(UnitRow(**{**vars(row), name: value}), PUBLIC), name
    assert not is_signed(row, bytes(32))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"verdict": "fail"}, "end-of-line test: fail"),
        ({"first_ms": None}, "first byte"),
        ({"first_ms": 1000.1}, "first byte"),
        ({"answers": answers("short")}, "not a public key"),
        ({"answers": {**answers("ab" * 32), "coldloop: ": "coldloop: refused"}}, "refused"),
        *(
            ({"answers": {k: v for k, v in answers("ab" * 32).items() if k != word}}, word)
            for word in ("recovery mode", "unit key ", "port 4: opened")
        ),
    ],
)
def test_a_failed_unit_has_a_row_and_can_be_made_again(
    tmp_path: Path, database: Database, changes: dict[str, Any], reason: str
) -> None:
    row = make(tmp_path, database, "U1", **changes)
    assert (row.state, row.public) == ("failed", None)
    assert reason in row.reason
    assert is_signed(row, PUBLIC)
    assert make(tmp_path, database, "U1").state == "good"
    assert len(database.units()) == 1


def test_two_units_never_have_one_key(tmp_path: Path, database: Database) -> None:
    make(tmp_path, database, "U1")
    row = make(tmp_path, database, "U2")
    assert (row.state, row.reason) == ("failed", "another unit has the same key")


def test_another_factory_cannot_take_the_row_of_a_unit(tmp_path: Path, database: Database) -> None:
    """Both lines looked for the serial number and the key before the other one stored its unit."""
    first = make(tmp_path, database, "U1")
    with contextlib.closing(Database(tmp_path / "units.sqlite")) as other:
        for name, value in (("serial", "U2"), ("public", "cd" * 32), ("serial", "u1")):
            other.find = lambda _serial: None  # type: ignore[method-assign,assignment]
            with pytest.raises(FactoryError):
                other.store(UnitRow(**{**vars(first), name: value}))
    assert database.units() == [first]


def test_two_factories_do_not_make_one_unit_at_the_same_time(
    tmp_path: Path, database: Database
) -> None:
    def power_on(_board: ScriptedBoard) -> None:
        with pytest.raises(FactoryError, match="another factory"):
            make(tmp_path, database, "U1")

    assert make(tmp_path, database, "U1", power_on=power_on).state == "good"


def test_serial_numbers_that_differ_in_letters_are_one_unit(
    tmp_path: Path, database: Database
) -> None:
    """The name of a unit has small letters."""
    make(tmp_path, database, "Cdu-1", verdict="fail")
    with pytest.raises(FactoryError, match="Cdu-1"):
        make(tmp_path, database, "CDU-1")
    with pytest.raises(FactoryError, match="twice"):
        next_serials(["CDU-2", "cdu-2"], 1)


def test_the_papers_of_a_unit_come_before_its_row(tmp_path: Path, database: Database) -> None:
    """A good unit is never made again, so a unit without a label must not be good."""

    def fail(_serial: str, _public: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        make(tmp_path, database, "U1", papers=fail)
    assert database.units() == []
    written = list[tuple[str, str]]()
    make(tmp_path, database, "U1", papers=lambda *texts: written.append(texts))
    make(tmp_path, database, "U2", papers=lambda *texts: written.append(texts), verdict="fail")
    assert written == [("U1", "ab" * 32)]


def test_named_units_that_are_good_are_an_error_and_a_run_of_many_goes_on(
    tmp_path: Path, database: Database
) -> None:
    make(tmp_path, database, "U1")
    make(tmp_path, database, "U3", answers=answers("cd" * 32))
    units = ["U1", "U2", "u3"]
    assert select_new(database, ["U2"], skips_good=False) == ["U2"]
    with pytest.raises(FactoryError, match="U1, u3: good already"):
        select_new(database, units, skips_good=False)
    assert select_new(database, units, skips_good=True) == ["U2"]


@pytest.mark.parametrize("action", ["make U1 --config c.json --key k.key", "list", "verify"])
def test_a_wrong_argument_leaves_no_database(
    action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.run(action.split()) == 2
    assert re.search("k.key: |no database", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["locked", "read-only", "full", "no table"])
def test_a_database_that_cannot_be_used_is_an_error(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "units.sqlite"
    with contextlib.closing(Database(path)) as database:
        raw = database._connection
        other = sqlite3.connect(path)
        if fault == "locked":
            raw.execute("PRAGMA busy_timeout = 1")
            other.execute("BEGIN EXCLUSIVE")
        elif fault == "read-only":
            raw.execute("PRAGMA query_only = 1")
        elif fault == "full":
            raw.execute("PRAGMA max_page_count = 1")
        else:
            other.execute("DROP TABLE unit")
        row = UnitRow("U1", "good", "", "ab" * 32, "x" * 10_000, "00")
        with pytest.raises(FactoryError, match=r"units\.sqlite"):
            database.store(row)
        if fault in ("locked", "no table"):
            for call in (
                database.units,
                lambda: database.find("U1"),
                lambda: database.has_key("ab", "U1"),
            ):
                with pytest.raises(FactoryError, match=r"units\.sqlite"):
                    call()
        other.close()


def test_the_tools_of_operators_enroll_a_unit_of_the_factory(tmp_path: Path) -> None:
    (tmp_path / "U1.json").write_text('{"site": "riyadh-2", "unit": "u1"}')
    path = write_enrolment(tmp_path, "U1", PUBLIC.hex())
    enrolled = EnrolledUnits(tmp_path / "units")
    assert enrolled.add(path) == "riyadh-2/u1"
    assert enrolled.public("riyadh-2/u1") == PUBLIC


def test_serial_numbers() -> None:
    assert next_serials(["CDU-0099"], 3) == ["CDU-0099", "CDU-0100", "CDU-0101"]
    assert next_serials(["a", "b"], 1) == ["a", "b"]
    for serials, count in (
        (["../x"], 1),
        (["x" * 33], 1),
        (["x"], 2),
        (["a1", "a2"], 2),
        (["a1"], 0),
        (["a1"], -1),
        (["a1", "a1"], 1),
        (["a\u0663"], 2),
    ):
        with pytest.raises(FactoryError):
            next_serials(serials, count)


def test_a_damaged_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no database" * 100)
    with pytest.raises(FactoryError, match="not a database"):
        Database(tmp_path / "x")


def test_label() -> None:
    text = label_svg("U<1>", "rp2040", 3, "ab" * 32)
    assert "U&lt;1&gt;" in text
    assert text.count("<svg") == 2
    assert "key abababababababab" in text


@pytest.mark.parametrize("serial", ["A", "W" * 32])
def test_each_line_of_a_label_fits(serial: str) -> None:
    text = label_svg(serial, "rp2040", 0xFFFFFFFF, "ab12" * 16)
    lines = re.findall(r'<text x="(\d+)" y="\d+" font-size="([\d.]+)" .*?>(.*?)</text>', text)
    assert len(lines) == 3
    assert all(int(x) + 0.61 * float(size) * len(line) < 50 for x, size, line in lines)


@pytest.mark.parametrize("dpi", [203, 300])
def test_another_decoder_reads_the_label(dpi: int, tmp_path: Path) -> None:
    """zbar reads the picture that librsvg draws, at the resolutions of label printers."""
    draw, read = require_program("rsvg-convert"), require_program("zbarimg")
    svg, png = tmp_path / "label.svg", tmp_path / "label.png"
    svg.write_text(label_svg("CDU-0001", "rp2040", 1, "ab12" * 16))
    resolution = [f"--dpi-x={dpi}", f"--dpi-y={dpi}"]
    subprocess.run([draw, *resolution, str(svg), "-o", str(png)], check=True)
    command = [read, "--quiet", "--raw", str(png)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found == "CDU-0001 " + "ab12" * 4 + "\n"


def test_the_key_of_a_unit_is_that_of_its_seed() -> None:
    for _ in range(10):
        seed = os.urandom(32)
        expected = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        assert _unit_key.public_key(seed) == expected


def test_record_is_canonical(tmp_path: Path, database: Database) -> None:
    row = make(tmp_path, database, "U1")
    assert row.record == json.dumps(row.fields(), sort_keys=True)
