# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil verify`: each byte of each file of a report, foreign keys, the known benches."""

import json
import os
import random
import shutil
import threading
from pathlib import Path
from unittest.mock import patch

import pytest

from hil.commands import hil
from hil.record.bench_key import BenchKey
from hil.record.manifest import MANIFEST, is_changed, write_manifest
from hil.record.record import RECORD_FILE, read, seal
from hil.record.trust_store import known_keys, store_path
from hil.run.recorded import write_json
from tests.support.cli_tools import SHORT, scenario_file

TEXT = SHORT + '[[expect]]\nmeasure = "ticks"\nmin = 1\n'
NAMES = ("junit.xml", MANIFEST, RECORD_FILE, "report.html", "report.pdf")
PDF = b"%PDF-1.4 as if printed\n"
SAMPLE_STEP = 997


def print_as_pdf(_page: Path, target: Path) -> bool:
    """Write a file in the place of the PDF of Chromium."""
    return target.write_bytes(PDF) > 0


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of a report that this machine's bench has signed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "report"
    with patch("hil.report.write.print_pdf", print_as_pdf):
        assert hil(["run", scenario_file(tmp_path, TEXT), "--report", str(folder)]) == 0
    return folder


def is_good(folder: Path) -> bool:
    return hil(["verify", str(folder), "--json"]) == 0


def count_unseen_changes(folder: Path, step: int) -> dict[str, int]:
    """Change each `step`th byte of each file in turn; count the changes that are not seen."""
    unseen: dict[str, int] = {}
    for name in NAMES:
        path = folder / name
        data = path.read_bytes()
        for position in range(0, len(data), step):
            for mask in (0x01, 0x20):
                changed = bytes((data[position] ^ mask,))
                path.write_bytes(data[:position] + changed + data[position + 1 :])
                unseen[name] = unseen.get(name, 0) + is_good(folder)
        path.write_bytes(data)
    return unseen


def test_a_changed_byte_of_any_file_is_seen(report: Path) -> None:
    assert sorted(path.name for path in report.iterdir()) == sorted(NAMES)
    assert is_good(report)
    assert count_unseen_changes(report, SAMPLE_STEP) == dict.fromkeys(NAMES, 0)
    assert is_good(report)


def test_bytes_of_page_and_pdf_are_covered(report: Path) -> None:
    """Positions of each file in memory, by the comparison that the command makes. `make soak` takes
    each position, with the command.
    """
    (report / "report.pdf").write_bytes(random.Random(18).randbytes(10_000))
    names = [name for name in NAMES if name != MANIFEST]
    write_manifest(report, names, BenchKey(default_key()))
    assert is_good(report)
    hashes = json.loads((report / MANIFEST).read_text())["files"]
    assert sorted(hashes) == names
    for name, digest in hashes.items():
        data = bytearray((report / name).read_bytes())
        assert not is_changed(bytes(data), digest)
        for position in [*range(0, len(data), 11), len(data) - 1]:
            data[position] ^= 0x01
            assert is_changed(bytes(data), digest), (name, position)
            data[position] ^= 0x01


def test_a_file_is_compared_in_the_command(report: Path) -> None:
    """Without the comparison the command would accept each file: it is the one that it uses."""
    (report / "report.pdf").write_bytes(b"other")
    assert not is_good(report)
    with patch("hil.record.manifest.is_changed", return_value=False):
        assert is_good(report)


@pytest.mark.soak
def test_each_changed_byte_of_each_file_is_seen(report: Path) -> None:
    assert count_unseen_changes(report, 1) == dict.fromkeys(NAMES, 0)


def test_each_changed_byte_of_the_manifest_is_seen(report: Path) -> None:
    path = report / MANIFEST
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes((data[position] ^ 0x20,)) + data[position + 1 :])
        assert not is_good(report), position
    for changed in (data + b" ", data[:-1], data.replace(b",", b", ", 1), data.upper(), b""):
        path.write_bytes(changed)
        assert not is_good(report), changed


def test_missing_added_and_swapped_files_are_seen(report: Path, tmp_path: Path) -> None:
    for name in NAMES:
        kept = (report / name).read_bytes()
        (report / name).unlink()
        assert hil(["verify", str(report / RECORD_FILE), "--json"]) == 1, name
        (report / name).write_bytes(kept)
    other = tmp_path / "other"
    with patch("hil.report.write.print_pdf", print_as_pdf):
        hil(["run", scenario_file(tmp_path, TEXT), "--report", str(other), "--operator", "Ada"])
    for name in ("report.html", RECORD_FILE, MANIFEST):
        shutil.copy(report / name, tmp_path / "kept")
        shutil.copy(other / name, report / name)
        assert not is_good(report), name
        shutil.copy(tmp_path / "kept", report / name)
    (report / "second.pdf").write_bytes(PDF)
    assert not is_good(report)


def test_a_key_that_is_given_twice_is_refused(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = report / RECORD_FILE
    text = path.read_text().replace(
        '"verdict": "pass"', '"verdict": "fail",\n "verdict": "pass"', 1
    )
    path.write_text(text)
    write_manifest(report, [name for name in NAMES if name != MANIFEST], BenchKey(default_key()))
    assert hil(["verify", str(report)]) == 1
    assert "the key 'verdict' is given twice" in capsys.readouterr().out


def default_key() -> Path:
    from hil.record.bench_key import default_path  # noqa: PLC0415 - the environment is set by then

    return default_path()


def sign_as_forger(folder: Path, key: BenchKey) -> None:
    """Sign a record and its manifest with another key, as a forger would."""
    record = read(folder / RECORD_FILE)
    body = {k: v for k, v in record.items() if k not in ("hash", "signature", "key", "previous")}
    write_json(folder / RECORD_FILE, seal({**body, "operator": "Eve"}, record["previous"], key))
    write_manifest(folder, [name for name in NAMES if name != MANIFEST], key)


def test_a_foreign_key_is_unknown_until_it_is_accepted(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign, own = BenchKey(tmp_path / "foreign"), read(report / RECORD_FILE)["key"]
    sign_as_forger(report, foreign)
    capsys.readouterr()
    assert hil(["verify", str(report)]) == 1
    assert capsys.readouterr().out.startswith("UNKNOWN")
    assert hil(["verify", str(report), "--key", own]) == 1
    assert "signed with the key of another bench" in capsys.readouterr().out
    assert hil(["verify", str(report), "--key", foreign.public]) == 0
    assert hil(["verify", str(report), "--key", "0"]) == 2
    assert hil(["verify", str(report), "--trust"]) == 0
    assert hil(["verify", str(report)]) == 0, "the key is known from now on"


def test_two_first_uses_at_the_same_time_have_one_key(tmp_path: Path) -> None:
    path, found, start = tmp_path / "new/bench.key", [], threading.Barrier(8)

    def use() -> None:
        start.wait()
        found.append(BenchKey(path).public)

    users = [threading.Thread(target=use) for _ in range(8)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert os.listdir(path.parent) == ["bench.key"]


def test_an_edited_file_of_known_benches_keeps_its_keys(report: Path, tmp_path: Path) -> None:
    foreign = BenchKey(tmp_path / "foreign")
    sign_as_forger(report, foreign)
    edited = b"\xef\xbb\xbf" + b"AB" * 32 + b" 2026-11-29"  # a mark, large letters, no line end
    store_path().parent.mkdir(parents=True, exist_ok=True)
    store_path().write_bytes(edited)
    assert hil(["verify", str(report), "--trust"]) == 0
    assert hil(["verify", str(report)]) == 0
    assert {foreign.public, "ab" * 32} <= known_keys()
    with store_path().open("a", encoding="utf-8") as file:
        file.write(f"{foreign.public} revoked 2026-11-29\n")
    assert hil(["verify", str(report)]) == 1


def test_keys_that_cannot_be_stored_hide_no_verdict(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = BenchKey(tmp_path / "foreign")
    sign_as_forger(report, foreign)
    store_path().parent.mkdir(parents=True, exist_ok=True)
    store_path().write_text(f"{foreign.public} revoked\n")
    capsys.readouterr()
    assert hil(["verify", str(report), "--trust"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("UNKNOWN")
    assert "is revoked; delete its line to accept it" in text


def test_the_first_use_of_a_key_asks_on_a_terminal(report: Path, tmp_path: Path) -> None:
    sign_as_forger(report, BenchKey(tmp_path / "foreign"))
    with patch("sys.stdin") as terminal:
        terminal.isatty.return_value = True
        terminal.readline.return_value = "\n"
        assert hil(["verify", str(report)]) == 1
        terminal.readline.return_value = "y\n"
        assert hil(["verify", str(report)]) == 0
    assert hil(["verify", str(report)]) == 0


def test_only_the_bench_of_a_record_writes_reports_of_it(report: Path, tmp_path: Path) -> None:
    assert hil(["report", str(report), "--key", str(tmp_path / "foreign")]) == 2
    with patch("hil.report.write.print_pdf", return_value=False):
        assert hil(["report", str(report)]) == 0
    assert not (report / "report.pdf").exists(), "the PDF of before would be stale"
    assert is_good(report)


def test_key_prints_the_key_of_the_records(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert hil(["key", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["key"] == read(report / RECORD_FILE)["key"]


@pytest.mark.parametrize("runs", [None, 5, [1], [{}], {"a": 1}])
def test_a_signed_record_of_a_wrong_form_is_bad(report: Path, tmp_path: Path, runs: object) -> None:
    foreign = BenchKey(tmp_path / "foreign")
    record = read(report / RECORD_FILE)
    body = {k: v for k, v in record.items() if k not in ("hash", "signature", "key", "previous")}
    write_json(report / RECORD_FILE, seal({**body, "runs": runs}, record["previous"], foreign))
    write_manifest(report, [name for name in NAMES if name != MANIFEST], foreign)
    assert hil(["verify", str(report), "--key", foreign.public]) == 1


def test_records_of_an_older_format_are_one_error(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = read(report / RECORD_FILE)
    write_json(report / RECORD_FILE, {**record, "format": "coldloop-record-1", "runs": [{}]})
    assert hil(["compare", str(report), str(report)]) == 2
    assert "format is 'coldloop-record-1', not coldloop-record-2" in capsys.readouterr().err
    assert hil(["verify", str(report)]) == 1


def test_a_damaged_record_beside_it_does_not_prevent_a_record(report: Path, tmp_path: Path) -> None:
    (report / RECORD_FILE).write_text("")
    target = tmp_path / "next"
    with patch("hil.report.write.print_pdf", print_as_pdf):
        assert hil(["run", scenario_file(tmp_path, TEXT), "--report", str(target)]) == 0
    assert is_good(target)


def verify_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Verify a folder of reports; give the verdict of each path below it."""
    capsys.readouterr()
    code = hil(["verify", str(folder), "--json"])
    checks = json.loads(capsys.readouterr().out)
    verdicts = {str(Path(c["file"]).relative_to(folder)): c["verdict"] for c in checks}
    assert code == (set(verdicts.values()) != {"GOOD"})
    return verdicts


@pytest.mark.parametrize("left", [name for name in NAMES if name != RECORD_FILE])
def test_a_report_without_its_record_is_bad(
    report: Path, tmp_path: Path, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = tmp_path / "reports"
    shutil.copytree(report, reports / "good")
    (reports / "a" / "bare").mkdir(parents=True)
    shutil.copy(report / left, reports / "a" / "bare" / left)
    assert verify_all(reports, capsys) == {"good/record.json": "GOOD", "a/bare/record.json": "BAD"}


def test_what_cannot_be_seen_in_a_folder_is_bad(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Links to folders, links to nothing, a link in the place of a record."""
    reports, aside = tmp_path / "reports", tmp_path / "aside"
    shutil.copytree(report, reports / "good")
    shutil.copytree(report, aside / "deep" / "one")
    (reports / "plain").mkdir()
    (reports / "plain" / "notes.txt").write_text("no report")
    (reports / "plain" / "notes.link").symlink_to("notes.txt")
    assert verify_all(reports, capsys) == {"good/record.json": "GOOD"}
    (reports / "linked").symlink_to(aside)
    (reports / "gone").symlink_to(tmp_path / "absent")
    (reports / "plain" / RECORD_FILE).symlink_to(report / RECORD_FILE)
    bad = dict.fromkeys(("linked", "gone", "plain/record.json"), "BAD")
    assert verify_all(reports, capsys) == {"good/record.json": "GOOD", **bad}
    (tmp_path / "named").symlink_to(reports / "good")
    assert is_good(tmp_path / "named"), "a link that the person names is followed"


def test_a_folder_that_cannot_be_read_is_bad(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = tmp_path / "reports"
    shutil.copytree(report, reports / "good")
    (reports / "locked").mkdir()
    scan = os.scandir

    def scan_unlocked(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    with patch("os.scandir", scan_unlocked):
        assert verify_all(reports, capsys) == {"good/record.json": "GOOD", "locked": "BAD"}
