# SPDX-License-Identifier: Apache-2.0
"""The envelope of signed messages: bytes under the signature, and the limits of the format."""

from protocols.cbor import encode
from protocols.errors import DecodeError
from protocols.signed_message import (
    COMMAND,
    KINDS,
    MAX_BYTES,
    PATCH,
    SignedMessage,
    build_signing_input,
    pack,
    unpack,
)
from tests.portable.support.check import eq, raises

DOMAIN = b"coldloop signed message, 1\n"


def test_the_signature_covers_domain_kind_target_base_and_body():
    eq(
        build_signing_input(COMMAND, "s/u", b"\x05\x06", b"\x07"),
        DOMAIN + bytes.fromhex("84" + "02" + "63732f75" + "420506" + "4107"),
    )


def test_a_message_is_read_as_it_was_written():
    made = SignedMessage(PATCH, b"body", [(1, bytes(range(64))), (200, bytes(64))])
    data = pack(made)
    eq(data, encode([1, b"body", b"\x01" + bytes(range(64)) + b"\xc8" + bytes(64)]))
    got = unpack(data)
    eq((got.kind, got.body, got.signatures), (made.kind, made.body, made.signatures))


def test_one_to_three_signatures_and_known_kinds():
    for count in (1, 2, 3):
        eq(len(unpack(encode([1, b"", bytes(65 * count)])).signatures), count)
    for kind in KINDS:
        eq(unpack(encode([kind, b"", bytes(65)])).kind, kind)
    for parts in (
        [1, b"", b""],
        [1, b"", bytes(64)],
        [1, b"", bytes(66)],
        [1, b"", bytes(65 * 4)],
        [0, b"", bytes(65)],
        [4, b"", bytes(65)],
        [True, b"", bytes(65)],
        [1, "", bytes(65)],
        [1, b""],
        [1, b"", bytes(65), 1],
        b"",
    ):
        raises(DecodeError, unpack, encode(parts))


def test_a_message_has_a_maximum_length():
    head = len(encode([1, bytes(3000), bytes(65)])) - 3000
    unpack(encode([1, bytes(MAX_BYTES - head), bytes(65)]))
    raises(DecodeError, unpack, encode([1, bytes(MAX_BYTES - head + 1), bytes(65)]))
