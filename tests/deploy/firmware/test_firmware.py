# SPDX-License-Identifier: Apache-2.0
"""ARM image: reproducible build, start under QEMU, slots, storage, watchdog, control of a row."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from serial.tools import list_ports

from agent.remote.storage import software_slots
from benchmarks.firmware.image import HEAP, capture_scenario, play_capture
from deploy.errors import FirmwareError
from deploy.firmware import board_image, flash, memory_layout
from deploy.firmware.application.romfs import (
    build_application,
    pack_romfs,
)
from deploy.firmware.board_image import Image, build
from deploy.firmware.boards import QEMU_BOARDS
from deploy.firmware.build_tools import find_mpy_cross
from deploy.firmware.config_file import read_config
from deploy.firmware.qemu import Machine, run_image
from deploy.firmware.rp2 import build as rp2
from deploy.firmware.supervisor import _slots
from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.commands import hil
from hil.kernel.world import World
from tests.deploy.firmware.test_rp2 import FAMILY, block
from tests.hil.digests.shared_runs import shipped_models
from tests.support.programs import require_program
from tests.support.repository import ROOT

BOARD = QEMU_BOARDS["qemu-mps2"]
TIMEOUT_S = 90
NO_APPLICATION = bytes(128)
FLASH_BYTES = 1 << 20
"""The storage; written updates follow it in the file."""


def config(*without: str) -> bytes:
    """Return the configuration of a unit with a receiver and a bus on the UARTs."""
    testbed = Testbed(World(1, 0), TestbedSettings(pumps=1))
    raw = testbed.config(
        "uart:1?baud=115200", "uart:2?baud=19200", "tcp:x:1883", "store:/flash/store"
    )
    for key in ("broker", *without):
        del raw[key]
    return json.dumps(raw).encode()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    return build(BOARD, tmp_path_factory.mktemp("image"), config())


@pytest.fixture
def slots(image: Image, tmp_path: Path) -> dict[str, Path]:
    """Slot a with release 1, slot b with release 2."""
    other = tmp_path / "b.bin"
    whole = image.app.read_bytes()
    length = memory_layout.read_header(whole).length
    romfs = whole[memory_layout.HEADER_BYTES : memory_layout.HEADER_BYTES + length]
    other.write_bytes(memory_layout.add_header(romfs, 2))
    return {"a": image.app, "b": other}


@pytest.fixture
def machine(image: Image, tmp_path: Path) -> Iterator[Machine]:
    with run_image(image, folder=tmp_path) as started:
        yield started


def test_the_agent_runs_on_the_image(machine: Machine, image: Image) -> None:
    output = machine.wait_for("slot a, release 1, sha256", TIMEOUT_S)
    assert memory_layout.read_header(image.app.read_bytes()).digest in output
    machine.wait_for(r"port 0: opened: uart:1", TIMEOUT_S)
    machine.wait_for(r"port 4: opened: uart:2", TIMEOUT_S)
    machine.wait_for(r"alarm raised bus_lost:bus", TIMEOUT_S)  # no device is on the UARTs
    assert "coldloop: reset: power on" in machine.console


def test_the_build_is_reproducible(image: Image, tmp_path: Path) -> None:
    again = build(BOARD, tmp_path, config())
    assert again.app.read_bytes() == image.app.read_bytes()
    assert again.firmware.read_bytes() == image.firmware.read_bytes()


def test_bytecode_does_not_change_the_source_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = tmp_path / "mps2"
    shutil.copytree(board_image.PORT_FOLDER, port, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(board_image, "PORT_FOLDER", port)
    source_hash = board_image._hash_sources({})
    (port / "__pycache__").mkdir()
    (port / "__pycache__" / "_start.cpython-313.pyc").write_bytes(b"bytecode")
    assert board_image._hash_sources({}) == source_hash
    (port / "main.c").write_bytes(b"")
    assert board_image._hash_sources({}) != source_hash


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
    damaged = bytearray(slots["b"].read_bytes())
    damaged[5000] ^= 1
    bad = tmp_path / "bad.bin"
    bad.write_bytes(damaged)
    with run_image(image, folder=tmp_path, slots={"a": slots["a"], "b": bad}) as machine:
        machine.wait_for("slot b: empty or damaged", TIMEOUT_S)
        machine.wait_for("slot a, release 1", TIMEOUT_S)


def open_prompt(machine: Machine) -> None:
    """Wait for the recovery mode, and open the prompt from it."""
    machine.wait_for("recovery mode", TIMEOUT_S)
    machine.type("prompt\r\n")
    machine.wait_for("prompt follows", TIMEOUT_S)


def put_on_trial(image: Image, folder: Path) -> None:
    """Write the record of an agent that has fetched release 2 into slot b."""
    result = software_slots.ReleaseRecord()
    result.set_running_slot(0)
    result.start_fetch(software_slots.Release([1, 2, 1, b"", b"", 7, 3600, [], 1024]))
    data = result.start_trial([])[0][1]
    arguments = f"f=open('/flash/store/update.record','wb');f.write(bytes.fromhex('{data.hex()}'))"
    empty = folder / "empty.bin"
    empty.write_bytes(NO_APPLICATION)
    with run_image(image, folder=folder, slots={"a": empty}) as machine:
        open_prompt(machine)
        machine.type(arguments + ";f.close();print('done', 1)\r\n")
        machine.wait_for("^done 1", TIMEOUT_S)


def test_an_unconfirmed_trial_is_abandoned(
    slots: dict[str, Path], image: Image, tmp_path: Path
) -> None:
    put_on_trial(image, tmp_path)
    observed = []
    for _ in range(4):
        with run_image(image, folder=tmp_path, slots=slots) as machine:
            observed.append(machine.wait_for(r"slot ., release \d", TIMEOUT_S)[:16])
    assert observed == ["coldloop: slot b"] * 3 + ["coldloop: slot a"]


def test_a_crashing_trial_is_restarted_then_abandoned(
    slots: dict[str, Path], image: Image, tmp_path: Path
) -> None:
    source = tmp_path / "micropython.py"
    source.write_text("raise OSError('a bad release')\n")
    bad = source.with_suffix(".mpy")
    subprocess.run([find_mpy_cross(), "-o", str(bad), str(source)], check=True)
    packages = {"agent/__init__.py": b"", "agent/runtime/__init__.py": b""}
    broken = pack_romfs(
        {**packages, "agent/runtime/micropython.mpy": bad.read_bytes(), "unit.json": b""}
    )
    slots["b"].write_bytes(memory_layout.add_header(broken, 2))
    put_on_trial(image, tmp_path)
    with run_image(image, folder=tmp_path, slots=slots) as machine:
        machine.wait_for(r"slot a, release 1", TIMEOUT_S)
        assert not any("failed starts" in line for line in machine.console)
        starts = [line for line in machine.console if "slot b, release 2" in line]
        assert [line.rpartition(", ")[2] for line in starts] == ["on trial"] * 3
        assert machine.console.count("coldloop: OSError: a bad release") == 3


def test_a_written_update_replaces_the_loaded_slot(
    slots: dict[str, Path], image: Image, tmp_path: Path
) -> None:
    flash_image = tmp_path / "flash.img"
    with flash_image.open("wb") as file:
        file.seek(
            FLASH_BYTES + memory_layout.SLOT_BYTES
        )  # the storage is empty, slot a was never written
        file.write(slots["b"].read_bytes())
    empty = tmp_path / "empty.bin"
    empty.write_bytes(NO_APPLICATION)
    with run_image(image, folder=tmp_path, slots={"a": empty}) as machine:
        machine.wait_for("slot b, release 2", TIMEOUT_S)


def test_storage_survives_a_power_cut(image: Image, tmp_path: Path) -> None:
    bare = tmp_path / "bare.bin"
    bare.write_bytes(memory_layout.add_header(build_application(None), 7))
    write = "f=open('/flash/unit.json','w');f.write('{}');f.close();print('kept', 1)\r\n"
    with run_image(image, folder=tmp_path, slots={"a": bare}) as machine:
        machine.wait_for("no configuration", TIMEOUT_S)
        open_prompt(machine)
        machine.type(write)
        machine.wait_for("^kept 1|kept 1$", TIMEOUT_S)
    with run_image(image, folder=tmp_path, slots={"a": bare}) as machine:
        machine.wait_for("configuration /flash/unit.json", TIMEOUT_S)
        machine.wait_for("version: missing", TIMEOUT_S)  # {} is not a configuration
        machine.wait_for("the agent ended with 2", TIMEOUT_S)


def test_a_destroyed_file_system_leaves_the_agent(image: Image, tmp_path: Path) -> None:
    """The configuration came through the recovery mode; the application has none."""
    bare = tmp_path / "bare.bin"
    bare.write_bytes(memory_layout.add_header(build_application(None), 7))
    text = config()
    lines = textwrap.wrap(base64.b64encode(text).decode(), 76)
    with run_image(image, folder=tmp_path, slots={"a": bare}) as machine:
        machine.wait_for("recovery mode", TIMEOUT_S)
        for line in (f"config {hashlib.sha256(text).hexdigest()}", *lines, ".", "reset"):
            machine.type(line + "\r\n")
        machine.wait_for("configuration /flash/unit.json", TIMEOUT_S)
        machine.wait_for(r"port 4: opened: uart:2", TIMEOUT_S)
    flash_image = tmp_path / "flash.img"
    data = flash_image.read_bytes()
    flash_image.write_bytes(bytes(FLASH_BYTES) + data[FLASH_BYTES:])
    with run_image(image, folder=tmp_path, slots={"a": bare}) as machine:
        machine.wait_for("storage: not usable", TIMEOUT_S)
        machine.wait_for("configuration /backup/unit.json", TIMEOUT_S)
        machine.wait_for(r"port 4: opened: uart:2", TIMEOUT_S)


def test_an_unserviced_watchdog_resets(image: Image, tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.write_bytes(NO_APPLICATION)
    with run_image(image, folder=tmp_path, slots={"a": empty}) as machine:
        open_prompt(machine)
        machine.type("import machine;machine.WDT(timeout=500)\r\n")
        machine.wait_for("reset: watchdog", TIMEOUT_S)


def test_instruction_time_is_reproducible(image: Image, tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.write_bytes(NO_APPLICATION)
    reported = []
    for _ in range(2):
        with run_image(image, folder=tmp_path, slots={"a": empty}, shift=3) as machine:
            open_prompt(machine)
            machine.type("import time;time.sleep_ms(5);print('after', 1)\r\n")
            reported.append(machine.wait_for("^after 1|after 1$", TIMEOUT_S))
    assert reported[0] == reported[1]


def test_the_layout_is_the_same_on_the_board() -> None:
    text = (ROOT / "deploy" / "firmware" / "mps2" / "_start.py").read_text()
    assert re.findall(r'"([ab])", (0x\w+)', text) == [
        (k, hex(v)) for k, v in memory_layout.SLOTS.items()
    ]
    assert memory_layout.SLOT_BYTES == FLASH_BYTES == 1024 * 1024
    assert text.count("= 1024 * 1024") == 2
    assert software_slots.MAX_STARTS == _slots.MAX_STARTS


def test_the_first_write_comes_soon_after_the_reset(tmp_path: Path) -> None:
    """The time is counted in instructions, 125 million a second, so it is the same everywhere.

    A unit with log and modem needs 1.09 s; most of it is the loading of modules. The check of the
    hash of the application takes 0.4 ms for each kB of it.
    """
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    figures = play_capture(capture_scenario("link-alarm", 3, 1), tmp_path, 0, 3, HEAP)
    assert figures["first_write_us"] > 0
    assert figures["ready_us"] + figures["first_write_us"] <= 1_100_000
    assert figures["at_start"] <= 164 * 1024


def test_an_invalid_uf2_or_boot_drive_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "x.uf2"
    path.write_bytes(bytes(512))
    with pytest.raises(FirmwareError, match="not a UF2 image"):
        flash.check_uf2(path)
    image = b"".join(block(0x10000000 + 256 * i, b"", FAMILY, i, 3) for i in range(3))
    for wrong in (b"", image[:-512], image[:-1], image + image[:512], image * 2):
        path.write_bytes(wrong)
        with pytest.raises(FirmwareError, match="not a UF2 image"):
            flash.check_uf2(path)
    path.write_bytes(image)
    with pytest.raises(FirmwareError, match="hold BOOTSEL"):
        flash.copy_uf2(path, tmp_path)
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "INFO_UF2.TXT").write_text("UF2 Bootloader")
    flash.copy_uf2(path, tmp_path / "drive")
    assert (tmp_path / "drive" / "x.uf2").read_bytes() == path.read_bytes()


def test_a_board_gets_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    board: dict[str, bytes] = {}
    commands = []

    def mpremote(_port: str, *arguments: str) -> str:
        commands.append(arguments[-1])
        if arguments[:2] == ("fs", "cp"):
            board[arguments[3].lstrip(":")] = Path(arguments[2]).read_bytes()
        path = re.search(r"open\('([^']+)'", arguments[-1])
        return hashlib.sha256(board[path[1]]).hexdigest() if path else "a board"

    monkeypatch.setattr(flash, "mpremote", mpremote)
    monkeypatch.setattr(flash, "open_prompt", lambda _port: None)
    reported = flash.provision("port", config())
    assert reported[0].endswith("a board")
    assert reported[-1].split()[1] == hashlib.sha256(config()).hexdigest()
    assert set(board) == {"/flash/unit.new"}
    assert "os.rename('/flash/unit.new','/flash/unit.json')" in commands[-2]
    monkeypatch.setattr(flash, "mpremote", lambda _port, *_words: "something else")
    with pytest.raises(FirmwareError, match="reads back as something else"):
        flash.provision("port", config())


def test_a_board_among_several_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver is a USB serial port too, and a unit must not get the file of another one."""
    ports = [SimpleNamespace(device=f"/dev/ttyACM{number}", vid=1) for number in range(2)]
    ports.append(SimpleNamespace(device="/dev/ttyS0", vid=None))
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    assert flash.find_port("/dev/ttyACM7") == "/dev/ttyACM7"
    with pytest.raises(FirmwareError, match=r"ttyACM0, /dev/ttyACM1: .*--port"):
        flash.find_port("auto")
    del ports[0]
    assert flash.find_port("auto") == "/dev/ttyACM1"
    del ports[0]
    with pytest.raises(FirmwareError, match="no USB serial port"):
        flash.find_port("auto")


def test_a_configuration_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(FirmwareError, match=r"unit\.json: .*decode"):
        read_config(path)


def test_an_image_that_overlaps_the_file_system_is_rejected() -> None:
    board = rp2.RP2_BOARDS["rp2040"]
    available = 428 * 1024
    assert rp2._check_size(board, available) == {"binary": available, "available": available}
    with pytest.raises(FirmwareError, match="do not fit"):
        rp2._check_size(board, available + 1)


@pytest.mark.soak
def test_the_agent_runs_on_a_cortex_m7(tmp_path: Path) -> None:
    """The core of STM32H743 and i.MX RT1062, with 64-bit floats; not their peripherals."""
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    image = build(QEMU_BOARDS["qemu-mps2-m7"], tmp_path, config())
    with run_image(image, folder=tmp_path) as machine:
        machine.wait_for("slot a, release 1, sha256", TIMEOUT_S)
        machine.wait_for(r"port 4: opened: uart:2", TIMEOUT_S)
        machine.wait_for(r"alarm raised bus_lost:bus", TIMEOUT_S)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(rp2.RP2_BOARDS))
def test_images_for_rp2_boards(name: str, tmp_path: Path) -> None:
    require_program("cmake")
    require_program("picotool")
    record = rp2.build_uf2(rp2.RP2_BOARDS[name], tmp_path, None)
    flash.check_uf2(Path(record["uf2"]))
    assert 300_000 < record["binary"] < record["available"]
    reported = subprocess.run(
        ["picotool", "info", "-a", record["uf2"]], capture_output=True, text=True, check=True
    ).stdout
    assert name[:6] in reported.lower()  # the name of a board begins with its chip
    assert {"main", "_supervisor", "_boot"} <= set(re.split(r"[\s,]+", reported))


@pytest.mark.soak
@pytest.mark.parametrize(
    "name", [name for name, model in shipped_models().items() if model.realtime]
)
def test_the_image_controls_a_row(name: str) -> None:
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    assert hil(["run", name, "--dut", "qemu"]) == 0
