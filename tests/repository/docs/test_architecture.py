# SPDX-License-Identifier: Apache-2.0
"""ARCHITECTURE.md names what exists: symbols of the walks, sections of the components.

Does not check the paths; see `test_docs`.
"""

import ast
import re

from agent.core.component.registry import COMPONENTS
from tests.support.repository import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
_PLACE = re.compile(r"`([\w/]+\.py)`((?:(?:, | and | or )`[A-Za-z_][\w.]*`)+)")
"""A file and the symbols after it: `a/b.py`, `Class.method` and `function`."""


def symbols(path: str) -> set[str]:
    """Return the functions, classes and `Class.method` that a file defines."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [n.name for n in node.body if isinstance(n, ast.FunctionDef)]
            found |= {node.name, *(f"{node.name}.{name}" for name in methods)}
    return found


def test_symbols_of_the_walks_exist() -> None:
    walks = TEXT[TEXT.index("## Walk 1") : TEXT.index("## Where to change what")]
    places = _PLACE.findall(walks)
    assert len(places) > 25
    missing = [
        f"{path}: {name}"
        for path, names in places
        for name in re.findall(r"`([^`]+)`", names)
        if name not in symbols(path)
    ]
    assert not missing


def test_each_section_of_a_component_is_in_the_table_of_sections() -> None:
    table = TEXT[TEXT.index("| section | package |") : TEXT.index("A component extends")]
    packages = dict(re.findall(r"\| (`[^|]*`) \| (`agent/\w+`|the package of that name)", table))
    named = {
        section: package.strip("`")
        for sections, package in packages.items()
        for section in re.findall(r"`(\w+)`", sections)
    }
    for spec in COMPONENTS:
        package = "/".join(spec.module.split(".")[:2])
        found = named.get(spec.section, "")
        assert (f"agent/{spec.section}" if found.startswith("the ") else found) == package, spec
