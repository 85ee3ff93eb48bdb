# SPDX-License-Identifier: Apache-2.0
"""Short names for a board: the attribute `self._reference` becomes `self._3`.

A name costs heap on a board: its text and 11 bytes (64-bit interpreter). So a name that a module
uses for itself gets a number, and all modules share the same few names. These names get one:

    private names       `self._reference`, `_TABLE`, `_check()`, if each module with this name binds
                        it, and no class of one of them extends a class of another one
    public constants    in capitals, that no other module names; not those of a schema, which
                        `agent.config.schema` finds by the name of their section
    parameters          that no call gives by keyword, if the name has no other use

Names of classes and of public functions stay, because the console shows them after an exception.
For a private function it shows the module and the line only (`agent.core.fault.text`). Private
classes of modules that only load a configuration get numbers too. If a class extends a class of
another module, its numbers follow those of that module. So an instance has no attribute twice.
`__slots__` goes, because MicroPython ignores it. Each line keeps its number.
"""

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence

from deploy.firmware.application.board_source import all_nodes

_SCHEMA = ".schema"
_ONLY_FOR_LOADING = ("agent.config.", "drivers.device.profile_")
"""Modules that run before the agent: none of their exceptions is on its console."""
_SEE_PRIVATE_NAMES = ("tests.", "benchmarks.")
"""Modules that can use the private names of other modules. Their functions keep their names."""
_WORD = re.compile(r"[A-Za-z_]\w*")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class ShortNames:
    """The short names of all modules.

    `sources`: name of a module -> its source without type-only blocks.
    """

    def __init__(self, sources: dict[str, bytes]) -> None:
        self._uses = {module: _Uses(module, source) for module, source in sources.items()}
        modules: dict[str, set[str]] = {}
        fixed = {*dir(builtins), "self"}
        for module, uses in self._uses.items():
            for name in uses.all:
                modules.setdefault(name, set()).add(module)
            fixed |= uses.fixed
        self._taken = frozenset(modules)
        private = {name for name, found in modules.items() if self._is_private(name, found)}
        self._own = {
            module: sorted(
                (uses.private & private)
                | {name for name in uses.constants if len(modules[name]) == 1}
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
        if b"__slots__" in source:
            _drop_slots(lines, ast.parse(source))
        return "".join(lines).encode()

    def _is_private(self, name: str, modules: set[str]) -> bool:
        """Return whether each of `modules`, all that have `name`, uses it for itself."""
        if len(modules) > 1 and any(module.startswith(_SEE_PRIVATE_NAMES) for module in modules):
            return False
        return all(
            name in self._uses[module].private and not self._bases(module) & modules
            for module in modules
        )

    def _bases(self, module: str) -> set[str]:
        """Return the modules whose classes the classes of `module` extend, at any distance."""
        extended = self._uses[module].extended & set(self._uses)
        return extended.union(*[self._bases(base) for base in extended])

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
    `constants`: public names in capitals, bound outside functions. `fixed`: names
    with another use than a variable of a function. `extended`: modules with a base class of this
    module.
    """

    def __init__(self, module: str, source: bytes) -> None:
        nodes = all_nodes(source)
        self.all = set(_WORD.findall(source.decode()))
        self._bound: set[str] = set()
        self.parameters: set[str] = set()
        self.fixed = {name for name in self.all if name[0] == "_"}
        for node in nodes:
            self._sort_name(node)
        outside = _bound_outside_functions(nodes[0])
        self.constants = {name for name in outside if name.isupper() and name[0] != "_"}
        if _SCHEMA in module:
            self.constants.clear()
        self.fixed |= outside
        texts = _texts(nodes)
        if any(isinstance(node, ast.keyword) and node.arg is None for node in nodes):
            self.fixed |= texts  # f(**settings)
        functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
        classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
        private = self._bound - functions
        if not module.startswith(_SEE_PRIVATE_NAMES):
            private |= functions
        if module.startswith(_ONLY_FOR_LOADING):
            private |= classes
        else:
            private -= classes
        private -= texts
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


def _texts(nodes: Sequence[ast.AST]) -> set[str]:
    """Return the texts of a module, without those of `__slots__`: one can name an attribute."""
    slots = [leaf for node in _slots(nodes) for leaf in ast.walk(node.value)]
    texts = [n for n in nodes if isinstance(n, ast.Constant) and n not in slots]
    return {node.value for node in texts if isinstance(node.value, str)}


def _extended(nodes: Sequence[ast.AST]) -> set[str]:
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
