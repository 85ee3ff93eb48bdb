# SPDX-License-Identifier: Apache-2.0
"""A unit of the factory on emulated silicon: a damaged file system leaves a running agent."""

import contextlib
from pathlib import Path

import pytest

from deploy.factory.command import BOARD, _build_image
from deploy.factory.database import Database
from deploy.factory.emulated_board import Fixture
from deploy.factory.line import ProductionLine, produce
from deploy.firmware.rp2.build import BACKUP_KIB, RP2_BOARDS
from tests.deploy.firmware.test_firmware import config
from tests.deploy.firmware.test_rp2 import emulator_environment, require_rp2_tools

FILES = (RP2_BOARDS[BOARD].flash_kib - RP2_BOARDS[BOARD].files_kib) * 1024
BACKUP = FILES - BACKUP_KIB * 1024
BLOCK = 4096
START_MS = 4000


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The flash of a good unit. Its configuration came through the recovery mode."""
    require_rp2_tools()
    emulator_environment()
    folder = tmp_path_factory.mktemp("unit")
    image, made = _build_image(folder, 1)
    text = config().replace(b"uart:1", b"uart:0").replace(b"uart:2", b"uart:1")
    with (
        contextlib.closing(Fixture()) as fixture,
        contextlib.closing(Database(folder / "units.sqlite")) as database,
    ):
        line = ProductionLine(
            folder,
            image,
            made,
            lambda _: text,
            lambda _: {"verdict": "pass"},
            lambda _: bytes(64),
            fixture.insert,
            lambda _serial, _public: None,
        )
        row = produce(line, database, "CDU-1")
    assert (row.state, row.reason) == ("good", "")
    return (folder / "CDU-1.bin").read_bytes()


def start(flash: bytes, folder: Path) -> tuple[str, float | None]:
    """Start once; return the path of the configuration and the time of the first output in ms."""
    path = folder / "flash.bin"
    path.write_bytes(flash)
    with contextlib.closing(Fixture()) as fixture:
        board = fixture.insert(path)
        board.power_on()
        line = board.read_until("configuration /", START_MS)
        board.wait_for_output(START_MS)
        return line.rpartition(" ")[2], board.first_output_ms()


def find_heads(flash: bytes) -> list[int]:
    """Return the first bytes of the used blocks of LittleFS, which hold folders and files."""
    blocks = range(FILES, len(flash), BLOCK)
    return [at for at in blocks if flash[at : at + BLOCK] != b"\xff" * BLOCK]


def test_a_destroyed_file_system_leaves_the_backup(unit: bytes, tmp_path: Path) -> None:
    destroyed = unit[:FILES] + bytes(len(unit) - FILES)
    path, first_ms = start(destroyed, tmp_path)
    assert path == "/backup/unit.json"
    assert first_ms is not None


def test_a_blank_file_system_gets_the_configuration_back(unit: bytes, tmp_path: Path) -> None:
    blank = unit[:FILES] + b"\xff" * (len(unit) - FILES)
    path, first_ms = start(blank, tmp_path)
    assert path == "/flash/unit.json"
    assert first_ms is not None


@pytest.mark.soak
def test_a_damaged_head_of_each_block_leaves_an_agent(unit: bytes, tmp_path: Path) -> None:
    """One bit of the first record of a folder can make the whole file system unusable."""
    seen = []
    for at in [*find_heads(unit), BACKUP, BACKUP + 40]:
        damaged = bytearray(unit)
        damaged[at] ^= 4
        path, first_ms = start(bytes(damaged), tmp_path)
        assert first_ms is not None, (at - FILES, path)
        seen.append(path)
    assert len(seen) > 4
    assert "/backup/unit.json" in seen
