# SPDX-License-Identifier: Apache-2.0
"""A test that fails beside the others runs once more, alone, and is named."""

from pathlib import Path

import pytest

from tests import __main__ as suite

_TEST = """
from pathlib import Path

def test_late() -> None:
    first = not Path(r"{mark}").exists()
    Path(r"{mark}").touch()
    assert not (first and {passes_alone})
    assert {passes_alone}
"""


@pytest.fixture
def one_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    part = suite.Part("not realtime and not waiting", 0, 1)  # no worker processes
    rest = suite.Part("realtime", 0, 0, ("test_late.py",))
    monkeypatch.setattr(suite, "find_parts", lambda *_: [part, rest])


def _write(folder: Path, passes_alone: bool) -> str:
    text = _TEST.format(mark=folder / "mark", passes_alone=passes_alone)
    (folder / "test_late.py").write_text(text)
    return "test_late.py"


@pytest.mark.parametrize("passes_alone", [True, False])
@pytest.mark.usefixtures("one_part")
def test_a_failed_test_decides_alone(
    tmp_path: Path, passes_alone: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    assert suite.main([_write(tmp_path, passes_alone)]) == (0 if passes_alone else 1)
    out = capfd.readouterr().out
    assert "1 failed beside the other tests; once more, alone:" in out
    assert ("failed once, and passed alone:\n  " in out) == passes_alone


@pytest.mark.usefixtures("one_part")
def test_many_failures_are_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "_MOST_REPEATED", 0)
    assert suite.main([_write(tmp_path, passes_alone=True)]) == 1
    assert "once more" not in capfd.readouterr().out
