# SPDX-License-Identifier: Apache-2.0
"""The list of names that need no question is closed: whole phrases, and nothing around them."""

from fractions import Fraction
from pathlib import Path

import pytest

from coldloop import main
from hil.errors import BenchError
from hil.tools.commission.inputs import known_phrases
from hil.tools.commission.inputs.bit_names import TableBit
from hil.tools.commission.inputs.register_table import TableRow, parse_table
from hil.tools.commission.inputs.row_states import (
    bit_meaning,
    describe_not_understood,
    is_alarm_word,
    is_flags,
    value_meaning,
)
from tests.hil.unit.test_commission import TABLE, cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures

_BITS = "address;name;type;scale;unit;access;bits;values\n"


def row(name: str, bits: str = "", values: str = "", access: str = "R") -> TableRow:
    return parse_table(f"{_BITS}7;{name};u16;;;{access};{bits};{values}\n", "t")[0]


def is_asked(name: str, bits: str = "", values: str = "", access: str = "R") -> bool:
    """Return whether a row is a question, or an error."""
    try:
        return bool(describe_not_understood(row(name, bits, values, access)))
    except BenchError:
        return True


def register(name: str) -> TableRow:
    return TableRow(1, 7, name, "u16", Fraction(1), "", False, None, None, {}, None)


def test_the_profile_means_what_the_phrases_mean() -> None:
    """A phrase without a question has exactly this meaning in the profile, too."""
    for name in ("alarm word", "status word"):
        wrong = {p for p in known_phrases.ALARM_PHRASES
                 if bit_meaning(register(name), TableBit(p)) != "alarm"}  # fmt: skip
        assert wrong == set()
    for phrase in known_phrases.STATE_PHRASES - known_phrases.SPARE_PHRASES:
        assert bit_meaning(register("status"), TableBit(phrase)) == "state", phrase
        assert value_meaning(TableBit(phrase)) == "state", phrase
    wrong = {p for p in known_phrases.ALARM_PHRASES if value_meaning(TableBit(p)) != "alarm"}
    assert wrong == set()
    for phrase in known_phrases.ALARM_REGISTERS:
        assert is_alarm_word(register(phrase)), phrase
        assert is_flags(register(phrase)), phrase


_AROUND = (
    *("no {}", "not {}", "{} ok", "{} none", "{} 0", "{} 00", "{} 1", "{}\u2080", "{} \u2080"),
    *("!{}", "/{}", "{}#", "{}*", "({})", "{}?", "{}.", "{} \u2193", "{}\u2193", "{} \u21e9"),
    *("{} \u22601", "{} = 0", "{}=0", "{} \u203e", "{}\u0305", "\u00ac{}", "{} @low", "{} %"),
    *("{} NC", "{} n.c.", "{}_n", "{}_L", "{} inverted", "{} active low", "{} +", "{} \u00a7"),
    *("{} \u6ca1\u6709", "{} x", "{} free", "{} chain", "{}\u2032", "{} & 0", "{} `", "{} reset"),
)


@pytest.mark.parametrize("around", _AROUND)
def test_each_text_and_sign_around_a_phrase_is_asked(around: str) -> None:
    """Also signs that are outside ASCII, and words that no list has."""
    for phrase in ("leak", "pump fault", "low level", "supply temperature high"):
        name = around.format(phrase)
        for where in ("Alarm word", "Status"):
            assert is_asked(where, f"bit 0={name}"), name
        assert is_asked("Unit state", values=f"0=off / 1={name}"), name
    for phrase in ("running", "remote", "pump on"):
        assert is_asked("Status", f"bit 0={around.format(phrase)}")
    for phrase in ("alarm word", "active alarms", "fault register 2"):
        name = around.format(phrase)
        if not name.endswith(" 1"):
            assert is_asked(name), name
            assert is_asked(name, "bit 0=leak"), name
    for phrase in ("operating hours", "serial number", "system time"):
        assert is_asked(around.format(phrase))


@pytest.mark.parametrize("subject", ["flow", "phase", "sensor", "communication", "smoke", "door"])
def test_something_that_is_detected_is_asked(subject: str) -> None:
    assert is_asked("Alarm word", f"0={subject} detected")
    assert not is_asked("Alarm word", f"0={subject} detected (alarm at 0)")


@pytest.mark.parametrize(
    "bits",
    [
        "0=no alarm (state) / 1=leak / 2=pump fault / 4=low level / 8=filter dirty",
        "bit 0=none (state) / bit 1=leak / bit 2=pump fault / bit 4=low level",
        *("0=spare / 2=leak / 4=pump fault", "0=leak / 1=pump fault / 2=low level / 4=fan fault"),
        *("2=running / 4=pump fault", "1=leak", "bit 1=leak / bit 2=pump fault", "3=running"),
        *("0=no alarm (state) / 1=leak / 2=pump fault", "0=off (state) / 1=on (state)"),
        *("0=manual / 1=auto / 2=fault", "0=local / 1=remote / 2=fault", "0=fault / 1=run"),
        *("0=ready / 1=cooling / 2=leak / 3=pump fault", "0=standby / 1=cooling / 2=leak"),
        *("0=stopped / 1=cooling / 2=fault", "0=closed / 1=open / 2=fault", "0=running / 1=fault"),
        *("0=spare (state) / 1=leak / 2=pump fault", "0=remote / 1=running / 2=fault"),
        *("0=on / 1=auto / 2=fault", "0=running / 1=auto / 2=fault", "0=pump 1 on / 1=pump 2 on"),
    ],
)
def test_numbers_that_can_be_masks_or_values_are_asked(bits: str) -> None:
    for name in ("Status", "Unit status", "Alarm word", "Unit state"):
        assert is_asked(name, bits)


def test_numbers_that_are_those_of_bits_are_clear() -> None:
    assert not is_asked("Alarm word", "0=leak / 1=pump fault / 2=low level")
    assert not is_asked("Status", "0=running / 1=remote / 2=pump fault")
    assert not is_asked("Status", "bit 0=off / bit 1=run / bit 2=fault")
    assert not is_asked("Status", "0x01=off / 0x04=fault")
    assert not is_asked("Alarm word", "0=no leak (alarm at 0) / 1=door open (state)")
    assert not is_asked("Alarm word", "0=leak / 15=reserved (state)")


@pytest.mark.parametrize(
    "bits",
    [
        *("0..3 pump fault / 4=running", "0..3=pump fault", "0-3=pump fault", "0 - 3: pump fault"),
        *("0\u20133 pump fault", "0,1 pump fault", "0 3 pump fault", "0 & 1 pump fault"),
        *("0 to 3 pump fault", "0 pump fault", "0) pump fault", "0.pump fault", "4-7 pump fault"),
        *(
            "00=running / 01=pump fault / 10=leak",
            "0001=running",
            "01=leak",
            "10h=leak",
            "0b1=leak",
        ),
        *("\u0660=leak", "\u00b2=leak", "0-leak", "6.0=running", "bit 00=leak", "-1=leak"),
    ],
)
def test_each_other_form_of_a_number_is_an_error(bits: str) -> None:
    with pytest.raises(BenchError, match="is not like 0=leak; write each bit by itself"):
        row("Status", bits)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("7;Alarm word;f32;;;R;0=leak;", "has names of bits, and the type f32 has none"),
        ("7;Alarm word;u16;0.1;;R;0=leak;", "has bits or values, and a unit or a scale"),
        ("7;Alarm word;u16;;kPa;R;0=leak;", "has bits or values, and a unit or a scale"),
        ("7;Level;bits;;%;R;;", "has bits or values, and a unit or a scale"),
        ("7;Unit state;u16;0.1;;R;;0=off / 1=run", "has bits or values, and a unit or a scale"),
        (
            "7;Unit state;u16;;;R;;0=off (alarm at 0) / 1=run",
            r"value 'off' has the meaning \(alarm at 0\), which is that of a bit",
        ),
    ],
)
def test_columns_that_contradict_each_other_are_an_error(line: str, problem: str) -> None:
    with pytest.raises(BenchError, match=problem):
        parse_table(f"{_BITS}{line}\n", "t")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Interlock",
            "Safety chain",
            "Flow switch",
            "Pump switch",
            "Unit on",
            "Pump stop",
            "Stop",
        ),
        *(
            "Emergency off",
            "System stop",
            "Door switch",
            "Remote switch",
            "Start",
            "Cooling mode 3",
        ),
    ],
)
def test_a_register_that_can_be_written_is_asked_too(name: str) -> None:
    assert is_asked(name, access="RW")


@pytest.mark.parametrize("name", ["Interlock", "Safety chain", "Valve 1", "Door"])
def test_values_of_an_unknown_register_are_asked(name: str) -> None:
    assert is_asked(name, values="0=off / 1=on")
    assert not is_asked(name, values="0=off (alarm) / 1=on (state)")


@pytest.mark.parametrize(
    "line",
    [
        "6;Unit state;u16;;;R;0=manual / 1=auto / 2=fault",
        "6;Status;u16;;;R;0=no alarm (state) / 1=leak / 2=pump fault / 4=low level",
        *("6;Interlock;u16;;V;R;", "6;Alarm word 2;u16;;A;R;"),
        "6;Alarm word 2;u16;;;R;0=leak / 1=flow detected",
    ],
)
def test_outputs_keep_still_beside_a_row_that_is_asked(
    cdu: str, site: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [entry for entry in TABLE.splitlines() if entry[0] not in "67"]
    (site.parent / "table.csv").write_text("\n".join([*rows, line]), encoding="utf-8")
    before = words_of(cdu, capsys, 4, 2)
    assert main(command(cdu, site, "--write-test", "--to", "write-test")) == 1
    out = capsys.readouterr().out
    assert out.count(": refused '") == 2
    assert f"table.csv:8: {line.split(';')[1]!r}" in out
    assert words_of(cdu, capsys, 4, 2) == before
