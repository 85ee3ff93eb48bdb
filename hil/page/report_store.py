# SPDX-License-Identifier: Apache-2.0
"""The records of the runs of the page: a run is kept until its record and report are written.

Does not run anything. A folder that cannot be written, or a full disk, must not end the bench and
must not lose a run. So a run that cannot be stored stays here, and is stored by a later call of
`retry`. At the end of the bench `end` writes the rest into a folder for temporary files.
"""

import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from hil.errors import BenchError
from hil.page.job_state import PageJob
from hil.record.bench_key import load_key
from hil.record.record import Record, read, worst_verdict
from hil.report.next_steps import next_step
from hil.report.write import Labels, check_report, complete_all
from hil.run.recorded import RecordedRun
from hil.scenario.questions import list_denials

_ERRORS = (BenchError, OSError)


class _KeptRun(NamedTuple):
    """A run of a suite and the name of its folder."""

    job: PageJob
    name: str


class ReportStore:
    """Writes records into the folder `records`; `key`: key file of the bench, if not the default.

    `verdict` is that of the last run, for the page; None: there is none.
    """

    def __init__(self, records: Path, key: Path | None) -> None:
        self._records, self._key = records, key
        self._kept: list[_KeptRun] = []
        self.verdict: dict[str, Any] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a run is not stored yet."""
        return bool(self._kept)

    def public_key(self) -> str:
        """Return the public key of the records of this page; empty: it has no key yet."""
        with suppress(*_ERRORS):
            return load_key(self._key).public
        return ""

    def check(self) -> None:
        """Raise BenchError if no record can be written now."""
        check_report(self._records, self._key)

    def is_ready(self) -> bool:
        """Return whether runs wait and their folder can be written again."""
        with suppress(*_ERRORS):
            if self._kept:
                self.check()
                return True
        return False

    def add(self, job: PageJob) -> None:
        """Store a run that has ended, or keep it."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._kept.append(_KeptRun(job, f"{stamp}-{job.suite.name}"))
        self.retry()

    def retry(self) -> None:
        """Try to store all runs that are kept, the oldest first."""
        for kept in list(self._kept):
            try:
                record = self._write(kept, self._records)
            except _ERRORS as error:
                self.verdict = _describe_kept(kept.job, str(error))
                return
            self._kept.remove(kept)
            self.verdict = _describe_stored(kept, record)

    def end(self) -> None:
        """Store the rest at the end of the bench, wherever it is possible; print where it is."""
        self.retry()
        for kept in self._kept:
            try:
                folder = Path(tempfile.mkdtemp(prefix="coldloop-records-"))
                self._write(kept, folder)
                text = f"the record of {kept.job.suite.name} is in {folder / kept.name}"
            except _ERRORS as error:
                text = f"the record of {kept.job.suite.name} is lost: {error}"
            with suppress(OSError, ValueError):  # the terminal is lost
                print(f"coldloop bench: {text}", file=sys.stderr, flush=True)

    def _write(self, kept: _KeptRun, records: Path) -> Record:
        job = kept.job
        labels = Labels(job.serial_check, job.operator, self._key)
        paths = complete_all(job.suite, job.recorded_runs, records / kept.name, labels)
        return read(paths[0])


def _describe_kept(job: PageJob, error: str) -> dict[str, Any]:
    return {
        **_head(job),
        "verdict": worst_verdict([run.verdict for run in job.recorded_runs]),
        "text": f"the record cannot be written, the bench keeps the run: {error}",
        "next": "Make the folder of the records writable. The bench then writes the record itself.",
        "report": None,
    }


def _describe_stored(kept: _KeptRun, record: Record) -> dict[str, Any]:
    runs = kept.job.recorded_runs
    next_steps = [
        next_step(result.measure) for run in runs for result in run.results if result.failure
    ]
    return {
        **_head(kept.job),
        "verdict": record["verdict"],
        "verdict_text": record["verdict_text"],
        "text": _describe_results(runs),
        "next": next_steps[0] if next_steps else "",
        "report": kept.name,
    }


def _head(job: PageJob) -> dict[str, Any]:
    return {"suite": job.suite.name, "serial": job.serial}


def _describe_results(runs: list[RecordedRun]) -> str:
    failures = [
        line for run in runs for line in (*run.run_result.failures, *list_denials(run.answers))
    ]
    near = [result.near for run in runs for result in run.results if result.near]
    return first_line(failures) or first_line(near) or "all within limits"


def first_line(lines: list[str]) -> str:
    """Return the first line, and the number of further lines."""
    suffix = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return lines[0] + suffix if lines else ""
