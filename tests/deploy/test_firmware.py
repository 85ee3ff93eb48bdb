"""The ARM image: built twice the same, booted under QEMU; slots, storage, watchdog, a row."""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands import profiles
from agent.remote.storage import software_slots
from benchmarks.firmware import HEAP, captured, played
from deploy.errors import FirmwareError
from deploy.firmware import board_image as builder
from deploy.firmware import flash, memory_layout, rp2
from deploy.firmware.board_image import Image, build
from deploy.firmware.boards import QEMU_BOARDS
from deploy.firmware.build_tools import mpy_cross
from deploy.firmware.profile_trim import trimmed
from deploy.firmware.qemu import Machine, running
from deploy.firmware.qstr_pool import names_of
from deploy.firmware.romfs import app, portable_modules, romfs
from drivers.device.profile import Profile
from drivers.device.profile_check import check
from hil.bench.testbed import Row
from hil.bench.testbed_settings import Setting
from hil.commands import hil
from hil.kernel.world import World
from hil.scenario.loader import find, shipped
from tests.support.peers import need
from tests.support.repository import BOARD_START, ROOT, portable_files

BOARD = QEMU_BOARDS["qemu-mps2"]
PATIENCE_S = 90
FLASH_BYTES = 1 << 20
"""The storage; what updates have written to the slots lies behind it."""


def config(*without: str) -> bytes:
    """A unit with a receiver and a bus on the board's UARTs."""
    row = Row(World(1, 0), Setting(pumps=1))
    raw = row.config("uart:1?baud=115200", "uart:2?baud=19200", "tcp:x:1883", "store:/flash/store")
    for key in ("broker", *without):
        del raw[key]
    return json.dumps(raw).encode()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    need("arm-none-eabi-gcc")
    need("qemu-system-arm")
    return build(BOARD, tmp_path_factory.mktemp("image"), config())


@pytest.fixture
def slots(image: Image, tmp_path: Path) -> dict[str, Path]:
    """Slot a with release 1, slot b with release 2."""
    other = tmp_path / "b.bin"
    whole = image.app.read_bytes()
    length, _, _ = memory_layout.head_of(whole)
    romfs = whole[memory_layout.HEAD_BYTES : memory_layout.HEAD_BYTES + length]
    other.write_bytes(memory_layout.with_head(romfs, 2))
    return {"a": image.app, "b": other}


@pytest.fixture
def machine(image: Image, tmp_path: Path) -> Iterator[Machine]:
    with running(image, folder=tmp_path) as started:
        yield started


def test_the_agent_runs_on_the_image(machine: Machine, image: Image) -> None:
    said = machine.wait_for("slot a, release 1, sha256", PATIENCE_S)
    assert memory_layout.head_of(image.app.read_bytes())[2] in said
    machine.wait_for(r"port 0: opened: uart:1", PATIENCE_S)
    machine.wait_for(r"port 4: opened: uart:2", PATIENCE_S)
    machine.wait_for(r"alarm raised bus_lost:bus", PATIENCE_S)  # nothing is on its UARTs
    assert "coldloop: reset: power on" in machine.console


def test_it_is_built_twice_the_same(image: Image, tmp_path: Path) -> None:
    again = build(BOARD, tmp_path, config())
    assert again.app.read_bytes() == image.app.read_bytes()
    assert again.firmware.read_bytes() == image.firmware.read_bytes()


def test_bytecode_beside_the_sources_is_no_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = tmp_path / "mps2"
    shutil.copytree(builder.PORT, port, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(builder, "PORT", port)
    named = builder._sources()
    (port / "__pycache__").mkdir()
    (port / "__pycache__" / "_slots.cpython-313.pyc").write_bytes(b"bytecode")
    assert builder._sources() == named
    (port / "main.c").write_bytes(b"")
    assert builder._sources() != named


def test_a_machine_that_cannot_start_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FirmwareError, match="qemu-system-arm: not installed"):
        Machine(Image(BOARD, tmp_path, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_application_is_not_started(
    slots: dict[str, Path], image: Image, tmp_path: Path
) -> None:
    damaged = bytearray(slots["a"].read_bytes())
    damaged[5000] ^= 1
    bad = tmp_path / "bad.bin"
    bad.write_bytes(damaged)
    with running(image, folder=tmp_path, slots={"a": bad, "b": slots["b"]}) as machine:
        machine.wait_for("slot a: empty or damaged", PATIENCE_S)
        machine.wait_for("slot b, release 2", PATIENCE_S)


def put_on_trial(image: Image, folder: Path) -> None:
    """Leave in the storage what an agent leaves that has fetched release 2 into slot b."""
    found = software_slots.Releases()
    found.stand(0)
    found.fetch(software_slots.Release([1, 2, 1, b"", b"", 7, 3600, [], 1024]))
    data = found.begin([])[0][1]
    words = f"f=open('/flash/store/update.record','wb');f.write(bytes.fromhex('{data.hex()}'))"
    empty = folder / "empty.bin"
    empty.write_bytes(bytes(64))
    with running(image, folder=folder, slots={"a": empty}) as machine:
        machine.wait_for("no application", PATIENCE_S)
        machine.type(words + ";f.close();print('done', 1)\r\n")
        machine.wait_for("^done 1", PATIENCE_S)


def test_a_trial_that_never_confirms_is_given_up(
    slots: dict[str, Path], image: Image, tmp_path: Path
) -> None:
    put_on_trial(image, tmp_path)
    seen = []
    for _ in range(4):
        with running(image, folder=tmp_path, slots=slots) as machine:
            seen.append(machine.wait_for(r"slot ., release \d", PATIENCE_S)[:16])
    assert seen == ["coldloop: slot b"] * 3 + ["coldloop: slot a"]


def test_a_trial_that_ends_badly_is_started_anew_and_given_up(
    slots: dict[str, Path], image: Image, tmp_path: Path
) -> None:
    source = tmp_path / "micropython.py"
    source.write_text("raise OSError('a bad release')\n")
    bad = source.with_suffix(".mpy")
    subprocess.run([mpy_cross(), "-o", str(bad), str(source)], check=True)
    packages = {"agent/__init__.py": b"", "agent/runtime/__init__.py": b""}
    broken = romfs({**packages, "agent/runtime/micropython.mpy": bad.read_bytes(), "unit.json": b""})
    slots["b"].write_bytes(memory_layout.with_head(broken, 2))
    put_on_trial(image, tmp_path)
    with running(image, folder=tmp_path, slots=slots) as machine:
        machine.wait_for(r"slot a, release 1", PATIENCE_S)
        tried = [line for line in machine.console if "slot b, release 2" in line]
        assert [line.rpartition(", ")[2] for line in tried] == ["on trial"] * 3
        assert machine.console.count("OSError: a bad release") == 3


def test_what_an_update_wrote_is_laid_over_what_qemu_loads(
    slots: dict[str, Path], image: Image, tmp_path: Path
) -> None:
    flash_image = tmp_path / "flash.img"
    with flash_image.open("wb") as file:
        file.seek(
            FLASH_BYTES + memory_layout.SLOT_BYTES
        )  # the storage is empty, slot a was never written
        file.write(slots["b"].read_bytes())
    empty = tmp_path / "empty.bin"
    empty.write_bytes(bytes(64))
    with running(image, folder=tmp_path, slots={"a": empty}) as machine:
        machine.wait_for("slot a: empty or damaged", PATIENCE_S)
        machine.wait_for("slot b, release 2", PATIENCE_S)


def test_storage_outlives_the_power(image: Image, tmp_path: Path) -> None:
    bare = tmp_path / "bare.bin"
    bare.write_bytes(memory_layout.with_head(app(None), 7))
    write = "f=open('/flash/unit.json','w');f.write('{}');f.close();print('kept', 1)\r\n"
    with running(image, folder=tmp_path, slots={"a": bare}) as machine:
        machine.wait_for("no configuration", PATIENCE_S)
        machine.type(write)
        machine.wait_for("^kept 1|kept 1$", PATIENCE_S)
    with running(image, folder=tmp_path, slots={"a": bare}) as machine:
        machine.wait_for("configuration /flash/unit.json", PATIENCE_S)
        machine.wait_for("version: missing", PATIENCE_S)  # {} is no configuration
        machine.wait_for("the agent ended with 2", PATIENCE_S)


def test_a_watchdog_that_is_not_fed_starts_it_anew(image: Image, tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.write_bytes(bytes(64))
    with running(image, folder=tmp_path, slots={"a": empty}) as machine:
        machine.wait_for("no application", PATIENCE_S)
        machine.type("import machine;machine.WDT(timeout=500)\r\n")
        machine.wait_for("reset: watchdog", PATIENCE_S)


def test_time_by_instructions_is_the_same_every_time(image: Image, tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.write_bytes(bytes(64))
    told = []
    for _ in range(2):
        with running(image, folder=tmp_path, slots={"a": empty}, shift=3) as machine:
            machine.wait_for("no application", PATIENCE_S)
            machine.type("import time;time.sleep_ms(5);print('after', 1)\r\n")
            told.append(machine.wait_for("^after 1|after 1$", PATIENCE_S))
    assert told[0] == told[1]


def test_what_is_portable_is_what_the_gates_say() -> None:
    wanted = [n for n in portable_files() if n.split("/")[0] in ("agent", "drivers", "protocols")]
    assert portable_modules() == wanted


def test_a_romfs_has_no_room_for_more_than_a_slot() -> None:
    with pytest.raises(ValueError, match="do not fit a slot"):
        memory_layout.with_head(bytes(memory_layout.SLOT_BYTES), 1)
    with pytest.raises(ValueError, match="not an application"):
        memory_layout.head_of(bytes(64))
    assert romfs({"b/x": b"1", "a": b"2"}) == romfs({"a": b"2", "b/x": b"1"})


def test_the_head_is_read_alike_on_the_board() -> None:
    text = (ROOT / "deploy" / "firmware" / "mps2" / "_start.py").read_text()
    assert re.findall(r'"([ab])", (0x\w+)', text) == [
        (k, hex(v)) for k, v in memory_layout.SLOTS.items()
    ]
    assert f"HEAD = {memory_layout.HEAD_BYTES}" in text
    assert memory_layout.SLOT_BYTES == FLASH_BYTES == 1024 * 1024
    assert text.count("= 1024 * 1024") == 2
    assert f"MOST_STARTS = {software_slots.MOST_STARTS}" in (ROOT / BOARD_START).read_text()
    assert memory_layout.MAGIC.decode() in text


def test_the_first_write_comes_within_a_second_of_the_reset(tmp_path: Path) -> None:
    """By counted instructions, 125 million a second: the same on every machine."""
    need("arm-none-eabi-gcc")
    need("qemu-system-arm")
    figures = played(captured("link-alarm", 3, 1), tmp_path, 0, 3, HEAP)
    assert figures["first_write_us"] > 0
    assert figures["ready_us"] + figures["first_write_us"] <= 1_000_000
    assert figures["at_start"] <= 160 * 1024


def plain(value: object) -> object:
    """What an object is made of, for comparison."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__dict__"):
        return {key: plain(item) for key, item in vars(value).items()}
    return value


@pytest.mark.parametrize("name", sorted(profiles()))
def test_a_board_s_map_compiles_to_the_same_as_the_whole_one(name: str) -> None:
    path = ROOT / "drivers" / "profiles" / f"{name}.json"
    short = json.loads(trimmed(path))
    assert check(short, name) == []
    whole = Profile(json.loads(path.read_bytes()))
    assert plain(Profile(short, checked=True)) == plain(whole)


def test_a_map_that_breaks_a_rule_goes_to_no_board(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"model": "bad", "points": [{"name": "A", "address": 70000}]}')
    with pytest.raises(FirmwareError, match=r"bad\.json: profile: title is missing"):
        trimmed(path)


def test_names_are_read_from_what_mpy_cross_writes(tmp_path: Path) -> None:
    source, target = tmp_path / "m.py", tmp_path / "m.mpy"
    source.write_text("def rare(quaint):\n    quaint.unusual = 'odd'\n    print(quaint)\n")
    subprocess.run([mpy_cross(), "-s", "m", "-o", str(target), str(source)], check=True)
    assert names_of(target.read_bytes()) == {"m", "rare", "quaint", "unusual", "odd"}


def test_what_is_no_uf2_or_no_boot_loader_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.uf2"
    path.write_bytes(bytes(512))
    with pytest.raises(FirmwareError, match="not a UF2 image"):
        flash.check_uf2(path)
    path.write_bytes((b"UF2\n" + b"\x57\x51\x5d\x9e").ljust(512, b"\0"))
    with pytest.raises(FirmwareError, match="hold BOOTSEL"):
        flash.copy_uf2(path, tmp_path)
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "INFO_UF2.TXT").write_text("UF2 Bootloader")
    flash.copy_uf2(path, tmp_path / "drive")
    assert (tmp_path / "drive" / "x.uf2").read_bytes() == path.read_bytes()


def test_a_board_gets_the_configuration_and_its_register_maps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board: dict[str, bytes] = {}

    def mpremote(_port: str, *words: str) -> str:
        if words[:2] == ("fs", "cp"):
            board[words[3].lstrip(":")] = Path(words[2]).read_bytes()
        place = re.search(r"open\('([^']+)'", words[-1])
        return hashlib.sha256(board[place[1]]).hexdigest() if place else "a board"

    monkeypatch.setattr(flash, "mpremote", mpremote)
    told = flash.provision("port", config())
    assert told[0].endswith("a board")
    assert told[-1].split()[1] == hashlib.sha256(config()).hexdigest()
    maps = [f"/drivers/profiles/{name}.json" for name in flash.profiles_of(config())]
    assert set(board) == {"/unit.json", *maps}
    assert len(maps) == 3
    monkeypatch.setattr(flash, "mpremote", lambda _port, *_words: "something else")
    with pytest.raises(FirmwareError, match="reads back as something else"):
        flash.provision("port", config())


def test_an_image_that_reaches_into_the_files_is_refused() -> None:
    board = rp2.RP2_BOARDS["rp2040"]
    assert rp2._room(board, 1024 * 1024) == {"binary": 1024 * 1024, "room": 1024 * 1024}
    with pytest.raises(FirmwareError, match="do not fit"):
        rp2._room(board, 1024 * 1024 + 1)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(rp2.RP2_BOARDS))
def test_images_for_boards_that_people_buy(name: str, tmp_path: Path) -> None:
    need("cmake")
    need("picotool")
    record = rp2.build_uf2(rp2.RP2_BOARDS[name], tmp_path, None)
    flash.check_uf2(Path(record["uf2"]))
    assert 500_000 < record["binary"] < record["room"]
    told = subprocess.run(
        ["picotool", "info", "-a", record["uf2"]], capture_output=True, text=True, check=True
    ).stdout
    assert name in told.lower()
    assert {"main", "agent/agent", "_boot"} <= set(re.split(r"[\s,]+", told))


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in shipped() if find(name).realtime])
def test_the_image_controls_a_row(name: str) -> None:
    need("arm-none-eabi-gcc")
    need("qemu-system-arm")
    assert hil(["run", name, "--dut", "qemu"]) == 0
