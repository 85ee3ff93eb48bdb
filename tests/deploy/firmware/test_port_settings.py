# SPDX-License-Identifier: Apache-2.0
"""No module of an image needs a feature of MicroPython that the image leaves out."""

import ast
from pathlib import Path

import pytest

from deploy.firmware.application.romfs import portable_modules
from deploy.firmware.rp2 import port_settings
from deploy.firmware.rp2.build import RP2_BOARDS
from tests.support.repository import ROOT

NAMES = {
    "MICROPY_PY_CRYPTOLIB": {"cryptolib"},
    "MICROPY_PY_HASHLIB_SHA1": {"hashlib.sha1"},
    "MICROPY_VFS_FAT": {"vfs.VfsFat"},
    "MICROPY_PY_BUILTINS_COMPLEX": {"cmath"},
    "MICROPY_PY_DEFLATE": {"deflate", "binascii.crc32"},  # extmod/modbinascii.c
    "MICROPY_PY_FRAMEBUF": {"framebuf"},
    "MICROPY_PY_MATH_SPECIAL_FUNCTIONS": {"math.gamma", "math.lgamma", "math.erf", "math.expm1"},
    "MICROPY_PY_RE": {"re"},
}
"""Feature -> modules and names that need it."""


def used_names(path: Path) -> set[str]:
    """Return the imported modules, and the names that a module takes from them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return found


@pytest.mark.parametrize("board", sorted(RP2_BOARDS))
def test_no_module_needs_a_feature_that_is_left_out(board: str) -> None:
    modules = portable_modules(left_out=RP2_BOARDS[board].left_out)
    supervisor = (ROOT / "deploy/firmware/supervisor").glob("_*.py")
    paths = [*(ROOT / name for name in modules), *supervisor]
    left_out = {*port_settings._UNUSED_IN_PORT, *port_settings._UNUSED_BY_DEFAULT}
    assert left_out <= set(NAMES)
    forbidden = {name for feature in left_out for name in NAMES[feature]}
    used = {path.name: used_names(path) & forbidden for path in paths}
    assert {name: names for name, names in used.items() if names} == {}
