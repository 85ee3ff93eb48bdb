# SPDX-License-Identifier: Apache-2.0
"""What can show an alarm is an alarm, or is asked: by whatever name, register and polarity."""

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.device.profile import DeviceProfile
from hil.errors import BenchError
from hil.tools.commission.command import make_parser
from hil.tools.commission.inputs.argument_values import parse_gauges
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.steps import Commissioning
from hil.tools.commission.table_profile import make_profile
from hil.tools.commission.unit_draft import DraftDevice, check_one_cdu

_HEAD = "address;name;type;scale;unit;access;bits;role\n"
_SENSOR = "0;Supply temperature;i16;0.1;°C;R;;\n"


def bits_of(raw: dict[str, Any]) -> dict[str, tuple[bool, bool]]:
    """Return (is an alarm, is inverted) of each bit by its name."""
    return {bit.name: (bit.alarm, bit.invert) for bit in DeviceProfile(raw).bits}


def made(row: str) -> dict[str, tuple[bool, bool]]:
    return bits_of(make_profile(_HEAD + _SENSOR + row, "t", "acme", "o"))


def not_understood(tmp_path: Path, row: str, columns: str = _HEAD.strip()) -> list[str]:
    """Return the lines that keep all outputs still."""
    table = tmp_path / "t.csv"
    table.write_text(f"{columns}\n" + _SENSOR + row, encoding="utf-8")
    words = ["--dir", str(tmp_path), "--table", str(table), "--model", "acme_cdu"]
    journal = Journal(tmp_path)
    journal.put("scan", [{"port": "tcp:127.0.0.1:1", "unit": 7, "model": None, "proven": False}])
    dialogue = Dialogue(assume_yes=True, as_json=False)
    arguments = make_parser().parse_args(words)
    devices = Commissioning(arguments, journal, dialogue, lambda _: None).describe()
    return [line for device in devices for line in device.get("not_understood", [])]


@pytest.mark.parametrize("register", ["Status", "State word", "Events", "Word 1"])
@pytest.mark.parametrize(
    "name", ["leak detected", "pump fault", "Pump Failure", "EmergencyStop", "Störung Pumpe",
             "drive tripped", "Filter alm", "low level warning", "comm error", "Fault A"],
)  # fmt: skip
def test_a_bit_named_as_an_alarm_is_one_in_each_register(register: str, name: str) -> None:
    found = made(f"6;{register};u16;;;R;0=running / 1={name};")
    assert [alarm for alarm, _ in found.values()] == [False, True]


@pytest.mark.parametrize("name", ["running", "remote", "pump on", "AutoMode", "valve open"])
def test_a_known_state_is_no_alarm_and_not_asked(tmp_path: Path, name: str) -> None:
    row = f"6;Status;u16;;;R;bit 0={name};"
    assert list(made(row).values()) == [(False, False)]
    assert not_understood(tmp_path, row) == []


@pytest.mark.parametrize("register", ["Status", "Alarm word"])
@pytest.mark.parametrize("name", ["no leak", "pump OK", "level normal", "NotTripped", "leak free"])
def test_the_name_of_a_good_state_is_asked(tmp_path: Path, register: str, name: str) -> None:
    lines = not_understood(tmp_path, f"6;{register};u16;;;R;0=pump fault / 1={name};")
    assert len(lines) == 1
    assert f"bit 1 {name!r}: is it an alarm? Write (alarm), (alarm at 0) or (state)" in lines[0]


def test_an_unknown_bit_of_another_register_is_asked(tmp_path: Path) -> None:
    for register in ("Status", "Alarm word"):
        assert not_understood(tmp_path, f"6;{register};u16;;;R;0=door 3;")
    assert not_understood(tmp_path, "6;Alarm word;u16;;;R;0=door 3 (alarm);") == []


@pytest.mark.parametrize("register", ["Status", "Alarm word", "Interlocks"])
@pytest.mark.parametrize(
    "name",
    [
        *("level sufficient", "phases in order", "communication alive", "air pressure established"),
        *("power on", "sensor present", "filter clean", "within limits", "nominal", "dry"),
        *("leakfree", "noleak", "fault absent", "Leak dry", "Emergency stop released", "Alm none"),
        *("Interlock closed", "Interlock", "safety chain closed", "flow present", "Error zero"),
        *("A1", "B2", "Alarm output idle", "Alarms suppressed", "Failover ready"),
    ],
)
def test_a_bit_with_an_unknown_word_is_asked(tmp_path: Path, register: str, name: str) -> None:
    row = f"6;{register};u16;;;R;0={name};"
    assert next(iter(made(row).values())) == (False, False)
    assert not_understood(tmp_path, row)


@pytest.mark.parametrize("register", ["Status", "Alarm word"])
@pytest.mark.parametrize(
    "name",
    [
        *("leak (0=alarm)", "leak (0)", "leak = 0", "!leak", "~leak", "leak#", "leak_n", "leak -"),
        *("leak [alarm at 0]", "leak (low)", "leak: 0", "leak.0", "leak 0V", "0 = leak", "leak*"),
    ],
)
def test_a_sign_that_can_turn_the_meaning_of_a_bit_is_asked(
    tmp_path: Path, register: str, name: str
) -> None:
    row = f"6;{register};u16;;;R;0={name};"
    assert next(iter(made(row).values())) == (False, False)
    assert not_understood(tmp_path, row)


@pytest.mark.parametrize(
    "name",
    ["Pump #2 fault", "pump-1 trip", "fan 12 alarm", "low_level", "PumpFault", "valve2 error"],
)
def test_a_number_of_a_thing_or_a_dash_turns_no_meaning(tmp_path: Path, name: str) -> None:
    row = f"6;Alarm word;u16;;;R;0={name};"
    assert next(iter(made(row).values())) == (True, False)
    assert not_understood(tmp_path, row) == []


@pytest.mark.parametrize(
    "meaning", ["(alarm at 0 )", "(alarm at  0)", "( Alarm at 0)", "(alarm\u00a0at 0)"]
)
def test_the_spelling_of_a_meaning_is_not_strict(meaning: str) -> None:
    assert made(f"6;Status;u16;;;R;0=leak {meaning};") == {"Leak": (True, True)}


@pytest.mark.parametrize("register", ["Alarm word NC", "!Alarms", "Alarm (0=alarm)", "Leak_N"])
def test_a_register_that_can_turn_all_its_bits_is_asked(tmp_path: Path, register: str) -> None:
    assert not_understood(tmp_path, f"6;{register};u16;;;R;0=leak / 1=pump fault;")
    assert not_understood(tmp_path, f"6;{register};u16;;;R;;")
    assert not_understood(tmp_path, f"6;{register};u16;;;R;0=leak (alarm at 0);") == []


@pytest.mark.parametrize(
    "bits",
    [
        "1=leak / 2=pump fault / 4=level fault / 8=filter fault",
        *("1=leak / 2=pump fault / 3=fan fault", "1=leak (alarm)", "2=leak / 4=fault / 8=trip"),
    ],
)
def test_numbers_of_bits_that_can_be_masks_are_asked(tmp_path: Path, bits: str) -> None:
    for register in ("Alarm word", "Word 3"):
        (line,) = not_understood(tmp_path, f"6;{register};u16;;;R;{bits};")
        assert "bits count from 0. Are these masks, or do they count from 1?" in line
        assert not_understood(tmp_path, f"6;{register};u16;;;R;0=spare (state) / {bits};")
        named = "bit 0=spare (state) / bit " + bits.replace("/ ", "/ bit ")
        is_asked = not_understood(tmp_path, f"6;{register};u16;;;R;{named};") != []
        is_marked = "(alarm)" in bits
        assert is_asked == (" 4=" in bits or (register == "Word 3" and not is_marked))


def test_a_bit_without_a_name_in_a_register_of_alarms_is_one() -> None:
    for register in ("Alarm word", "Word 3"):
        found = made(f"6;{register};u16;;;R;0=leak / 2=pump fault;")
        assert len(found) == 16
        assert all(alarm == (True, False) for alarm in found.values())
    found = made("6;Alarm word;u16;;;R;0=leak / 15=reserved (state);")
    assert [name for name, (alarm, _) in found.items() if not alarm] == ["Reserved"]
    assert len(made("6;Word 3;u16;;;R;0=leak / 1=running;")) == 2
    assert len(made("6;Alarm word;u16;;;R;0=leak / 2=pump fault;monitor")) == 2


@pytest.mark.parametrize("name", ["Unit state", "Interlock", "Pump condition", "Stage"])
def test_access_rw_does_not_make_a_state_clear(tmp_path: Path, name: str) -> None:
    columns = "address;name;type;scale;unit;access;min;max;role"
    assert not_understood(tmp_path, f"6;{name};u16;;;RW;0;2;", columns)
    assert not_understood(tmp_path, f"6;{name};u16;;;RW;0;2;monitor", columns) == []


@pytest.mark.parametrize("name", ["Start command", "Control mode", "Pump enable", "Baud rate"])
def test_a_command_shows_no_alarm(tmp_path: Path, name: str) -> None:
    columns = "address;name;type;scale;unit;access;min;max;role"
    assert not_understood(tmp_path, f"6;{name};u16;;;RW;0;2;", columns) == []


def test_a_bit_that_is_not_understood_is_no_trip_of_the_pump() -> None:
    rows = "4;Pump speed command;u16;0.1;%;RW;;\n7;Alarm word;u16;;;R;0={};"
    for name, trip in (("no pump fault", None), ("pump fault", "PumpFault")):
        raw = make_profile(_HEAD + _SENSOR + rows.format(name), "t", "acme", "o")
        assert raw["pump"].get("trip") == trip


def test_the_table_gives_the_meaning_of_a_bit(tmp_path: Path) -> None:
    row = "6;Status;u16;;;R;0=no leak (alarm at 0) / 1=door (Alarm) / 2=pump OK (state);"
    assert made(row) == {"NoLeak": (True, True), "Door": (True, False), "PumpOK": (False, False)}
    assert not_understood(tmp_path, row) == []


@pytest.mark.parametrize("order", ["", "CDAB", "BADC", "DCBA"])
def test_the_places_of_alarms_follow_the_order_of_two_registers(order: str) -> None:
    head = _HEAD.replace("\n", ";order\n")
    row = f"6;Status;u32;;;R;3=no leak (alarm at 0) / 20=pump fault / 21=running;;{order}"
    found = bits_of(make_profile(head + row, "t", "acme", "o"))
    expected = {"NoLeak": (True, True), "PumpFault": (True, False), "Running": (False, False)}
    assert found == expected


@pytest.mark.parametrize(
    "name",
    [
        *("Flow state", "Diagnostics", "Events", "Zustand", "Code", "Condition 2", "Message"),
        *("Flow", "Valve", "System", "Local", "Real"),
        *("Current state", "Current event", "Current condition", "Over current", "Under voltage"),
        *("Over speed", "Event number", "Active event count", "Second pump condition", "Speed"),
        *("Heartbeat lost", "Modbus time out", "Phase current imbalance", "Second pump"),
        *("Service hours exceeded", "Alarm free", "Fault absent", "Leakfree", "Interlocks"),
    ],
)
def test_a_register_without_a_unit_and_a_known_name_is_asked(tmp_path: Path, name: str) -> None:
    assert not_understood(tmp_path, f"6;{name};u16;;;R;;")
    assert not_understood(tmp_path, f"6;{name};u16;;;R;;monitor") == []


@pytest.mark.parametrize(
    "name",
    [
        *("Serial number", "Operating hours", "Firmware version", "Second", "Year"),
        *("Water Quality pH", "Pump 2 running hours", "Heartbeat", "Real time clock"),
    ],
)
def test_a_plain_number_is_not_asked(tmp_path: Path, name: str) -> None:
    assert not_understood(tmp_path, f"6;{name};u16;;;R;;") == []


@pytest.mark.parametrize("name", ["Pump failure", "Err code", "Emergency stop", "Leckage", "Alm 1"])
def test_an_alarm_register_without_bits_has_alarms(name: str) -> None:
    assert all(alarm for alarm, _ in made(f"6;{name};u16;;;R;;").values())


_WHOLE = [
    *("0;Supply temperature;i16;0.1;°C;R;;", "3;Differential pressure;i16;0.1;kPa;R;;"),
    "4;Pump speed command;u16;0.1;%;RW;;",
]


@pytest.mark.parametrize(
    "name", ["Last fault code", "Alarm count", "Number of alarms", "Total faults"]
)
def test_a_count_of_alarms_has_no_bits_and_is_asked(tmp_path: Path, name: str) -> None:
    assert made(f"6;{name};u16;;;R;;") == {}
    lines = not_understood(tmp_path, f"6;{name};u16;;;R;;")
    assert "is a count or a code of alarms" in lines[0]
    assert "role monitor if it shows only the past" in lines[0]
    assert not_understood(tmp_path, f"6;{name};u16;;;R;;monitor") == []


@pytest.mark.parametrize(("name", "unit"), [("Motor current", "A"), ("Frequency", "Hz")])
def test_a_value_with_a_unit_is_a_number(tmp_path: Path, name: str, unit: str) -> None:
    assert not_understood(tmp_path, f"6;{name};u16;;{unit};R;;") == []


def test_two_whole_cdus_are_two_units() -> None:
    whole = make_profile(_HEAD + "\n".join(_WHOLE), "t", "whole", "o")
    pump = make_profile(_HEAD + "\n".join(_WHOLE[1:]), "t", "pump", "o")
    profiles = {"whole": DeviceProfile(whole), "pump": DeviceProfile(pump)}
    devices = [DraftDevice(f"d{i}", "tcp:h:1", i, "whole") for i in (7, 8)]
    check_one_cdu([devices[0], devices[1]._replace(profile="pump")], profiles)
    with pytest.raises(BenchError, match=r"d7 and d8: each measures .* a unit of its own"):
        check_one_cdu(devices, profiles)


def test_a_gauge_of_one_point_is_given_once() -> None:
    both = ["cdu.DeltaPressurekPa=36,2", "cdu2.DeltaPressurekPa=40"]
    assert list(parse_gauges(both)) == ["cdu.DeltaPressurekPa", "cdu2.DeltaPressurekPa"]
    with pytest.raises(BenchError, match="is given with and without a device"):
        parse_gauges([*both, "DeltaPressurekPa=36"])
    with pytest.raises(BenchError, match="its comma can be decimal or of thousands"):
        parse_gauges(["DeltaPressurekPa=1,250"])


def test_a_gauge_of_several_devices_is_none_of_them(tmp_path: Path) -> None:
    raw = make_profile(_HEAD + "\n".join(_WHOLE), "t", "whole_cdu", "o")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/whole_cdu.json").write_text(json.dumps(raw), encoding="utf-8")
    journal = Journal(tmp_path)
    device = {"port": "tcp:127.0.0.1:1", "profile": "whole_cdu"}
    journal.put("describe", [{**device, "name": f"c{i}", "unit": i} for i in (7, 8)])
    arguments = make_parser().parse_args(
        ["--dir", str(tmp_path), "--gauge", "SupplyTemperatureCelsius=36"]
    )
    work = Commissioning(arguments, journal, Dialogue(assume_yes=True, as_json=False), print)
    with pytest.raises(BenchError, match=r"is one of c7\.Supply\w+, c8\.Supply\w+; name which"):
        work.values()
