# SPDX-License-Identifier: Apache-2.0
"""Register tables as vendors write them: copied from a PDF, or saved by a spreadsheet."""

from typing import Any

import pytest

from hil.errors import BenchError
from hil.tools.commission.inputs.register_table import parse_table
from hil.tools.commission.table_profile import make_profile
from tests.hil.unit.test_commission import TABLE


def profile(text: str) -> dict[str, Any]:
    return make_profile(text, "t.csv", "acme", "o")


def error(text: str) -> str:
    with pytest.raises(BenchError) as found:
        profile(text)
    return str(found.value)


@pytest.mark.parametrize(
    "head",
    [
        "ACME CDU-500, Modbus register map V1.2\n",
        "ACME CDU-500;;;;;;\n;;;;;;\nRevision 3;;;;;;\n",
        "\ufeffTitle\n\n# a comment\n",
        "Chapter 7: registers of the unit (function 3, 16 bits)\n",
    ],
)
def test_lines_above_the_header_are_left_out(head: str) -> None:
    assert profile(head + TABLE) == profile(TABLE)


def test_a_row_above_the_header_is_not_left_out() -> None:
    rows = TABLE.splitlines()
    moved = "\n".join([rows[5], rows[0], *rows[1:5], *rows[6:]])
    assert "t.csv:2: " in error(moved)


def test_the_number_of_a_line_is_that_of_the_file() -> None:
    wrong = TABLE.replace("4;Pump speed command;u16", "4;Pump speed command;x16")
    assert "t.csv:8: type 'x16' is none of" in error("Title\n\n" + wrong)


def test_a_cell_with_line_breaks_is_one_cell() -> None:
    """As a spreadsheet saves names of bits that were typed with Alt and Enter."""
    names = "0=leak / 1=pump fault / 2=low level"
    assert names in TABLE
    broken = TABLE.replace(names, '"0=leak\n1=pump fault\n\n2=low level"')
    assert profile(broken) == profile(TABLE)
    broken = TABLE.replace("Supply temperature", '"Supply\ntemperature"')
    assert profile(broken) == profile(TABLE)
    broken = TABLE.replace(";", ",").replace(names, '"0=leak\r\n1=pump fault\r\n2=low level"')
    assert profile(broken) == profile(TABLE)


@pytest.mark.parametrize("name", ['Valve 3/4" position', '"A" valve', 'valve "A'])
def test_a_quote_in_a_name_takes_no_other_line(name: str) -> None:
    rows = parse_table(f"address;name\n0;{name}\n1;Flow\n2;Level\n", "t")
    assert [row.address for row in rows] == [0, 1, 2]


def test_a_cell_that_is_not_closed_takes_no_other_line() -> None:
    text = 'address;name\n0;"Supply\n1;Flow\n2;Level\n'
    assert [row.address for row in parse_table(text, "t")] == [0, 1, 2]


@pytest.mark.parametrize("blank", ["\u00a0", "\u202f", "\u2009", "\u3000"])
def test_blanks_of_a_pdf_are_blanks(blank: str) -> None:
    assert profile(TABLE.replace(" ", blank)) == profile(TABLE)


def test_other_forms_of_a_letter_or_sign_are_read() -> None:
    full = TABLE.replace("Supply", "\uff33\uff55pply").replace("Flow", "Fl\u00adow\u200b")
    assert profile(full.replace("°C", "\u2103")) == profile(TABLE)
    assert profile(TABLE.replace("°C", "\u00baC")) == profile(TABLE)
    assert profile(TABLE.replace(";", "\uff1b")) == profile(TABLE)
    row = parse_table("address;name;min;max;unit\n0;Room;\u221240;50;°C\n", "t")[0]
    assert row.low == -40
    assert "no name of a register" in error(TABLE.replace("Flow", "流量"))


@pytest.mark.parametrize("mark", ["\u00b2", "\u00b9)", "*", "\u2460"])
def test_a_footnote_is_no_digit(mark: str) -> None:
    assert f"address '4{mark}' is not a number" in error(TABLE.replace("4;Pump", f"4{mark};Pump"))


def test_letters_with_accents_stay_in_names() -> None:
    text = "address;name;unit\n0;Außenfühler Höhe;m\n1;Température;°C\n"
    names = [point["name"] for point in profile(text)["points"]]
    assert names == ["AussenfuhlerHohe", "Temperature"]


def test_a_rule_of_a_text_table_is_no_row() -> None:
    table = "| address | name | unit |\n|:---|---|---:|\n| 0 | Supply temperature | °C |\n"
    assert [row.address for row in parse_table(table, "t")] == [0]


@pytest.mark.parametrize(
    "text", ["b0=leak / b1=trip", "D0: leak, D1: trip", "bit0=leak; BIT 1=trip"]
)
def test_bits_with_a_letter(text: str) -> None:
    row = parse_table(f'address,name,bits\n7,Alarm word,"{text}"\n', "t")[0]
    assert {i: bit.name for i, bit in row.bits.items()} == {0: "leak", 1: "trip"}


@pytest.mark.parametrize(
    ("kind", "meant"),
    [("INT16U", "u16"), ("U_WORD", "u16"), ("unsigned int", "u16"), ("S_WORD", "i16"),
     ("INT32U", "u32"), ("IEEE754", "f32"), ("Signed 32", "i32")],
)  # fmt: skip
def test_types_of_vendors(kind: str, meant: str) -> None:
    assert parse_table(f"address;name;type\n0;Level;{kind}\n", "t")[0].kind == meant


@pytest.mark.parametrize("scale", ["x10", "*10", "x100"])
def test_a_factor_that_can_divide_is_asked(scale: str) -> None:
    number = scale[1:]
    text = f"address;name;scale\n0;Level;{scale}\n"
    assert f"t.csv:2: scale '{scale}': is a count {number}, or 1/{number}?" in error(text)
    assert parse_table("address;name;scale\n0;Level;x0.1\n", "t")[0].scale * 10 == 1


def test_masks_in_hexadecimal_are_bits() -> None:
    text = "address;name;type;bits\n7;Alarm word;{};{}\n"
    names = "0x01=leak / 0X0002=pump trip / 0x8000: level fault (alarm at 0)"
    row = parse_table(text.format("u16", names), "t")[0]
    assert {i: bit.name for i, bit in row.bits.items()} == {
        0: "leak",
        1: "pump trip",
        15: "level fault",
    }
    assert row.bits[15].meaning == "alarm at 0"
    assert parse_table(text.format("u32", "0x80000000=leak"), "t")[0].bits[31].name == "leak"
    for wrong, problem in (
        ("0x03=leak", "the mask 0x3 of 'leak' is not that of one bit"),
        ("0x00=leak", "the mask 0x0 of 'leak' is not that of one bit"),
        ("0x01=leak / 2=trip", "has masks and numbers; write one kind of them"),
        ("0x10000=leak", "bit '16=leak' is not like 0=leak, from 0 to 15"),
    ):
        assert problem in error(text.format("u16", wrong))


def test_values_in_hexadecimal() -> None:
    row = parse_table("address;name;values\n7;State;0x00=off / 0x10=run / 0xff=fault\n", "t")[0]
    assert {value: entry.name for value, entry in (row.values or {}).items()} == {
        0: "off",
        16: "run",
        255: "fault",
    }
