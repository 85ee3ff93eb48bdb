# SPDX-License-Identifier: Apache-2.0
"""A copy of the packages with compiled modules: the same digests as the pure modules. Its constants
are `Final`, and nothing else of the sources changes.
"""

import ast
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import DeployError
from deploy.release import compiled, final_constants
from tests.support.repository import PACKAGES, ROOT, repo_files

RAISE = """
name = "raise"
title = "the bus raises"
seconds = 30
[[event]]
at_s = 5
do = "raise_in"
text = "bus"
value = 3
[[expect]]
measure = "ticks"
min = 0
"""

SOURCE = '''"""Text with é."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from x import NAME

_LOW, _HIGH = 1, 2.5  # é
TABLE = {
    1: "é",
}
COUNT = 0
state = 3
FIRST = SECOND = 4
A, B = PAIR = (5, 6)
C, D = PAIR


def count():
    global COUNT
    COUNT += 1
'''


def run(home: Path, *words: str) -> str:
    """Run the dispatcher of a copy of the packages."""
    variables = {**os.environ, "PYTHONPATH": str(home)}
    command = [sys.executable, str(home / "coldloop.py"), *words]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return done.stdout


def test_listed_modules_exist_once() -> None:
    files = compiled.compiled_modules()
    assert len(set(files)) == len(files) > 30
    assert [name for name in files if not (ROOT / name).is_file()] == []


@functools.cache
def tree_of(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_bytes())


@pytest.fixture(scope="module", autouse=True)
def _free_trees() -> Iterator[None]:
    yield
    tree_of.cache_clear()


def classes(name: str) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree_of(name)) if isinstance(node, ast.ClassDef)]


def test_no_pure_class_extends_a_compiled_one() -> None:
    """mypyc raises at the first object of such a class, perhaps only in a rare configuration."""
    files = compiled.compiled_modules()
    names = {node.name for name in files for node in classes(name)}
    bases = re.compile(rf"^\s*class \w+[^:]*\b(?:{'|'.join(names)})\b", re.MULTILINE)
    extended = [
        f"{name}: {node.name} extends {ast.unparse(base)}"
        for name in repo_files()
        if name.endswith(".py") and name.split("/")[0] in PACKAGES and name not in files
        if bases.search((ROOT / name).read_text(encoding="utf-8"))  # to parse takes longest
        for node in classes(name)
        for base in node.bases
        if ast.unparse(base).rpartition(".")[2] in names
    ]
    assert extended == []


def test_no_compiled_class_has_what_mypyc_refuses() -> None:
    """Found in `make soak` too, by mypyc itself."""
    refused = [
        f"{name}:{statement.lineno}"
        for name in compiled.compiled_modules()
        for node in classes(name)
        for statement in node.body
        if isinstance(statement, ast.ClassDef)
        or (isinstance(statement, ast.Assign) and len(statement.targets) > 1)
    ]
    refused += [
        f"{name}:{node.lineno}: lambda *"  # the C compiler rejects what mypyc makes of it
        for name in compiled.compiled_modules()
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.Lambda) and node.args.vararg
    ]
    assert refused == []


@pytest.mark.soak
def test_mypyc_translates_the_listed_modules(tmp_path: Path) -> None:
    """Without a C compiler; mypyc refuses some code that mypy accepts."""
    compiled.copy_packages(tmp_path)
    compiled.compile_copy(tmp_path, compiled.compiled_modules(), c_only=True)


def test_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(DeployError, match="no C compiler: install"):
        compiled.compile_copy(tmp_path, [])


def test_error_of_mypyc_is_shown(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text('number: int = "text"\n', encoding="utf-8")
    with pytest.raises(DeployError, match=r"wrong.py:1: error: Incompatible types"):
        compiled.compile_copy(tmp_path, ["wrong.py"])


@pytest.mark.soak  # a compiler runs for half a minute
def test_compiled_copy_gives_the_same_digests(tmp_path: Path) -> None:
    compiled.copy_packages(tmp_path)
    compiled.compile_copy(tmp_path, compiled.compiled_modules())
    count = len(compiled.compiled_modules())
    assert run(tmp_path, "--version").endswith(f"({count} compiled modules)\n")
    for name in ("smoke", "full-bench", "bus-noise", "config-push", "redundant-pause"):
        records = [json.loads(run(h, "hil", "run", name, "--json")) for h in (tmp_path, ROOT)]
        assert len({record["digest"] for record in records}) == 1, name
        assert {record["verdict"] for record in records} == {"pass"}, name
    path = tmp_path / "raise.toml"
    path.write_text(RAISE, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "coldloop.py"), "hil", "run", str(path)]
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "compiled modules; run it without them" in done.stderr


def test_only_constants_that_are_assigned_once_are_final() -> None:
    changed, count = final_constants.declare(SOURCE)
    assert count == 2
    assert changed == SOURCE.replace(
        "_LOW, _HIGH = 1, 2.5  # é",
        "from typing import Final; _LOW: Final = 1; _HIGH: Final = 2.5  # é",
    ).replace("TABLE = {", "TABLE: Final = {")


@pytest.mark.parametrize(
    "source",
    [
        "X = 1\nX = 2\n",
        "X = 1\ndel X\n",
        "X = 1\nfrom y import X\n",
        "X = 1\nfor X in range(3):\n    pass\n",
        "def f():\n    X = 1\n",
        "x = 1\n",
        "X, y = 1, 2\n",
        "X, Y = f()\n",
        "TYPE_CHECKING = False\n",
    ],
)
def test_other_names_stay(source: str) -> None:
    assert final_constants.declare(source) == (source, 0)


def test_all_lines_of_the_project_keep_their_number(tmp_path: Path) -> None:
    names = ("agent/core/fault/guard.py", "protocols/nmea/sentences.py", "hil/plant/plant.py")
    for name in names:
        (tmp_path / Path(name).name).write_bytes((ROOT / name).read_bytes())
    assert final_constants.declare_in_tree(tmp_path) > 3
    for name in names:
        before, after = (
            {
                node.name: node.lineno
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.ClassDef | ast.FunctionDef)
            }
            for text in (
                (ROOT / name).read_bytes(),
                (tmp_path / Path(name).name).read_bytes(),
            )
        )
        assert before == after
