# SPDX-License-Identifier: Apache-2.0
"""Certificate files for mbedTLS, which needs DER: decodes PEM, passes DER unchanged.

Does not parse certificates, only the base64 encoding of PEM (RFC 7468).
"""

import binascii

_BEGIN, _END = b"-----BEGIN ", b"-----END "
_DER_SEQUENCE = b"\x30"


def extract_der(data: bytes) -> "list[bytes]":
    """Return the DER blocks of a file: one for DER, any number for PEM, none for other files.

    Raises ValueError for invalid base64.
    """
    if data[:1] == _DER_SEQUENCE:
        return [data]
    blocks: list[bytes] = []
    for part in data.split(_BEGIN)[1:]:
        _label, _, rest = part.partition(b"-----")
        base64_text, end, _ = rest.partition(_END)
        if not end:
            raise ValueError("PEM without its end")
        blocks.append(binascii.a2b_base64(b"".join(base64_text.split())))
    return blocks
