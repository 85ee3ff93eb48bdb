"""BeiDou RDSS short messages: the sentences of protocol 2.1 that a terminal speaks.

Not the driver (drivers.modems.rdss) and not the Gulf's or southern Africa's link: the three
geostationary satellites serve 80 to 140 degrees East. NMEA's framing (`$`…`*hh` CR LF).

    $CCICA,0,00            who are you?     $BDICI,address,…,frequency s,class,…
    $CCTXA,address,1,2,A4hex                send (1 ordinary, 2 mixed coding, content begins A4)
    $BDFKI,TXA,Y|N,…,reason,wait            taken or not; 4 "too often": wait hhmmss or s
    $CCRMO,PWI,2,1                          $BDPWI,…  power of the beams, 0 to 4 each
    $BDTXR,1,sender,2,time,A4hex            a message came

Source: the public description of the BD2 user terminal's interface (protocol 2.1, 2014); never met
a terminal. Class 3 cards carry 628 bits: 78 bytes, one a minute.
"""

from binascii import hexlify, unhexlify

MAX_BYTES = 77
"""Bytes of a message of a class 3 card, less the A4 that marks mixed coding."""


def build_sentence(body: bytes) -> bytes:
    """Frame `body` (without `$` and checksum)."""
    return b"$%s*%02X\r\n" % (body, _checksum(body))


def _checksum(body: bytes) -> int:
    total = 0
    for byte in body:
        total ^= byte
    return total


def parse_sentence(line: bytes) -> "list[bytes] | None":
    """Give a sentence's fields; None when its checksum is wrong."""
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
    """Read the content of a $BDTXR."""
    if fields[0] != b"BDTXR" or len(fields) < 6 or not fields[5].startswith(b"A4"):
        return None
    try:
        return unhexlify(fields[5][2:])
    except ValueError:
        return None


def parse_feedback(fields: "list[bytes]") -> "tuple[bool, int] | None":
    """Read a $BDFKI for TXA: taken or not, and seconds to wait before the next."""
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
    """Read the best of the beams' powers, 0 to 4, of a $BDPWI."""
    if fields[0] != b"BDPWI":
        return None
    powers = [int(f) for f in fields[2:] if f.isdigit() and len(f) == 1]
    return max(powers) if powers else 0
