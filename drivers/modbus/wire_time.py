# SPDX-License-Identifier: Apache-2.0
"""Wire time of a Modbus transaction, in microseconds.

Does not access a port. Contains only arithmetic over baud rate, bits of a character and the gap
between frames. Poll plans, timeouts and load figures use the same numbers.

Serial: a frame begins after t3.5 of idle line. This is 3.5 characters, or 1.75 ms above 19200 baud
("MODBUS over Serial Line V1.02", section 2.5.1.1). A transaction is this gap, the request, the
turnaround of the device and the reply. TCP: a transaction is a round trip; the data take almost no
time.
"""

from protocols.time_units import MILLISECOND, SECOND

_FAST_BAUD = 19200
_FAST_GAP_US = 1750
_READ_REQUEST = 8  # unit, function, address, count, CRC
_READ_REPLY = 5  # unit, function, byte count, CRC; and the data
_BIT_FUNCTIONS = (1, 2)  # functions that read bits
_MAX_REGISTERS = 125
_MAX_BITS = 2000
_MIN_REGISTERS = 8


class WireTime:
    """Times of one line or stream, in microseconds.

    `turnaround_us` is the time from request to reply in the device. `bits_per_char` counts start,
    data, parity and stop bits (8E1: 11). For TCP (`serial` False) the turnaround is the whole
    round trip. In ASCII mode each byte of a frame is two characters.
    """

    def __init__(
        self,
        baud: int = 19200,
        bits_per_char: int = 11,
        turnaround_us: int = 5 * MILLISECOND,
        serial: bool = True,
        ascii_mode: bool = False,
    ) -> None:
        self.ascii_mode = ascii_mode
        self._chars_per_byte = 2 if ascii_mode else 1
        self.baud = baud
        self.serial = serial
        self.turnaround_us = turnaround_us
        self._char_us_times_baud = bits_per_char * SECOND  # divided last: keeps the fraction
        self.gap_us = 0
        if serial:
            t3_5_us = (7 * self._char_us_times_baud + 2 * baud - 1) // (2 * baud)
            self.gap_us = _FAST_GAP_US if baud > _FAST_BAUD else t3_5_us

    def chars_us(self, count: int) -> int:
        """Return the time of `count` characters; on TCP 0.1 us a byte."""
        return count * self._char_us_times_baud // self.baud if self.serial else count // 10

    def exchange_us(self, request: int, reply: int) -> int:
        """Return the time of gap, request, turnaround and reply; the sizes are frames in bytes."""
        chars = self._chars_per_byte * (request + reply)
        return self.gap_us + self.chars_us(chars) + max(self.turnaround_us, self.gap_us)

    def read_us(self, function: int, count: int) -> int:
        """Return the time of one read of `count` registers, or of bits for functions 1 and 2."""
        data = (count + 7) // 8 if function in _BIT_FUNCTIONS else 2 * count
        return self.exchange_us(_READ_REQUEST, _READ_REPLY + data)

    def max_read(self, function: int, max_wait_us: int) -> int:
        """Return the number of registers (or bits) that one read transfers within `max_wait_us`.

        An urgent write waits for the transaction on the wire, so reads are kept short. The result
        is at least 8 registers and at most the contents of one frame.
        """
        overhead_us = self.read_us(function, 0)
        per_thousand_us = self.chars_us(2000 * self._chars_per_byte)
        count = max(0, max_wait_us - overhead_us) * 1000 // max(1, per_thousand_us)
        count = max(_MIN_REGISTERS, count)
        if function in _BIT_FUNCTIONS:
            return min(16 * count, _MAX_BITS)
        return min(count, _MAX_REGISTERS)
