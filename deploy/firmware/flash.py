# SPDX-License-Identifier: Apache-2.0
"""Flashing of a board: the image through the drive of the boot loader, the rest with mpremote."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deploy.errors import FirmwareError
from deploy.firmware.rp2 import uf2

_IDENTITY = (
    "import sys,machine,binascii;"
    "print(sys.implementation[2],binascii.hexlify(machine.unique_id()).decode())"
)
_STORE = (
    "import os\n"
    "for name in ('unit.seal','unit.copy'):\n"
    " try: os.remove('/flash/'+name)\n"
    " except OSError: pass\n"
    "os.rename('/flash/unit.new','/flash/unit.json')"
)
"""Without seal and copy the supervisor takes the file as new. The rename is atomic."""
_RECOVERY_S = 90


def check_uf2(path: Path) -> None:
    """Check that a file is a whole UF2 image. Raises FirmwareError."""
    try:
        uf2.check(path.read_bytes())
    except OSError as error:
        raise FirmwareError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise FirmwareError(f"{path}: not a UF2 image: {error}") from None


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


def find_port(port: str) -> str:
    """Return the port; `auto` is the only USB serial port. FirmwareError: none, or several."""
    if port != "auto":
        return port
    from serial.tools import list_ports  # noqa: PLC0415 - for a board only

    found = sorted(entry.device for entry in list_ports.comports() if entry.vid)
    if len(found) != 1:
        raise FirmwareError(f"{', '.join(found) or 'no USB serial port'}: name the board: --port")
    return str(found[0])


def open_prompt(port: str) -> None:
    """Leave the agent, and open the prompt from the recovery mode. FirmwareError: no answer."""
    try:
        import serial  # noqa: PLC0415 - needs no extra, but a test replaces this function

        with serial.Serial(port, 115200, timeout=1) as line:
            line.write(b"\x03\r")
            end = time.monotonic() + _RECOVERY_S
            while time.monotonic() < end:
                text = line.readline()
                if b">>>" in text:
                    return
                if b"recovery mode" in text or b"commands:" in text:
                    line.write(b"prompt\r")
    except (OSError, ValueError) as error:
        raise FirmwareError(f"{port}: {error}") from None
    raise FirmwareError(f"{port}: no prompt; does the board run our firmware?")


def provision(port: str, config: bytes | None) -> list[str]:
    """Write the configuration to the board; read its hash back.

    Returns the identity of the board and the hash as lines. The profiles are in the application.
    """
    port = find_port(port)
    open_prompt(port)
    lines = [f"board       {mpremote(port, 'exec', _IDENTITY)}"]
    if config is None:
        return lines
    digest = _copy_and_verify(port, "/flash/unit.new", config)
    mpremote(port, "exec", _STORE)
    lines.append(f"unit.json   {digest}")
    mpremote(port, "reset")
    return lines


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
