# SPDX-License-Identifier: Apache-2.0
"""A table that is pasted into a terminal, and an answer that is mistyped."""

import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.errors import BenchError
from hil.tools.commission.command import make_parser
from hil.tools.commission.inputs import dialogue
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.inputs.register_table import parse_table
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.steps import Commissioning

_ROWS = ["address;name;unit", "0;Supply temperature;°C", "7;Alarm word;"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The typing end of a terminal that is the standard input."""
    master, slave = pty.openpty()
    with open(slave, encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield master
    os.close(master)


def type_in(terminal: int, text: str) -> None:
    os.write(terminal, text.encode())


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("last", [".\n", " . \n", "\x04"], ids=["point", "blanks", "Ctrl-D"])
def test_blank_lines_do_not_end_a_table(terminal: int, end: str, last: str) -> None:
    type_in(terminal, end + (end + end).join(_ROWS) + end + last)
    text = Dialogue(assume_yes=False, as_json=False).read_lines("paste")
    assert text.split("\n") == [*_ROWS, ""]
    assert len(parse_table(text, "t")) == 2


def test_the_rest_of_the_input_is_no_answer(terminal: int) -> None:
    type_in(terminal, f"{_ROWS[0]}\n.\n6;Status;\n")
    Dialogue(assume_yes=False, as_json=False).read_lines("paste")
    type_in(terminal, "answer\n")
    assert Dialogue(assume_yes=False, as_json=False).ask("name", "x") == "answer"


@pytest.mark.parametrize("text", ["address;name;unit\n", "address;name\n# none yet\n\n"])
def test_a_head_alone_is_one_line(text: str) -> None:
    with pytest.raises(BenchError, match=r"^t:1: the table has no rows; write one register"):
        parse_table(text, "t")


def test_a_mistyped_port_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["tcp:127.0.0.1:99999", "nonsense:", "tcp:127.0.0.1:15021"]
    monkeypatch.setattr(dialogue, "prompt", lambda *_: answers.pop(0))
    arguments = make_parser().parse_args(["--dir", str(tmp_path)])
    talk = Dialogue(assume_yes=False, as_json=False)
    work = Commissioning(arguments, Journal(tmp_path), talk, lambda _: None)
    assert work.ports() == ["tcp:127.0.0.1:15021"]
    assert work.answers["ports"] == ["tcp:127.0.0.1:15021"]
    assert answers == []
