# SPDX-License-Identifier: Apache-2.0
"""The serial number of the CDU: registers 6616 to 6623 of the RPU, two characters each.

Source: the public ORv3 register map, RpuMFRSerial. If the RPU is real, the number is read over its
port through a separate connection; the port must not be open in the bench meanwhile.
"""

from drivers.errors import DriverError
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from hil.bench.testbed import RPU_UNIT, Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.errors import BenchError
from hil.kernel.world import World
from hil.record.label import escape_text
from hil.record.provenance import SerialCheck
from hil.run.real_bench import RealBench
from protocols.errors import ProtocolError
from protocols.modbus import pdu

FIRST_REGISTER, REGISTER_COUNT = 6616, 8


def _decode_text(words: list[int]) -> str:
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    return escape_text(raw.decode("ascii", "replace").strip("\0 "))


def read_emulated_serial(testbed: Testbed) -> str | None:
    """Return the serial number of the emulated RPU."""
    words = testbed.rpu.read(FIRST_REGISTER, REGISTER_COUNT)
    return None if isinstance(words, int) else _decode_text(words)


def read_real_serial(port: str) -> str | None:
    """Read the serial number of a real RPU; None: it gives none."""
    try:
        with BlockingModbusClient(port_address(port)) as client:
            reply = client.request(RPU_UNIT, pdu.read_holding(FIRST_REGISTER, REGISTER_COUNT))
    except (DriverError, ProtocolError):
        return None
    words = list(reply.values)
    return _decode_text(words) if len(words) == REGISTER_COUNT else None


def check_serial(given: str, real_devices: dict[str, str]) -> SerialCheck:
    """Compare a serial number with that of the CDU of a run that has not begun."""
    port = real_devices.get("rpu")
    if port is not None:
        return SerialCheck(given, read_real_serial(port), is_real=True)
    testbed = Testbed(World(1, 0), TestbedSettings())
    return SerialCheck(given, read_emulated_serial(testbed), is_real=False)


def require_serial(check: SerialCheck) -> None:
    """Raise BenchError if the given serial number is not that of the CDU."""
    if check.given and check.read is not None and check.given != check.read:
        kind = "CDU" if check.is_real else "emulated CDU"
        raise BenchError(f"serial number {check.given}: the {kind} gives {check.read}")


def read_serial(bench: RealBench, real_devices: dict[str, str]) -> SerialCheck:
    """Read the serial number while a bench is running; its port is closed for the time."""
    port = real_devices.get("rpu")
    if port is None:
        return SerialCheck("", read_emulated_serial(bench.testbed), is_real=False)
    bench.device_swap.restore_emulated("rpu")
    try:
        return SerialCheck("", read_real_serial(port), is_real=True)
    finally:
        bench.device_swap.attach_real("rpu", port)
