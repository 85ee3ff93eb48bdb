# SPDX-License-Identifier: Apache-2.0
"""A configuration as bytes that are the same on each interpreter, and its hash.

Does not write a configuration file, which is JSON. Numbers with decimals become decimal fractions,
because the floats of a board differ from those of a server. So both compute the same hash.
"""

import hashlib

from protocols.cbor import Decimal, Map, decode, encode
from protocols.errors import DecodeError
from protocols.rounding import round_decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HASH_BYTES = 32
_PLACES = 7
"""Decimals of a number in a configuration: 1e-7 degrees are one centimetre."""


def to_cbor(value: "Any") -> "Any":
    """Convert parsed JSON to the types of `protocols.cbor`."""
    if isinstance(value, dict):
        return Map([(key, to_cbor(value[key])) for key in sorted(value)])
    if isinstance(value, list):
        return [to_cbor(item) for item in value]
    if isinstance(value, float):
        return decimal(round_decimal(value * 10**_PLACES), _PLACES)
    return value


def decimal(mantissa: int, places: int) -> "Decimal | int":
    """Return mantissa / 10^places in lowest terms, an integer if possible."""
    while places and mantissa % 10 == 0:
        mantissa //= 10
        places -= 1
    return Decimal(mantissa, places) if places else mantissa


def decimal_text(value: "Decimal | int") -> str:
    """Return the exact decimal digits of a number; the text of a float differs between the
    interpreters.
    """
    if not isinstance(value, Decimal):
        return str(value)
    digits = str(abs(value.mantissa))
    digits = "0" * (value.places + 1 - len(digits)) + digits
    sign = "-" if value.mantissa < 0 else ""
    return sign + digits[: -value.places] + "." + digits[-value.places :]


def to_json(value: "Any") -> "Any":
    """Convert the types of `protocols.cbor` to those of parsed JSON.

    Raises `DecodeError`: a key of a map is no text, or a value is bytes.
    """
    if isinstance(value, Map):
        result = {}
        for key, item in value.pairs:
            if type(key) is not str:
                raise DecodeError("a key of a configuration is a text")
            result[key] = to_json(item)
        return result
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, Decimal):
        return value.mantissa / 10**value.places
    if isinstance(value, bytes):
        raise DecodeError("a configuration has no bytes")
    return value


def encode_config(raw: "dict[str, Any]") -> bytes:
    """Encode a configuration. Raises `EncodeError` for values that JSON does not have."""
    return encode(raw, _encode_level)


def _encode_level(value: "Any") -> "Any":
    """Convert one level of parsed JSON to the types of `protocols.cbor`."""
    if isinstance(value, dict):
        return Map([(key, value[key]) for key in value])
    return to_cbor(value) if isinstance(value, float) else None


def decode_config(data: bytes) -> "dict[str, Any]":
    """Decode an encoded configuration. Raises `DecodeError`."""
    value = decode(data, to_json)
    return value if isinstance(value, dict) else {}


def hash_config(data: bytes) -> bytes:
    """Return the hash of an encoded configuration: 32 bytes."""
    return hashlib.sha256(data).digest()


SECRETS = ("password", "secret", "token", "pin")
"""Keys whose values never leave the unit."""


def has_secret(raw: "Any") -> bool:
    """Return whether `raw` holds a secret, at any depth."""
    if isinstance(raw, dict):
        return any(key in SECRETS or has_secret(raw[key]) for key in raw)
    return isinstance(raw, list) and any(has_secret(item) for item in raw)


def without_secrets(raw: "Any") -> "Any":
    """Return `raw` without secrets, at each depth."""
    if isinstance(raw, dict):
        return {key: without_secrets(raw[key]) for key in raw if key not in SECRETS}
    if isinstance(raw, list):
        return [without_secrets(item) for item in raw]
    return raw
