# SPDX-License-Identifier: Apache-2.0
"""Serial number and name of the tester: one printable line, at each command that takes them."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from hil.commands import hil
from hil.errors import BenchError
from hil.page.session_manager import _get_label
from hil.record.bench_key import BenchKey
from hil.record.label import check_label, escape_text
from hil.record.manifest import write_manifest
from hil.record.provenance import SerialCheck, describe_verdict
from hil.record.record import FORMAT, RECORD_FILE, seal
from hil.report.write import Labels
from hil.run.device_serial import _decode_text
from hil.run.recorded import write_json
from tests.support.cli_tools import SHORT, scenario_file

WRONG = ["", " ", "\n", "SN1\nPASS", "\x1b[2J", "a\tb", "a\0", "a\u202eb", "a\u2028b", "x" * 65]


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_label_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"^operator: "):
        check_label(text, "operator")
    for option in ("--serial", "--operator"):
        with pytest.raises(SystemExit) as ended:
            hil(["run", scenario_file(tmp_path, SHORT), option, text])
        assert ended.value.code == 2


@pytest.mark.parametrize("text", [text for text in WRONG if text.strip()])
def test_no_report_and_no_page_takes_a_wrong_label(text: str) -> None:
    with pytest.raises(BenchError, match=r"^serial number: "):
        Labels(SerialCheck(text))
    with pytest.raises(BenchError, match=r"^operator: "):
        Labels(operator=text)
    with pytest.raises(BenchError, match=r"^serial: "):
        _get_label({"serial": text}, "serial")


@pytest.mark.parametrize("text", ["SN 1/2-3", "Ada", "李小龙", "أحمد", "é"])
def test_a_label_keeps_its_characters(text: str) -> None:
    assert check_label(f" {text} ", "operator") == text
    assert Labels(SerialCheck(text), text).operator == text
    assert _get_label({"serial": f"{text}\n"}, "serial") == text
    assert _get_label({}, "serial") == ""


def test_control_characters_of_a_cdu_are_shown_as_escapes() -> None:
    assert escape_text("a\n\x1b") == "a\\n\\x1b"
    assert _decode_text([0x410A, 0x1B42, 0]) == "A\\n\\x1bB"


def test_texts_of_a_foreign_record_send_no_escapes_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for name, suite in (("a", "s\x1b[2J"), ("b", "s\nGOOD")):
        folder = tmp_path / name
        folder.mkdir()
        record = {
            "suite": suite,
            "verdict_text": suite,
            "operator": suite,
            "runs": [],
            "key": suite,
        }
        sealed = seal({**record, "format": FORMAT}, "0" * 64, BenchKey(tmp_path / "key"))
        write_json(folder / RECORD_FILE, sealed)
        write_manifest(folder, [RECORD_FILE], BenchKey(tmp_path / "key"))
        folders.append(str(folder))
    for words in (["verify", *folders], ["compare", "--all", *folders]):
        hil(words)
        text = capsys.readouterr().out
        assert "s\\x1b[2J" in text
        assert "\x1b" not in text
        assert "\nGOOD" not in text


def test_the_verdict_says_if_the_serial_number_was_not_checked() -> None:
    record: dict[str, Any] = {"verdict": "pass", "runs": []}
    for check, is_expected in (
        ({"given": "SN1", "read": None}, True),
        ({"given": "SN1", "read": "SN1"}, False),
        ({"given": "", "read": None}, False),
    ):
        text = describe_verdict({**record, "serial_check": check})
        assert text.endswith(", serial number not checked") is is_expected


@pytest.mark.parametrize(
    "words", [["smoke"], ["acceptance", "--unit", "none.json"], ["smoke", "--real-time"]]
)
def test_a_duration_that_would_be_ignored_is_an_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with patch("hil.tools.run.run_unit") as run_unit:
        assert hil(["run", *words, "--seconds", "60"]) == 2
    assert not run_unit.called
    assert "--seconds: only a run with --unit" in capsys.readouterr().err
