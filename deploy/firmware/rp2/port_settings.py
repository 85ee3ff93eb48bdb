# SPDX-License-Identifier: Apache-2.0
"""Settings of MicroPython's rp2 port for our images: stack, console, features, storage.

Does not build; see `build`. The settings are changes of the port's own files in the cache, so each
of them fails if the text that it replaces is not there once.

    features   Those that neither the agent nor the supervisor uses are switched off. The firmware
               is 45 KiB smaller, for the slots and for the names of the application. The drivers
               of the pins (such as I2C and SPI) stay, for an engineer at the prompt.
    stack      An RP2040 has 16 KiB instead of 8; the heap pays for it. A module that imports
               others, deep in the agent, needs 9 KiB. RP2350 has 8 KiB more in its port.
    console    drops output that is not read within 2 ms; the port waits 500 ms.
"""

import hashlib
import re
import shutil
from pathlib import Path

from deploy.errors import FirmwareError

EXTRA_STACK_KIB = 8
_CONSOLE_TIMEOUT = re.compile(r"(#define MICROPY_HW_USB_CDC_TX_TIMEOUT +).+")
_HEAP_END = re.compile(r"(__GcHeapEnd = ORIGIN\(RAM\) \+ LENGTH\(RAM\)).*;")
_STACK_BOTTOM = re.compile(r"(__StackBottom = ).+;")
_STORAGE_SIZE = re.compile(r"(#define MICROPY_HW_FLASH_STORAGE_BYTES +).+")
_ROMFS_DEFINITION = "#define MICROPY_HW_ROMFS_BYTES (4096)\n"
"""An empty partition before the slots. It switches on the file system that runs in place."""
_UNUSED_IN_PORT = (
    "MICROPY_PY_CRYPTOLIB",
    "MICROPY_PY_HASHLIB_SHA1",
    "MICROPY_VFS_FAT",
)
"""Features that mpconfigport.h switches on in any case."""
_UNUSED_BY_DEFAULT = (
    "MICROPY_PY_BUILTINS_COMPLEX",
    "MICROPY_PY_FRAMEBUF",
    "MICROPY_PY_MATH_SPECIAL_FUNCTIONS",
    "MICROPY_PY_RE",
)
"""Features that the header of a board can switch off."""


def identity() -> str:
    """Return a name of these settings: a build keeps the modules of other settings."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]


def change_port(port: Path) -> None:
    """Change the files of the port at `port`. Raises FirmwareError."""
    _replace_once(port / "mphalport.h", _CONSOLE_TIMEOUT, "(2)")
    script = port / "memmap_mp_rp2040.ld"
    _replace_once(script, _HEAP_END, f" - {EXTRA_STACK_KIB * 1024};")
    _replace_once(script, _STACK_BOTTOM, "__GcHeapEnd;")
    for feature in _UNUSED_IN_PORT:
        _replace_once(port / "mpconfigport.h", re.compile(rf"(#define {feature} +).+"), "(0)")


def copy_board(port: Path, name: str, storage_kib: int, folder: Path) -> Path:
    """Copy the board `name` of the port into `folder`, with our settings; return the copy."""
    target = folder / name
    shutil.copytree(port / "boards" / name, target, dirs_exist_ok=True)
    header = target / "mpconfigboard.h"
    _replace_once(header, _STORAGE_SIZE, f"({storage_kib} * 1024)")
    added = "".join(f"#define {feature} (0)\n" for feature in _UNUSED_BY_DEFAULT)
    with header.open("a", encoding="utf-8") as file:
        file.write("\n" + _ROMFS_DEFINITION + added)
    return target


def _replace_once(path: Path, pattern: re.Pattern[str], value: str) -> None:
    """Replace what follows the first group; the file is written only if it changes."""
    text = path.read_text(encoding="utf-8")
    changed, count = pattern.subn(lambda match: match[1] + value, text)
    if count != 1:
        raise FirmwareError(f"{path}: no {pattern.pattern} in it")
    if changed != text:
        path.write_text(changed, encoding="utf-8")
