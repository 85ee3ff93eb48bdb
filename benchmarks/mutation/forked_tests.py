# SPDX-License-Identifier: Apache-2.0
"""A plug-in of pytest that runs the tests of each mutant in a forked process.

Does not make mutants; see `benchmarks.mutation.session`. All modules are imported and all tests are
collected once. Each test runs once without a mutant, and the lines that it executes are noted
(`sys.monitoring`, CPython 3.12 or later). A mutant then needs only the tests that execute the
changed statement, the fastest first, until one fails. The process of a mutant has limits of CPU
time and memory, so a mutant that loops ends.
"""

import ast
import difflib
import gc
import os
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation.trampoline import set_mutant_under_test

from tests.distribution import TEST_RUNS

_MONITORING: Any = vars(sys)["monitoring"]  # newer than the oldest Python of the type checks
_TOOL = _MONITORING.COVERAGE_ID
_TIME_FACTOR, _TIME_MORE_S = 5.0, 2.0
_WALL_TIME_S = 900
_MORE_MEMORY = 1 << 30
KILLED, SURVIVED, NO_TESTS, TIME_OVER = "killed", "survived", "no tests", "timeout"


@dataclass(frozen=True)
class Mutant:
    """One mutant: its name for mutmut, and its file relative to the folder of the mutants."""

    name: str
    path: Path


class ForkedTests:
    """The plug-in. `status` and `seconds` have the result of each mutant by its name."""

    def __init__(self, mutants: list[Mutant]) -> None:
        self.mutants = mutants
        self.status: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        self._items: list[pytest.Item] = []
        self._time: list[float] = []
        self._tests: dict[tuple[str, int], set[int]] = defaultdict(set)
        self._files: set[str] = set()
        self._now = 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests without a mutant, then those of each mutant."""
        os.environ.pop(TEST_RUNS, None)  # no test reads the run of another code
        self._items = session.items
        self._files = {str(mutant.path.resolve()) for mutant in self.mutants}
        set_mutant_under_test("")
        self._measure()
        gc.freeze()  # a child process then copies fewer pages
        for mutant in [] if self.failed else self.mutants:
            tests = self._select(mutant)
            begin = time.monotonic()
            self.status[mutant.name] = self._run(mutant, tests) if tests else NO_TESTS
            self.seconds[mutant.name] = time.monotonic() - begin
        return True

    def _measure(self) -> None:
        """Note the time and the lines of each test."""
        monitoring, line = _MONITORING, _MONITORING.events.LINE
        monitoring.use_tool_id(_TOOL, "coldloop-mutation")
        monitoring.register_callback(_TOOL, line, self._note_line)
        monitoring.set_events(_TOOL, line)
        for number, item in enumerate(self._items):
            self._now = number
            monitoring.restart_events()
            begin = time.process_time()
            if not passes(item):
                self.failed.append(item.nodeid)
            self._time.append(time.process_time() - begin)
        monitoring.set_events(_TOOL, 0)
        monitoring.free_tool_id(_TOOL)

    def _note_line(self, code: CodeType, line: int) -> Any:
        if code.co_filename in self._files:
            self._tests[code.co_filename, line].add(self._now)
        return _MONITORING.DISABLE

    def _select(self, mutant: Mutant) -> list[int]:
        """Return the tests that execute the changed statement, fastest first."""
        path = str(mutant.path.resolve())
        tests: set[int] = set()
        for line in changed_lines(mutant):
            tests |= self._tests.get((path, line), set())
        return sorted(tests, key=lambda number: (self._time[number], number))

    def _run(self, mutant: Mutant, tests: list[int]) -> str:
        """Run the tests in a child process; return what happened."""
        child = os.fork()
        if child == 0:
            self._run_in_child(mutant, tests)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            over = os.WTERMSIG(status) in {signal.SIGPROF, signal.SIGALRM}
            return TIME_OVER if over else KILLED
        return SURVIVED if os.WEXITSTATUS(status) == 0 else KILLED

    def _run_in_child(self, mutant: Mutant, tests: list[int]) -> None:
        status = 1
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            limit = pages * resource.getpagesize() + _MORE_MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            signal.alarm(_WALL_TIME_S)
            set_mutant_under_test(mutant.name)
            status = 0 if all(self._passes_in_time(number) for number in tests) else 1
        finally:
            os._exit(status)

    def _passes_in_time(self, number: int) -> bool:
        """Run one test. A loop costs a few times the test, not of all tests."""
        allowed = _TIME_FACTOR * self._time[number] + _TIME_MORE_S
        signal.setitimer(signal.ITIMER_PROF, allowed)
        return passes(self._items[number])


def passes(item: pytest.Item) -> bool:
    """Run one test with its fixtures; return whether nothing failed."""
    reports = runtestprotocol(item, log=False, nextitem=None)
    return not any(report.failed for report in reports)


def changed_lines(mutant: Mutant) -> set[int]:
    """Return the lines, in the original copy of the function, of the changed statement."""
    source = mutant.path.read_text(encoding="utf-8")
    lines = source.splitlines()
    changed = mutant.name.rpartition(".")[2]
    original = changed.rpartition("__mutmut_")[0] + "__mutmut_orig"
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name in {original, changed}
    }
    before, after = functions[original], functions[changed]
    first = difference(text_of(before, lines), text_of(after, lines))
    return innermost(before, before.lineno + first)


def text_of(node: ast.FunctionDef, lines: list[str]) -> list[str]:
    """Return the lines of a function, without its name."""
    return [line.replace(node.name, "", 1) for line in lines[node.lineno - 1 : node.end_lineno]]


def difference(before: list[str], after: list[str]) -> int:
    """Return the index of the first line of `before` that differs."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return next((start for tag, start, *_ in matcher.get_opcodes() if tag != "equal"), 0)


def innermost(function: ast.FunctionDef, line: int) -> set[int]:
    """Return the lines of the smallest statement at a line; of a block only its head.

    A change of the head of the function concerns all its lines.
    """
    smallest = set(range(function.lineno, (function.end_lineno or line) + 1))
    for node, lines in heads(function):
        if line in lines and node is not function:
            smallest = set(lines)
    return smallest


def heads(function: ast.FunctionDef) -> Iterator[tuple[ast.stmt, range]]:
    """Return each statement with its lines, outer ones first; of a block only its head."""
    for node in ast.walk(function):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno
            yield node, range(node.lineno, (end or node.lineno) + 1)
