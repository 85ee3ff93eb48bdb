# SPDX-License-Identifier: Apache-2.0
"""Flashing of a board: the image through the drive of the boot loader, the rest with mpremote."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.errors import FirmwareError
from deploy.firmware.application.profile_trim import trim_profile

UF2_MAGIC = (b"UF2\n", b"\x57\x51\x5d\x9e")
BLOCK = 512
_IDENTITY = (
    "import sys,machine,binascii;"
    "print(sys.implementation[2],binascii.hexlify(machine.unique_id()).decode())"
)
_FOLDERS = (
    "import os\nfor place in ('/drivers','/drivers/profiles'):\n"
    " try: os.mkdir(place)\n except OSError: pass"
)
_PROFILES = Path(__file__).resolve().parents[2] / "drivers" / "profiles"


def check_uf2(path: Path) -> None:
    """Check that a file is UF2 (github.com/microsoft/uf2): 512-byte blocks, two magics."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FirmwareError(f"{path}: {error.strerror}") from None
    has_whole_blocks = data and len(data) % BLOCK == 0
    if not has_whole_blocks or any(
        data[at : at + 4] != UF2_MAGIC[0] or data[at + 4 : at + 8] != UF2_MAGIC[1]
        for at in range(0, len(data), BLOCK)
    ):
        raise FirmwareError(f"{path}: not a UF2 image")


def copy_uf2(image: Path, drive: Path | None) -> None:
    """Copy an image to the drive of the boot loader; the board then starts the image."""
    check_uf2(image)
    if drive is None or not (drive / "INFO_UF2.TXT").is_file():
        raise FirmwareError(
            f"{drive or '--drive'}: no boot loader's drive (INFO_UF2.TXT is missing); "
            "hold BOOTSEL while you plug the board in"
        )
    with open(drive / image.name, "wb") as file:
        file.write(image.read_bytes())
        file.flush()
        os.fsync(file.fileno())


def mpremote(port: str, *arguments: str) -> str:
    """Run mpremote on a board; FirmwareError holds its last line."""
    command = [sys.executable, "-m", "mpremote", "connect", port, *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if completed.returncode:
        last = (completed.stdout + completed.stderr).strip().splitlines()[-1:]
        raise FirmwareError(f"{port}: {' '.join(last) or 'mpremote failed'}")
    return completed.stdout.strip()


def provision(port: str, config: bytes | None) -> list[str]:
    """Write the configuration and its profiles to the board; read their hashes back.

    Returns the identity of the board and the hashes as lines.
    """
    lines = [f"board       {mpremote(port, 'exec', _IDENTITY)}"]
    if config is None:
        return lines
    mpremote(port, "exec", _FOLDERS)
    for name in profiles_of(config):
        data = trim_profile(_PROFILES / f"{name}.json")
        _copy_and_verify(port, f"/drivers/profiles/{name}.json", data)
        lines.append(f"map         {name}")
    lines.append(f"unit.json   {_copy_and_verify(port, '/unit.json', config)}")
    mpremote(port, "reset")
    return lines


def profiles_of(config: bytes) -> list[str]:
    """Return the names of the profiles that the devices of a configuration use, sorted."""
    return sorted({device["profile"] for device in json.loads(config).get("devices", [])})


def _copy_and_verify(port: str, target: str, data: bytes) -> str:
    """Copy to the board and read back; return the hash. FirmwareError: the hashes differ."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        mpremote(port, "fs", "cp", str(path), f":{target}")
    board_hash, expected_hash = (
        mpremote(port, "exec", _hash_code(target)),
        hashlib.sha256(data).hexdigest(),
    )
    if board_hash != expected_hash:
        raise FirmwareError(
            f"{port}: {target} reads back as {board_hash}, not {expected_hash}; try again"
        )
    return expected_hash


def _hash_code(target: str) -> str:
    return (
        f"import hashlib,binascii;file=open('{target}','rb');"
        "print(binascii.hexlify(hashlib.sha256(file.read()).digest()).decode())"
    )
