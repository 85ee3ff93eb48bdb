# SPDX-License-Identifier: Apache-2.0
"""Hooks of pytest: portable tests on four targets, and a count of skipped tests.

1. Each `test_*.py` below `tests/portable/` is collected twice: by pytest as usual, and by
   `MicroPythonFile`, which yields one item per test and target, named `test_x[unix]` (see
   tests/support/targets.py). The selected items of a file and a target run together when the first
   of them starts; on the image in batches.
2. A test with a missing program skips with a reason that starts with `program missing: ` (see
   tests/support/programs.py). A test that needs data from outside the repository skips with
   `data missing: `. The last line counts both by name. With CI=true a missing program is a failure.
3. The files of REALTIME get the mark `realtime`, and those of WAITING the mark `waiting`: `python
   -m tests` runs several of them side by side, and the other tests with a lower priority.
"""

import collections
import faulthandler
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.distribution import TEST_RUNS, TestSpread, rank
from tests.support.programs import MISSING
from tests.support.repository import REALTIME, ROOT, WAITING
from tests.support.targets import close_all, max_batch, read_tests, run_tests, targets

PORTABLE = ROOT / "tests" / "portable"
NOT_RUN = (MISSING, "data missing: ")
_YOUNG_OBJECTS = 50_000
"""Tests hold many objects, so a process looks for garbage less often."""
_MARKS = {ROOT / name: "waiting" for name in WAITING}
_MARKS.update((ROOT / name, "realtime") for name in REALTIME)


def pytest_configure(config: pytest.Config) -> None:
    """Restore SIGINT if it is ignored, because programs that tests start would ignore it too.

    The ledger of signed messages, the key of the bench and the list of known benches are not those
    of the user. Each session has its own results of scenarios, which its workers share.

    A worker ignores SIGINT, and a shell ignores it for background processes. Compiled modules are
    kept, whatever the shell says: else each process of the session, and each program that a test
    starts, compiles its modules again.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if not hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="coldloop-tests")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        os.environ["XDG_CONFIG_HOME"] = f"{folder}/config"
        os.environ["COLDLOOP_LEDGER"] = f"{folder}/ledger.jsonl"
        os.environ["COLDLOOP_PENDING"] = f"{folder}/pending"
        os.environ[TEST_RUNS] = folder
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# --- 1. portable tests on MicroPython -----------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "MicroPythonFile | None":
    if PORTABLE in file_path.parents and file_path.match("test_*.py"):
        return MicroPythonFile.from_parent(parent, path=file_path)
    return None


class MicroPythonFile(pytest.File):
    """The tests of one file on MicroPython. Their names are read without an import."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        # By target: output of each failed test; "": it passed.
        self.results: dict[str, dict[str, str]] = {}

    def collect(self) -> Iterator["MicroPythonTest"]:
        has_soak = "not soak" not in self.config.option.markexpr  # thousands of items less
        for test, line in read_tests(self.path).lines.items():
            for target, soak in targets(self.path, test).items():
                if soak and not has_soak:
                    continue
                item = MicroPythonTest.from_parent(
                    self, name=f"{test}[{target}]", test=test, line=line, target=target
                )
                if soak:
                    item.add_marker("soak")
                yield item

    def outcome(self, target: str, test: str) -> str:
        """Return the output of MicroPython for a failed test; empty if it passed."""
        results = self.results.setdefault(target, {})
        if test in results:
            return results[test]
        items = [i for i in self.session.items if i.parent is self and i.target == target]
        tests = [item.test for item in items]
        parsed, noise = parse_output(
            run_tests(target, self.path, tests[tests.index(test) :][: max_batch(target)])
        )
        results.update(parsed)
        return results.get(test, f"{test} did not run; output of MicroPython:\n{noise}")


class MicroPythonTest(pytest.Item):
    """One test function on MicroPython."""

    def __init__(self, *, test: str, line: int, target: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.test = test
        self.target = target
        self.line = line - 1

    def runtest(self) -> None:
        failed = self.parent.outcome(self.target, self.test)
        if failed:
            raise MicroPythonError(f"{failed.splitlines()[-1]} (on {self.target})\n{failed}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, MicroPythonError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line, self.name


def pytest_sessionfinish() -> None:
    """End the machines that ran portable tests."""
    close_all()


class MicroPythonError(Exception):
    """A test that failed on MicroPython; the text is its traceback."""


def parse_output(output: str) -> tuple[dict[str, str], str]:
    """Split the output of the runner into the output of each test and other output."""
    results: dict[str, str] = {}
    noise: list[str] = []
    failing = ""
    for line in output.splitlines(keepends=True):
        mark, _, rest = line.rstrip().partition(" ")
        if mark != "@@":
            if failing:
                results[failing] += line.strip() and line
            else:
                noise.append(line)
            continue
        outcome, _, name = rest.partition(" ")
        failing = name if outcome == "fail" else ""
        if name:
            results[name] = "failed:\n" if failing else ""
    return results, "".join(noise)


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files by their rank. Mark REALTIME and WAITING."""
    # A test of this file runs it on files outside of the repository.
    items.sort(key=lambda item: rank(Path(os.path.relpath(item.path, ROOT))))
    for item in items:
        if item.path in _MARKS:
            item.add_marker(_MARKS[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect the tests without a search for garbage: nearly all objects stay until the end.

    The collector of garbage spares them later too.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
        gc.enable()


@pytest.hookimpl(optionalhook=True)  # without xdist there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TestSpread:
    """Spread the tests as tests/distribution.py says."""
    return TestSpread(config, log)


@pytest.fixture(scope="module", autouse=True)
def _no_open_files_left() -> Generator[None]:
    """Collect the garbage of each file of tests: a socket left open fails the file that left it.

    Without this, a warning of a socket in a reference cycle fails any later test. Objects that stay
    after a file are not searched again.
    """
    yield
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remove the time limit of a soak test."""
    if item.get_closest_marker("soak"):
        faulthandler.cancel_dump_traceback_later()


# --- 2. skipped tests ---------------------------------------------------------------------------


def skip_reason(report: "pytest.TestReport | pytest.CollectReport") -> str:
    """Return the reason of a skip without the prefix of pytest; empty if nothing was skipped."""
    if not report.skipped or not isinstance(report.longrepr, tuple):
        return ""
    return report.longrepr[2].removeprefix("Skipped: ")


def fail_missing_program(report: "pytest.TestReport | pytest.CollectReport") -> None:
    """Turn a skip for a missing program into a failure with CI=true."""
    reason = skip_reason(report)
    if reason.startswith(MISSING) and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{reason} (CI=true needs all test programs)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_missing_program(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_missing_program(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any) -> Generator[None, None, None]:
    """Print the number of skipped tests and the missing programs and data in one line."""
    yield
    reasons = [skip_reason(report) for report in terminalreporter.stats.get("skipped", [])]
    missing = [reason for reason in reasons if reason.startswith(NOT_RUN)]
    if not missing:
        return
    missing_names = [reason.partition(": ")[2].split()[0] for reason in missing]
    counts = collections.Counter(os.path.basename(noun) for noun in missing_names).most_common()
    names = ", ".join(f"{name} {count}" for name, count in counts)
    noun = "test" if len(missing) == 1 else "tests"
    terminalreporter.write_line(f"not run: {len(missing)} {noun} ({names})", yellow=True)
