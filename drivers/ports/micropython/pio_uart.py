# SPDX-License-Identifier: Apache-2.0
"""A third UART of an RP2 board, made of two PIO state machines and two DMA channels.

Has the methods of `machine.UART` that `uart.UartPort` uses. One state machine sends, the next one
receives, both in PIO 1. The DMA fills a ring and empties a buffer, so no byte needs an interrupt or
a wait. Only 8 data bits, no parity, one stop bit. Has no direction pin and no arrival times.

The programs are those of Raspberry Pi's examples (pico-examples, pio/uart_tx and pio/uart_rx), with
8 cycles a bit. A byte with a wrong stop bit is dropped. If the ring overflows, all its bytes are
dropped and `overruns` counts it.
"""

import io
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PIO1 = 0x50300000
_TX_FIFO, _RX_FIFO = _PIO1 + 0x10, _PIO1 + 0x20
_FIRST = 4  # the first state machine of PIO 1
_TX_REQUEST, _RX_REQUEST = 8, 12  # DMA requests of PIO 1 (RP2040 datasheet, table 120)
_HIGH = 3  # output, high
_CYCLES = 8  # of a bit
_ENDLESS = 0xFFFFFFFF
_RENEW = 0x7FFFFFFF
"""Transfers: with fewer left, the endless transfer begins again while the line is idle."""
_POLL, _READABLE, _WRITABLE = 3, 1, 4
_TX_CODE = (0x9FA0, 0xF727, 0x6001, 0x0642)
"""pull side 1 [7]; set x, 7 side 0 [7]; bit: out pins, 1; jmp x--, bit [6]"""
_RX_CODE = (0x2020, 0xEA27, 0x4001, 0x0642, 0x00C7, 0x20A0, 0x0000, 0x8000)
"""start: wait 0 pin 0; set x, 7 [10]; bit: in pins, 1; jmp x--, bit [6]; jmp pin, good;
wait 1 pin 0; jmp start; good: push noblock"""
_SIDE_OPTIONAL = 1 << 30
_OUT_RIGHT, _IN_RIGHT = 1 << 19, 1 << 18
_JOIN_TX, _JOIN_RX = 1 << 30, 2 << 30


def _program(code: "tuple[int, ...]", control: int, shift: int, high: "int | None") -> "list[Any]":
    """Return a program in the form of MicroPython's `rp2.asm_pio`."""
    control |= (len(code) - 1) << 12  # wrap after the last instruction
    return [array("H", code), -1, -1, control, shift, high, None, high]


_PROGRAMS = (
    _program(_TX_CODE, _SIDE_OPTIONAL, _OUT_RIGHT | _JOIN_TX, _HIGH),
    _program(_RX_CODE, 0, _IN_RIGHT | _JOIN_RX, None),
)
"""They hold their place in the instruction memory of the PIO, 32 words; a copy takes 12 more."""


class PioUart(io.IOBase):  # poll() asks it
    """The UART. `description`: that of the board (`state_machine`, `tx`, `rx`, buffers)."""

    def __init__(self, description: "dict[str, Any]", rp2: "Any", pin: "Any") -> None:
        """Take the state machines and DMA channels; `init` starts them."""
        from uctypes import addressof  # type: ignore[import-not-found]  # noqa: PLC0415 - boards

        self._rp2 = rp2
        self._number: int = description["state_machine"]
        self._pins = (pin(description["tx"]), pin(description["rx"], pin.IN, pin.PULL_UP))
        self.overruns = 0
        self._size: int = description["rx_buffer"]
        room = memoryview(bytearray(2 * self._size))
        start = -addressof(room) % self._size  # the DMA wraps at a multiple of the size
        self._ring = room[start : start + self._size]
        self._buffer = bytearray(description["tx_buffer"])
        self._taken = 0
        self._machines: tuple[Any, ...] = ()
        self._sender, self._receiver = rp2.DMA(), rp2.DMA()

    def init(self, **options: "int | None") -> None:
        """Set the baud rate. Raises ValueError for a frame that the programs do not have."""
        if options.get("parity") is not None or options.get("stop", 1) != 1:
            raise ValueError("8 bits, no parity, one stop bit")
        self._stop()
        frequency = _CYCLES * int(options["baudrate"] or 0)
        machine, (tx, rx) = self._rp2.StateMachine, self._pins
        sender = machine(self._number, _PROGRAMS[0], freq=frequency, out_base=tx, sideset_base=tx)
        receiver = machine(self._number + 1, _PROGRAMS[1], freq=frequency, in_base=rx, jmp_pin=rx)
        self._machines = sender, receiver
        self._receive()
        for each in self._machines:
            each.active(1)

    def _receive(self) -> None:
        """Begin the endless transfer into the ring."""
        channel = self._number + 1 - _FIRST
        self._taken = 0
        control = self._receiver.pack_ctrl(
            size=0,
            inc_read=False,
            ring_size=_log2(self._size),
            ring_sel=True,
            treq_sel=_RX_REQUEST + channel,
        )
        self._receiver.config(
            read=_RX_FIFO + 4 * channel + 3,  # a byte is in the upper bits
            write=self._ring,
            count=_ENDLESS,
            ctrl=control,
            trigger=True,
        )

    def any(self) -> int:
        """Return the number of received bytes."""
        waiting: int = _ENDLESS - self._receiver.count - self._taken
        if waiting > self._size:
            self.overruns += 1
            self._taken += waiting
            return 0
        if not waiting and self._taken > _ENDLESS - _RENEW:
            self._receiver.active(0)
            self._receive()
        return waiting

    def read(self, size: int) -> "bytes | None":
        """Return at most `size` received bytes; None if there are none."""
        size = min(size, self.any())
        if not size:
            return None
        at = self._taken % self._size
        first = bytes(self._ring[at : at + size])
        self._taken += size
        return first + bytes(self._ring[: size - len(first)])

    def write(self, data: bytes) -> int:
        """Hand bytes to the DMA; 0 while it sends the ones before."""
        if self._sender.active():
            return 0
        size = min(len(data), len(self._buffer))
        self._buffer[:size] = data[:size]
        channel = self._number - _FIRST
        control = self._sender.pack_ctrl(size=0, inc_write=False, treq_sel=_TX_REQUEST + channel)
        self._sender.config(
            read=self._buffer,
            write=_TX_FIFO + 4 * channel,
            count=size,
            ctrl=control,
            trigger=True,
        )
        return size

    def ioctl(self, request: int, flags: int) -> int:
        """Answer poll()."""
        if request != _POLL:
            return 0
        ready = _READABLE if flags & _READABLE and self.any() else 0
        if flags & _WRITABLE and not self._sender.active():
            ready |= _WRITABLE
        return ready

    def deinit(self) -> None:
        """Stop both directions and give the DMA channels back."""
        self._stop()
        for channel in (self._sender, self._receiver):
            channel.close()

    def _stop(self) -> None:
        for machine in self._machines:
            machine.active(0)
        for channel in (self._sender, self._receiver):
            channel.active(0)


def _log2(size: int) -> int:
    return len(bin(size)) - 3  # MicroPython has no int.bit_length
