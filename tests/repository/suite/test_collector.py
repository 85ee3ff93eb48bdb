# SPDX-License-Identifier: Apache-2.0
"""Collector in tests/conftest.py: output of MicroPython becomes results; skips are counted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from tests import distribution
from tests.__main__ import compile_tests, count_processes, find_parts
from tests.conftest import parse_output
from tests.support.programs import require_program
from tests.support.repository import REALTIME, REALTIME_PARTS, ROOT, WAITING, repo_files
from tests.support.targets import UNIX, read_tests, run_tests, targets

RUNNER_OUTPUT = """\
stray
@@ ok test_a
@@ fail test_b
Traceback (most recent call last):
AssertionError: got 1, want 2
@@ ok test_c
@@ end
"""
NO_SUCH = ROOT / "tests" / "portable" / "no_such_module.py"


def test_each_test_gets_its_output() -> None:
    results, noise = parse_output(RUNNER_OUTPUT)
    assert results["test_a"] == results["test_c"] == ""
    assert results["test_b"].endswith("\nAssertionError: got 1, want 2\n")
    assert set(results) == {"test_a", "test_b", "test_c"}
    assert noise == "stray\n"


def test_a_test_that_did_not_run_has_no_result() -> None:
    results, noise = parse_output("@@ ok test_a\nFATAL: heap exhausted\n")
    assert results == {"test_a": ""}
    assert "heap exhausted" in noise


def test_a_failed_import_is_reported() -> None:
    require_program("micropython")
    results, noise = parse_output(run_tests(UNIX, NO_SUCH, ["test_a"]))
    assert results == {}
    assert "ImportError" in noise


def test_a_module_for_64_bits_runs_on_targets_with_64_bits(tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text("def test_a(): pass\n")
    assert targets(path, "test_a") == {"unix": False, "unix-f32": True, "mps2": True}
    other = tmp_path / "test_y.py"
    other.write_text("FLOATS = 64  # the reason\n")
    assert read_tests(other).float_bits == 64
    assert targets(other, "test_a") == {"unix": False}


def test_a_long_test_runs_on_micropython_in_soak_only(tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text('LONG = ("test_a",)\ndef test_a(): pass\ndef test_b(): pass\n')
    assert targets(path, "test_a") == {"unix": True, "unix-f32": True, "mps2": True}
    assert targets(path, "test_b")["unix"] is False


def pytest_on(folder: Path, **environment: str) -> str:
    """Run pytest with our hooks on one file with three kinds of skips."""
    (folder / "test_skips.py").write_text(
        "import pytest\n"
        "def test_peer(): pytest.skip('program missing: mosquitto')\n"
        "@pytest.mark.skipif(True, reason='program missing: gpsd (no apt)')\n"
        "def test_mark(): pass\n"
        "def test_data(): pytest.skip('data missing: /some/where/facts.csv')\n"
        "def test_other(): pytest.skip('not on this kernel')\n"
    )
    (folder / "test_whole.py").write_text(
        "import pytest\npytest.skip('program missing: gpsd', allow_module_level=True)\n"
    )
    return run_pytest(folder, **environment)


def run_pytest(folder: Path, *arguments: str, **environment: str) -> str:
    """Run pytest with our hooks on the files of a folder."""
    command = [sys.executable, "-m", "pytest", "--continue-on-collection-errors"]
    hooks = ["-p", "tests.conftest", "-c", os.devnull]
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    completed = subprocess.run(
        [
            *command,
            *hooks,
            f"--rootdir={folder}",
            "-p",
            "no:cacheprovider",
            *arguments,
            str(folder),
        ],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return completed.stdout


def test_the_last_line_counts_tests_not_run(tmp_path: Path) -> None:
    *_, count_line, last_line = pytest_on(tmp_path).splitlines()
    assert count_line == "not run: 4 tests (gpsd 2, mosquitto 1, facts.csv 1)"
    assert "5 skipped" in last_line


def test_a_socket_in_a_cycle_fails_the_file_that_left_it(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import socket\n"
        "def test_leaves():\n"
        "    cycle = [socket.socket()]\n"
        "    cycle.append(cycle)\n"
        "def test_last(): pass\n"
    )
    (tmp_path / "test_b.py").write_text("def test_next(): pass\n")
    output = run_pytest(tmp_path, "-W", "error")
    assert "ERROR test_a.py::test_last" in output
    assert "unclosed <socket.socket" in output
    assert "3 passed, 1 error" in output


@pytest.mark.parametrize(("ci", "failed"), [("true", True), ("false", False)])
def test_a_missing_program_fails_in_ci(tmp_path: Path, ci: str, failed: bool) -> None:
    output = pytest_on(tmp_path, CI=ci)
    assert ("program missing: mosquitto (CI=true needs all test programs)" in output) == failed
    last_line = output.splitlines()[-1]
    assert ("1 failed, 2 skipped, 2 errors" if failed else "5 skipped") in last_line


def test_each_test_with_the_mark_realtime_runs_in_make_test() -> None:
    """`python -m tests` runs the mark in the files of two lists only."""
    mark = "@pytest.mark." + "realtime"
    names = [n for n in repo_files() if n.startswith("tests/") and n.endswith(".py")]
    marked = {n for n in names if f"\n{mark}\n" in (ROOT / n).read_text(encoding="utf-8")}
    assert marked - set(REALTIME) == set(REALTIME_PARTS)


def test_files_with_tests_of_hypothesis_run_in_one_process() -> None:
    word = "from " + "hypothesis import"
    names = [n for n in repo_files() if n.startswith("tests/") and n.endswith(".py")]
    users = {n for n in names if word in (ROOT / n).read_text(encoding="utf-8")}
    assert users == set(distribution.HYPOTHESIS)


def test_each_file_of_an_order_exists() -> None:
    order = (*distribution.SPLIT, *distribution.FIRST, *distribution.LAST, *distribution.HYPOTHESIS)
    for name in (*order, *distribution.BROWSER, *REALTIME, *WAITING):
        assert (ROOT / name).is_file(), name


class _Marks:
    """The marks of a test, as pytest asks for them."""

    def __init__(self, own: set[str]) -> None:
        self._own = own

    def __call__(self, name: str, /, **_: str | int | bool | None) -> bool:
        return name in self._own


def test_the_marks_of_a_file_choose_one_part() -> None:
    marks = [part.marks for part in find_parts(2, 24 * 10**9)]
    choosing = [Expression.compile(mark) for mark in marks]
    for own in (set(), {"waiting"}, {"realtime"}, {"waiting", "realtime"}):
        assert sum(one.evaluate(_Marks(own)) for one in choosing) == 1, own
    assert not set(REALTIME) & set(WAITING)


@pytest.mark.parametrize("name", [WAITING[0], REALTIME[0]])
def test_a_file_of_a_list_has_its_mark(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-n", "0", name]
    mark = "waiting" if name in WAITING else "realtime"
    completed = subprocess.run(
        [*command, "-m", f"not {mark} and not soak"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 5, completed.stdout


@pytest.mark.parametrize(
    ("cores", "gigabytes", "processes"),
    [(2, 24, (3, 4)), (2, 10, (3, 1)), (2, 4, (2, 1)), (1, 1, (1, 1)), (16, 64, (17, 4))],
)
def test_the_number_of_processes_depends_on_cores_and_memory(
    cores: int, gigabytes: int, processes: tuple[int, int]
) -> None:
    assert count_processes(cores, gigabytes * 10**9) == processes


def test_compiled_modules_are_kept_whatever_the_shell_says(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import os, sys\n"
        "def test_a():\n"
        "    assert 'PYTHONDONTWRITEBYTECODE' not in os.environ\n"
        "    assert not sys.dont_write_bytecode\n"
    )
    assert "1 passed, 5 skipped" in pytest_on(tmp_path, PYTHONDONTWRITEBYTECODE="1")


def test_a_clone_compiles_its_tests_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = tmp_path / "test_a.py"
    test.write_text("def test_a(): pass\n")
    compile_tests(tmp_path)
    (compiled,) = tmp_path.rglob("*-pytest-*.pyc")
    written = compiled.stat().st_mtime_ns
    test.write_text("def test_b(): pass\n")
    compile_tests(tmp_path)  # each process looks for what has changed
    assert compiled.stat().st_mtime_ns == written
