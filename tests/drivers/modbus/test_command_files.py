# SPDX-License-Identifier: Apache-2.0
"""Files that `coldloop modbus` reads and writes: other kinds of files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.tools.lib.arguments import UsageError, raw_profile
from drivers.tools.lib.exchange.pcapng import PcapngWriter, is_replaceable


def test_a_profile_is_a_regular_file() -> None:
    with pytest.raises(UsageError, match="/dev/zero: not a regular file"):
        raw_profile("/dev/zero")


def test_a_capture_replaces_only_a_capture(tmp_path: Path) -> None:
    capture, other, empty = (tmp_path / name for name in ("capture", "other.json", "empty"))
    with capture.open("wb") as file:
        PcapngWriter(file, "port")
    other.write_text("{}")
    empty.touch()
    assert [is_replaceable(path) for path in (capture, empty, tmp_path / "new")] == [True] * 3
    assert is_replaceable(Path("/dev/stdout"))
    assert not is_replaceable(other)
