# SPDX-License-Identifier: Apache-2.0
"""A name that ends in a unit of time has a value of this unit: `end_us` holds no seconds.

Does not check products and quotients: they convert. The unit of an expression is that of its name,
of its sum, or of the function that it calls. Two units in one assignment, sum, comparison, argument
or result are a fault.
"""

import ast
from collections.abc import Iterator

from tests.support.repository import ROOT, repo_files

UNITS = ("ns", "us", "ms", "s")
CLOCKS = {
    "monotonic": "s",
    "perf_counter": "s",
    "process_time": "s",
    "time": "s",
    "monotonic_ns": "ns",
    "time_ns": "ns",
}
"""Functions of the module time."""
SAME_UNIT = ("abs", "float", "int", "max", "min", "round")


def unit_of_name(name: str) -> str:
    """Return the unit at the end of a name; empty without one, and for a rate."""
    unit = name.lower().rpartition("_")[2]
    return unit if "_" in name and unit in UNITS and "_per_" not in name.lower() else ""


def unit_of(node: ast.AST | None) -> str:
    """Return the unit of an expression; empty: it is not known."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return unit_of_name(name)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="time"), attr=name)) if name in CLOCKS:
            return CLOCKS[name]
        case ast.Call(func=ast.Name(id=name), args=[*arguments]) if name in SAME_UNIT:
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
        case ast.FunctionDef(name=name):
            results = [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
            yield from ((unit_of_name(name), unit_of(result)) for result in results)


def faults(text: str) -> list[str]:
    """Return each place of a program where two units meet."""
    return [
        ast.unparse(node).partition("\n")[0]
        for node in ast.walk(ast.parse(text))
        if any(left and right and left != right for left, right in unit_pairs(node))
    ]


def test_names_hold_their_units() -> None:
    found = {
        name: lines
        for name in repo_files()
        if name.endswith(".py") and (lines := faults((ROOT / name).read_text(encoding="utf-8")))
    }
    assert not found


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
        assert faults(line), line
    for line in (
        "end_us = (time.monotonic() + seconds) * 1_000_000",
        "end_s = end_us / SECOND_US",
        "slew_per_s = step_ms",
        "found_ms = max(start_ms, end_ms)",
    ):
        assert not faults(line), line
