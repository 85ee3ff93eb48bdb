# SPDX-License-Identifier: Apache-2.0
"""The clock of a board for mbedTLS certificate checks, and the start date of a certificate.

A board without a battery starts in 1970, 2000 or the year of its firmware. mbedTLS then rejects
every certificate until the clock is set. The TLS port gets the agent's UTC at each opening
(`utc=SECONDS`, see `agent.telemetry.tls_link`):

    utc known     the port sets the board's clock before the handshake, so that the receiver's time
                  is used for the dates: an expired certificate is rejected
    utc=0         after a rejected certificate the port sets the clock to the start of its validity;
                  the next attempt then checks chain and host, but not the date. When UTC is known,
                  the agent closes the connection and opens it again with the right clock
    no utc        the clock is not changed

Thus an unknown peer can set the clock of a board without UTC. This has no effect on security,
because the date is not checked in this case. Without `machine.RTC` (the unix port) nothing is set:
there the operating system owns the clock.
"""

import time

from protocols.calendar import days_from_civil

_EPOCH_2000_S = 946_684_800
_EPOCH_2000 = 2000
_TOLERANCE_S = 60
MARGIN_S = 3600
"""Added to the start of validity: tolerance for clock errors of both sides."""
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED = 0x30, 0xA0, 0x17, 0x18
_BEFORE_VALIDITY = 3  # serial number, algorithm, issuer


def board_utc_s() -> int:
    """Return the time of the board's clock, seconds since 1970."""
    return int(time.time()) + _epoch_offset_s()


def set_clock(utc_s: int) -> None:
    """Set the board's clock to `utc_s`, seconds since 1970, if it differs by more than 60 s."""
    if abs(board_utc_s() - utc_s) <= _TOLERANCE_S:
        return
    try:
        from machine import RTC  # type: ignore[import-not-found]  # noqa: PLC0415 - boards only
    except ImportError:
        return
    at = time.gmtime(utc_s - _epoch_offset_s())
    RTC().datetime((at[0], at[1], at[2], at[6], at[3], at[4], at[5], 0))


def _epoch_offset_s() -> int:
    """Return the seconds from 1970 to the epoch of this build's `time`."""
    return _EPOCH_2000_S if time.gmtime(0)[0] == _EPOCH_2000 else 0


def valid_from_s(certificate: bytes) -> int:
    """Return the start of validity of a certificate (DER, RFC 5280), in s; 0 if unreadable."""
    try:
        at, _ = _element_content(certificate, _element_content(certificate, 0)[0])
        if certificate[at] == _VERSION:
            at = _element_content(certificate, at)[1]
        for _ in range(_BEFORE_VALIDITY):
            at = _element_content(certificate, at)[1]
        at, _ = _element_content(certificate, at)
        start, end = _element_content(certificate, at)
        return _parse_time(certificate[at], bytes(certificate[start:end]))
    except (IndexError, ValueError):
        return 0


def _element_content(data: bytes, at: int) -> "tuple[int, int]":
    """Return start and end of the content of the element at `at`."""
    size = data[at + 1]
    start = at + 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(bytes(data[at + 2 : start]), "big")
    if start + size > len(data):
        raise IndexError
    return start, start + size


def _parse_time(kind: int, text: bytes) -> int:
    """Parse YYMMDDhhmmssZ or YYYYMMDDhhmmssZ."""
    digits = 2 if kind == _UTC_TIME else 4
    if kind not in (_UTC_TIME, _GENERALIZED) or len(text) != digits + 11:
        raise ValueError
    year = int(text[:digits])
    if kind == _UTC_TIME:
        year += 1900 if year >= 50 else 2000  # RFC 5280, 4.1.2.5.1
    month, day, hour, minute, second = [
        int(text[digits + i : digits + i + 2]) for i in range(0, 10, 2)
    ]
    days = days_from_civil(year, month, day)
    return days * 86_400 + hour * 3600 + minute * 60 + second
