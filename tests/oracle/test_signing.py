# SPDX-License-Identifier: Apache-2.0
"""The verifier and CBOR against `cryptography` and cbor2, which share no code with the project."""

import random
import sys

import cbor2
import hypothesis.strategies as st
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings

from benchmarks.remote import signing
from protocols.cbor import MAX_INT, MIN_INT, Map, decode, encode
from protocols.errors import DecodeError
from protocols.signing.ed25519 import verify
from protocols.signing.ed25519_sign import sign

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(MIN_INT, MAX_INT)
    | st.binary(max_size=300)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(0, 70000) | st.text("abc", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def to_our_types(value: object) -> object:
    if isinstance(value, dict):
        return Map([(key, to_our_types(item)) for key, item in value.items()])
    if isinstance(value, list):
        return [to_our_types(item) for item in value]
    return value


def to_cbor2_types(value: object) -> object:
    if isinstance(value, Map):
        return {key: to_cbor2_types(item) for key, item in value.pairs}
    if isinstance(value, list):
        return [to_cbor2_types(item) for item in value]
    return value


def test_signatures_match_cryptography() -> None:
    rng = random.Random(1)
    for length in (0, 1, 47, 48, 96, 111, 112, 239, 240, 1000):
        key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        message = rng.randbytes(length)
        signature = key.sign(message)
        assert verify(public, message, signature)
        assert not verify(public, message + b"x", signature)
        other = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        assert not verify(public, message, other.sign(message))
        seed = key.private_bytes_raw()
        assert sign(seed, public, message) == signature


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_cbor_matches_other_library(value: object) -> None:
    # cbor2 sorts keys by length first (RFC 7049); an example of the RFC tests the order used here
    data = encode(to_our_types(value))
    assert cbor2.loads(data) == value
    assert to_cbor2_types(decode(data)) == value
    assert encode(decode(data)) == data


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_raise_decode_error(data: bytes) -> None:
    try:
        value = decode(data)
    except DecodeError:
        return
    assert encode(value) == data


def test_signing_benchmark_runs() -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    message = (bytes(range(256)) * 3)[:150]
    arguments = [public.hex(), key.sign(message).hex(), "150"]
    minimum, median, slice_us = signing.measure([sys.executable], arguments)
    assert 0 < minimum <= median
    assert 0 < slice_us <= median
