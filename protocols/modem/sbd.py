# SPDX-License-Identifier: Apache-2.0
"""Short-burst data of the Iridium 9602 and 9603: responses, status values, binary transfers, time.

Does not drive the modem; see `drivers.modems.sbd`. Sources: Iridium 9601/9602 AT command
reference, pyiridium9602, SparkFun's IridiumSBD library.

    +SBDIX: MO status, MOMSN, MT status, MTMSN, MT length, MT queued
    binary to the modem:    content, 2 b: sum16           (after READY)
    binary from the modem:  2 b: length, content, 2 b: sum16
    -MSSTM: 8 hexadecimal digits: ticks of 90 ms since 2014-05-11T14:23:55Z, modulo 2**32

The count of -MSSTM wraps 12.2 years after its epoch, first in August 2026. The parser selects the
cycle that is nearest to an approximate UTC.
"""

from protocols.modem.checksum import sum16

MAX_MO_BYTES, MAX_MT_BYTES = 340, 270
RING_ALERT = b"SBDRING"
SENT, RETRY, WAIT, REJECTED, BLOCKED = "sent", "retry", "wait", "rejected", "blocked"
"""Meaning of a MO status: sent; retry soon; retry in minutes; message rejected; modem blocked until
an operator acts (retry in an hour)."""

_STATUS: "dict[int, tuple[str, str]]" = {
    10: (RETRY, "the gateway did not answer in time"),
    11: (WAIT, "the gateway's queue is full"),
    12: (REJECTED, "too many segments"),
    13: (RETRY, "the session did not complete"),
    14: (REJECTED, "bad segment size"),
    15: (BLOCKED, "the gateway denies access"),
    16: (BLOCKED, "the modem is locked"),
    17: (RETRY, "the gateway did not answer"),
    18: (RETRY, "the radio link dropped"),
    19: (RETRY, "the link failed"),
    32: (RETRY, "no network service"),
    33: (BLOCKED, "antenna fault"),
    34: (WAIT, "the radio is off"),
    35: (WAIT, "the modem is busy"),
    36: (WAIT, "three minutes must pass"),
    37: (BLOCKED, "the service is disabled"),
    38: (WAIT, "traffic management"),
    64: (BLOCKED, "band violation"),
    65: (WAIT, "the oscillator is not locked"),
}
"""Status of a session: what to do, and the reason."""
NOT_TRANSMITTED = (15, 16, 32, 33, 34, 35, 36, 37, 38, 64, 65)
"""Statuses of sessions without a transmission: not billed."""

_EPOCH_US = 1_399_818_235_000_000
_TICK_US = 90_000
_WRAP_US = (1 << 32) * _TICK_US


def interpret_status(value: int) -> "tuple[str, str]":
    """Return the meaning of a MO status (one of the five constants) and its text."""
    if 0 <= value <= 4:
        return SENT, "sent"
    return _STATUS.get(value, (RETRY, "status %d" % value))


def parse_numbers(line: bytes, name: bytes, count: int) -> "list[int] | None":
    """Parse `name: a, b, …` with exactly `count` decimal numbers; None for anything else.

    -1 is the number of an absent message; other negative numbers are invalid.
    """
    if not line.startswith(name):
        return None
    fields = line[len(name) :].split(b",")
    if len(fields) != count:
        return None
    values = []
    for field in fields:
        digits = field.strip()
        if digits != b"-1" and (not digits or not digits.isdigit() or len(digits) > 6):
            return None
        values.append(int(digits))
    return values


def parse_session(line: bytes) -> "list[int] | None":
    """Parse the six numbers of +SBDIX."""
    return parse_numbers(line, b"+SBDIX:", 6)


def parse_signal(line: bytes) -> "int | None":
    """Parse the bars, 0 to 5, of +CSQ, +CSQF or a +CIEV:0 code."""
    for name, count in ((b"+CSQ:", 1), (b"+CSQF:", 1), (b"+CIEV:", 2)):
        values = parse_numbers(line, name, count)
        if values is not None and (count == 1 or values[0] == 0):
            return values[-1] if 0 <= values[-1] <= 5 else None
    return None


def parse_service(line: bytes) -> "int | None":
    """Parse the service state, 0 or 1, of a +CIEV:1 code."""
    values = parse_numbers(line, b"+CIEV:", 2)
    return values[1] if values is not None and values[0] == 1 and 0 <= values[1] <= 1 else None


def build_transfer(content: bytes) -> bytes:
    """Return the bytes to send after READY."""
    return content + sum16(content).to_bytes(2, "big")


def parse_received(buffer: bytes) -> "tuple[bytes | None, bytes] | None":
    """Find the binary message at the start of `buffer`; a ring alert can be anywhere in it.

    Returns None if more bytes are needed, else (content or None, rest). Limit: a content that
    contains the text of a ring alert, with a ring alert inside, has the same sum without it. A
    message that must be authentic needs its own tag (`protocols.datagram`).
    """
    start = 0
    # an echo, a line end, a ring alert or an ERROR
    while start < len(buffer) and buffer[start] > 1:
        start += 1
    prefix = buffer[:start]
    if b"ERROR" in prefix:
        return None, prefix
    body = buffer[start:]
    message = _parse_message(body)
    if message is not None:
        return message[0], _keep_ring_alerts(prefix) + message[1]
    at = body.find(RING_ALERT)
    while at >= 0:
        for ring_text in (b"\r\n" + RING_ALERT + b"\r\n", RING_ALERT + b"\r\n"):
            first = at + len(RING_ALERT) + 2 - len(ring_text)
            if first >= 0 and body[first : first + len(ring_text)] == ring_text:
                message = _parse_message(body[:first] + body[first + len(ring_text) :])
                if message is not None:
                    return message[0], RING_ALERT + b"\r\n" + message[1]
        at = body.find(RING_ALERT, at + 1)
    return None


def _keep_ring_alerts(prefix: bytes) -> bytes:
    return (RING_ALERT + b"\r\n") * prefix.count(RING_ALERT)


def _parse_message(body: bytes) -> "tuple[bytes, bytes] | None":
    if len(body) < 4:
        return None
    length = int.from_bytes(body[:2], "big")
    end = 2 + length
    if length > MAX_MT_BYTES or len(body) < end + 2:
        return None
    content = body[2:end]
    if sum16(content) != int.from_bytes(body[end : end + 2], "big"):
        return None
    rest = body[end + 2 :]
    if rest and rest[:1] not in (b"\r", b"\n", b"S"):
        return None  # a 16-bit sum can match by chance around a ring alert
    return content, rest


def parse_system_time(line: bytes, near_us: int) -> "int | None":
    """Parse -MSSTM as UTC microseconds, in the cycle nearest to `near_us`; None if invalid."""
    if not line.startswith(b"-MSSTM:"):
        return None
    digits = line[7:].strip()
    if len(digits) != 8:
        return None  # "no network service"
    try:
        ticks = int(digits, 16)
    except ValueError:
        return None
    utc_us = _EPOCH_US + ticks * _TICK_US
    return utc_us + (near_us - utc_us + _WRAP_US // 2) // _WRAP_US * _WRAP_US
