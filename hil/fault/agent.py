# SPDX-License-Identifier: Apache-2.0
"""Faults of the agent itself and of its input: an exception in one piece, any bytes on the bus.

Does not contain the containment of such a fault; see `agent.core.fault.guard`.
"""

from hil.bench.testbed import Testbed
from hil.devices.modbus.raw_sender import RawSender
from hil.fault.base import FaultType
from hil.kernel.raise_in import ERRORS

_MAX_BYTES = 512
_MAX_CALL = 1_000_000


def _raise_in(testbed: Testbed, call: float, piece: str) -> None:
    testbed.raise_in(piece, int(call))


def _check_piece(text: str) -> str:
    words = text.split()
    if not 1 <= len(words) <= 2 or not set(words[1:]) <= set(ERRORS):
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
        "the piece TEXT of the agent raises an exception at its call number VALUE. A piece is a "
        "section, supply, pressure, fans, receiver, broker, a bus or a device; safety.tick names "
        "one method. The last word of TEXT can name the exception: memory, recursion, os, "
        "assertion or heap (an allocation fails inside the call)",
        _raise_in,
        limits=(1, _MAX_CALL),
        check_text=_check_piece,
    ),
    "raw_frame": FaultType(
        "the bytes TEXT (hexadecimal) arrive on the field bus",
        _send_raw,
        check_text=_check_hexadecimal,
    ),
}
