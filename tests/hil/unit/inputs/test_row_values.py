# SPDX-License-Identifier: Apache-2.0
"""A register whose value is a state, such as 0=off / 1=run / 2=fault, shows its fault."""

from pathlib import Path

import pytest

from coldloop import main
from hil.errors import BenchError
from hil.tools.commission.inputs.register_table import parse_table
from hil.tools.commission.table_profile import make_profile
from tests.hil.unit.inputs.test_row_states import not_understood as asked_bits
from tests.hil.unit.outputs.test_alarm_words import alarms
from tests.hil.unit.test_commission import TABLE, cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures

_HEAD = "address;name;type;unit;access;values;role\n0;Supply temperature;i16;°C;R;;\n"


def alarms_by_value(cell: str, *, kind: str = "u16", column: str = "values") -> dict[int, int]:
    """Return how many alarms are on for each value of a register."""
    head = _HEAD.replace("values", column)
    raw = make_profile(f"{head}7;Unit state;{kind};;R;{cell};\n", "t", "acme", "o")
    return {value: len(alarms(raw, [value])) for value in range(5)}


@pytest.mark.parametrize(
    ("cell", "on"),
    [
        ("0=off / 1=run / 2=fault", [2, 3, 4]),
        ("0=off / 1=run / 2=pump problem (alarm)", [2, 3, 4]),
        ("0=fault / 1=run / 3=standby", [0, 2, 4]),
        ("0=off / 1=run / 2=standby / 4=fault", [4]),
        ("0=off / 1=run / 2=standby", [4]),
        ("0=off / 1=run / 2=standby / 4=purging (state)", []),
    ],
)
def test_a_value_that_is_a_fault_is_an_alarm(cell: str, on: list[int]) -> None:
    assert [value for value, count in alarms_by_value(cell).items() if count] == on


def test_the_meaning_value_makes_values_of_bits() -> None:
    cell = "0=off (value) / 1=run (value) / 2=fault (value)"
    assert alarms_by_value(cell, column="bits") == alarms_by_value("0=off / 1=run / 2=fault")
    with pytest.raises(BenchError, match="value '70000=x' is not like 0=leak, from 0 to 65535"):
        parse_table("address;name;values\n7;State;70000=x\n", "t")
    with pytest.raises(BenchError, match="has bits and values; give one of them"):
        parse_table("address;name;bits;values\n7;State;0=a;0=b\n", "t")


def not_understood(tmp_path: Path, cell: str, role: str = "") -> list[str]:
    row = f"6;Unit state;u16;;;R;{cell};{role}"
    return asked_bits(tmp_path, row, columns="address;name;type;scale;unit;access;values;role")


def test_a_fault_that_no_bit_shows_is_asked(tmp_path: Path) -> None:
    lines = not_understood(tmp_path, "0=off / 1=run / 2=standby / 3=fault")
    assert "'Unit state': its alarms (3=fault) cannot be watched" in lines[0]
    assert not_understood(tmp_path, "0=off / 1=run / 2=standby / 3=fault", "monitor") == []
    assert not_understood(tmp_path, "0=off / 1=run / 2=fault") == []
    lines = not_understood(tmp_path, "0=off / 1=run / 2=purging")
    assert "value 2 'purging': is it an alarm? Write (alarm) or (state)" in lines[0]
    assert not_understood(tmp_path, "0=off / 1=run / 2=purging (state)") == []


@pytest.mark.parametrize("names", ["0=off / 1=run / 2=fault", "1=stopped / 2=running / 3=error"])
def test_exclusive_names_of_bits_are_asked(tmp_path: Path, names: str) -> None:
    lines = asked_bits(tmp_path, f"6;Unit status;u16;;;R;{names};")
    expected = (
        "are these bits or values? Write bits as bit 0=off, or values into the column `values`"
    )
    assert (expected if names.startswith("0") else "do they count from 1?") in lines[0]
    first = "" if names.startswith("0") else "0=spare (state) / "
    marked = first + names.replace(" /", " (state) /") + " (alarm)"
    (line,) = asked_bits(tmp_path, f"6;Unit status;u16;;;R;{marked};")
    assert "are these bits or values?" in line
    named = "bit " + (first + names).replace("/ ", "/ bit ")
    assert asked_bits(tmp_path, f"6;Unit status;u16;;;R;{named};") == []


def test_outputs_keep_still_while_the_value_is_a_fault(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Register 6 of the CDU holds 3."""
    rows = [f"{line};" for line in TABLE.splitlines() if line[0] not in "6"]
    head = rows[0] + "values"
    state = "6;Unit state;u16;;;R;;0=off / 1=run / 2=fault"
    (site.parent / "table.csv").write_text("\n".join([head, *rows[1:], state]), encoding="utf-8")
    before = words_of(cdu, capsys, 4, 2)
    assert main(command(cdu, site, "--write-test", "--to", "write-test")) == 1
    assert "refused cdu: alarm UnitStateFault is on" in capsys.readouterr().out
    assert words_of(cdu, capsys, 4, 2) == before
