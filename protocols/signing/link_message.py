# SPDX-License-Identifier: Apache-2.0
"""One message on the link between both controllers of a pair, as a line of base64.

Does not send; see `protocols.signing.peer_link`. A line works on a serial port and as a
datagram. It begins with a line feed: bytes without an end, which noise or a foreign datagram left
before it, do not destroy it.

    magic and version (4)  node (1)  word (1)  flags (1)  session (8)  nonce (8)  echo (8)
    sequence (4)  seen (4)  epoch (4)  state (4)  received (4)  part (2)  parts (2)
    bytes of the part  code (8)

`session` rises at each start of the sender, and with each new `nonce`. `echo` is the nonce of
the other controller. So a recorded message is never valid again. `seen` is the last sequence that
came from the other controller: it tells how old a message can be. `state` is the number of the
sender's replicated state, `received` that of the last whole state that it has got. The code is
HMAC-SHA256 of all before it with the key of the pair, cut to 64 bits.
"""

import binascii
import struct
from collections import namedtuple

from protocols.signing.hmac_sha256 import hmac

_MAGIC = b"CPL\x01"
_FORMAT = ">4sBBBQ8s8sIIIIIHH"
_HEAD = struct.calcsize(_FORMAT)
_CODE = 8
MAX_PART = 240
"""Bytes of state in one message: with 57,600 bit/s a message takes less than 100 ms."""
MAX_LINE = 4 * ((_HEAD + MAX_PART + _CODE + 2) // 3) + 1
FIT = 1

LinkMessage = namedtuple(
    "LinkMessage",
    (
        "node",
        "word",
        "flags",
        "session",
        "nonce",
        "echo",
        "sequence",
        "seen",
        "epoch",
        "state",
        "received",
        "part",
        "parts",
        "data",
    ),
)
"""Content of a message. `word`: constant of `pair_table`. `parts` 0: no part of a state."""


def build_line(key: bytes, message: LinkMessage) -> bytes:
    """Return the line of a message, with the line feeds before it and at its end."""
    head = struct.pack(_FORMAT, _MAGIC, ord(message.node), *message[1:-1])
    body = head + message.data
    return b"\n" + binascii.b2a_base64(body + hmac(key, body)[:_CODE])


def parse_line(key: bytes, line: bytes) -> "LinkMessage | None":
    """Return the content of a line without its end; None if it is altered or has another key."""
    try:
        raw = binascii.a2b_base64(line)
    except ValueError:
        return None
    body = raw[: len(raw) - _CODE]
    if not _HEAD <= len(body) <= _HEAD + MAX_PART or body[:4] != _MAGIC:
        return None
    if raw[len(body) :] != hmac(key, body)[:_CODE]:
        return None
    fields = struct.unpack(_FORMAT, body[:_HEAD])
    return LinkMessage(*((chr(fields[1]),) + fields[2:] + (body[_HEAD:],)))
