"""What can be wrong with any Modbus slave: plain attributes that a test or a scenario sets.

Not the behaviour of a model (that is in its module) and not a fault of the line (`ModbusLine`).
Counts go down by one with each use; -1 never ends.

    dead              answers nothing
    extra_delay_us    added to `turnaround_us`: a slow answer
    refuse            exception code that answers every request; 0 for none
    busy, busy_code   how many of the next requests get exception 06 (or 05)
    ignore_writes     writes are confirmed and change nothing
    write_delay_us    writes are confirmed at once and take effect after this time
    clamps            a value beyond its limits becomes the limit instead of exception 03
    noise             bytes sent right before each reply
    corrupt           how many of the next replies get a wrong CRC (on TCP: a wrong length)
    cut               how many of the next replies lose their last bytes
    twice             how many of the next replies are sent two times
    reply_unit        unit id put into replies instead of its own
"""

from __future__ import annotations

from hil.devices.base import FaultTarget

SERVER_FAILURE, ACKNOWLEDGE, BUSY = 4, 5, 6
"""Exception codes of the Modbus application protocol V1.1b3, section 7."""


class ModbusFaults(FaultTarget):
    """The attributes above, all off."""

    FAULTS = frozenset(
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
        """The exception that answers this request whatever it is, or 0."""
        if self.busy:
            self.busy -= self.busy > 0
            return self.busy_code
        return self.exception_code

    def apply_reply_faults(self, frame: bytes) -> bytes:
        """A good reply as it leaves the slave; `reply_unit` is the framer's business."""
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
