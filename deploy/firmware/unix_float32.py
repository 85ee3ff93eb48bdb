# SPDX-License-Identifier: Apache-2.0
"""MicroPython's unix port with 32-bit floats: the arithmetic of a board on a computer.

For the bench and the tests only. Debian's `micropython` has 64-bit floats, as CPython; the boards
have 32-bit floats. The build uses the same source and cache as the images. It needs only the C
library (no TLS, no FFI).
"""

import os
import subprocess
from pathlib import Path

from deploy.errors import FirmwareError
from deploy.firmware.build_tools import CACHE, find_mpy_cross, find_program, lock_cache
from deploy.firmware.micropython_source import ensure_source, run

NAME = "unix-f32"
_FLAGS = "-DMICROPY_FLOAT_IMPL=1 -Wno-double-promotion -Wno-float-conversion"
_DISABLED_FEATURES = ("MICROPY_PY_FFI", "MICROPY_PY_SSL", "MICROPY_SSL_MBEDTLS", "MICROPY_PY_BTREE")


def build_unix_f32(cache: Path = CACHE) -> Path:
    """Build the interpreter, or return the cached one. Raises FirmwareError."""
    with lock_cache(cache):
        return _make_interpreter(cache)


def _make_interpreter(cache: Path) -> Path:
    find_program("gcc")
    tree = ensure_source(cache)
    build = cache / f"build-{NAME}"
    manifest = cache / f"manifest-{NAME}.py"
    manifest_text = 'include("$(MPY_DIR)/extmod/asyncio")\n'
    if not manifest.exists() or manifest.read_text(encoding="utf-8") != manifest_text:
        manifest.write_text(manifest_text, encoding="utf-8")
    port = tree / "ports" / "unix"
    command = ["make", f"-j{os.cpu_count() or 1}", "-C", str(port), f"BUILD={build}"]
    command += [f"MICROPY_MPYCROSS={find_mpy_cross()}", "MICROPY_MPYCROSS_DEPENDENCY="]
    command += [f"FROZEN_MANIFEST={manifest}", f"CFLAGS_EXTRA={_FLAGS}"]
    command += [f"{name}=0" for name in _DISABLED_FEATURES]
    run(command, port)
    return _check_floats(build / "micropython")


def _check_floats(interpreter: Path) -> Path:
    """Check that the floats have 32 bits: 2**24 + 1 is not a 32-bit float."""
    command = [str(interpreter), "-c", "print(float(16777217) == 16777216.0)"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.stdout.strip() != "True":
        raise FirmwareError(
            f"{interpreter}: not 32-bit floats: {completed.stdout}{completed.stderr}"
        )
    return interpreter
