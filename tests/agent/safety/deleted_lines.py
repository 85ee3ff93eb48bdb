# SPDX-License-Identifier: Apache-2.0
"""Deletes statements of `agent/safety` one by one, each in a forked process, and runs the tests.

Not a test; `tests.agent.safety.test_deleted_lines` starts it. The modules are imported and the
tests collected once. Each test runs once without a change, and the statements that it executes are
noted (`sys.monitoring`, CPython 3.12 or later). In the child process the functions of the module
get the code without the statement, and the tests run that execute it. The statements that no test
noticed are deleted again, and the scenarios run until one is red. The output is a JSON list of the
statements that nothing noticed: [file, line, text]. Arguments: file:line, or nothing for all
statements; `tests` before them: no scenarios.
"""

import ast
import gc
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeGuard

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parents[3]
FILES = (
    *("boot_loop_alarm", "drive_watch", "flow_watch", "interlock", "interlock_input", "loop_watch"),
    *("protection", "pump_curve", "raw_point", "row_resistance", "start_permit", "stop_order"),
    "supervisor",
)
TESTS = (
    *("tests/portable/agent/safety", "tests/portable/agent/power/limit"),
    "tests/portable/agent/runtime/test_boot_loop.py",
)
SCENARIOS = (
    *("h1-pumps-seized", "h1-lead-pump-seized", "h1-pump-uncoupled", "h1-generator-15s"),
    *("h1-isolating-valve", "h1-filter-clog-ramp", "h4-leak-30", "h4-emergency-stop"),
    *("h7-flow-register-0", "h6-loads-ignore"),
)
_CPU_TIME_S = 30
_SCENARIOS_S = 300
"""CPU time after which a deletion that makes a test loop counts as noticed."""
_MONITORING: Any = vars(sys)["monitoring"]  # newer than the oldest Python of the type checks
_TOOL = _MONITORING.COVERAGE_ID

Statement = tuple[str, int, str]


class Deleted(ast.NodeTransformer):
    """Replaces the statement of one line by `pass`."""

    def __init__(self, line: int) -> None:
        self.line = line

    def visit(self, node: ast.AST) -> ast.AST:
        """Replace a simple statement on the line."""
        if isinstance(node, ast.stmt) and node.lineno == self.line and not hasattr(node, "body"):
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)


def statements() -> list[Statement]:
    """Return (file, line, text) of each simple statement in a function."""
    return sorted({(name, *found) for name in FILES for found in statements_of(name)})


def statements_of(name: str) -> Iterator[tuple[int, str]]:
    """Return line and text (function: statement) of each simple statement of a file.

    Not the first values of attributes: without one, its first use raises `AttributeError`, or it is
    set before. So its deletion cannot change a reaction silently. Not `return None` or `return
    False` at the end: the function then returns None, which is false too.
    """
    for function in ast.walk(ast.parse(source_of(name))):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                is_first = function.name == "__init__" and is_first_value(node)
                if is_deleted(node) and not is_first and not is_last_none(node, function):
                    yield node.lineno, f"{function.name}: {ast.unparse(node)}"


def is_deleted(node: ast.AST) -> TypeGuard[ast.stmt]:
    """Return whether a node is a simple statement and not a docstring."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, ast.stmt) and not hasattr(node, "body") and not is_text


def is_last_none(node: ast.AST, function: ast.FunctionDef) -> bool:
    """Return whether a statement is `return None` or `return False` at the end of its function."""
    return node is function.body[-1] and ast.unparse(node) in {"return None", "return False"}


def is_first_value(node: ast.AST) -> bool:
    """Return whether a statement only assigns a constant."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return isinstance(value, ast.Constant)


def source_of(name: str) -> str:
    """Return the source of a file of the protection."""
    return (ROOT / f"agent/safety/{name}.py").read_text(encoding="utf-8")


def delete(name: str, line: int) -> None:
    """Give the functions of the imported module their code without the statement."""
    module = importlib.import_module(f"agent.safety.{name}")
    tree: Any = ast.fix_missing_locations(Deleted(line).visit(ast.parse(source_of(name))))
    changed = compile(tree, str(module.__file__), "exec", dont_inherit=True)
    codes = {code.co_qualname: code for code in codes_in(changed)}
    for function in functions_of(module):
        function.__code__ = codes[function.__qualname__]


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Return all code objects in a code object."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes_in(constant)


def functions_of(module: ModuleType) -> Iterator[FunctionType]:
    """Return the functions and methods that are defined in a module."""
    own = [value for value in vars(module).values() if is_of(value, module)]
    for value in own:
        for member in [value, *(vars(value).values() if isinstance(value, type) else ())]:
            function = member.fget if isinstance(member, property) else member
            if isinstance(function, FunctionType):
                yield function


def is_of(value: object, module: ModuleType) -> bool:
    """Return whether a value of a module is defined there."""
    return getattr(value, "__module__", "") == module.__name__


class DeletingTests:
    """A plug-in of pytest. `unnoticed`: the statements that nothing noticed."""

    def __init__(self, cases: list[Statement]) -> None:
        self.cases = cases
        self.unnoticed: list[Statement] = []
        self.failed = ["pytest did not run"]
        self._items: list[pytest.Item] = []
        self._seconds: list[float] = []
        self._tests: dict[tuple[str, int], set[int]] = {}
        self._paths = {str(ROOT / f"agent/safety/{name}.py"): name for name in FILES}
        self._now = 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests once, then those of each statement without it, the fastest first."""
        self._items = session.items
        self._measure()
        gc.freeze()  # a child process then copies fewer pages
        for case in [] if self.failed else self.cases:
            items = self._select(case)
            if not items or not is_noticed(case, lambda: all(map(passes, items))):  # noqa: B023
                self.unnoticed.append(case)
                print(*case, file=sys.stderr, flush=True)
        return True

    def _measure(self) -> None:
        """Run each test; note its time and the lines that it executes."""
        self.failed = []
        _MONITORING.use_tool_id(_TOOL, "coldloop-deleted-lines")
        _MONITORING.register_callback(_TOOL, _MONITORING.events.LINE, self._note_line)
        _MONITORING.set_events(_TOOL, _MONITORING.events.LINE)
        for number, item in enumerate(self._items):
            self._now = number
            _MONITORING.restart_events()
            begin = time.process_time()
            if not passes(item):
                self.failed.append(item.nodeid)
            self._seconds.append(time.process_time() - begin)
        _MONITORING.set_events(_TOOL, 0)
        _MONITORING.free_tool_id(_TOOL)

    def _note_line(self, code: CodeType, line: int) -> Any:
        if code.co_filename in self._paths:
            place = self._paths[code.co_filename], line
            self._tests.setdefault(place, set()).add(self._now)
        return _MONITORING.DISABLE

    def _select(self, case: Statement) -> list[pytest.Item]:
        """Return the tests that execute a statement, the fastest first."""
        numbers = self._tests.get(case[:2], set())
        return [self._items[n] for n in sorted(numbers, key=lambda n: (self._seconds[n], n))]


def is_noticed(case: Statement, is_green: Callable[[], bool], seconds: int = _CPU_TIME_S) -> bool:
    """Return whether `is_green` is False, or loops, in a process without a statement."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] != 0
    status = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        delete(*case[:2])
        status = 0 if is_green() else 1
    finally:
        os._exit(status)


def passes(item: pytest.Item) -> bool:
    """Run one test; return whether nothing failed."""
    reports = runtestprotocol(item, log=False, nextitem=None)
    return not any(report.failed for report in reports)


def are_scenarios_green() -> bool:
    """Return whether all scenarios meet their expected results."""
    from coldloop import main  # noqa: PLC0415 - it loads the agent

    return all(int(main(["hil", "run", scenario, "--json"])) == 0 for scenario in SCENARIOS)


def run(wanted: list[str]) -> int:
    """Delete the wanted statements (file:line), or all; print those that nothing noticed."""
    tests_only = wanted[:1] == ["tests"]
    wanted = wanted[tests_only:]
    cases = [case for case in statements() if not wanted or f"{case[0]}:{case[1]}" in wanted]
    plugin = DeletingTests(cases)
    arguments = ["-q", "--tb=native", "-p", "no:cacheprovider", "-k", "not unix and not mps2"]
    pytest.main([*arguments, *TESTS], plugins=[plugin])
    unnoticed = plugin.unnoticed
    if not tests_only:
        unnoticed = [
            case for case in unnoticed if not is_noticed(case, are_scenarios_green, _SCENARIOS_S)
        ]
    print(json.dumps({"failed": plugin.failed, "unnoticed": unnoticed}))
    return 1 if plugin.failed or unnoticed else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
