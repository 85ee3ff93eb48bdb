# SPDX-License-Identifier: Apache-2.0
"""Declares the constants of a copied source as `Final`, for mypyc.

mypyc looks up a name of a module in a dictionary at each use. A number or text that is declared
`Final` is a constant of the C code instead, also in the modules that import it. The portable
sources cannot declare it: MicroPython has no `typing`, and a board has no room for it. So
`deploy.release.compiled` changes its copy. The number of a line stays the same.

A constant is a name in capital letters that the module assigns once, at its top level. Does not
compile, and does not change the sources of the project.
"""

import ast
import re
from collections import Counter
from pathlib import Path

_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
_IMPORT = "from typing import Final"
_Edit = tuple[int, int, str]
"""Line from 0, the last column that is replaced, the new text."""


def declare_in_tree(folder: Path) -> int:
    """Change all sources below `folder`. Return the number of changed assignments."""
    count = 0
    for path in sorted(folder.rglob("*.py")):
        text, changed = declare(path.read_text(encoding="utf-8"))
        if changed:
            path.write_text(text, encoding="utf-8")
        count += changed
    return count


def declare(source: str) -> tuple[str, int]:
    """Return the changed source of a module, and the number of changed assignments."""
    tree = ast.parse(source)
    names = _single_assignments(tree)
    edits = [edit for node in tree.body if (edit := _edit(node, names, source)) is not None]
    if not edits:
        return source, 0
    lines = source.split("\n")
    for line, end, new in edits:
        lines[line] = new + lines[line].encode()[end:].decode()  # columns of `ast` count bytes
    first = edits[0][0]
    lines[first] = f"{_IMPORT}; {lines[first]}"
    return "\n".join(lines), len(edits)


def _single_assignments(tree: ast.Module) -> set[str]:
    """Return the names of constants that are bound once in the whole module."""
    bound: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound[node.id] += 1
        elif isinstance(node, ast.Global):
            bound.update(node.names * 2)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update(alias.asname or alias.name for alias in node.names)
    bound["TYPE_CHECKING"] = 0  # mypy knows this name
    return {name for name, count in bound.items() if count == 1 and _CONSTANT.fullmatch(name)}


def _edit(node: ast.stmt, names: set[str], source: str) -> _Edit | None:
    """Return the change of a statement; None: it is no assignment of constants."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1 or node.col_offset:
        return None
    target, value = node.targets[0], node.value
    line = node.lineno - 1
    if isinstance(target, ast.Name) and target.id in names:
        return line, target.end_col_offset or 0, f"{target.id}: Final"
    if not (
        isinstance(target, ast.Tuple)
        and isinstance(value, ast.Tuple)
        and len(target.elts) == len(value.elts)
        and node.lineno == node.end_lineno
    ):
        return None
    parts = []
    for name, item in zip(target.elts, value.elts, strict=True):
        if not isinstance(name, ast.Name) or name.id not in names:
            return None
        parts.append(f"{name.id}: Final = {ast.get_source_segment(source, item)}")
    return line, node.end_col_offset or 0, "; ".join(parts)
