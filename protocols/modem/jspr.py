# SPDX-License-Identifier: Apache-2.0
"""JSPR, the protocol of the Iridium 9704: JSON requests and responses, one per line.

Does not drive the modem; see `drivers.modems.imt`. Source: RockBLOCK-9704 library (src/jspr*.c).

    client     GET|PUT target {json} CR
    modem      200 target {json} CR   (299 unsolicited, 400 to 420 rejected, 500 failed)
    messages   content and 2 b CRC-16 (big-endian), cut into segments of at most 1,446 bytes,
               each base64 in its own response to the modem's messageOriginateSegment

A line of more than `_MAX_LINE` bytes is dropped and counted.
"""

import json
from binascii import a2b_base64, b2a_base64

from protocols.errors import DecodeError
from protocols.modem.checksum import crc16
from protocols.modem.strict_json import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    JsprResponse = tuple[int, str, dict[str, Any]]

MAX_BYTES = 100_000
SEGMENT_BYTES = 1_446
UNSOLICITED = 299
_MAX_LINE = 4096

ALREADY_SET, NOT_ALLOWED = 402, 406
"""Codes for a setting that has its value already, and for a state that is reached already."""

SENT, RETRY, REJECTED, BLOCKED = "sent", "retry", "rejected", "blocked"
FINAL_STATUS: "dict[str, str]" = {
    "mo_ack_received": SENT,
    "subscription_invalid": BLOCKED,
    "invalid_topic": REJECTED,
    "message_too_long": REJECTED,
}
"""Meaning of final_mo_status; after any other status, such as message_expired,
message_transfer_timeout, segment_incorrect or network_error, the caller retries."""


def build_request(verb: str, target: str, fields: "list[tuple[str, object]]") -> bytes:
    """Write a request; `fields` in order, values are numbers, texts, true/false or lists."""
    members = ", ".join(
        ["%s: %s" % (json.dumps(name), json.dumps(value)) for name, value in fields]
    )
    return ("%s %s {%s}\r" % (verb, target, members)).encode()


class JsprReader:
    """Converts bytes to responses (code, target, object); `bad_lines` counts invalid lines."""

    def __init__(self) -> None:
        self.bad_lines = 0
        self._buffer = b""

    def reset(self) -> None:
        """Discard an incomplete line."""
        self._buffer = b""

    def feed(self, data: bytes) -> "list[JsprResponse]":
        """Add bytes; return the complete responses."""
        lines = (self._buffer + data).replace(b"\n", b"\r").split(b"\r")
        self._buffer = lines[-1]
        if len(self._buffer) > _MAX_LINE:
            self._buffer = b""
            self.bad_lines += 1
        responses = []
        for line in lines[:-1]:
            response = _parse_response(line) if line else None
            if response is not None:
                responses.append(response)
            elif line:
                self.bad_lines += 1
        return responses


def _parse_response(line: bytes) -> "JsprResponse | None":
    code, target, text = (line.split(b" ", 2) + [b"", b""])[:3]
    if len(code) != 3 or not code.isdigit() or not target:
        return None
    try:
        return int(code), target.decode(), parse_object(text.decode())
    except (DecodeError, ValueError):  # UnicodeError is a ValueError
        return None


def add_crc(content: bytes) -> bytes:
    """Return a message with its CRC."""
    return content + crc16(content).to_bytes(2, "big")


def strip_crc(data: bytes) -> "bytes | None":
    """Return a message without its CRC; None if the CRC is wrong."""
    if len(data) < 2 or crc16(data[:-2]) != int.from_bytes(data[-2:], "big"):
        return None
    return data[:-2]


def encode_base64(data: bytes) -> str:
    """Return base64 without a line end."""
    return b2a_base64(data).strip().decode()


def decode_base64(text: object) -> "bytes | None":
    """Reverse `encode_base64`; None if the text is invalid."""
    if not isinstance(text, str) or len(text) > 2 * SEGMENT_BYTES:
        return None
    try:
        return a2b_base64(text)
    except ValueError:
        return None
