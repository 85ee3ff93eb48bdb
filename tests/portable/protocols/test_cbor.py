# SPDX-License-Identifier: Apache-2.0
"""Deterministic CBOR: supported examples of RFC 8949, and values that must be rejected."""

from protocols.cbor import MAX_INT, MIN_INT, Decimal, Map, decode, encode
from protocols.errors import DecodeError, EncodeError
from tests.portable.support.check import eq, raises

GOOD = (
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (MAX_INT, "1b7fffffffffffffff"),
    (MIN_INT, "3b7fffffffffffffff"),
    (-1, "20"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("IETF", "6449455446"),
    ("\u00fc", "62c3bc"),
    (Decimal(27315, 2), "c48221196ab3"),
    (Decimal(-5, 1), "c4822024"),
    ([], "80"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
)


def to_text(value):
    if isinstance(value, Map):
        return ("map", [(to_text(k), to_text(v)) for k, v in value.pairs])
    if isinstance(value, (list, tuple)):
        return [to_text(item) for item in value]
    return value


def test_rfc_8949_examples():
    for value, text in GOOD:
        eq(encode(value), bytes.fromhex(text))
        eq(decode(bytes.fromhex(text)), value)


def test_maps_are_ordered_by_their_encoded_keys():
    # RFC 8949, 4.2.1: 10, 100, -1, "z", "aa", [100], [-1], false
    keys = [False, [-1], "aa", "z", 100, [100], 10, -1]
    data = encode(Map([(key, 0) for key in keys]))
    eq(
        data,
        bytes.fromhex("a8" + "0a00" + "186400" + "2000" + "617a00" + "62616100")
        + bytes.fromhex("81186400" + "812000" + "f400"),
    )
    eq(to_text(decode(data))[1][0], (10, 0))
    eq(Map([(1, "a"), ("1", "b")]).get("1"), "b")
    eq(Map([(1, "a")]).get(True), None)


def test_non_deterministic_encoding_is_rejected():
    for text in (
        "1817",  # 23 in two bytes
        "190018",  # 24 in three
        "1a0000ffff",
        "1b00000000ffffffff",
        "5801ff",  # a length in two bytes
        "a201000100",  # a key twice
        "a202000100",  # keys out of order
        "9fff",  # indefinite
        "5f4100ff",
        "fb3ff199999999999a",  # a float
        "c11a514b67b0",  # a tag
        "c48220190014",  # 2.0
        "c4822000",  # 0 with a decimal place
        "c4820005",  # no places
        "c4822905",  # ten places
        "c48120",
        "c48220f5",
        "c405",
        "f7",  # undefined
        "e0",
        "1c",
        "61ff",  # not UTF-8
        "1bffffffffffffffff",
        "3bffffffffffffffff",
        "0000",  # bytes after the end
        "",
        "18",
        "4401",
        "8201",
        "bbffffffffffffffff",
        "9bffffffffffffffff",
        "5bffffffffffffffff",
        "81" * 9 + "00",
    ):
        raises(DecodeError, decode, bytes.fromhex(text))
    eq(decode(bytes.fromhex("81" * 8 + "00")), [[[[[[[[0]]]]]]]])


def test_maps_count_as_levels_and_keep_the_order_of_their_keys():
    for count, is_good in ((8, True), (9, False)):
        as_value = bytes.fromhex("a100" * count + "00")
        as_key = bytes.fromhex("a1" * count + "00" * (count + 1))
        mixed = bytes.fromhex("81a100" * (count // 2) + "81" * (count % 2) + "00")
        made = 0
        for _ in range(count):
            made = Map([(0, made)])
        if is_good:
            for data in (as_value, as_key, mixed):
                eq(encode(decode(data)), data)
            eq(encode(made), as_value)
        else:
            for data in (as_value, as_key, mixed):
                raises(DecodeError, decode, data)
            raises(EncodeError, encode, made)
    for text in ("a3000001000200", "a200006161 00".replace(" ", "")):
        eq(encode(decode(bytes.fromhex(text))), bytes.fromhex(text))
    for text in ("a3010000000200", "a3000002000100", "a2616100 0000".replace(" ", "")):
        raises(DecodeError, decode, bytes.fromhex(text))


def test_unsupported_types_are_not_encoded():
    deep = 0
    for _ in range(9):
        deep = [deep]
    for value in (
        1.5,
        {1: 2},
        Decimal(20, 1),
        Decimal(1, 0),
        Decimal(1, 10),
        MAX_INT + 1,
        MIN_INT - 1,
        deep,
        Map([(1, 2), (1, 3)]),
        1 << 70,
    ):
        raises(EncodeError, encode, value)


def test_random_bytes_are_rejected_or_canonical():
    seed = 12345
    canonical_count = 0
    for _ in range(3000):
        data = bytearray()
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        for _ in range(1 + (seed >> 8) % 12):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            data.append(seed >> 16 & 0xFF)
        try:
            value = decode(bytes(data))
        except DecodeError:
            continue
        canonical_count += 1
        eq(encode(value), bytes(data))
    assert canonical_count > 50, canonical_count
