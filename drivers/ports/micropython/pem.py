"""Certificate files for mbedTLS, which takes DER: a PEM file is unpacked, a DER file passed on.

Not a parser of certificates; only of the base64 armour (RFC 7468).
"""

import binascii

_BEGIN, _END = b"-----BEGIN ", b"-----END "
_DER_SEQUENCE = b"\x30"


def der_blocks(data: bytes) -> "list[bytes]":
    """Return the DER blocks in a file: one for DER, any number for PEM, none for anything else.

    Raises ValueError for damaged base64.
    """
    if data[:1] == _DER_SEQUENCE:
        return [data]
    blocks: list[bytes] = []
    for part in data.split(_BEGIN)[1:]:
        _label, _, rest = part.partition(b"-----")
        armour, end, _ = rest.partition(_END)
        if not end:
            raise ValueError("PEM without its end")
        blocks.append(binascii.a2b_base64(b"".join(armour.split())))
    return blocks
