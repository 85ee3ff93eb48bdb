# SPDX-License-Identifier: Apache-2.0
"""Targets of the portable tests beside CPython, and the way to run a file on each.

    unix        Debian's MicroPython, 64-bit floats            always, without the tests in LONG
    unix-f32    the same port with 32-bit floats               `make soak`
    mps2        an ARM image under QEMU, 32-bit floats         SMALL always, the rest in `make soak`

The tuple `LONG` of a module names its tests that take more than a second on MicroPython. On the
image the precompiled tests lie in the ROMFS of the application. One machine runs file after file,
and each file starts with a soft reboot. A module that sets `FLOATS = 64`, with the reason, needs
64-bit floats.
"""

import ast
import functools
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.errors import FirmwareError
from deploy.firmware import memory_layout
from deploy.firmware.application.romfs import build_application, module_name
from deploy.firmware.board_image import Image, build_firmware
from deploy.firmware.boards import QEMU_BOARDS
from deploy.firmware.qemu import Machine
from deploy.firmware.unix_float32 import build_unix_f32
from tests.support.programs import require_program
from tests.support.repository import (
    ROOT,
    TEST_OPTIONS,
    compiled_flash,
    micropython_environment,
)

UNIX, UNIX_F32, MPS2 = "unix", "unix-f32", "mps2"
SMALL = (
    "tests/portable/protocols/test_cbor.py",
    "tests/portable/agent/control/law/test_dew_point.py",
    "tests/portable/agent/control/law/test_exchanger.py",
    "tests/portable/protocols/modbus/test_pdu.py",
    "tests/portable/protocols/modbus/test_tcp.py",
    "tests/portable/protocols/mqtt/test_packets.py",
    "tests/portable/protocols/nmea/test_sentences.py",
    "tests/portable/agent/control/law/test_pi.py",
)
"""Tests that run on the image in each `make test`: protocols and control laws."""
_SMALL_PATHS = {ROOT / name for name in SMALL}
HEAP = 1536 * 1024
"""Heap of the image for the other tests: several agents and their tests. A heap of 2 MiB would
reach into slot a, because QEMU places the heap after the code."""
TIMEOUT_S = 280  # for the tests of one file, also at a load of 20; a hang fails only these tests
_BOARD_TIMEOUT_S = 280  # for a batch; less than the limit of pytest for one test
_BATCH = 6  # tests in one run on the image, which takes thirty times as long as this machine
_BOOT_S = 60
_RECOVERY, _PROMPT = "recovery mode", "prompt follows"


class PortableTests(NamedTuple):
    """What a test module says without an import.

    `lines`: the line of each test. `long`: the tests that are long on MicroPython, `LONG` in it.
    `float_bits`: the bits of a float that it needs, 32, or `FLOATS` in it.
    """

    lines: dict[str, int]
    long: tuple[str, ...]
    float_bits: int


@functools.cache
def read_tests(path: Path) -> PortableTests:
    """Parse a test module."""
    lines, long, float_bits = {}, (), 32
    for node in ast.parse(path.read_bytes()).body:
        match node:
            case ast.FunctionDef(name=name) if name.startswith("test_"):
                lines[name] = node.lineno
            case ast.Assign([ast.Name("FLOATS")], ast.Constant(int(bits))):
                float_bits = bits
            case ast.Assign([ast.Name("LONG")], ast.Tuple() as names):
                long = tuple(ast.literal_eval(names))
    return PortableTests(lines, long, float_bits)


def targets(path: Path, test: str) -> dict[str, bool]:
    """Return the targets of a test of a file, and whether a target is only for `make soak`."""
    module = read_tests(path)
    result = {UNIX: test in module.long}
    if module.float_bits == 32:
        result[UNIX_F32] = True
        result[MPS2] = path not in _SMALL_PATHS or result[UNIX]
    return result


def max_batch(target: str) -> int:
    """Return the maximum number of tests of a file in one run."""
    return _BATCH if target == MPS2 else 1000


def run_tests(target: str, path: Path, tests: list[str]) -> str:
    """Return the output of the runner (tests/portable/support/runner.py) on `target`."""
    if target == MPS2:
        require_program("arm-none-eabi-gcc")
        return _board(path.relative_to(ROOT).as_posix()).run(path, tests)
    return _process(_interpreter(target), path, tests)


def _interpreter(target: str) -> str:
    if target == UNIX:
        return require_program("micropython")
    require_program("gcc")
    return str(_unix_f32())


@functools.cache
def _unix_f32() -> Path:
    return build_unix_f32()


def _process(interpreter: str, path: Path, tests: list[str]) -> str:
    module = module_name(path.relative_to(ROOT).as_posix())
    process = subprocess.Popen(
        [interpreter, *TEST_OPTIONS, "-m", "tests.portable.support.runner", module, *tests],
        cwd=compiled_flash(),
        env=micropython_environment(compiled_flash()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        try:
            output, end = process.communicate(timeout=TIMEOUT_S)[0], ""
        except subprocess.TimeoutExpired:
            process.kill()
            output, end = process.communicate()[0], f"(stopped after {TIMEOUT_S} s)\n"
    return output.decode(errors="replace") + end


class TargetBoard:
    """An image with tests in its application; its machine starts when needed.

    `part`: the folder of the tests, or "" for those of SMALL. All tests do not fit a slot.
    """

    def __init__(self, part: str) -> None:
        require_program("qemu-system-arm")
        heap = HEAP if part else 262_144
        board = QEMU_BOARDS["qemu-mps2"]
        # The folder is made after the steps that can fail. Otherwise its warning appears in another
        # test.
        firmware, romfs = build_firmware(board, heap), build_application(extra=_test_files(part))
        self._folder = tempfile.TemporaryDirectory()
        application = Path(self._folder.name) / "app.bin"
        application.write_bytes(memory_layout.add_header(romfs, 1))
        self._image = Image(board, firmware, application)
        self._machine: Machine | None = None

    def run(self, path: Path, tests: list[str]) -> str:
        """Run tests of one file after a soft reboot; return their output."""
        module = module_name(path.relative_to(ROOT).as_posix())
        arguments = [module, *tests]
        try:
            machine = self._ready_machine()
            start = len(machine.console)
            machine.type("from tests.portable.support import runner\r")
            machine.type(f"runner.main({arguments!r})\r")
            output = _read_output(machine, start)
        except FirmwareError as error:
            self.close()
            return f"{error}\n"
        if not output.endswith("@@ end\n"):
            self._stop()
        return output

    def _ready_machine(self) -> Machine:
        if self._machine is not None and self._machine.process.poll() is None:
            self._machine.console.clear()
            self._machine.type("\x04")
        else:
            self._stop()
            self._machine = Machine(self._image)
        self._machine.wait_for(_RECOVERY, _BOOT_S)
        self._machine.type("prompt\r")
        self._machine.wait_for(_PROMPT, _BOOT_S)
        return self._machine

    def _stop(self) -> None:
        if self._machine is not None:
            self._machine.close()
            self._machine = None

    def close(self) -> None:
        """End it permanently."""
        self._stop()
        self._folder.cleanup()


def _read_output(machine: Machine, start: int) -> str:
    """Return the output from line `start` until the end of the runner or a timeout."""
    end = time.monotonic() + _BOARD_TIMEOUT_S
    at, lines = start, []
    while True:
        has_ended = machine.process.poll() is not None
        while at < len(machine.console):
            lines.append(machine.console[at].strip("\r") + "\n")
            at += 1
            if lines[-1] == "@@ end\n":
                return "".join(lines)
        if has_ended or time.monotonic() > end:
            return "".join([*lines, "(the machine ended)\n" if has_ended else "(the time is up)\n"])
        time.sleep(0.01)


def _test_files(part: str) -> dict[str, bytes]:
    """Return the precompiled tests of a part and the helpers of all tests, by path."""
    folder = compiled_flash()
    files = {}
    for path in sorted(folder.rglob("*.mpy")):
        name = path.relative_to(folder).as_posix()
        is_test = path.name.startswith("test_")
        if not name.startswith(("deploy/", "tests/")):
            continue
        if not is_test or (name.startswith(part) if part else name[:-4] + ".py" in SMALL):
            files[name] = path.read_bytes()
    return files


def _part(name: str) -> str:
    """Return the part of a test file: "" for SMALL, else its folder below tests/portable/LAYER."""
    return "" if name in SMALL else "/".join(name.split("/")[:-1][:4]) + "/"


_boards: dict[str, TargetBoard] = {}


def _board(name: str) -> TargetBoard:
    """Return the normal image for the tests of SMALL, and one with more heap for a part."""
    part = _part(name)
    if part not in _boards:
        close_all()
        try:
            _boards[part] = TargetBoard(part)
        except (FirmwareError, ValueError) as error:
            pytest.fail(str(error))
    return _boards[part]


def close_all() -> None:
    """End the started machines."""
    for board in _boards.values():
        board.close()
    _boards.clear()
