# SPDX-License-Identifier: Apache-2.0
"""All harnesses by name, or those of one group."""

from __future__ import annotations

from importlib import import_module

from tests.fuzz.harness import Harness

GROUPS = ("modbus", "protocol", "record", "unit", "peer", "web")
"""Each is the module `tests.fuzz.GROUP_harnesses`. "modbus" needs no run of the bench first."""


def make_all(group: str = "") -> dict[str, Harness]:
    """Return the harnesses of a group, or of all groups, in a fixed order."""
    found: list[Harness] = []
    for name in (group,) if group else GROUPS:
        found += import_module(f"tests.fuzz.{name}_harnesses").make_harnesses()
    return {harness.name: harness for harness in found}
