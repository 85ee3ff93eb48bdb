# SPDX-License-Identifier: Apache-2.0
"""The signed message from operators to a controller, over MQTT or in a datagram.

    [kind, body, signatures]        CBOR (protocols.cbor), at most `MAX_BYTES`
    kind         PATCH, COMMAND or MANIFEST
    body         bytes: separate CBOR, so that the signature covers exactly the bytes that are read
    signatures   bytes: 65 per signature: 1 byte of key number, 64 bytes of Ed25519

The signature covers more than the message carries. `build_signing_input` adds the target and the
hash of the base configuration; the receiver knows both. A message for another controller, or for
another configuration of this one, therefore has a wrong signature. This costs no byte on a
satellite link.

Does not read the body (see `agent.remote.message`) and does not check the rights of a signer (see
`agent.remote.message.verifier`).
"""

from protocols import cbor
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Signatures = list[tuple[int, bytes]]

PATCH, COMMAND, MANIFEST = 1, 2, 3
KINDS = (PATCH, COMMAND, MANIFEST)

MAX_BYTES = 4096
"""Maximum length of a message; a longer one is rejected unread."""
MAX_SIGNATURES = 3
_ENTRY_BYTES = 65
_DOMAIN = b"coldloop signed message, 1\n"
"""Separates these signatures from signatures of other formats (domain separation)."""


class SignedMessage:
    """One message: kind, body, [(key number, signature), …]."""

    def __init__(self, kind: int, body: bytes, signatures: "Signatures") -> None:
        self.kind = kind
        self.body = body
        self.signatures = signatures


def pack(message: SignedMessage) -> bytes:
    """Encode a message."""
    signatures = b"".join([bytes((number,)) + sig for number, sig in message.signatures])
    return cbor.encode([message.kind, message.body, signatures])


def unpack(data: bytes) -> SignedMessage:
    """Decode a message; raises `DecodeError`. Does not verify the signatures."""
    if len(data) > MAX_BYTES:
        raise DecodeError("%d bytes; at most %d are read" % (len(data), MAX_BYTES))
    parts = cbor.decode(data)
    if type(parts) is not list or [type(part) for part in parts] != [int, bytes, bytes]:
        raise DecodeError("not [kind, body, signatures]")
    kind, body, signature_bytes = parts
    if kind not in KINDS:
        raise DecodeError("kind %d is not known" % kind)
    count = len(signature_bytes) // _ENTRY_BYTES
    if len(signature_bytes) % _ENTRY_BYTES or not 1 <= count <= MAX_SIGNATURES:
        raise DecodeError("%d bytes of signatures" % len(signature_bytes))
    entries = [signature_bytes[i * _ENTRY_BYTES : (i + 1) * _ENTRY_BYTES] for i in range(count)]
    return SignedMessage(kind, body, [(entry[0], entry[1:]) for entry in entries])


def build_signing_input(kind: int, target: str, base_hash: bytes, body: bytes) -> bytes:
    """Return the bytes that the signature covers.

    `target` is SITE/UNIT or SITE/@GROUP. `base_hash` is the hash of the configuration that a patch
    changes; it is empty for other kinds.
    """
    return _DOMAIN + cbor.encode([kind, target, base_hash, body])
