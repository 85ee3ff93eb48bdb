"""docs/engineer/emulated_receivers.md names every word, dialect and scenario of the receiver."""

from hil.devices.gnss.dialects import DIALECTS
from hil.fault.gnss import RECEIVER_EVENTS
from tests.support.repository import ROOT

TEXT = (ROOT / "docs" / "engineer" / "emulated_receivers.md").read_text(encoding="utf-8")


def test_every_fault_word_is_documented() -> None:
    for name, word in RECEIVER_EVENTS.items():
        low, high = word.limits or (0, 0)
        limits = f"{low:g} to {high:g}" if word.limits else "-"
        ends = "yes" if word.undo else "no"
        assert f"| `{name}` | {word.description} | {limits} | {ends} |" in TEXT, name


def test_every_dialect_is_documented() -> None:
    for name in DIALECTS:
        assert f"| `{name}` |" in TEXT, name
