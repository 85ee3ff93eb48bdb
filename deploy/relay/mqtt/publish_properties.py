# SPDX-License-Identifier: Apache-2.0
"""Identifiers of subscriptions in the properties of a PUBLISH.

Does not read the other properties, and raises nothing for properties that are damaged. SOURCE: MQTT
5, 2.2.2 and 3.3.2.3.8.
"""

_SUBSCRIPTION = 0x0B
_SIZES = {0x01: 1, 0x02: 4, 0x23: 2}
"""Properties of a fixed size, bytes."""
_TEXTS = {0x03: 1, 0x08: 1, 0x09: 1, 0x26: 2}
"""Properties of texts or bytes with two bytes of length each: how many."""
_MOST_SHIFT = 21


def find_subscriptions(properties: bytes) -> tuple[int, ...]:
    """Return the identifiers up to the first property that cannot be in a PUBLISH."""
    found = []
    at = 0
    while at < len(properties):
        kind, at = properties[at], at + 1
        if kind == _SUBSCRIPTION:
            ident, at = _read_integer(properties, at)
            found.append(ident)
        elif kind in _SIZES:
            at += _SIZES[kind]
        elif kind in _TEXTS:
            for _ in range(_TEXTS[kind]):
                at += 2 + int.from_bytes(properties[at : at + 2], "big")
        else:
            break
    return tuple(found)


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable byte integer and the place after it."""
    value = shift = 0
    while at < len(data) and shift <= _MOST_SHIFT:
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
    return value, at
