"""The serial number that the CDU tells of itself: the RPU's, registers 6616 to 6623, two characters
each (the public ORv3 register map, RpuMFRSerial).

From the emulated RPU, or over the wire from the real one in its place: before the page opens that
port for the bench, or through a connection of its own.
"""

from drivers.errors import DriverError
from drivers.tools.lib.modbus_client import Line, port_address
from hil.bench.testbed import RPU_UNIT
from hil.run.real_bench import RealBench
from protocols.errors import ProtocolError
from protocols.modbus import pdu

FIRST, COUNT = 6616, 8


def _text(words: list[int]) -> str:
    raw = b"".join(word.to_bytes(2, "big") for word in words)
    return raw.decode("ascii", "replace").strip("\0 ")


def read_serial(bench: RealBench, real: dict[str, str]) -> str | None:
    """Read it; None when the device does not tell."""
    port = real.get("rpu")
    if port is None:
        words = bench.row.rpu.read(FIRST, COUNT)
        return None if isinstance(words, int) else _text(words)
    bench.swaps.restore("rpu")
    try:
        with Line(port_address(port)) as line:
            values = line.ask(RPU_UNIT, pdu.read_holding(FIRST, COUNT)).values
    except (DriverError, ProtocolError):
        return None
    finally:
        bench.swaps.swap("rpu", port)
    return _text(list(values)) if len(values) == COUNT else None
