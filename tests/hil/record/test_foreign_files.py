# SPDX-License-Identifier: Apache-2.0
"""Reports, keys and known benches from other people: devices, links, added files, wrong bytes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from hil.commands import hil
from hil.errors import BenchError
from hil.io.regular_file import MissingFileError, read_regular
from hil.io.strict_json import parse_strict
from hil.record.bench_key import default_path
from hil.record.manifest import MANIFEST
from hil.record.record import RECORD_FILE
from hil.record.trust_store import store_path
from tests.support.cli_tools import SHORT, scenario_file

TEXT = SHORT + '[[expect]]\nmeasure = "ticks"\nmin = 1\n'
NAMES = ("junit.xml", MANIFEST, RECORD_FILE, "report.html")


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of a report that this machine's bench has signed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "report"
    with patch("hil.report.write.print_pdf", return_value=False):
        assert hil(["run", scenario_file(tmp_path, TEXT), "--report", str(folder)]) == 0
    return folder


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_folder(path: Path) -> None:
    path.mkdir()


def write_file(path: Path) -> None:
    path.write_text("x")


NOT_REGULAR: list[Callable[[Path], None]] = [make_fifo, link_to_zero, make_folder]


@pytest.mark.parametrize("make", NOT_REGULAR)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_a_report_that_is_not_regular_is_bad(
    report: Path, name: str, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (report / name).unlink()
    make(report / name)
    capsys.readouterr()
    assert hil(["verify", str(report)]) == 1
    text = capsys.readouterr().out
    assert text.startswith("BAD")
    assert "not a regular file" in text
    if name == RECORD_FILE:
        assert hil(["report", str(report)]) == 2
        assert hil(["compare", str(report), str(report)]) == 2


def test_a_link_to_the_signed_file_itself_is_refused(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        shutil.move(report / name, tmp_path / "kept")
        (report / name).symlink_to(tmp_path / "kept")
        capsys.readouterr()
        assert hil(["verify", str(report)]) == 1, name
        assert "symbolic link" in capsys.readouterr().out, name
        (report / name).unlink()
        shutil.move(tmp_path / "kept", report / name)
    assert hil(["verify", str(report)]) == 0


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (write_file, "file"),
        (make_fifo, "file"),
        (make_folder, "folder"),
        (link_to_zero, "symbolic link"),
    ],
)
@pytest.mark.parametrize("name", ["note.txt", ".hidden", "REPORT.PDF", "line\nGOOD", "no-suffix"])
def test_each_added_entry_is_named(
    report: Path,
    name: str,
    make: Callable[[Path], None],
    kind: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(report / name)
    capsys.readouterr()
    assert hil(["verify", str(report)]) == 1
    text = capsys.readouterr().out
    assert text.startswith("BAD")
    assert f"  {name}: {kind}, not signed".replace("\n", "\\n") in text


@pytest.mark.parametrize("name", ["", "/dev/zero", "/proc/self/mem", "/nothing/at/all"])
def test_verify_of_a_place_without_a_report_ends(name: str) -> None:
    if name:
        assert hil(["verify", name]) == 1
        return
    for words in (
        *(["verify", ""], ["report", ""], ["compare", "", ""], ["key", "--key", ""]),
        *(["check", ""], ["replay", ""], ["run", "smoke", "--log", ""]),
        *(["shrink", "smoke", "--out", ""], ["campaign", "--keep", ""], ["year", "--plot", ""]),
    ):
        with pytest.raises(SystemExit) as ended:
            hil(words)
        assert ended.value.code == 2, words


def test_the_size_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert len(read_regular(path, 100)) == 100
    with pytest.raises(BenchError, match="larger than 99 bytes"):
        read_regular(path, 99)
    with pytest.raises(MissingFileError):
        read_regular(tmp_path / "none", 1)
    with pytest.raises(BenchError, match="not the name of a file"):
        read_regular(Path("a\0b"), 1)


@pytest.mark.parametrize("part", [b"[],", b"{},", b"[[],[{}]],"])
def test_a_file_of_very_many_values_is_not_parsed(
    report: Path, part: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (report / RECORD_FILE).write_bytes(b'{"runs": [' + part * 1_000_001 + b"1]}")
    with patch("json.loads", side_effect=AssertionError("parsed")):
        assert hil(["verify", str(report)]) == 1
    assert "too many values" in capsys.readouterr().out
    with (
        patch("hil.io.strict_json.MAX_VALUES", 2),
        pytest.raises(BenchError, match="too many values"),
    ):
        parse_strict(b'{"a": [1, 2, 3, 4]}', Path("x"))


def test_a_named_key_file_is_not_created(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["key"], ["report", str(report)]):
        assert hil([*words, "--key", str(tmp_path / "none")]) == 2
        assert not (tmp_path / "none").exists()
        assert "none: missing" in capsys.readouterr().err
    default_path().unlink()
    assert hil(["key"]) == 0, "the default key is created"
    assert default_path().exists()


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/null"])
def test_a_key_file_is_a_regular_file(report: Path, target: str) -> None:
    assert hil(["key", "--key", target]) == 2
    default_path().unlink()
    default_path().symlink_to(target)
    assert hil(["verify", str(report)]) == 2
    assert hil(["key"]) == 2


def test_known_benches_name_the_line_with_wrong_bytes(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_path().write_bytes(b"# first\n" + b"0" * 64 + b" caf\xe9\n")
    assert hil(["verify", str(report)]) == 2
    assert f"{store_path()}, line 2: not UTF-8" in capsys.readouterr().err
    store_path().unlink()
    store_path().symlink_to("/dev/zero")
    assert hil(["verify", str(report)]) == 2
