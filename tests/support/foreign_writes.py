# SPDX-License-Identifier: Apache-2.0
"""Foreign writes: finds code that writes an attribute of an object from outside its class.

Does not check style. Reads the types that mypy infers for the five packages. For each assignment to
`x.name` where `x` is not `self` or `cls`, it looks up the class of `x`. It reports the write if the
class is ours and the code stands neither in that class nor in its module. Records without behaviour
are exempt.
"""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mypy import build
from mypy.config_parser import parse_config_file
from mypy.modulefinder import BuildSource
from mypy.nodes import (
    AssignmentStmt,
    ClassDef,
    Decorator,
    DelStmt,
    Expression,
    FuncDef,
    ListExpr,
    MemberExpr,
    MypyFile,
    NameExpr,
    Node,
    OperatorAssignmentStmt,
    StarExpr,
    TupleExpr,
    TypeInfo,
    Var,
)
from mypy.options import Options
from mypy.types import Instance, Type, UnionType, get_proper_type

PACKAGES = ("agent", "deploy", "drivers", "hil", "protocols")
FOLLOWED = {"node", "info", "type", "unanalyzed_type", "original_def", "analyzed", "names"}
"""Attributes of nodes of mypy that lead out of the file; the search skips them."""


def foreign_writes(root: Path, files: dict[str, str]) -> list[str]:
    """Return the foreign writes in `files` (module -> path from `root`) as `path:line: text`."""
    result = _build(root, files)
    records = {
        info.fullname: _is_record(info)
        for module in files
        for info in _classes(result.files[module])
    }
    found = []
    for module, path in files.items():
        for node, owners in _statements(result.files[module]):
            for target in _targets(node):
                for info in _owners(result.types.get(target.expr)):
                    name = info.fullname
                    if name not in records or records[name] or info.module_name == module:
                        continue
                    if not any(
                        owner.has_base(name) or info.has_base(owner.fullname) for owner in owners
                    ):
                        found.append(f"{path}:{target.line}: {info.name}.{target.name}")
    return sorted(set(found))


def _build(root: Path, files: dict[str, str]) -> Any:
    options = Options()
    parse_config_file(options, lambda: None, str(root / "pyproject.toml"), io.StringIO())
    options.incremental = False
    options.export_types = True
    options.preserve_asts = True
    options.cache_dir = os.devnull
    options.python_executable = sys.executable
    sources = [BuildSource(str(root / path), module, None) for module, path in files.items()]
    return build.build(sources, options)


def _children(node: Node) -> Iterator[Node]:
    for kind in type(node).__mro__:
        for name in getattr(kind, "__mypyc_attrs__", ()):
            if name in FOLLOWED or name.startswith("__"):
                continue
            waiting = [getattr(node, name, None)]
            while waiting:
                value = waiting.pop()
                if isinstance(value, list | tuple):
                    waiting.extend(value)
                elif isinstance(value, Node) and not isinstance(value, MypyFile | TypeInfo | Var):
                    yield value


def _walk(
    node: Node, owners: tuple[TypeInfo, ...], seen: set[int]
) -> Iterator[tuple[Node, tuple[TypeInfo, ...]]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node, owners
    if isinstance(node, ClassDef):
        owners = (*owners, node.info)
    for child in _children(node):
        yield from _walk(child, owners, seen)


def _statements(file: MypyFile) -> Iterator[tuple[Node, tuple[TypeInfo, ...]]]:
    seen: set[int] = set()
    for statement in file.defs:
        yield from _walk(statement, (), seen)


def _classes(file: MypyFile) -> Iterator[TypeInfo]:
    for node, _ in _statements(file):
        if isinstance(node, ClassDef):
            yield node.info


def _is_record(info: TypeInfo) -> bool:
    """Return whether a class has no behaviour: only `__init__` and similar methods, no property."""
    for base in info.mro:
        if base.fullname == "builtins.object":
            continue
        for name, symbol in base.names.items():
            is_method = isinstance(symbol.node, FuncDef | Decorator)
            if (
                is_method
                and not name.startswith("__")
                and base.module_name.split(".")[0] in PACKAGES
            ):
                return False
    return True


def _targets(node: Node) -> Iterator[MemberExpr]:
    if isinstance(node, AssignmentStmt):
        waiting: list[Expression] = list(node.lvalues)
    elif isinstance(node, OperatorAssignmentStmt):
        waiting = [node.lvalue]
    elif isinstance(node, DelStmt):
        waiting = [node.expr]
    else:
        return
    while waiting:
        target = waiting.pop()
        if isinstance(target, TupleExpr | ListExpr):
            waiting.extend(target.items)
        elif isinstance(target, StarExpr):
            waiting.append(target.expr)
        elif isinstance(target, MemberExpr):
            own = isinstance(target.expr, NameExpr) and target.expr.name in ("self", "cls")
            if not own:
                yield target


def _owners(kind: Type | None) -> Iterator[TypeInfo]:
    proper = get_proper_type(kind)
    if isinstance(proper, UnionType):
        for item in proper.items:
            yield from _owners(item)
    elif isinstance(proper, Instance):
        yield proper.type
