# SPDX-License-Identifier: Apache-2.0
"""The serial number of the CDU: registers 6616 to 6623 of the RPU, two characters each.

Source: the public ORv3 register map, RpuMFRSerial. If the RPU is real, the number is read over the
port of the real device, through a separate connection.
"""

from drivers.errors import DriverError
from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from hil.bench.testbed import RPU_UNIT
from hil.run.real_bench import RealBench
from protocols.errors import ProtocolError
from protocols.modbus import pdu

FIRST_REGISTER, REGISTER_COUNT = 6616, 8


def _decode_text(words: list[int]) -> str:
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    return raw.decode("ascii", "replace").strip("\0 ")


def read_serial(bench: RealBench, real_devices: dict[str, str]) -> str | None:
    """Read the serial number; None: the device gives none."""
    port = real_devices.get("rpu")
    if port is None:
        words = bench.testbed.rpu.read(FIRST_REGISTER, REGISTER_COUNT)
        return None if isinstance(words, int) else _decode_text(words)
    bench.device_swap.restore_emulated("rpu")
    try:
        with BlockingModbusClient(port_address(port)) as client:
            values = client.request(
                RPU_UNIT, pdu.read_holding(FIRST_REGISTER, REGISTER_COUNT)
            ).values
    except (DriverError, ProtocolError):
        return None
    finally:
        bench.device_swap.attach_real("rpu", port)
    return _decode_text(list(values)) if len(values) == REGISTER_COUNT else None
