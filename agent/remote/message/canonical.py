"""A configuration as bytes that are the same on every interpreter, and its hash.

Not a file format for people (that is JSON). Numbers with decimals become decimal fractions, since a
board's floats are not a server's: a configuration that was hashed here is the same one there.
"""

import hashlib

from protocols.cbor import Decimal, Map, decode, encode
from protocols.rounding import round_decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HASH_BYTES = 32
_PLACES = 7
"""Decimals of a number in a configuration: 1e-7 degree is a centimetre."""


def to_cbor(value: "Any") -> "Any":
    """Turn parsed JSON into what `protocols.cbor` writes."""
    if isinstance(value, dict):
        return Map([(key, to_cbor(value[key])) for key in sorted(value)])
    if isinstance(value, list):
        return [to_cbor(item) for item in value]
    if isinstance(value, float):
        return decimal(round_decimal(value * 10**_PLACES), _PLACES)
    return value


def decimal(mantissa: int, places: int) -> "Decimal | int":
    """Give mantissa / 10^places in lowest terms: a whole number when it is one."""
    while places and mantissa % 10 == 0:
        mantissa //= 10
        places -= 1
    return Decimal(mantissa, places) if places else mantissa


def to_json(value: "Any") -> "Any":
    """Turn what `protocols.cbor` reads into what `agent.core.config_records.load` takes: the way
    back.
    """
    if isinstance(value, Map):
        result = {}
        for key, item in value.pairs:
            result[key] = to_json(item)
        return result
    if isinstance(value, list):
        return [to_json(item) for item in value]
    if isinstance(value, Decimal):
        return value.mantissa / 10**value.places
    return value


def encode_config(raw: "dict[str, Any]") -> bytes:
    """Write a configuration; raises `EncodeError` for what JSON cannot hold either."""
    return encode(raw, _encode_level)


def _encode_level(value: "Any") -> "Any":
    """Turn one level of parsed JSON into what `protocols.cbor` writes."""
    if isinstance(value, dict):
        return Map([(key, value[key]) for key in value])
    return to_cbor(value) if isinstance(value, float) else None


def decode_config(data: bytes) -> "dict[str, Any]":
    """Read what `encode_config` wrote; raises `DecodeError`."""
    value = decode(data, to_json)
    return value if isinstance(value, dict) else {}


def hash_config(data: bytes) -> bytes:
    """Hash a written configuration: 32 bytes."""
    return hashlib.sha256(data).digest()


SECRETS = ("password", "secret", "token", "pin")
"""Names of keys whose value leaves the unit in no form."""


def without_secrets(raw: "Any") -> "Any":
    """Give `raw` without secrets, at any depth, for others to read."""
    if isinstance(raw, dict):
        return {key: without_secrets(raw[key]) for key in raw if key not in SECRETS}
    if isinstance(raw, list):
        return [without_secrets(item) for item in raw]
    return raw
