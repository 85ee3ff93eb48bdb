# SPDX-License-Identifier: Apache-2.0
"""The faults of every Modbus server. A test or a scenario sets them with `inject`.

Does not have the faults of a device model (see its module) or of the line (see `line`). A counter
decreases by one at each use; -1 means no end.

    dead               the server does not reply
    extra_delay_us     added to `turnaround_us`: a slow reply
    exception_code     exception code of the reply to every request; 0 for none
    busy, busy_code    number of next requests that get exception 06 (or 05)
    ignore_writes      writes are confirmed and have no effect
    write_delay_us     writes are confirmed immediately and take effect after this time
    clamps             a value out of range becomes the limit; no exception 03
    noise              bytes sent directly before each reply
    corrupted_replies  number of next replies with a wrong CRC (on TCP: a wrong length)
    truncated_replies  number of next replies without their last bytes
    duplicated_replies number of next replies that are sent twice
    reply_unit         unit id in replies instead of the server's own
"""

from __future__ import annotations

from typing import ClassVar

from hil.devices.base import FaultTarget

SERVER_FAILURE, ACKNOWLEDGE, BUSY = 4, 5, 6
"""Exception codes of the Modbus application protocol V1.1b3, section 7."""


class ModbusFaults(FaultTarget):
    """The faults above; all are off at the start."""

    FAULTS: ClassVar = frozenset(
        (
            "dead",
            "extra_delay_us",
            "exception_code",
            "busy",
            "busy_code",
            "ignore_writes",
            "write_delay_us",
            "clamps",
            "noise",
            "corrupted_replies",
            "truncated_replies",
            "duplicated_replies",
            "reply_unit",
        )
    )
    clamps = False

    def __init__(self) -> None:
        self.dead = False
        self.extra_delay_us = 0
        self.exception_code = 0
        self.busy = 0
        self.busy_code = BUSY
        self.ignore_writes = False
        self.write_delay_us = 0
        self.noise = b""
        self.corrupted_replies = 0
        self.truncated_replies = 0
        self.duplicated_replies = 0
        self.reply_unit: int | None = None

    def forced_exception(self) -> int:
        """Return the exception code that a fault forces for this request, or 0."""
        if self.busy:
            self.busy -= self.busy > 0
            return self.busy_code
        return self.exception_code

    def apply_reply_faults(self, frame: bytes) -> bytes:
        """Apply the faults to a correct reply. The framer applies `reply_unit`."""
        if self.corrupted_replies:
            frame = frame[:-1] + bytes((frame[-1] ^ 0x55,))
            self.corrupted_replies -= self.corrupted_replies > 0
        if self.truncated_replies:
            frame = frame[: -max(2, len(frame) // 3)]
            self.truncated_replies -= self.truncated_replies > 0
        if self.duplicated_replies:
            frame += frame
            self.duplicated_replies -= self.duplicated_replies > 0
        return self.noise + frame
