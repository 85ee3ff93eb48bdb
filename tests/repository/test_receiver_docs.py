# SPDX-License-Identifier: Apache-2.0
"""docs/engineer/emulated_receivers.md names all words, dialects and scenarios of the receiver."""

from hil.devices.gnss.dialects import DIALECTS
from hil.fault.gnss import RECEIVER_EVENTS
from tests.support.repository import ROOT

TEXT = (ROOT / "docs" / "engineer" / "emulated_receivers.md").read_text(encoding="utf-8")


def test_every_fault_word_is_documented() -> None:
    for name, fault_type in RECEIVER_EVENTS.items():
        low, high = fault_type.limits or (0, 0)
        limits = f"{low:g} to {high:g}" if fault_type.limits else "-"
        ends = "yes" if fault_type.undo else "no"
        assert f"| `{name}` | {fault_type.description} | {limits} | {ends} |" in TEXT, name


def test_every_dialect_is_documented() -> None:
    for name in DIALECTS:
        assert f"| `{name}` |" in TEXT, name
