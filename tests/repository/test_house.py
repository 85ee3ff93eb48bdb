# SPDX-License-Identifier: Apache-2.0
"""Gates of the structure: class names, folders, foreign writes, units in names, standard terms.

Does not check behaviour. `words.toml` lists the words that must not come back, and their terms.
"""

import ast
import collections
import functools
import gc
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.firmware.application.romfs import module_name
from tests.support.foreign_writes import foreign_writes
from tests.support.repository import PACKAGES, ROOT, portable_files, repo_files

LONGEST_FUNCTION = 60  # lines
MAX_ENTRIES = 15
CAPACITY = {
    "": 21,
    "agent": 23,
    "deploy": 18,
    "deploy/firmware": 17,
    "hil": 21,
    "tests/deploy": 17,
    "tests/portable/agent": 17,
}
"""Folders with a larger capacity: the roots of the layers, and one package with one subject."""
DATA = ("drivers/profiles", "hil/scenarios", "docs")
"""Folders of data and of documents; the documents have another gate."""
TWINS = {
    "SerialPort": "drivers/ports/",
    "Store": "drivers/ports/",
    "StorePort": "drivers/ports/",
    "TcpPort": "drivers/ports/",
    "WatchdogPort": "drivers/ports/",
}
"""Classes that exist once for each platform, with one interface."""
LONGEST_NAME = 20
LONG_NAMES = {"do_handshake_on_connect"}
"""Names in the interface of a library."""
BUILDS_IMPORTS = ("agent/core/component/registry.py", "drivers/modems/__init__.py")
"""Registries; no other code imports a module by a computed name."""

_WAITS_BY_EVAL = {"wait_for_function", "add_script_tag"}
"""Functions of playwright that a Content-Security-Policy without 'unsafe-eval' refuses."""


def sources() -> list[str]:
    return [name for name in repo_files() if name.endswith(".py")]


def code() -> list[str]:
    return [name for name in sources() if name.split("/")[0] in PACKAGES]


@functools.cache
def nodes(name: str) -> tuple[ast.AST, ...]:
    """Return all nodes of a file; each test here looks at them, so a file is parsed once."""
    return tuple(ast.walk(ast.parse((ROOT / name).read_bytes())))


@pytest.fixture(scope="module", autouse=True)
def _free_nodes() -> Iterator[None]:
    """Free the nodes after the last test. No collection of garbage visits the two million nodes
    meanwhile: that took two thirds of the time to parse.
    """
    gc.disable()
    yield
    nodes.cache_clear()
    gc.enable()


def test_no_class_name_exists_twice() -> None:
    places = collections.defaultdict(list)
    for name in sources():
        for node in nodes(name):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    twice = {
        name: found
        for name, found in places.items()
        if len(found) > 1 and not all(path.startswith(TWINS.get(name, "?")) for path in found)
    }
    assert not twice


def test_modules_have_a_docstring_and_short_functions() -> None:
    failures = []
    for name in ("coldloop.py", *code()):
        tree, *rest = nodes(name)
        if not ast.get_docstring(tree):  # type: ignore[arg-type]
            failures.append(f"{name}: no docstring")
        for node in rest:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                span = (node.end_lineno or node.lineno) - node.lineno + 1
                if span > LONGEST_FUNCTION:
                    failures.append(f"{name}: {node.name} has {span} lines")
    assert not failures, "\n".join(failures)


def free_entries() -> dict[str, int]:
    """Return how many entries each folder can still get, without folders of data."""
    entries = collections.defaultdict(set)
    for name in repo_files():
        parts = name.split("/")
        for i in range(len(parts)):
            entries["/".join(parts[:i])].add(parts[i])
    return {
        folder: CAPACITY.get(folder, MAX_ENTRIES) - len(names - {"__init__.py", "py.typed"})
        for folder, names in entries.items()
        if not folder.startswith(DATA)
    }


def test_a_folder_fits_one_screen() -> None:
    full = {folder: free for folder, free in free_entries().items() if free < 0}
    assert not full, f"full folders: see the capacity of a folder in ARCHITECTURE.md: {full}"


def test_the_architecture_lists_the_full_folders() -> None:
    """Those of the code: a new module there needs another place."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    listed = re.findall(r"`([^`]+)`", text.split("Full are", 1)[1].split(". A new module", 1)[0])
    full = {folder for folder, free in free_entries().items() if free <= 0}
    assert sorted(listed) == sorted(f for f in full if f.split("/")[0] in PACKAGES)


def test_portable_names_are_short() -> None:
    long = set()
    for name in portable_files():
        if name.startswith("tests/"):
            continue
        for node in nodes(name):
            long |= {n for n in _names(node) if len(n.strip("_")) > LONGEST_NAME}
    assert not long - LONG_NAMES


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
            return [name]
        case ast.arg(arg=name):
            return [name]
    return []


def test_only_the_registries_import_by_a_built_name() -> None:
    found = []
    for name in code():
        for node in nodes(name):
            match node:
                case ast.Call(func=ast.Name(id="__import__"), args=[ast.Constant(), *_]):
                    continue
                case ast.Call(func=ast.Name(id="__import__")):
                    found.append(name)
    assert set(found) <= set(BUILDS_IMPORTS)


@pytest.mark.soak
def test_no_code_writes_an_attribute_of_another_class() -> None:
    """Long: mypy builds all packages again to show the types of expressions."""
    # the walk through the syntax tree of mypy is recursive; an expression can be deep
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        files = {module_name(n): n for n in code() if not n.startswith("deploy/firmware/mps2/")}
        assert foreign_writes(ROOT, files) == []
    finally:
        sys.setrecursionlimit(limit)


def test_no_browser_test_waits_by_eval() -> None:
    """The pages forbid eval, and `wait_for_function` uses it when its first look is too early."""
    calls = [
        f"{name}:{node.lineno}"
        for name in sources()
        if name.startswith("tests/")
        for node in nodes(name)
        if isinstance(node, ast.Attribute) and node.attr in _WAITS_BY_EVAL
    ]
    assert not calls, "poll with tests.support.cli_tools.wait_until instead: " + ", ".join(calls)


# --- units ---------------------------------------------------------------------------------------


_TIME_UNITS = ("ns", "us", "ms", "s")
_CLOCKS = {
    "monotonic": "s",
    "perf_counter": "s",
    "process_time": "s",
    "time": "s",
    "monotonic_ns": "ns",
    "time_ns": "ns",
}
"""Functions of the module time."""
_PAIRED = (
    *(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.BinOp, ast.Compare),
    *(ast.keyword, ast.FunctionDef),
)
"""Nodes at which units can meet; a check of the kind is quicker than a match."""
_SAME_UNIT = ("abs", "float", "int", "max", "min", "round")


def unit_of_name(name: str) -> str:
    """Return the unit at the end of a name; empty without one, and for a rate."""
    unit = name.lower().rpartition("_")[2]
    return unit if "_" in name and unit in _TIME_UNITS and "_per_" not in name.lower() else ""


def unit_of(node: ast.AST | None) -> str:
    """Return the unit of an expression; empty: it is not known."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return unit_of_name(name)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="time"), attr=name)) if name in _CLOCKS:
            return _CLOCKS[name]
        case ast.Call(func=ast.Name(id=name), args=[*arguments]) if name in _SAME_UNIT:
            return next(filter(None, map(unit_of, arguments)), "")
        case ast.Call(func=ast.Name() | ast.Attribute() as function):
            return unit_of(function)
        case ast.BinOp(op=ast.Add() | ast.Sub(), left=left, right=right):
            return unit_of(left) or unit_of(right)
        case ast.IfExp(body=left, orelse=right):
            return unit_of(left) or unit_of(right)
    return ""


def unit_pairs(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the units that must be equal at a node."""
    match node:
        case ast.Assign(targets=[*targets], value=value):
            for target in targets:
                yield unit_of(target), unit_of(value)
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    yield from zip(
                        map(unit_of, target.elts), map(unit_of, value.elts), strict=False
                    )
        case (
            ast.AnnAssign(target=target, value=value)
            | ast.AugAssign(op=ast.Add() | ast.Sub(), target=target, value=value)
        ):
            yield unit_of(target), unit_of(value)
        case ast.BinOp(op=ast.Add() | ast.Sub(), left=left, right=right):
            yield unit_of(left), unit_of(right)
        case ast.Compare(left=left, comparators=[*others]):
            yield from ((unit_of(left), unit_of(other)) for other in others)
        case ast.keyword(arg=str(name), value=value):
            yield unit_of_name(name), unit_of(value)
        case ast.FunctionDef(name=name) if unit_of_name(name):
            results = [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
            yield from ((unit_of_name(name), unit_of(result)) for result in results)


def mixes_units(node: ast.AST) -> bool:
    """Return whether two units meet at a node. Products and quotients convert: they have none."""
    return any(left and right and left != right for left, right in unit_pairs(node))


def test_a_name_with_a_unit_of_time_has_its_value() -> None:
    """`end_us` holds no seconds, is not compared with them and is not added to them."""
    mixed = [
        f"{name}:{getattr(node, 'lineno', 0)}"
        for name in sources()
        for node in nodes(name)
        if isinstance(node, _PAIRED) and mixes_units(node)
    ]
    assert not mixed


def test_each_way_of_mixing_units_is_seen() -> None:
    for line in (
        "end_us = time.monotonic() + seconds",
        "end_us: int = start_s",
        "total_ms += step_us",
        "first_s, last_s = 0, end_ms",
        "wait(timeout_s=limit_ms)",
        "age_s = clock.uptime_us()",
        "is_late = now_ms > due_s",
        "def age_s():\n    return age_ms",
    ):
        assert any(map(mixes_units, ast.walk(ast.parse(line)))), line
    for line in (
        "end_us = (time.monotonic() + seconds) * 1_000_000",
        "end_s = end_us / SECOND_US",
        "slew_per_s = step_ms",
        "found_ms = max(start_ms, end_ms)",
    ):
        assert not any(map(mixes_units, ast.walk(ast.parse(line)))), line


# --- words --------------------------------------------------------------------------------------


_WORD = r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])"
"""A word in a name: one of two in `find_unit`, `UnitTable` and `MAX_UNITS`."""


def rules() -> list[dict[str, Any]]:
    """Read the list of words; its head describes the keys."""
    path = Path(__file__).with_name("words.toml")
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["word"]
    return found


@functools.cache
def prose(name: str) -> str:
    """Return a document, or the docstrings and comments of code, without `keys` and quotations."""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".py"):
        strings = [
            node.value.value
            for node in nodes(name)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ]
        comments = re.findall(r"(?:^|\s)# (.*)", text)
        text = "\n".join([*(s for s in strings if isinstance(s, str)), *comments])
    return re.sub(r"`[^`]*`|\"[^\"]*\"", "", text)


@functools.cache
def names_by_word() -> dict[str, list[tuple[str, str]]]:
    """Return (file, name) for the names that code defines, by a word in them in lower case."""
    found = collections.defaultdict(list)
    for name in sources():
        for own in sorted({own for node in nodes(name) for own in _names(node)}):
            for word in re.findall(_WORD, own):
                found[word.lower()].append((name, own))
    return found


@functools.cache
def files_by_word() -> dict[str, set[str]]:
    """Return the files whose prose has a word, by the word in lower case."""
    found = collections.defaultdict(set)
    for name in repo_files():
        if name.endswith((".py", ".md")):
            for word in re.findall(r"\w+", prose(name).lower()):
                found[word].add(name)
    return found


def test_no_home_made_word_comes_back() -> None:
    problems = []
    for rule in rules():
        found = ", ".join(_places(rule))
        if found:
            problems.append(f"write {rule['term']!r} instead: {found}")
    assert not problems, "\n".join(problems)


def _places(rule: dict[str, Any]) -> list[str]:
    """Return `file: word` for the places of the words of a rule."""
    pattern = re.compile(rf"\b(?:{rule['word']})\b", re.IGNORECASE)
    is_phrase = " " in rule["word"]  # it can be in any file
    files = set[str]().union(*(f for w, f in files_by_word().items() if pattern.fullmatch(w)))
    allowed = tuple(rule.get("allow", ["\0"]))
    found = []
    if rule.get("prose", True):
        for name in repo_files() if is_phrase else sorted(files):
            if name.endswith((".py", ".md")) and not name.startswith(allowed):
                found += [f"{name}: {match.group()}" for match in pattern.finditer(prose(name))]
    if rule.get("names", True):
        for word, places in names_by_word().items():
            if pattern.fullmatch(word):
                found += [f"{name}: {own}" for name, own in places if not name.startswith(allowed)]
    return found
