# SPDX-License-Identifier: Apache-2.0
"""Writes the record of a suite and its reports into a folder.

    record.json   the record: chained, hashed, signed (`hil.record.record`)
    report.html   one page with plots, without external files (`hil.report.html`)
    junit.xml     for CI servers (`hil.report.junit`)
    report.pdf    the page as PDF, if Chromium is installed (`hil.report.pdf`)
    manifest.json the hash of each file, signed (`hil.record.manifest`)

Each file is written as a whole or not at all. A symbolic link in the place of a file is replaced.
On a full disk the record can be there without its report, and `coldloop hil verify` says BAD.

Records in folders of one parent folder make a chain: each holds the hash of the newest one.
"""

import contextlib
import shlex
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hil.errors import BenchError
from hil.io.regular_file import write_whole
from hil.record.bench_key import BenchKey, default_path
from hil.record.label import check_label
from hil.record.manifest import MANIFEST, write_manifest
from hil.record.provenance import SerialCheck
from hil.record.record import RECORD_FILE, Record, build_suite_record, read, seal
from hil.report.html import write_page
from hil.report.junit import write_junit
from hil.report.pdf import print_pdf
from hil.run.recorded import RecordedRun, write_json
from hil.scenario.suite import Suite

REPORT_FILES = frozenset((RECORD_FILE, MANIFEST, "report.html", "report.pdf", "junit.xml"))
"""The names of all files of a report."""
_PROBE_BYTES = 64 * 1024
NO_PREVIOUS = "0" * 64
"""`previous` of the first record of a folder."""


@dataclass(frozen=True)
class Labels:
    """Serial number with its check, operator ("": not given), and the key file, if not the default.

    Raises BenchError for a serial number or an operator that is no label (`hil.record.label`).
    """

    serial: SerialCheck = field(default_factory=SerialCheck)
    operator: str = ""
    key: Path | None = None

    def __post_init__(self) -> None:
        if self.serial.given:
            check_label(self.serial.given, "serial number")
        if self.operator:
            check_label(self.operator, "operator")


def check_report(folder: Path, key: Path | None) -> None:
    """Check before a run that its report can be written: the folder, and the key of the bench.

    Leaves no new folder. Raises BenchError.
    """
    BenchKey(key or default_path())
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * _PROBE_BYTES)
    except OSError as error:
        raise BenchError(f"{folder}: {error.strerror}; name a folder that can be written") from None
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


def complete_all(
    suite: Suite, recorded_runs: list[RecordedRun], folder: Path, labels: Labels
) -> list[Path]:
    """Write what an earlier `write_all` could not write: all, or the reports of its record.

    A record that is there stays: a second one would name the first as its predecessor.
    """
    try:
        record = read(folder / RECORD_FILE)
    except BenchError:
        return write_all(suite, recorded_runs, folder, labels)
    key = BenchKey(labels.key or default_path())
    return [folder / RECORD_FILE, *write_reports(record, folder, key)]


def write_all(
    suite: Suite, recorded_runs: list[RecordedRun], folder: Path, labels: Labels
) -> list[Path]:
    """Write the record and its reports into a folder; raises BenchError.

    An interrupted run has no PDF: Chromium takes seconds, and the person wants the end.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"{folder}: {error.strerror}; name a folder that can be written") from None
    runs = [run.record() for run in recorded_runs]
    planned = [scenario.name for scenario in suite.scenarios]
    unsigned = build_suite_record(
        suite.name, suite.title, runs, planned, labels.serial, labels.operator
    )
    key = BenchKey(labels.key or default_path())
    record = seal(unsigned, newest_hash(folder.parent), key)
    write_json(folder / RECORD_FILE, record)
    try:
        with_pdf = not any(run.is_interrupted for run in recorded_runs)
        return [folder / RECORD_FILE, *write_reports(record, folder, key, with_pdf)]
    except BenchError as error:
        raise BenchError(
            f"{error}; the record is complete, so `coldloop hil report {shlex.quote(str(folder))}` "
            "can write the report later"
        ) from None


def write_reports(record: Record, folder: Path, key: BenchKey, with_pdf: bool = True) -> list[Path]:
    """Write HTML, JUnit and, if Chromium is installed, PDF; sign all files; give the paths.

    Ctrl-C while Chromium prints leaves a signed report without PDF.
    Raises BenchError if another bench has signed the record.
    """
    if key.public != record.get("key"):
        raise BenchError(
            f"{folder / RECORD_FILE}: signed by another bench; only it can sign reports of it"
        )
    paths = _write_files(record, folder)
    try:
        if with_pdf and print_pdf(folder / "report.html", folder / "report.pdf"):
            paths.append(folder / "report.pdf")
    finally:
        names = [RECORD_FILE, *(path.name for path in paths)]
        manifest = write_manifest(folder, names, key)
    return [*paths, manifest]


def _write_files(record: Record, folder: Path) -> list[Path]:
    html, xml, pdf = (folder / name for name in ("report.html", "junit.xml", "report.pdf"))
    try:  # what stays of an older record would be taken for that of this one
        for path in (folder / MANIFEST, html, xml, pdf):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise BenchError(f"{error.filename}: {error.strerror}") from None
    write_whole(html, write_page(record).encode("utf-8"))
    write_whole(xml, write_junit(record).encode("utf-8"))
    return [html, xml]


def newest_hash(folder: Path) -> str:
    """Return the hash of the newest record in the subfolders of `folder`.

    A damaged record is left out: it must not cost the results of the run that has just ended.
    """
    records = []
    for path in folder.glob(f"*/{RECORD_FILE}"):
        with contextlib.suppress(BenchError):
            records.append(read(path))
    newest = max(records, key=lambda r: str(r.get("ended_utc")), default=None)
    return NO_PREVIOUS if newest is None else str(newest.get("hash"))
