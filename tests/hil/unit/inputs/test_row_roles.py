# SPDX-License-Identifier: Apache-2.0
"""Which rows of a register table become outputs: never one with access R, never by one word."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from hil.errors import BenchError
from hil.tools.commission.command import make_parser
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.inputs.row_roles import KNOWN, ROLES, KnownPoint
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.steps import Commissioning
from hil.tools.commission.table_profile import make_profile

_HEAD = "address;name;type;scale;unit;access;min;max;role\n"
_SENSORS = "0;Supply temperature;i16;0.1;°C;R;;;\n3;Differential pressure;i16;0.1;kPa;R;;;\n"
_ROLES = ("pump", "valve", "fan", "cdu")
_CLEAR = (
    ("Pump speed command", "%"),
    ("Valve command", "%"),
    ("Fan speed control", "%"),
    ("Temperature set-point", "°C"),
    ("Differential pressure setpoint", "kPa"),
)
_CHANGING = (
    *("mode", "enable", "alarm", "limit", "maximum", "minimum", "max.", "min.", "return", "room"),
    *("high", "low", "delay", "hysteresis", "default", "manual", "bypass", "drain", "ramp"),
    *("selection", "fault", "trip", "emergency", "standby", "(echo)", "source", "hours", "in"),
)


def draft(*rows: str) -> dict[str, Any]:
    return make_profile(_HEAD + _SENSORS + "\n".join(rows), "t.csv", "acme", "o")


def written(raw: dict[str, Any]) -> list[str]:
    return [point["name"] for point in raw["points"] if "write" in point]


def outputs(raw: dict[str, Any]) -> list[str]:
    return [role for role in _ROLES if role in raw]


@pytest.mark.parametrize(("name", "unit"), _CLEAR)
def test_a_clear_name_with_access_rw_is_an_output(name: str, unit: str) -> None:
    raw = draft(f"9;{name};u16;0.1;{unit};RW;;;")
    assert len(outputs(raw)) == len(written(raw)) == 1


@pytest.mark.parametrize("name", ["Pump speed command in %", "Pump command in percent"])
def test_a_unit_in_a_name_is_clear(name: str) -> None:
    assert outputs(draft(f"9;{name};u16;0.1;%;RW;;;")) == ["pump"]


@pytest.mark.parametrize("access", ["R", "", "RO"])
@pytest.mark.parametrize(("name", "unit"), _CLEAR)
def test_a_register_that_can_only_be_read_is_never_an_output(
    name: str, unit: str, access: str
) -> None:
    raw = draft(f"9;{name};u16;0.1;{unit};{access};0;100;")
    assert outputs(raw) == written(raw) == []
    assert 9 in [point["address"] for point in raw["points"]]


@pytest.mark.parametrize("word", _CHANGING)
@pytest.mark.parametrize(("name", "unit"), _CLEAR)
def test_one_more_word_is_no_output_by_a_guess(name: str, unit: str, word: str) -> None:
    for text in (f"{word} {name}", f"{name} {word}", f"{word.title()}{name.title()}"):
        raw = draft(f"9;{text};u16;0.1;{unit};RW;;;")
        assert outputs(raw) == written(raw) == [], text


@pytest.mark.parametrize("unit", ["", "none", "-"])
def test_an_empty_unit_is_none_of_the_agent(unit: str) -> None:
    rows = [f"{i + 9};{name};u16;1;{unit};RW;;;" for i, (name, _) in enumerate(_CLEAR)]
    raw = draft(*rows, f"20;Return temperature;u16;0.1;{unit};R;;;")
    assert outputs(raw) == written(raw) == []
    assert "ReturnTemperatureCelsius" not in [point["name"] for point in raw["points"]]


@pytest.mark.parametrize(
    "name",
    ["Supply temperature alarm limit", "Max. return temperature", "Flow low warning",
     "ReturnTemperatureHighLimit", "Differential pressure threshold", "Room supply temperature"],
)  # fmt: skip
def test_a_limit_is_no_measured_value(name: str) -> None:
    unit = "°C" if "emperature" in name else "kPa" if "pressure" in name else "L/min"
    raw = make_profile(_HEAD + f"0;{name};u16;0.1;{unit};R;;;", "t", "acme", "o")
    assert raw["points"][0]["name"] not in {known.point for known in KNOWN}


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *((f"{word} differential pressure", "kPa") for word in ("Filter", "Primary", "Exchanger")),
        *((f"{word} supply temperature", "°C") for word in ("Chilled water", "Power", "Oil")),
        *((f"{word} outlet temperature", "°C") for word in ("Air", "Pump", "Motor")),
        *((f"{word} flow", "L/min") for word in ("Makeup", "Bypass", "Drain")),
        *((f"{word} return temperature", "°C") for word in ("Bearing", "Rack 3", "Heat exchanger")),
        ("Valve temperature", "°C"),
        ("Delta temperature", "°C"),
        ("Pump supply pressure", "kPa"),
    ],
)
def test_one_more_word_is_no_measured_value_by_a_guess(name: str, unit: str) -> None:
    for text in (name, name.upper(), name.title().replace(" ", ""), name.replace(" ", "_")):
        raw = make_profile(_HEAD + f"0;{text};u16;0.1;{unit};R;;;", "t", "acme", "o")
        assert raw["points"][0]["name"] not in {known.point for known in KNOWN}, text


@pytest.mark.parametrize("known", [known for known in KNOWN if not known.is_written])
def test_the_name_of_a_measured_point_is_clear(known: KnownPoint) -> None:
    unit = {"Cel": "°C"}.get(known.unit, known.unit)
    raw = make_profile(_HEAD + f"0;{known.point};u16;0.1;{unit};R;;;", "t", "acme", "o")
    assert raw["points"][0]["name"] == known.point


def test_an_unclear_measured_value_is_named_and_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        Dialogue,
        "ask",
        lambda _, question, proposal: (
            "ReturnTemperatureCelsius" if question.endswith(": role") else proposal
        ),
    )
    rows = "9;Water return temperature;i16;0.1;°C;R;;;\n"
    monkeypatch.setattr(f"{__name__}._UNCLEAR", rows)
    raw = describe(tmp_path, Dialogue(assume_yes=False, as_json=False))
    assert raw["points"][2]["name"] == "ReturnTemperatureCelsius"
    assert "is not taken as ReturnTemperatureCelsius: the name has the word 'water'" in (
        capsys.readouterr().out
    )


def test_the_table_names_the_role() -> None:
    raw = draft("9;Manual bypass percent;u16;0.1;%;RW;;;valve", "10;Freq;u16;0.1;%;RW;;;Pump")
    assert outputs(raw) == ["pump", "valve"]
    raw = draft("9;T42 fluid;i16;0.1;°C;R;;;ReturnTemperatureCelsius")
    assert raw["points"][2]["name"] == "ReturnTemperatureCelsius"
    raw = draft("9;Pump speed command;u16;0.1;%;RW;;;monitor", "10;Mode;u16;1;;RW;;;monitor")
    assert outputs(raw) == written(raw) == []


def test_a_monitored_row_never_has_the_name_of_a_point_of_the_agent() -> None:
    for known in KNOWN:
        text = f"0;{known.point};u16;1;%;RW;;;monitor"
        raw = make_profile(_HEAD + text, "t", "acme", "o")
        assert raw["points"][0]["name"] != known.point
        assert outputs(raw) == written(raw) == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("9;Speed;u16;0.1;%;R;;;pump", "role 'pump' needs access RW"),
        ("9;Speed;u16;0.1;;RW;;;pump", "role 'pump' needs a unit"),
        ("9;Speed;u16;0.1;kPa;RW;;;pump", "PumpSpeedControlPercent needs %"),
        ("9;Speed;u16;0.1;%;RW;;;pomp", "role 'pomp' is none of pump, fan, valve"),
        ("9;Speed;bits;1;;RW;;;pump", "role 'pump': a register of bits"),
    ],
)
def test_a_role_that_the_row_cannot_have_is_refused(row: str, problem: str) -> None:
    with pytest.raises(BenchError, match=f"t.csv:4: .*{problem}"):
        draft(row)


def test_no_random_table_writes_a_register_that_it_calls_r() -> None:
    rng = random.Random(18)
    words = ["pump", "speed", "valve", "fan", "temp", "set", "point", "dp", "command", "mode"]
    for _ in range(2000):
        rows = []
        for address in range(9, 13):
            name = " ".join(rng.choices(words, k=rng.randint(1, 5)))
            unit, access = rng.choice(["%", "°C", "kPa", ""]), rng.choice(["R", "RW", ""])
            role = rng.choice(["", "", "", *ROLES, "monitor"])
            rows.append(f"{address};{name} {address};u16;0.1;{unit};{access};0;50;{role}")
        try:
            raw = draft(*rows)
        except BenchError:
            continue
        named = {point["address"]: point for point in raw["points"]}
        for row in rows:
            cells = row.split(";")
            if "write" in named.get(int(cells[0]), {}):
                assert (cells[5], cells[8] == "monitor") == ("RW", False), row


_UNCLEAR = "9;Pump control override;u16;0.1;%;RW;;;\n10;Valve command;u16;0.1;%;R;;;\n"


def describe(tmp_path: Path, dialogue: Dialogue) -> dict[str, Any]:
    table = tmp_path / "t.csv"
    table.write_text(_HEAD + _SENSORS + _UNCLEAR, encoding="utf-8")
    words = ["--dir", str(tmp_path), "--table", str(table), "--model", "acme_cdu"]
    journal = Journal(tmp_path)
    unit = {"port": "tcp:127.0.0.1:1", "unit": 7, "model": None, "proven": False}
    journal.put("scan", [unit])
    arguments = make_parser().parse_args(words)
    Commissioning(arguments, journal, dialogue, lambda _: None).describe()

    result: dict[str, Any] = json.loads((tmp_path / "profiles/acme_cdu.json").read_text())
    return result


def test_with_yes_an_unclear_row_is_named_and_the_row_is_monitored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = describe(tmp_path, Dialogue(assume_yes=True, as_json=False))
    assert outputs(raw) == written(raw) == []
    text = capsys.readouterr().out
    assert "t.csv:4: 'Pump control override' is not taken as PumpSpeedControlPercent" in text
    assert "the column `role` of the table can name it: pump, fan" in text
    assert "t.csv:5: 'Valve command' is not taken as ValvePositionControlPercent: the acc" in text


def test_without_yes_the_role_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(_: Dialogue, question: str, proposal: str) -> str:
        asked.append(question)
        return "pump" if question.endswith(": role") else proposal

    monkeypatch.setattr(Dialogue, "ask", ask)
    raw = describe(tmp_path, Dialogue(assume_yes=False, as_json=False))
    assert outputs(raw) == ["pump"]
    assert [question for question in asked if question.endswith(": role")] == [
        "Pump control override: role"
    ]
