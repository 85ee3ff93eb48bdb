# SPDX-License-Identifier: Apache-2.0
"""The beacon of a pair: a Modbus request of the active controller to the standby, and its reply.

Does not send; see `paired_agent`. The request is function 23 to the unit address of the peer: it
writes 8 registers and reads 6. So both directions of both ports are tested on the line itself.

    request  version and role, 0, epoch (2), sequence, 0, code (2)
    reply    role, epoch (2), sequence of the request, code (2)

The code is the HMAC-SHA256 of the unit address and the other registers, cut to 32 bits, with the
key of the pair. It keeps a controller from giving up its role because of a foreign master. A beacon
with an old epoch, recorded and sent again, has no effect on a controller with a newer one.
"""

import struct
from collections import namedtuple

from protocols.modbus.pdu import read_write
from protocols.signing.hmac_sha256 import hmac

VERSION = 1
UNITS = {"a": 246, "b": 247}
"""Unit addresses of the controllers on the line; no device can have them."""
PEER = {"a": "b", "b": "a"}

Word = namedtuple("Word", ("role", "epoch", "sequence"))
"""What a controller tells its peer. `role`: number of `pair_table`. `epoch`: counts takeovers."""

_WRITTEN, _READ = 8, 6
_HEAD = 11  # unit, function, two spans, count of bytes
_EPOCHS = 1 << 32


def _code(key: bytes, unit: int, body: bytes) -> bytes:
    return hmac(key, bytes((unit,)) + body)[:4]


def build_request(key: bytes, unit: int, word: Word) -> bytes:
    """Return the PDU of a beacon to the controller with address `unit`."""
    head = (VERSION << 8 | word.role, 0)
    body = struct.pack(">HHIHH", *head, word.epoch % _EPOCHS, word.sequence & 0xFFFF, 0)
    body += _code(key, unit, body)
    return read_write(0, _READ, 0, struct.unpack(">8H", body))


def parse_request(key: bytes, unit: int, frame: bytes) -> "Word | None":
    """Return the content of a beacon to `unit`; None for any other or an altered frame."""
    body = _valid_body(key, unit, frame)
    if not body or body[0] != VERSION:
        return None
    _, _, epoch, sequence, _ = struct.unpack(">HHIHH", body)
    return Word(body[1], epoch, sequence)


def other_version(key: bytes, unit: int, frame: bytes) -> int:
    """Return the version of a beacon to `unit` that has the key, and another version; else 0.

    Each version keeps the length, the place of the version and that of the code.
    """
    body = _valid_body(key, unit, frame)
    return body[0] if body and body[0] != VERSION else 0


def _valid_body(key: bytes, unit: int, frame: bytes) -> bytes:
    """Return the registers of a beacon to `unit` before the code; nothing if the code is wrong."""
    if len(frame) != _HEAD + 2 * _WRITTEN + 2 or frame[0] != unit or frame[1] != 23:
        return b""
    body = frame[_HEAD : _HEAD + 12]
    return body if frame[_HEAD + 12 : _HEAD + 16] == _code(key, unit, body) else b""


def build_reply(key: bytes, unit: int, word: Word) -> bytes:
    """Return the PDU of the reply of the controller with address `unit`."""
    body = struct.pack(">HIH", word.role, word.epoch % _EPOCHS, word.sequence & 0xFFFF)
    return bytes((23, 2 * _READ)) + body + _code(key, unit, body)


def parse_reply(key: bytes, unit: int, frame: bytes) -> "Word | None":
    """Return the content of the reply of `unit`; None for any other or an altered frame."""
    if len(frame) != 3 + 2 * _READ + 2 or frame[0] != unit or frame[1] != 23:
        return None
    body = frame[3:11]
    if frame[11:15] != _code(key, unit, body):
        return None
    return Word(*struct.unpack(">HIH", body))
