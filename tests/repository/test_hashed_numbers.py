# SPDX-License-Identifier: Apache-2.0
"""No text of a float where bytes are hashed: `%f`, `%g`, `%e`, a quotient or a float in `%s`.

The audit log, the report and the configuration of a unit are hashed, on two interpreters whose
floats have other digits. The gate reads the modules whose texts get there. `cbor.encode` and
`json_writer.write` refuse floats as values.
"""

import ast
import re
from collections.abc import Iterator

from tests.support.repository import ROOT

PLACES = ("agent/remote", "agent/northbound/site_writes.py", "agent/core/schema/outputs.py")
_FLOAT = re.compile(r"%[-+ #0-9]*(?:\.[0-9]+)?[fFgGeE]")


def modules() -> Iterator[str]:
    for place in PLACES:
        path = ROOT / place
        found = [path] if path.suffix else sorted(path.rglob("*.py"))
        yield from (str(file.relative_to(ROOT)) for file in found)


def operands(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def is_float(node: ast.expr) -> bool:
    """Return whether an operand of `%s` is seen to be a float."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        return name in ("float", "to_json", "round")
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Div) or is_float(node.left) or is_float(node.right)
    text = ast.unparse(node)
    return bool(re.search(r"(_pct|_c|_kpa|\[['\"](low|high|step)['\"]\]|loop\[key\])$", text))


def faults(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            found.append(f"{node.lineno}: an f-string")
        if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)):
            continue
        if not (isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)):
            continue
        if _FLOAT.search(node.left.value):
            found.append(f"{node.lineno}: {node.left.value!r}")
        elif any(map(is_float, operands(node.right))):
            found.append(f"{node.lineno}: {ast.unparse(node.right)}")
    return found


def test_no_text_of_a_float_is_hashed() -> None:
    found = {name: faults((ROOT / name).read_text()) for name in modules()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_the_gate_sees_a_float() -> None:
    for text in (
        "'%.1f' % x",
        "'%s' % (a / 2)",
        "'%s %s' % (name, limit['low'])",
        "'%s' % loop.min_pct",
        "f'{x}'",
        "'%s' % to_json(x)",
        "'%g' % 1",
        "'%s' % 1.5",
    ):
        assert faults(text), text
    for text in ("'%d' % (a // 2)", "'%s' % number_text(x / 2)", "a % 0.5"):
        assert faults(text) == [], text
