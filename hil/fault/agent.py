# SPDX-License-Identifier: Apache-2.0
"""Faults of the agent itself and of its input: an exception in one piece, any bytes on the bus.

Does not contain the containment of such a fault; see `agent.core.guard`.
"""

from hil.bench.testbed import Testbed
from hil.devices.modbus.raw_sender import RawSender
from hil.fault.base import FaultType

_MAX_BYTES = 512
_MAX_CALL = 1_000_000


def _raise_in(testbed: Testbed, call: float, piece: str) -> None:
    testbed.raise_in(piece, int(call))


def _check_piece(text: str) -> str:
    words = text.split()
    if not 1 <= len(words) <= 2 or words[1:] not in ([], ["memory"]):
        return 'a piece is needed, for example "safety" or "bus memory"'
    return ""


def _send_raw(testbed: Testbed, _: float, text: str) -> None:
    sender = RawSender(bytes.fromhex(text), testbed.world.now)
    testbed.bus.other_devices.append(sender)


def _check_hexadecimal(text: str) -> str:
    try:
        size = len(bytes.fromhex(text))
    except ValueError:
        return f"{text!r} is not hexadecimal"
    return "" if 1 <= size <= _MAX_BYTES else f"1 to {_MAX_BYTES} bytes are needed"


AGENT_EVENTS: dict[str, FaultType] = {
    "raise_in": FaultType(
        "the piece text of the agent (a section, supply, pressure, receiver, broker, a bus or "
        "a device) raises an exception at its call number value; a MemoryError if text ends with "
        "memory",
        _raise_in,
        limits=(1, _MAX_CALL),
        check_text=_check_piece,
    ),
    "raw_frame": FaultType(
        "the bytes text (hexadecimal) arrive on the field bus",
        _send_raw,
        check_text=_check_hexadecimal,
    ),
}
