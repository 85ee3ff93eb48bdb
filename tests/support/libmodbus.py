# SPDX-License-Identifier: Apache-2.0
"""libmodbus as a peer: its client through ctypes, and a device in C on its server."""

import ctypes
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.cli_tools import TIMEOUT_S
from tests.support.programs import MISSING, require_library, require_program

HERE = Path(__file__).resolve().parent
_HEADER = Path("/usr/include/modbus/modbus.h")
_programs: dict[str, Path] = {}


class LibmodbusClient:
    """The client of libmodbus; a failed call raises OSError with the errno of libmodbus."""

    def __init__(self, address: str, timeout_s: float = TIMEOUT_S) -> None:
        """`address` is one of the bench: serial:PATH?… or tcp:HOST:PORT."""
        self._library = ctypes.CDLL(require_library("modbus"), use_errno=True)
        self._library.modbus_new_rtu.restype = ctypes.c_void_p
        self._library.modbus_new_tcp.restype = ctypes.c_void_p
        self._library.modbus_strerror.restype = ctypes.c_char_p
        kind, _, rest = address.partition(":")
        if kind == "serial":
            path = rest.partition("?")[0].encode()
            parity = b"E" if "parity=E" in rest else b"N"
            context = self._library.modbus_new_rtu(path, 19_200, ctypes.c_char(parity), 8, 1)
        else:
            host, _, port = rest.rpartition(":")
            context = self._library.modbus_new_tcp(host.encode(), int(port))
        self._context = ctypes.c_void_p(context)
        self.wait_at_most(timeout_s)
        self._call("modbus_connect")

    def wait_at_most(self, timeout_s: float) -> None:
        """Set the reply timeout of the next calls."""
        seconds, micros = int(timeout_s), int(timeout_s % 1.0 * 1e6)
        self._call("modbus_set_response_timeout", seconds, micros)

    def _call(self, name: str, *arguments: object) -> int:
        result: int = getattr(self._library, name)(self._context, *arguments)
        if result == -1:
            number = ctypes.get_errno()
            raise OSError(number, self._library.modbus_strerror(number).decode())
        return result

    def read(self, unit: int, address: int, count: int = 1, function: int = 3) -> list[int]:
        names = {1: "bits", 2: "input_bits", 3: "registers", 4: "input_registers"}
        kind = ctypes.c_uint8 if function < 3 else ctypes.c_uint16
        values = (kind * count)()
        self._call("modbus_set_slave", unit)
        self._call(f"modbus_read_{names[function]}", address, count, values)
        return list(values)

    def write(self, unit: int, address: int, *values: int) -> None:
        self._call("modbus_set_slave", unit)
        if len(values) == 1:
            self._call("modbus_write_register", address, values[0])
        else:
            self._call(
                "modbus_write_registers",
                address,
                len(values),
                (ctypes.c_uint16 * len(values))(*values),
            )

    def write_bit(self, unit: int, address: int, value: bool) -> None:
        self._call("modbus_set_slave", unit)
        self._call("modbus_write_bit", address, int(value))

    def mask_write(self, unit: int, address: int, and_mask: int, or_mask: int) -> None:
        self._call("modbus_set_slave", unit)
        self._call("modbus_mask_write_register", address, and_mask, or_mask)

    def write_and_read(
        self, unit: int, address: int, value: int, read: int, count: int
    ) -> list[int]:
        values = (ctypes.c_uint16 * count)()
        self._call("modbus_set_slave", unit)
        written = (ctypes.c_uint16 * 1)(value)
        self._call("modbus_write_and_read_registers", address, 1, written, read, count, values)
        return list(values)

    def close(self) -> None:
        self._library.modbus_close(self._context)
        self._library.modbus_free(self._context)


def device_program() -> Path:
    """Compile `real_device.c` once; skip the calling test if that is not possible."""
    gcc = require_program("gcc")
    if not _HEADER.exists():
        pytest.skip(MISSING + "libmodbus-dev")
    if "device" not in _programs:
        folder = Path(tempfile.mkdtemp(prefix=f"coldloop-device-{os.getpid()}-"))
        program = folder / "real_device"
        source = HERE / "real_device.c"
        command = [gcc, "-Wall", "-Werror", "-o", str(program), str(source), "-lmodbus"]
        subprocess.run(command, check=True, timeout=60)
        _programs["device"] = program
    return _programs["device"]


class LibmodbusDevice:
    """The compiled device as a process; `requests` are the received frames."""

    def __init__(self, *arguments: str) -> None:
        command = [str(device_program()), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._out = self._process.stdout
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._out is not None
        return self._out.readline().strip()

    def request(self) -> bytes:
        """Return the bytes of the next request."""
        label, _, digits = self._line().partition(" ")
        assert label == "request"
        return bytes.fromhex(digits)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(5)
        if self._out is not None:
            self._out.close()
