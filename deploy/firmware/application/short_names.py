# SPDX-License-Identifier: Apache-2.0
"""Short names for a board: the attribute `self._reference` becomes `self._3`.

A name costs heap on a board: its text and 11 bytes (64-bit interpreter). So a name that only one
module uses gets a number, and all modules share the same few names. Two kinds of names get one:

    private data        `self._reference`, `_TABLE`: bound in one module, named in no other one
    parameters          that no call gives by keyword, if the name has no other use

Names of functions and classes stay, because the console shows them after an exception. Those of
modules that only load a configuration get numbers too. If a class extends a class of another
module, its numbers follow those of that module. So an instance has no attribute twice. `__slots__`
goes, because MicroPython ignores it. Each line keeps its number.
"""

import ast
import builtins
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator

_ONLY_FOR_LOADING = ("agent.config.", "drivers.device.profile_")
"""Modules that run before the agent: none of their exceptions is on its console."""
_WORD = re.compile(r"[A-Za-z_]\w*")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class ShortNames:
    """The short names of all modules.

    `sources`: name of a module -> its source without type-only blocks.
    """

    def __init__(self, sources: dict[str, bytes]) -> None:
        self._uses = {
            module: _Uses(source, module.startswith(_ONLY_FOR_LOADING))
            for module, source in sources.items()
        }
        modules: dict[str, int] = Counter()
        fixed = {*dir(builtins), "self"}
        for uses in self._uses.values():
            modules.update(uses.all)
            fixed |= uses.fixed
        self._taken = frozenset(modules)
        self._own = {
            module: sorted(
                {name for name in uses.private if modules[name] == 1}
                | {name for name in uses.parameters if name not in fixed}
            )
            for module, uses in self._uses.items()
        }

    def shorten(self, module: str, source: bytes) -> bytes:
        """Return the source of a module with its short names, without `__slots__`."""
        if module not in self._own:
            return source
        first = self._first(module)
        short = dict(zip(self._own[module], self._numbers(first), strict=False))
        lines = [line.decode() for line in source.splitlines(keepends=True)]
        for token in reversed(list(_names(source))):
            if token.string in short:
                row, start = token.start
                line = lines[row - 1]
                lines[row - 1] = line[:start] + short[token.string] + line[token.end[1] :]
        _drop_slots(lines, ast.parse(source))
        return "".join(lines).encode()

    def _first(self, module: str) -> int:
        """Return the first free number: it follows those of the modules that a class extends."""
        extended = self._uses[module].extended & set(self._own)
        return max((self._first(m) + len(self._own[m]) for m in extended), default=0)

    def _numbers(self, first: int) -> Iterator[str]:
        number = 0
        while True:
            name = _short_name(number)
            if name not in self._taken:
                if first <= 0:
                    yield name
                first -= 1
            number += 1


class _Uses:
    """How one module uses its names.

    `all`: all words, also those of texts. `private`: private data. `parameters`: of functions.
    `fixed`: names with another use than a variable of a function. `extended`: modules with a base
    class of this module.
    """

    def __init__(self, source: bytes, with_functions: bool) -> None:
        tree = ast.parse(source)
        nodes = list(ast.walk(tree))
        self.all = set(_WORD.findall(source.decode()))
        self._bound: set[str] = set()
        self.parameters: set[str] = set()
        self.fixed = {name for name in self.all if name[0] == "_"}
        for node in nodes:
            self._sort_name(node)
        self.fixed |= _bound_outside_functions(tree)
        texts = _texts(nodes)
        if any(isinstance(node, ast.keyword) and node.arg is None for node in nodes):
            self.fixed |= texts  # f(**settings)
        functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        names = {function.name for function in functions}
        private = (self._bound | names if with_functions else self._bound - names) - texts
        self.private = {name for name in private if re.match(r"_[a-zA-Z0-9]", name)}
        self.extended = _extended(nodes)

    def _sort_name(self, node: ast.AST) -> None:
        """Note how a node uses its name."""
        match node:
            case ast.arg(name):
                self.parameters.add(name)
            case ast.Attribute(attr=name, ctx=context):
                self.fixed.add(name)
                if isinstance(context, ast.Store):
                    self._bound.add(name)
            case ast.Name(name, ast.Store()):
                self._bound.add(name)
            case ast.FunctionDef(name) | ast.ClassDef(name) | ast.keyword(str(name)):
                self.fixed.add(name)
            case ast.Global(names) | ast.Nonlocal(names):
                self.fixed.update(names)
            case ast.ImportFrom(str(module)):
                self.fixed.update(module.split("."))
            case ast.alias(name, as_name):
                self.fixed |= {*name.split("."), as_name or ""}


def _texts(nodes: list[ast.AST]) -> set[str]:
    """Return the texts of a module, without those of `__slots__`: one can name an attribute."""
    slots = [leaf for node in _slots(nodes) for leaf in ast.walk(node.value)]
    texts = [n for n in nodes if isinstance(n, ast.Constant) and n not in slots]
    return {node.value for node in texts if isinstance(node.value, str)}


def _extended(nodes: list[ast.AST]) -> set[str]:
    """Return the modules from which a module imports the base classes of its classes."""
    imported = {
        alias.asname or alias.name: node.module or ""
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    bases = [base for node in nodes if isinstance(node, ast.ClassDef) for base in node.bases]
    names = [base.id for base in bases if isinstance(base, ast.Name)]
    return {imported[name] for name in names if name in imported}


def _bound_outside_functions(node: ast.AST) -> set[str]:
    """Return the names that a module and its classes bind outside functions."""
    names: set[str] = set()
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.Lambda():
                continue
            case ast.Name(name, ast.Store()):
                names.add(name)
        names |= _bound_outside_functions(child)
    return names


def _names(source: bytes) -> Iterator[tokenize.TokenInfo]:
    tokens = tokenize.tokenize(io.BytesIO(source).readline)
    return (token for token in tokens if token.type == tokenize.NAME)


def _short_name(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
        if not number:
            return "_" + text


def _slots(nodes: Iterable[ast.AST]) -> list[ast.Assign]:
    """Return the assignments to `__slots__`."""
    assignments = [node for node in nodes if isinstance(node, ast.Assign)]
    return [
        node
        for node in assignments
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__slots__"
    ]


def _drop_slots(lines: list[str], tree: ast.Module) -> None:
    """Put `pass` in place of each `__slots__`; the further lines of it become empty."""
    for node in _slots(ast.walk(tree)):
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        lines[first:last] = [" " * node.col_offset + "pass\n", *["\n"] * (last - node.lineno)]
