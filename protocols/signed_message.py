"""The signed message that operators send to a controller, over MQTT or as a datagram.

    [kind, body, signatures]        CBOR (protocols.cbor), at most LONGEST bytes
    kind         what the body is: PATCH, COMMAND, MANIFEST
    body         bytes: CBOR of its own, so that what was signed is what is read
    signatures   bytes: 65 for each, one byte that names the key and 64 of Ed25519

What is signed is more than what is sent: `build_signing_input` adds the target and the hash of the
configuration that the change is meant for, both of which the receiver knows. A message for another
controller, or for another state of this one, is thereby a message with a bad signature, and costs
no byte on a satellite link.

Not here: what a body means (agent.remote), and who may sign what.
"""

from protocols import cbor
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Signatures = list[tuple[int, bytes]]

PATCH, COMMAND, MANIFEST = 1, 2, 3
KINDS = (PATCH, COMMAND, MANIFEST)

MAX_BYTES = 4096
"""Bytes of a message; a longer one is not looked at."""
MAX_SIGNATURES = 3
_ENTRY_BYTES = 65
_DOMAIN = b"coldloop signed message, 1\n"
"""Keeps a signature made here from meaning anything elsewhere (domain separation)."""


class SignedMessage:
    """One message: kind, body, [(key number, signature), …]."""

    def __init__(self, kind: int, body: bytes, signatures: "Signatures") -> None:
        self.kind = kind
        self.body = body
        self.signatures = signatures


def pack(message: SignedMessage) -> bytes:
    """Write a message."""
    signatures = b"".join([bytes((number,)) + sig for number, sig in message.signatures])
    return cbor.encode([message.kind, message.body, signatures])


def unpack(data: bytes) -> SignedMessage:
    """Read a message; raises `DecodeError`. Nothing in it is to be believed yet."""
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
    """Give the bytes under the signature.

    `target` is SITE/UNIT, or SITE/@GROUP; `base_hash` is that of the configuration a patch changes,
    empty for other kinds.
    """
    return _DOMAIN + cbor.encode([kind, target, base_hash, body])
