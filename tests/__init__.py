"""Tests. `tests/portable` runs on every interpreter, the rest on CPython."""
