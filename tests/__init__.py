# SPDX-License-Identifier: Apache-2.0
"""Tests. `tests/portable` runs on every interpreter, the rest on CPython."""
