# SPDX-License-Identifier: Apache-2.0
"""Deleting any one statement of the protection turns a test or a hazard scenario red.

Each statement of `FILES` is replaced by `pass` in a child process, which then runs the portable
tests of the package, and if they pass the scenarios. `WITHOUT_EFFECT` has the statements that
nothing can show.
"""

import ast
import importlib.abc
import importlib.machinery
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT

FILES = ("drive_watch", "flow_watch", "protection", "stop_order")
TESTS = ("tests/portable/agent/safety", "tests/portable/agent/power/limit")
SCENARIOS = (
    *("h1-pumps-seized", "h1-lead-pump-seized", "h1-pump-uncoupled", "h1-generator-15s"),
    *("h1-isolating-valve", "h1-filter-clog-ramp", "h4-leak-30", "h4-emergency-stop"),
    *("h7-flow-register-0", "h6-loads-ignore"),
)
WITHOUT_EFFECT: dict[str, str] = {}
"""Statements by their text, and why their deletion changes no reaction."""


class Deleted(ast.NodeTransformer):
    """Replaces the statement of one line by `pass`."""

    def __init__(self, line: int) -> None:
        self.line = line

    def visit(self, node: ast.AST) -> ast.AST:
        """Replace a simple statement on the line."""
        if isinstance(node, ast.stmt) and node.lineno == self.line and not hasattr(node, "body"):
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)


def statements(name: str) -> Iterator[tuple[int, str]]:
    """Return line and text of each simple statement in a function of a file."""
    source = (ROOT / f"agent/safety/{name}.py").read_text(encoding="utf-8")
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                if isinstance(node, ast.stmt) and not hasattr(node, "body") and not is_text:
                    yield node.lineno, ast.unparse(node)


class ChangedLoader(importlib.machinery.SourceFileLoader):
    """Compiles one module without a line."""

    line = 0

    def source_to_code(self, data: object, path: object, *, _optimize: int = -1) -> object:
        """Compile the source without the line."""
        assert isinstance(data, bytes)
        tree = ast.fix_missing_locations(Deleted(self.line).visit(ast.parse(data)))
        return compile(tree, str(path), "exec", dont_inherit=True)

    def get_code(self, fullname: str) -> object:
        """Compile the source; the cached bytecode is that of the unchanged module."""
        return self.source_to_code(self.get_data(self.path), self.path)


class ChangedFinder(importlib.abc.MetaPathFinder):
    """Finds one module, and loads it without a line."""

    def __init__(self, module: str, path: Path, line: int) -> None:
        self.module, self.path, self.line = module, path, line

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the changed module."""
        if name != self.module:
            return None
        loader = ChangedLoader(name, str(self.path))
        loader.line = self.line
        return importlib.machinery.ModuleSpec(name, loader, origin=str(self.path))


def run_without(name: str, line: int) -> int:
    """Run tests and scenarios without a line, in this process; 0: nothing noticed it."""
    path = ROOT / f"agent/safety/{name}.py"
    sys.meta_path.insert(0, ChangedFinder(f"agent.safety.{name}", path, line))
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "-k", "not unix and not mps2", *TESTS]
    failed = int(pytest.main(arguments))
    if failed:
        return failed
    from coldloop import main  # noqa: PLC0415 - it loads the agent

    return int(main(["hil", "run", *SCENARIOS, "--json"]))


def is_noticed(name: str, line: int) -> bool:
    """Return whether a child process without the line fails."""
    command = [sys.executable, "-m", "tests.agent.safety.test_deleted_lines", name, str(line)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=250, check=False)
    return run.returncode != 0


def cases() -> list[tuple[str, int, str]]:
    """Return (file, line, text) of all statements that must be noticed."""
    found = {(name, line, text) for name in FILES for line, text in statements(name)}
    return sorted(case for case in found if case[2] not in WITHOUT_EFFECT)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "line", "text"), cases())
def test_a_deleted_statement_is_noticed(name: str, line: int, text: str) -> None:
    assert is_noticed(name, line), f"agent/safety/{name}.py:{line}: {text}"


def test_the_statements_without_effect_exist() -> None:
    """A changed statement is tested again."""
    texts = {text for name in FILES for _, text in statements(name)}
    assert set(WITHOUT_EFFECT) <= texts


def test_a_deleted_reaction_is_noticed() -> None:
    """One statement in each `make test` shows that the method works."""
    line = next(n for n, text in statements("protection") if "limit_all(_NO_FLOW)" in text)
    assert is_noticed("protection", line)


if __name__ == "__main__":
    sys.exit(run_without(sys.argv[1], int(sys.argv[2])))
