# SPDX-License-Identifier: Apache-2.0
"""Mistakes of register tables: each one is FILE:LINE with a remedy, before a port is opened."""

import random
import re
import socket
from pathlib import Path

import pytest

from coldloop import main
from drivers.device.profile import DeviceProfile
from hil.errors import BenchError
from hil.tools.commission.table_profile import make_profile
from tests.hil.unit.test_commission import TABLE

_NAMES = (
    *("Supply temperature", "Return temperature", "Flow", "Differential pressure", "Pump speed"),
    *("Pump speed command", "Valve command", "Status", "Alarm word", "Temperature setpoint"),
    *("dp setpoint", "Pump 1 speed", "Pump 2 speed", "1", "Ω", "Fault code", "A", "9 x", "\x1b"),
)
_CELLS = {
    "address": ("0", "1", "2", "7", "0x10", "65535", "40001", "30001", "465537", "-1", "", "٣"),
    "type": ("u16", "i16", "u32", "i32", "f32", "bits", "", "x"),
    "scale": ("0.1", "1", "", "0", "-1", "1/0", "1e99", "0,1", "x", "1e-30", "1/3", "nan", "inf"),
    "unit": ("°C", "kPa", "bar", "%", "L/min", "", "none", "°F", "m3/h", "rpm"),
    "access": ("R", "RW", "", "WO"),
    "bits": ("", "0=a / 1=b", "0=a/1=a", "15=x", "16=x", "0=", "0=ä", "1=1", "0=a/0=b"),
    "min": ("", "0", "100", "-5", "1e9", "x", "1e400"),
    "max": ("", "0", "100", "-5", "1e9", "x"),
    "function": ("", "3", "4", "5"),
    "order": ("", "CDAB", "XX"),
    "comment": ("", '"', "a|b"),
}


def table(rng: random.Random) -> str:
    columns = ["address", "name", *(c for c in list(_CELLS)[1:] if rng.random() < 0.7)]
    lines = [";".join(columns)] if rng.random() < 0.9 else []
    for i in range(rng.randint(1, 4)):
        cells = {name: rng.choice(_CELLS[name]) for name in _CELLS if rng.random() < 0.4}
        cells["name"] = rng.choice(_NAMES)
        cells.setdefault("address", str(2 * i))
        lines.append(";".join(cells.get(column, "") for column in columns))
    return "\n".join(lines)


def test_each_mistake_of_random_tables_has_its_line() -> None:
    rng, good, texts = random.Random(5), 0, set()
    for _ in range(3000):
        text = table(rng)
        try:
            DeviceProfile(make_profile(text, "t.csv", "acme", "o"))
            good += 1
        except BenchError as error:
            for line in str(error).splitlines():
                match = re.fullmatch(r"t\.csv:(\d+): (.{10,})", line)
                assert match is not None, (line, text)
                assert 1 <= int(match[1]) <= text.count("\n") + 1, (line, text)
                texts.add(re.sub(r"'[^']*'|\d+", "", match[2]))
    assert good > 100
    assert len(texts) > 20


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("0.1;°C;R;\n1", "0.1;°F;R;\n1", "2: unit '°F' is unknown; use °C"),
        ("0.1;kPa;R;", "0.1;%;R;", "5: 'Differential pressure' is in %; DeltaPressurekPa needs"),
        ("7;Alarm", "6;Alarm", "9: address 6 is that of line 8; give it once"),
        ("3;Diff", "40004;Diff", "5: addresses 0 and 40004: references and addresses on the wire"),
        ("1;Return", "1;Supply", "3: 'Supply temperature' is SupplyTemperatureCelsius, which a"),
        ("0=leak", "0=running", "9: bit Running: the name is taken already; correct this line"),
        (";i16;0.1;°C;R;\n1", ";i16;1e40;°C;R;\n1", "2: scale '1e40' is not from 0.000001"),
        ("2;Flow;u16;0.1;L/min;R;", "2;Flow;u16;0.1;L/min;RX;", "4: access 'RX' is none of"),
    ],
)
def test_the_table_is_checked_before_a_port_is_opened(
    old: str,
    new: str,
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLDLOOP_PROFILES", "")
    path = tmp_path / "my.csv"
    assert old in TABLE
    path.write_text(TABLE.replace(old, new, 1), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        port = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        words = ["commission", port, "--units", "7", "--table", str(path), "--yes"]
        with pytest.raises(SystemExit, match="2"):
            main([*words, "--dir", str(tmp_path / "site")])
        with pytest.raises(BlockingIOError):
            server.accept()
    assert f"{path}:{problem}" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


_ONE = "address;name;type;scale;unit;access;function\n{};Supply temperature;i16;0.1;°C;R;{}\n"


@pytest.mark.parametrize(
    ("address", "function", "wire"),
    [
        ("0x9C41", "", (3, 0x9C41)),
        ("0X9c40", "", (3, 40000)),
        ("0x7531", "4", (4, 30001)),
        ("0xFFFF", "", (3, 65535)),
        ("40001", "", (3, 0)),
        ("30001", "", (4, 0)),
        ("400001", "", (3, 0)),
        ("365536", "4", (4, 65535)),
        ("00004", "", (3, 4)),
        ("30000", "", (3, 30000)),
    ],
)
def test_the_form_of_an_address_decides_what_it_is(
    address: str, function: str, wire: tuple[int, int]
) -> None:
    """A number that is written as 0x… is the one on the wire, whatever its size is."""
    raw = make_profile(_ONE.format(address, function), "t", "acme", "o")
    block = DeviceProfile(raw).blocks[0]
    assert (block.function, block.address) == wire


def test_each_hexadecimal_address_is_on_the_wire() -> None:
    rng = random.Random(18)
    for _ in range(300):
        rows = rng.sample(range(0x10000), 2)
        text = "address;name;type;scale;unit;access\n"
        text += f"0x{rows[0]:x};Supply temperature;i16;0.1;°C;R\n"
        text += f"0X{rows[1]:04X};Pump speed command;u16;0.1;%;RW\n"
        profile = DeviceProfile(make_profile(text, "t", "acme", "o"))
        assert [(p.function, p.address) for p in profile.points] == [(3, row) for row in rows]


def test_a_reference_beside_a_hexadecimal_address_stays_a_reference() -> None:
    text = _ONE.format("0x0000", "") + "40006;Return temperature;i16;0.1;°C;R;\n"
    profile = DeviceProfile(make_profile(text, "t", "acme", "o"))
    assert [point.address for point in profile.points] == [0, 5]
    with pytest.raises(BenchError, match="t:3: address 5 is that of line 2"):
        make_profile(text.replace("0x0000", "0x0005"), "t", "acme", "o")


@pytest.mark.parametrize(
    ("address", "function", "problem"),
    [
        ("0x10000", "", "address 0x10000 is above 0xFFFF"),
        ("50000", "", "address 50000 is no reference to a register"),
        ("000004", "", "address 000004 is no reference to a register"),
        ("465537", "", "address 465537 is no reference to a register"),
        ("30001", "3", "address 30001 is read with function 4, not 3"),
        ("4_0", "", "address '4_0' is not a number"),
        ("٣", "", "address '٣' is not a number"),
        ("+40001", "", "is not a number"),
    ],
)
def test_an_address_without_one_meaning_is_refused(
    address: str, function: str, problem: str
) -> None:
    with pytest.raises(BenchError, match=problem.replace("+", r"\+")):
        make_profile(_ONE.format(address, function), "t", "acme", "o")
