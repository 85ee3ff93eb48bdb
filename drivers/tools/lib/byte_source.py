"""Where a probe's bytes come from: a file, standard input or a port, in one shape.

`read_chunks` yields (bytes, monotonic microseconds of the last of them). A file has no times: 0
each. An idle port yields (b"", now) ten times a second, so that whoever listens notices silence.
"""

import os
import stat
import sys
import time
from collections.abc import Iterator

from drivers.ports.address import KINDS, Address, parse_address
from drivers.tools.lib.open_port import OpenPort, monotonic_us

CHUNK = 4096
_IDLE_US = 100_000

Chunks = Iterator["tuple[bytes, int]"]


def find_address(text: str) -> "Address | None":
    """The port that a word names: an address, or a device's path at 9600 baud; None for a file.

    Raises:
        AddressError: it looks like an address and is none.
    """
    if text.split(":", 1)[0] in KINDS and ":" in text:
        return parse_address(text)
    try:
        is_device = stat.S_ISCHR(os.stat(text).st_mode)
    except OSError:
        return None
    return parse_address(f"serial:{text}") if is_device and text != os.devnull else None


def read_chunks(text: str, seconds: "float | None" = None) -> Chunks:
    """Yield what a file, `-` or a port has; a port ends after `seconds`, or never.

    Raises:
        AddressError: a word that looks like an address and is none.
        PortError: a port that cannot be used.
        OSError: a file that cannot be read.
    """
    address = None if text == "-" else find_address(text)
    if address is not None:
        yield from _read_port(address, seconds)
    elif text == "-":
        while data := os.read(sys.stdin.fileno(), CHUNK):
            yield data, 0
    else:
        with open(text, "rb") as file:
            while data := file.read(CHUNK):
                yield data, 0


def _read_port(address: Address, seconds: "float | None") -> Chunks:
    end = None if seconds is None else time.monotonic() + seconds
    open_port = OpenPort(address)
    try:
        while end is None or time.monotonic() < end:
            open_port.wait(monotonic_us() + _IDLE_US)
            data = open_port.port.read()
            if data is None:
                return
            yield data, monotonic_us()
    finally:
        open_port.port.close()
