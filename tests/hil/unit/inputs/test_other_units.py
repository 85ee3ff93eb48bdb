# SPDX-License-Identifier: Apache-2.0
"""A normal table of a vendor: two pumps, and units that the agent does not use."""

from pathlib import Path
from typing import Any

import pytest

from hil.errors import BenchError
from hil.tools.commission.table_profile import make_profile
from tests.hil.unit.inputs.test_row_states import not_understood

_HEAD = "address;name;type;scale;unit;access\n0;Supply temperature;i16;0.1;°C;R\n"


def points(rows: str) -> dict[str, dict[str, Any]]:
    raw = make_profile(_HEAD + rows, "t", "acme", "o")
    return {point["name"]: point for point in raw["points"]}


def test_a_numbered_name_after_the_first_is_monitored() -> None:
    found = points("8;Pump 1 speed;u16;0.1;%;R\n9;Pump 2 speed;u16;0.1;%;R\n")
    assert found["PumpSpeedPercent"]["address"] == 8
    assert found["Pump2Speed"]["address"] == 9
    found = points("8;Supply temperature T2;i16;0.1;°C;R\n")
    assert found["SupplyTemperatureCelsius"]["address"] == 0
    assert found["SupplyTemperatureT2"]["address"] == 8


@pytest.mark.parametrize(
    "rows",
    [
        "8;Supply temp;i16;0.1;°C;R\n",
        "8;Pump 1 command;u16;0.1;%;RW\n9;Pump 2 command;u16;0.1;%;RW\n",
    ],
    ids=["without a number", "outputs"],
)
def test_another_name_of_a_point_is_a_question(rows: str) -> None:
    with pytest.raises(BenchError, match=r"which a line above is already; .* role monitor"):
        points(rows)


@pytest.mark.parametrize(
    "unit", ["h", "kWh", "bar(g)", "K", "mA", "Hz", "µS/cm", "gpm", "furlong", "°F"]
)
def test_the_unit_of_a_monitored_row_is_text(unit: str) -> None:
    found = points(f"8;Reservoir value;u16;0.1;{unit};R\n")
    assert found["ReservoirValue"]["unit"] == unit
    assert found["ReservoirValue"]["scale"] == [1, 10]


@pytest.mark.parametrize(
    ("name", "access"), [("Return temperature", "R"), ("Supply temperature set-point", "RW")]
)
def test_a_point_of_the_agent_needs_its_unit(name: str, access: str) -> None:
    with pytest.raises(BenchError, match="unit '°F' is unknown; use °C"):
        points(f"8;{name};u16;0.1;°F;{access}\n")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *(("Unit state", unit) for unit in ("code", "enum", "hex", "on/off", "kWh", "h", "A", "%")),
        *(("Alarm word", "A"), ("Alarm", "A"), ("Fault code", "h"), ("Interlock", "V")),
        *(("Supply temperature high", "°C"), ("Flow switch", "L/min"), ("Motor current", "V")),
    ],
)
def test_a_unit_alone_does_not_make_a_number(tmp_path: Path, name: str, unit: str) -> None:
    (line,) = not_understood(tmp_path, f"6;{name};u16;1;{unit};R;;")
    assert f"{name!r} (unit {unit}) can show an alarm" in line or "a count or a code" in line


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *(("Motor current", "A"), ("Pump 2 motor current", "A"), ("Phase voltage L1", "V")),
        *(("Filter differential pressure", "kPa"), ("Tank level", "%"), ("Room humidity", "%RH")),
        *(("Pump running hours", "h"), ("Total energy", "kWh"), ("Static pressure", "bar(g)")),
        *(("Drive frequency", "Hz"), ("Cooling power", "kW"), ("Conductivity", "µS/cm")),
    ],
)
def test_a_quantity_with_its_unit_is_a_number(tmp_path: Path, name: str, unit: str) -> None:
    assert not_understood(tmp_path, f"6;{name};u16;1;{unit};R;;") == []
