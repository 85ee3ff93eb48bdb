# SPDX-License-Identifier: Apache-2.0
"""Constants of a copied source become `Final`, and nothing else changes."""

import ast
from pathlib import Path

import pytest

from deploy.release import final_constants
from tests.support.repository import ROOT

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
