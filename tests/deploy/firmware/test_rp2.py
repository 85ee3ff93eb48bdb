# SPDX-License-Identifier: Apache-2.0
"""RP2040 image: UF2 files, and the executor of the emulator against rp2040js."""

import argparse
import dataclasses
import itertools
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.errors import FirmwareError
from deploy.firmware.memory_layout import add_header, read_header
from deploy.firmware.rp2 import emulator_package, uf2
from deploy.firmware.rp2.command_emulate import MAIN
from deploy.firmware.supervisor import _slots, release_keys
from deploy.firmware.supervisor.frozen import frozen_files
from deploy.ops import keys
from hil.bench import testbed
from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.kernel.world import World
from hil.run import virtual
from hil.run.recorded import DUTS
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.shells.dut_rp2040 import Rp2040Dut, make_config
from protocols.signing import ed25519
from tests.deploy.firmware.board_heap import RAM, free_share
from tests.support.programs import MISSING, require_program
from tests.support.repository import ROOT

FAMILY = uf2.FAMILIES["rp2040"]
SCENARIOS = Path(__file__).with_name("scenarios")
CONFIG_PUSH = str(SCENARIOS / "config_push_board.toml")
STARTS = str(SCENARIOS / "starts_with_a_log.toml")
ROM = Path(os.environ.get("COLDLOOP_DATA", "/nowhere")) / "rp2040" / "bootrom_b1.bin"


def block(
    address: int, data: bytes, family: int = FAMILY, number: int = 0, count: int = 1, **changes: int
) -> bytes:
    flags, size = changes.get("flags", 0x2000), changes.get("size", 256)
    head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, flags, address, size, number, count, family)
    return head + data.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)


def test_parts_are_added_to_a_uf2_file() -> None:
    other = block(0x10FFFF00, b"errata", 0xE48BFF57)
    firmware = block(0x10000000, b"\x11" * 256)
    result = uf2.add_parts(other + firmware, FAMILY, {4096: b"\x22" * 300})
    assert result.startswith(other)
    assert len(result) == 4 * 512
    numbers = [struct.unpack_from("<8I", result, at)[5:7] for at in (512, 1024, 1536)]
    assert numbers == [(0, 3), (1, 3), (2, 3)]
    flash = uf2.flash_image(result, FAMILY, 8192)
    assert flash[:256] == b"\x11" * 256
    assert flash[4096:4396] == b"\x22" * 300
    assert flash[4396:] == b"\xff" * (8192 - 4396)
    with pytest.raises(ValueError, match="block 0: not UF2"):
        uf2.read_blocks(b"x" * 512, FAMILY)


def test_a_damaged_uf2_file_is_found() -> None:
    """A boot loader waits for all blocks: the board then starts nothing."""
    blocks = [block(0x10000000 + 256 * i, bytes([i]) * 256, FAMILY, i, 3) for i in range(3)]
    whole = b"".join(blocks)
    other = block(0x10FFFF00, b"errata", 0xE48BFF57, 0, 2)
    expected = {0x10000000 + 256 * i: bytes([i]) * 256 for i in range(3)}
    for good in (whole, other + whole, b"".join(reversed(blocks))):
        assert uf2.read_blocks(good, FAMILY) == expected
    for size in range(len(whole)):
        with pytest.raises(ValueError, match=r"block|family"):
            uf2.read_blocks(whole[:size], FAMILY)
    for wrong in (
        whole + blocks[1],
        blocks[0] + blocks[1] + blocks[1],
        whole * 2,
        blocks[0] + block(0x10000080, b"", FAMILY, 1, 2),
        block(0x10000000, b"", FAMILY, size=477),
        block(0x10000000, b"", FAMILY, size=0),
        block(0x10000000, b"", FAMILY, flags=0),
        block(0x10000000, b"", FAMILY, flags=0x2001),
        other,
    ):
        with pytest.raises(ValueError, match=r"block|family"):
            uf2.read_blocks(wrong, FAMILY)
    for address in (0x0FFFFF00, 0x10000000 + 8192 - 128, 0x20000000):
        with pytest.raises(ValueError, match="in the flash"):
            uf2.flash_image(block(address, b""), FAMILY, 8192)


def test_head_of_an_application() -> None:
    image = add_header(b"romfs", 7, 3, lambda message: message[:4] * 16)
    assert read_header(image).signature == b"cold" * 16
    assert (read_header(image).release, read_header(image).length) == (7, 5)
    for floor, release in ((8, 7), (-1, 7), (0, 1 << 32)):
        with pytest.raises(ValueError, match="floor"):
            add_header(b"romfs", release, floor)
    with pytest.raises(ValueError, match="do not fit"):
        add_header(b"romfs", 1, slot_bytes=128)
    for at in range(len(image)):
        damaged = bytearray(image)
        damaged[at] ^= 1
        if not 56 <= at < 128:  # signature and filler
            with pytest.raises(ValueError, match="damaged"):
                read_header(bytes(damaged))


def test_release_keys_are_frozen() -> None:
    files = frozen_files((b"k" * 32,))
    assert files["_keys.py"] == f"KEYS = {(b'k' * 32,)!r}\n".encode()
    assert b"from _sha512 import" in files["_ed25519.py"]
    with pytest.raises(FirmwareError, match="32 bytes"):
        frozen_files((b"short",))


def test_a_signed_application_is_accepted_by_the_supervisor(tmp_path: Path) -> None:
    """`cryptography` signs, the frozen code verifies."""
    keys.make_key(tmp_path, "release", 1, "limits", "")
    keys.make_key(tmp_path, "other", 2, "limits", "")
    parser = argparse.ArgumentParser()
    release_keys.add_arguments(parser)
    options = ["--sign", str(tmp_path / "release.key"), "--trust", str(tmp_path / "other.json")]
    signing = release_keys.read_signing(parser.parse_args([*options, "--floor", "2"]))
    image = add_header(b"romfs" * 99, 7, signing.floor, signing.sign)

    def check(data: bytes, trusted: tuple[bytes, ...]) -> bool:
        found = _slots.check_slot(
            lambda at, size: data[at : at + size], 4096, trusted, ed25519.verify
        )
        return found is not None

    assert check(image, signing.trusted)
    assert not check(image, signing.trusted[:1])
    assert not check(add_header(b"romfs" * 99, 7), signing.trusted)
    for at in range(120):
        assert not check(image[:at] + bytes((image[at] ^ 1,)) + image[at + 1 :], signing.trusted)
    with pytest.raises(FirmwareError, match="not a private key"):
        release_keys.read_signing(parser.parse_args(["--sign", str(tmp_path / "none.key")]))
    with pytest.raises(FirmwareError, match="not a public key"):
        release_keys.read_signing(parser.parse_args(["--trust", str(tmp_path / "release.key")]))


def emulator_environment() -> dict[str, str]:
    require_program("node")
    try:
        return {**os.environ, "RP2040JS": str(emulator_package.install())}
    except FirmwareError as error:
        pytest.skip(f"{MISSING}rp2040js ({error})")


def test_the_executor_equals_rp2040js() -> None:
    """Instructions with random registers; the script names the cases where rp2040js is wrong."""
    command = ["node", str(Path(__file__).with_name("compare_cores.mjs")), str(MAIN.parent)]
    completed = subprocess.run(
        [*command, "60000"], capture_output=True, text=True, env=emulator_environment(), check=False
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert json.loads(completed.stdout) == {"compared": 60000}


def require_rp2_tools() -> None:
    for program in ("node", "npm", "cmake", "picotool"):
        if shutil.which(program) is None:
            pytest.skip(f"{program}: the RP2040 image needs 2.5 GB of packages (rp2/build.py)")
    if not ROM.is_file():
        pytest.skip("no boot ROM of the RP2040 (COLDLOOP_DATA)")


@pytest.mark.soak
def test_a_power_cut_at_each_flash_step_leaves_a_running_agent(tmp_path: Path) -> None:
    require_rp2_tools()
    config, flash = tmp_path / "unit.json", tmp_path / "flash.bin"
    row = Testbed(World(1, 0), TestbedSettings(pumps=1))
    addresses = ("serial:/r?baud=115200", "serial:/b?baud=19200&parity=E", "tcp:x:1", "store:/s")
    config.write_text(json.dumps(make_config(row.config(*addresses))))
    command = [sys.executable, "-m", "coldloop", "firmware", "emulate", "--build"]
    command += ["--flash", str(flash), "--config", str(config)]
    subprocess.run(command, check=True, cwd=ROOT)
    script = str(Path(__file__).with_name("power_cuts.mjs"))
    completed = subprocess.run(
        ["node", script, str(MAIN.parent), str(ROM), str(flash)],
        capture_output=True,
        text=True,
        env=emulator_environment(),
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    result = json.loads(completed.stdout)
    assert result["steps"] > 5
    assert (result["failed"], result["wrong"]) == ([], 0)


def test_the_rp2040_image_controls_a_row() -> None:
    """The first 10 s of `smoke` on emulated silicon."""
    require_rp2_tools()
    run = VirtualRun(find("smoke"), 1, DUTS["rp2040"])
    dut = run.dut
    assert isinstance(dut, Rp2040Dut)
    try:
        run.shell.start()
        run.await_first_status()
        start = run.world.now
        for second in range(1, 11):
            run.shell.run(start + second * 1_000_000)
            run.testbed.plant.advance(start + second * 1_000_000)
        run.status = json.loads(run.status_text)
    finally:
        run.dut.close()
    values = {
        n: run.sample(n) for n in ("clock", "missed_ticks", "modbus_errors", "alarms", "state")
    }
    assert values == {"clock": 1, "missed_ticks": 0, "modbus_errors": 0, "alarms": 0, "state": 0}
    assert run.status is not None
    assert run.status["ticks"]["worst_late_us"] <= 20_000
    assert run.status["telemetry"]["acknowledged"] >= 8
    assert dut.first_output_us is not None
    assert dut.first_output_us <= 1_000_000
    figures = dut.figures
    assert figures["overruns"] == [0, 0]
    assert (figures["wrong_programs"], figures["wrong_stop_bits"]) == (0, 0)
    assert sum(figures["erases"]) == 0


def assert_led_shows_normal(trace: list[tuple[int, int]]) -> None:
    """Check the LED: lit during the start, then a flash of 200 ms each 2.4 s, to within a tick."""
    rises = [at for at, level in trace if level]
    assert rises[0] < 200_000
    for before, after in itertools.pairwise(rises[-3:]):
        assert abs(after - before - 2_400_000) <= 110_000, trace
    lengths = [end - at for (at, level), (end, _) in itertools.pairwise(trace[-5:]) if level]
    assert all(abs(length - 200_000) <= 110_000 for length in lengths), trace


def test_free_share_of_a_heap() -> None:
    """Blocks 0 and 1: the record points there; 2, 3: a root; 4, 5: garbage; 6: the stack."""
    ram = bytearray(264 * 1024)
    table, pool = RAM + 0x1000, 0x2003E000 - 128
    struct.pack_into("<5I", ram, 0x100, table, 2, table + 3, pool, pool + 128)
    ram[0x1000:0x1002] = bytes((0b01_01_10_01, 0b00_01_10_01))  # blocks: 0 and 1, 2, 3, 4 and 5, 6
    struct.pack_into("<I", ram, 0x200, pool + 32)
    struct.pack_into("<I", ram, pool - RAM + 32, pool + 48)
    struct.pack_into("<I", ram, 0x41F00, pool + 96)
    assert free_share(bytes(ram), RAM + 0x41F00) == 3 / 8
    assert free_share(bytes(ram), RAM + 0x41F10) == 4 / 8
    with pytest.raises(ValueError, match="no heap"):
        free_share(bytes(264 * 1024), RAM)


@pytest.mark.soak
def test_ten_devices_for_two_minutes() -> None:
    """The whole of `full-bench`: a fifth of the heap is free, no tick is later than 20 ms."""
    require_rp2_tools()
    run = VirtualRun(find("full-bench"), 1, DUTS["rp2040"])
    dut = run.dut
    assert isinstance(dut, Rp2040Dut)
    free = []

    def measure(second: int) -> None:
        if second % 10 == 0:
            pointer = dut.read_figures()["stack_pointer"]
            free.append(free_share(dut.read_ram(), pointer))

    try:
        run.run(measure)
    finally:
        run.close()
    assert run.evaluator.failures() + run.contained_faults() == []
    assert run.status is not None
    assert run.status["ticks"]["worst_late_us"] <= 20_000
    assert dut.first_output_us is not None
    assert dut.first_output_us <= 1_000_000
    assert sum(dut.figures["erases"]) == 0
    assert len(free) == 12
    assert min(free) >= 0.2, free


@pytest.mark.soak
@pytest.mark.parametrize("baud", [9600, 115_200, 921_600])
def test_no_tick_is_late_at_any_rate(baud: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 s of `smoke` with this rate on the field bus and on the line of the receiver."""
    require_rp2_tools()
    monkeypatch.setattr(virtual, "BUS_BAUD", baud)
    monkeypatch.setattr(testbed, "BUS_BAUD", baud)
    scenario = find("smoke")
    settings = dataclasses.replace(scenario.settings, receiver_baud=baud)
    run = VirtualRun(dataclasses.replace(scenario, settings=settings), 1, DUTS["rp2040"])
    assert f"baud={baud}" in str(run.config["buses"])
    try:
        run.shell.start()
        run.await_first_status()
        start = run.world.now
        for second in range(1, 21):
            run.shell.run(start + second * 1_000_000)
            run.testbed.plant.advance(start + second * 1_000_000)
        run.status = json.loads(run.status_text)
    finally:
        run.dut.close()
    values = {n: run.sample(n) for n in ("missed_ticks", "modbus_errors", "alarms")}
    assert values == {"missed_ticks": 0, "modbus_errors": 0, "alarms": 0}
    assert run.status["ticks"]["worst_late_us"] <= 20_000


@pytest.mark.soak
@pytest.mark.parametrize(
    "name", ["smoke", "bus-loss", "broker-loss", CONFIG_PUSH, STARTS, "power-cuts"]
)
def test_scenarios_on_the_rp2040_image(name: str) -> None:
    """Each is passed, and no tick of any of its starts is later than 20 ms."""
    require_rp2_tools()
    run = VirtualRun(find(name), 1, DUTS["rp2040"])
    dut = run.dut
    assert isinstance(dut, Rp2040Dut)
    late_us = []

    def note(_second: int) -> None:
        if run.status is not None:  # None: no power
            late_us.append(run.status["ticks"]["worst_late_us"])

    try:
        run.run(note)
    finally:
        run.close()
    assert run.evaluator.failures() + run.contained_faults() == []
    assert max(late_us) <= 20_000
    if name == "smoke":  # it ends in the state normal
        assert_led_shows_normal(dut.led_trace)
