# SPDX-License-Identifier: Apache-2.0
"""Files of reports are written as a whole or not at all: full disks, links, other kinds of files.

The limit of the size of a file (RLIMIT_FSIZE) stands for the full disk: a write ends in the middle.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from hil.commands import hil
from hil.errors import BenchError
from hil.io.regular_file import write_regular, write_whole
from hil.record.manifest import MANIFEST
from hil.record.record import RECORD_FILE, read
from tests.support.cli_tools import SHORT, scenario_file

TEXT = SHORT + '[[expect]]\nmeasure = "ticks"\nmin = 1\n'
NAMES = ("junit.xml", MANIFEST, RECORD_FILE, "report.html")


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """Let each write beyond `size` bytes of a file fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def capture_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a capture; no PDF is printed, and the keys are those of the test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "run.jsonl"
    assert hil(["key"]) == 0
    assert hil(["run", scenario_file(tmp_path, TEXT), "--capture", str(path)]) == 0
    with patch("hil.report.write.print_pdf", return_value=False):
        yield path


def test_a_full_disk_leaves_no_cut_file_of_a_report(
    capture_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole"
    assert hil(["replay", str(capture_path), "--report", str(whole)]) == 0
    sizes = {name: (whole / name).stat().st_size for name in NAMES}
    reached = set()
    for name, size in sizes.items():
        folder = tmp_path / f"full-{name}"
        capsys.readouterr()
        with limited_files(size - 100):
            assert hil(["replay", str(capture_path), "--report", str(folder)]) == 2
        message = capsys.readouterr().err
        assert "File too large" in message
        assert len(message.splitlines()) == 1
        left = [path.name for path in folder.iterdir()]
        reached.add(RECORD_FILE in left)
        assert not {other for other in left if sizes[other] > size}, "a cut file is left"
        assert name not in left
        assert MANIFEST not in left
        if RECORD_FILE in left:
            assert read(folder / RECORD_FILE)["verdict"] == "pass"
            assert "coldloop hil report" in message
            assert hil(["verify", str(folder)]) == 1
            assert hil(["report", str(folder)]) == 0
            assert hil(["verify", str(folder)]) == 0
    assert reached == {False, True}, "the record was cut, and the report was"


def test_a_report_of_before_does_not_stay_beside_a_new_record(
    capture_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "again"
    assert hil(["replay", str(capture_path), "--report", str(folder)]) == 0
    with patch("hil.report.write.write_page", side_effect=BenchError("no page")):
        assert hil(["replay", str(capture_path), "--report", str(folder)]) == 2
    assert [path.name for path in folder.iterdir()] == [RECORD_FILE]


@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_not_written_through_a_link(
    name: str, capture_path: Path, tmp_path: Path
) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "linked"
    victim.write_text("mine")
    folder.mkdir()
    (folder / name).symlink_to(victim)
    (folder / f".{name}.new").symlink_to(victim)
    assert hil(["replay", str(capture_path), "--report", str(folder)]) == 0
    assert victim.read_text() == "mine"
    assert hil(["verify", str(folder)]) == 0


def test_a_kept_capture_is_not_written_through_a_link(capture_path: Path, tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "kept"
    victim.write_text("mine")
    folder.mkdir()
    (folder / capture_path.name).symlink_to(victim)
    with limited_files(100):
        assert hil(["replay", str(capture_path), "--keep", str(folder)]) == 2
    assert (folder / capture_path.name).is_symlink()
    assert hil(["replay", str(capture_path), "--keep", str(folder)]) == 0
    assert victim.read_text() == "mine"
    assert (folder / capture_path.name).read_bytes() == capture_path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_in_the_place_of_a_file_is_one_line(
    name: str, capture_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / name).mkdir(parents=True)
    capsys.readouterr()
    assert hil(["replay", str(capture_path), "--report", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_file_of_before_stays_if_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with limited_files(5), pytest.raises(BenchError, match="File too large"):
        write_whole(path, bytes(9))
    with limited_files(5), pytest.raises(BenchError, match="File too large"):
        write_regular(path, "x" * 9)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    os.mkfifo(tmp_path / "fifo")
    for other in (tmp_path, tmp_path / "fifo", tmp_path / "none" / "file", Path("/dev/null")):
        with pytest.raises(BenchError):
            write_whole(other, b"new")


@pytest.mark.parametrize(
    "words",
    [
        ("run", "SCENARIO", "--capture", "FILE"),
        ("shrink", "FAILING", "--out", "FILE"),
        ("words", "--page", "FILE"),
    ],
    ids=lambda words: " ".join(words[::2]),
)
def test_an_output_is_the_old_or_the_new_file(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, own = tmp_path / "out" / "file", tmp_path / "own"
    for folder in (path.parent, own):
        folder.mkdir()
    failing = SHORT + '[[expect]]\nmeasure = "ticks"\nmin = 9999\n'
    places = {
        "FILE": str(path),
        "SCENARIO": scenario_file(own, TEXT),
        "FAILING": scenario_file(own, failing, "failing.toml"),
    }
    arguments = [places.get(word, word) for word in words]
    path.write_text("old")
    path.chmod(0o640)
    with limited_files(10):
        assert hil(arguments) == 2
    assert "File too large" in capsys.readouterr().err
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]
    assert hil(arguments) == 0
    assert path.read_text() != "old"
    assert path.stat().st_mode & 0o777 == 0o640
    assert hil([word.replace(str(path), "/dev/null") for word in arguments]) == 0


def test_a_new_scenario_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with limited_files(10):
        assert hil(["new", "mine", "--folder", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []
    assert hil(["new", "mine", "--folder", str(tmp_path)]) == 0
    text = (tmp_path / "mine.toml").read_text()
    assert hil(["new", "mine", "--folder", str(tmp_path)]) == 2
    assert (tmp_path / "mine.toml").read_text() == text
