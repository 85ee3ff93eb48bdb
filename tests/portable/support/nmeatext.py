# SPDX-License-Identifier: Apache-2.0
"""Sentences for tests: checksums, and streams in the dialects of receivers."""

from drivers.gnss.epoch import Epoch
from drivers.gnss.receiver import ReceiverDriver

POSITION = "2512.5,N,05516.5,E"


def xor_of(body: bytes) -> int:
    """Return the checksum of a body."""
    total = 0
    for byte in body:
        total ^= byte
    return total


def line(body: str) -> bytes:
    """Return a body as a sentence with its line end."""
    raw = body.encode()
    return b"$" + raw + b"*%02X\r\n" % xor_of(raw)


def lines(*bodies: str) -> bytes:
    """Return several sentences."""
    return b"".join([line(body) for body in bodies])


def rmc(time: str, status: str = "A", mode: str = "A", date: str = "251126") -> bytes:
    """Return an RMC at the position of the tests."""
    return line("GNRMC,%s,%s,%s,0.0,0.0,%s,,,%s,V" % (time, status, POSITION, date, mode))


def gga(time: str, quality: str = "1", used: str = "16") -> bytes:
    """Return a GGA at the position of the tests."""
    return line("GNGGA,%s,%s,%s,%s,0.7,12.3,M,-33.1,M,," % (time, POSITION, quality, used))


def decode(stream: bytes, vendor: "str | None" = None) -> "list[Epoch]":
    """Return the epochs of a recording."""
    receiver = ReceiverDriver(0, 9600, max_epochs=1000, vendor=vendor, timing_valid=False)
    receiver.receive(stream, 0)
    return receiver.take_epochs() + receiver.finish_stream()


def single_epoch(stream: bytes, vendor: "str | None" = None) -> Epoch:
    """Return the only epoch of a recording."""
    epochs = decode(stream, vendor)
    assert len(epochs) == 1, len(epochs)
    return epochs[0]
