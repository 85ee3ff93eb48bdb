# SPDX-License-Identifier: Apache-2.0
"""BeiDou RDSS short messages: the sentences of protocol 2.1 of a terminal.

Does not drive the terminal; see `drivers.modems.rdss`. Does not cover the Gulf or southern Africa:
the three geostationary satellites serve 80 to 140 degrees East. Framing is that of NMEA (`$`…`*hh`
CR LF).

    $CCICA,0,00            identify         $BDICI,address,…,frequency s,class,…
    $CCTXA,address,1,2,A4hex                send (1 ordinary, 2 mixed coding, content starts with
    A4)
    $BDFKI,TXA,Y|N,…,reason,wait            accepted or not; 4 "too often": wait hhmmss or s
    $CCRMO,PWI,2,1                          $BDPWI,…  power of the beams, 0 to 4 each
    $BDTXR,1,sender,2,time,A4hex            a received message

Source: the public description of the interface of the BD2 user terminal (protocol 2.1, 2014). Not
tested with a real terminal. Class 3 cards carry 628 bits: 78 bytes, one message a minute.
"""

from binascii import hexlify, unhexlify

MAX_BYTES = 77
"""Bytes of a message of a class 3 card, without the A4 that marks mixed coding."""


def build_sentence(body: bytes) -> bytes:
    """Frame `body` (without `$` and checksum)."""
    return b"$%s*%02X\r\n" % (body, _checksum(body))


def _checksum(body: bytes) -> int:
    total = 0
    for byte in body:
        total ^= byte
    return total


def parse_sentence(line: bytes) -> "list[bytes] | None":
    """Return the fields of a sentence; None if its checksum is wrong."""
    start = line.find(b"$")
    body, star, check = line[start + 1 :].partition(b"*")
    if start < 0 or not star:
        return None
    try:
        if int(check[:2], 16) != _checksum(body):
            return None
    except ValueError:
        return None
    return body.split(b",")


def build_message(address: int, content: bytes) -> bytes:
    """Write a message to `address`."""
    return build_sentence(b"CCTXA,%07d,1,2,A4%s" % (address, hexlify(content).upper()))


def parse_received(fields: "list[bytes]") -> "bytes | None":
    """Parse the content of a $BDTXR; None if it is not one."""
    if fields[0] != b"BDTXR" or len(fields) < 6 or not fields[5].startswith(b"A4"):
        return None
    try:
        return unhexlify(fields[5][2:])
    except ValueError:
        return None


def parse_feedback(fields: "list[bytes]") -> "tuple[bool, int] | None":
    """Parse a $BDFKI for TXA: accepted or not, and the seconds to wait before the next message."""
    if fields[0] != b"BDFKI" or len(fields) < 3 or fields[1] != b"TXA":
        return None
    wait = fields[5].strip() if len(fields) > 5 else b""
    seconds = 0
    if wait.isdigit():
        seconds = int(wait)
        if len(wait) == 6:
            seconds = int(wait[:2]) * 3600 + int(wait[2:4]) * 60 + int(wait[4:])
    return fields[2] == b"Y", seconds


def parse_beam_power(fields: "list[bytes]") -> "int | None":
    """Parse the highest beam power, 0 to 4, of a $BDPWI."""
    if fields[0] != b"BDPWI":
        return None
    powers = [int(field) for field in fields[2:] if field.isdigit() and len(field) == 1]
    return max(powers) if powers else 0
