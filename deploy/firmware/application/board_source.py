# SPDX-License-Identifier: Apache-2.0
"""Source of a module as a board gets it: without type-only blocks, with values in place of names.

Does not compile; see `romfs`. A name costs heap on a board: its text, an entry in the globals of
its module, and a look-up at each use. So a board does without three kinds of names:

    type-only blocks    `if TYPE_CHECKING:` and `TYPE_CHECKING = False`
    variants            of `x = a if hasattr(b"", "isascii") else b` only `b`, because MicroPython
                        has no such method; the function `a` goes too
    constants           private ones (`_SIZE = 4`), imported ones (`from a.b import SECOND`) and
                        those of modules (`pdu.READ`), if the value is known here: numbers, text,
                        bytes, and tuples of them

The value stands at each use. An import without further names goes too. A number or text stays in
its module if a portable module reads it in another way, such as an import in a function.
Each line keeps its number.
"""

import ast
import functools
import gc
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[3]
_OPERATIONS: dict[type[ast.operator], Any] = {
    ast.Add: int.__add__,
    ast.Sub: int.__sub__,
    ast.Mult: int.__mul__,
    ast.FloorDiv: int.__floordiv__,
    ast.LShift: int.__lshift__,
    ast.RShift: int.__rshift__,
    ast.BitAnd: int.__and__,
    ast.BitOr: int.__or__,
}
"""Operations on integers. Those on floats stay: a board has 32-bit floats."""
_MISSING_METHODS = ("isascii", "isprintable")
"""Methods of text and bytes that MicroPython does not have."""
_PACKAGES = ("agent", "drivers", "protocols")
_READERS = (
    *_PACKAGES,
    "hil/shells",
    "hil/kernel",
    "tests/portable",
    "benchmarks/firmware",
    "deploy/firmware",
)
"""Folders of the modules that MicroPython runs."""


@functools.cache
def board_source(source: bytes, module: str = "") -> bytes:
    """Return the source of `module` without its type-only blocks and its known constants."""
    return without_constants(without_variants(without_type_blocks(source)), module)


def sources_on_boards() -> list[Path]:
    """Return the files of the folders that MicroPython runs, with those of other interpreters."""
    return sorted(path for folder in _READERS for path in (ROOT / folder).rglob("*.py"))


@functools.lru_cache(maxsize=1024)  # more than the modules that MicroPython runs
def all_nodes(source: bytes) -> tuple[ast.AST, ...]:
    """Return all nodes of a module, the module first. Several passes look at the same sources.

    All nodes stay, so a collection of garbage in between would be in vain.
    """
    return _walk(source)


def _walk(source: bytes) -> tuple[ast.AST, ...]:
    collects = gc.isenabled()
    gc.disable()
    try:
        return tuple(ast.walk(ast.parse(source)))
    finally:
        if collects:
            gc.enable()


def _nodes_with_types(source: bytes) -> tuple[ast.AST, ...]:
    """Return all nodes of a whole module. The caller keeps its result.

    A module with type-only blocks is not kept beside its form without them: all forms of all
    modules do not fit `all_nodes`, and each pass over them would parse them again.
    """
    return _walk(source) if b"TYPE_CHECKING" in source else all_nodes(source)


@functools.lru_cache(maxsize=1024)
def without_type_blocks(source: bytes) -> bytes:
    """Return a module without its `if TYPE_CHECKING:` blocks."""
    if b"TYPE_CHECKING" not in source:
        return source
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING"), orelse=[]):
                pass
            case ast.Assign([ast.Name("TYPE_CHECKING")]):
                pass
            case _:
                continue
        _replace_lines(lines, node, b"")
    stripped = b"".join(lines)
    return source if b"TYPE_CHECKING" in stripped else stripped


def without_variants(source: bytes) -> bytes:
    """Return a module without the functions that it selects only on CPython."""
    if b"hasattr(" not in source:
        return source
    lines, dropped = source.splitlines(keepends=True), set()
    body = ast.parse(source).body
    for node in body:
        match node:
            case ast.Assign(
                [ast.Name(name)],
                value=ast.IfExp(
                    test=ast.Call(ast.Name("hasattr"), [ast.Constant(), ast.Constant(method)]),
                    body=ast.Name(other),
                    orelse=ast.Name(chosen),
                ),
            ) if method in _MISSING_METHODS:
                dropped.add(other)
                _replace_lines(lines, node, f"{name} = {chosen}".encode())
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name in dropped:
            _replace_lines(lines, node, b"")
    return b"".join(lines)


def without_constants(source: bytes, module: str = "") -> bytes:
    """Return `module` with the values of its private and imported constants in their place."""
    nodes = all_nodes(source)
    tree = _module(nodes)
    bound = _count_bindings(nodes)
    values = _known_values(module, tree, bound)
    lines = source.splitlines(keepends=True)
    uses: list[tuple[ast.expr, Any]] = [(u, values[u.id]) for u in _uses(nodes) if u.id in values]
    uses += _module_uses(nodes, bound)
    for use, value in sorted(uses, key=lambda u: (u[0].lineno, u[0].col_offset), reverse=True):
        line, end = lines[use.lineno - 1], use.end_col_offset
        text = _literal(value, line[end:])
        lines[use.lineno - 1] = line[: use.col_offset] + text + line[end:]
    for statement in tree.body:
        _drop_bindings(lines, statement, values)
    return b"".join(lines)


@functools.cache
def _public_values(module: str) -> dict[str, Any]:
    """Return the numbers and the text that a module offers by name."""
    path = ROOT / (module.replace(".", "/") + ".py")
    if module.split(".", maxsplit=1)[0] not in _PACKAGES or not path.exists():
        return {}
    nodes = _nodes_with_types(path.read_bytes())
    tree, bound = _module(nodes), _count_bindings(nodes)
    values = _assigned_values(tree, bound, _imported_values(tree, bound))
    return {name: value for name, value in values.items() if isinstance(value, int | str)}


def _known_values(module: str, tree: ast.Module, bound: Counter[str]) -> dict[str, Any]:
    imported = _imported_values(tree, bound, module)
    read = _names_read(module)
    stays = module.startswith("benchmarks.")  # such a module can stand in place of another one
    assigned = {
        name: value
        for name, value in _assigned_values(tree, bound, imported).items()
        if name not in read and (name[0] == "_" or (isinstance(value, int | str) and not stays))
    }
    return imported | assigned


def _names_read(module: str) -> set[str]:
    """Return the names that a module reads from `module` at run time; from any one if it is ""."""
    read = _names_by_owner()
    return read[""] | read[module] if module else set().union(*read.values())


@functools.cache
def _names_by_owner() -> dict[str, set[str]]:
    """Return the names that a module reads from another one, by that one.

    The owner is empty for an attribute of an object that can be a module.
    """
    read: dict[str, set[str]] = defaultdict(set)
    for path in sources_on_boards():
        nodes = all_nodes(without_type_blocks(path.read_bytes()))
        bound = _count_bindings(nodes)
        own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        replaced = _imported_values(_module(nodes), bound, own)
        imported = _imported_names(nodes)
        inlined = {use for use, _ in _module_uses(nodes, bound)}
        for node in nodes:
            match node:
                case ast.Attribute() if node in inlined:
                    continue
                case ast.Attribute(ast.Name(owner), name) if owner in imported:
                    read[imported[owner]].add(name)
                case ast.Attribute(attr=name):
                    read[""].add(name)
                case ast.ImportFrom(str(module), aliases):
                    read[module] |= {
                        alias.name
                        for alias in aliases
                        if (alias.asname or alias.name) not in replaced
                    }
    return read


def _imported_names(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """Return the names that a module imports from others, each with its dotted name."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _module_uses(nodes: Sequence[ast.AST], bound: Counter[str]) -> list[tuple[ast.expr, Any]]:
    """Return the places where `module.NAME` is read, with its value, if that is known."""
    imported = _imported_names(nodes)
    uses: list[tuple[ast.expr, Any]] = []
    for node in nodes:
        match node:
            case ast.Attribute(ast.Name(owner), name, ast.Load()) if bound[owner] == 1:
                public = _public_values(imported.get(owner, ""))
                if name in public and node.lineno == node.end_lineno:
                    uses.append((node, public[name]))
    return uses


def _imported_values(tree: ast.Module, bound: Counter[str], module: str = "") -> dict[str, Any]:
    """Return the imported constants of `module`, without those that others import from it."""
    values = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            public = _public_values(node.module)
            for alias in node.names:
                name = alias.asname or alias.name
                if alias.name in public and bound[name] == 1 and (module, name) not in _imports():
                    values[name] = public[alias.name]
    return values


@functools.cache
def _imports() -> frozenset[tuple[str, str]]:
    """Return all (module, name) that a module imports."""
    found = set()
    for path in sources_on_boards():
        for node in _nodes_with_types(path.read_bytes()):
            match node:
                case ast.ImportFrom(str(module), aliases):
                    found |= {(module, alias.name) for alias in aliases}
    return frozenset(found)


def _assigned_values(
    tree: ast.Module, bound: Counter[str], imported: dict[str, Any]
) -> dict[str, Any]:
    """Return the values of the assignments to capital names on top level, bound nowhere else."""
    values: dict[str, Any] = {}
    for node in tree.body:
        for name, expression in _constants(node):
            value = _evaluate(expression, imported | values)
            if value is not None and bound[name] == 1:
                values[name] = value
    return values


def _constants(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    """Return the capital names that a statement assigns to, with their expressions."""
    found: list[tuple[str, ast.expr]] = []
    match node:
        case ast.Assign([ast.Name(name)], value=value):
            found = [(name, value)]
        case ast.AnnAssign(ast.Name(name), value=ast.expr() as value):
            found = [(name, value)]
        case ast.Assign([ast.Tuple(targets)], value=ast.Tuple(expressions)):
            pairs = list(zip(targets, expressions, strict=False))
            if len(targets) == len(expressions):
                found = [(name.id, value) for name, value in pairs if isinstance(name, ast.Name)]
    return [(name, value) for name, value in found if name.isupper()]


def _module(nodes: Sequence[ast.AST]) -> ast.Module:
    return cast("ast.Module", nodes[0])


def _count_bindings(nodes: Iterable[ast.AST]) -> Counter[str]:
    """Count how often each name is bound by the nodes of a module, on any level."""
    bound: Counter[str] = Counter()
    for node in nodes:
        match node:
            case ast.Name(name, ast.Store() | ast.Del()) | ast.arg(name):
                bound[name] += 1
            case ast.alias(name, as_name):
                bound[as_name or name] += 1
            case ast.FunctionDef(name) | ast.ClassDef(name):
                bound[name] += 1
    return bound


def _evaluate(node: ast.expr, known: dict[str, Any]) -> Any:
    """Return the value of an expression, None if it is not known here."""
    match node:
        case ast.Constant(bool() | None):
            return None
        case ast.Constant(int() | str() | bytes() | float()):
            return node.value
        case ast.Name(name):
            return known.get(name)
        case ast.UnaryOp(ast.USub(), operand):
            value = _evaluate(operand, known)
            return -value if isinstance(value, int) else None
        case ast.BinOp(left, operator, right) if type(operator) in _OPERATIONS:
            pair = _evaluate(left, known), _evaluate(right, known)
            is_integer = all(isinstance(value, int) for value in pair)
            return _OPERATIONS[type(operator)](*pair) if is_integer else None
        case ast.Tuple(elements):
            values = tuple(_evaluate(element, known) for element in elements)
            return None if None in values else values
    return None


def _uses(nodes: Sequence[ast.AST]) -> list[ast.Name]:
    """Return the places where a name is read."""
    names = [node for node in nodes if isinstance(node, ast.Name)]
    return [node for node in names if isinstance(node.ctx, ast.Load)]


def _literal(value: Any, rest: bytes) -> bytes:
    """Return a value as source; `rest` of the line follows it."""
    text = repr(value)
    is_bare = not isinstance(value, int) or (value >= 0 and rest[:1] != b".")
    return (text if is_bare else f"({text})").encode()


def _drop_bindings(lines: list[bytes], node: ast.stmt, values: dict[str, Any]) -> None:
    """Remove the assignment or the imported names of `values` from the lines of a statement."""
    names = [name for name, _ in _constants(node)]
    if names and all(name in values for name in names):
        _replace_lines(lines, node, b"")
    elif isinstance(node, ast.ImportFrom):
        rest = [alias for alias in node.names if (alias.asname or alias.name) not in values]
        if len(rest) < len(node.names):
            kept = ast.ImportFrom(node.module, rest, node.level)
            _replace_lines(lines, node, ast.unparse(kept).encode() if rest else b"")


def _replace_lines(lines: list[bytes], node: ast.stmt, text: bytes) -> None:
    """Put `text` in place of a statement; the further lines of it become empty."""
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    lines[first:last] = [text + b"\n", *[b"\n"] * (last - node.lineno)]
