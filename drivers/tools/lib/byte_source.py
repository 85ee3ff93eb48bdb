# SPDX-License-Identifier: Apache-2.0
"""Bytes from a file, standard input or a port, in one form.

`read_chunks` yields (bytes, monotonic microseconds of the last byte). The time is 0 for a file. An
idle port yields (b"", now) ten times per second, so that the caller can notice silence.
"""

import os
import stat
import sys
import time
from collections.abc import Iterator

from drivers.ports.address import Address, parse_address
from drivers.ports.address_text import KINDS

CHUNK = 4096
_FILE_CHUNK = 65_536
_IDLE_US = 100_000

Chunks = Iterator["tuple[bytes, int]"]


def find_address(text: str) -> "Address | None":
    """Return the port that `text` names; None if it names a file.

    A port is an address, or the path of a device (9600 baud).

    Raises:
        AddressError: an invalid address.
    """
    if text.split(":", 1)[0] in KINDS and ":" in text:
        return parse_address(text)
    try:
        is_device = stat.S_ISCHR(os.stat(text).st_mode)
    except OSError:
        return None
    return parse_address(f"serial:{text}") if is_device and text != os.devnull else None


def read_chunks(text: str, seconds: "float | None" = None) -> Chunks:
    """Yield the chunks of a file, of standard input (`-`) or of a port.

    A port ends after `seconds`, or not at all.

    Raises:
        AddressError: an invalid address.
        PortError: the port cannot be used.
        OSError: the file cannot be read.
    """
    address = None if text == "-" else find_address(text)
    if address is not None:
        yield from _read_port(address, seconds)
    elif text == "-":
        while data := os.read(sys.stdin.fileno(), CHUNK):
            yield data, 0
    else:
        with open(text, "rb") as file:
            while data := file.read(_FILE_CHUNK):
                yield data, 0


def _read_port(address: Address, seconds: "float | None") -> Chunks:
    # a file needs no port: its command starts twice as quickly
    from drivers.tools.lib.open_port import OpenPort, monotonic_us  # noqa: PLC0415

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
