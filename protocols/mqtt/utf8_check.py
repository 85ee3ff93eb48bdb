# SPDX-License-Identifier: Apache-2.0
"""Check of text with characters beyond ASCII: UTF-8 as MQTT carries it [1.5.3].

Does not decode. `protocols.mqtt.packets` loads it with the first such text.
"""

from protocols.errors import DecodeError

# number of continuation bytes, by the first four bits of the lead byte
_CONTINUATIONS = (0,) * 12 + (1, 1, 2, 3)
# lowest code point for each number of continuation bytes
_MIN_CODE_POINT = (0, 0x80, 0x800, 0x10000)


def check_code_points(raw: bytes) -> None:
    """Raise `DecodeError` unless this is UTF-8 without U+0000 and surrogates."""
    at = 0
    while at < len(raw):
        code = raw[at]
        extra = 0 if 0 < code < 0x80 else _CONTINUATIONS[code >> 4] if 0xC2 <= code <= 0xF4 else -1
        tail = raw[at + 1 : at + 1 + extra]
        if extra < 0 or len(tail) < extra:
            raise DecodeError("text that is not UTF-8")
        code = code & (0x3F >> extra) if extra else code
        for byte in tail:
            if byte & 0xC0 != 0x80:
                raise DecodeError("text that is not UTF-8")
            code = code << 6 | byte & 0x3F
        if code < _MIN_CODE_POINT[extra] or 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            raise DecodeError("text that is not UTF-8")
        at += 1 + extra
