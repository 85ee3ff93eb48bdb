# SPDX-License-Identifier: Apache-2.0
"""Blocks: round trip of each kind of column; damaged and random blocks are rejected."""

from binascii import unhexlify

from protocols.errors import DecodeError, EncodeError
from protocols.telemetry import block, initial_contexts, linear_counter, varint
from protocols.telemetry.range_coder import RangeDecoder, RangeEncoder
from protocols.telemetry.schema import Schema, parse_schema
from protocols.telemetry.summary import Summary
from tests.portable.support.check import eq, raises

ID = b"\x01\x02\x03\x04"


class BlockLcg:
    """Pseudo-random numbers, equal on every interpreter (Park and Miller)."""

    def __init__(self, seed):
        self.state = seed * 2 + 1

    def below(self, most):
        self.state = self.state * 48271 % 2147483647
        return self.state % most

    def noise(self, width):
        return sum([self.below(2 * width + 1) - width for _ in range(4)]) // 4


def round_trip(columns, extra=b""):
    data = block.encode(ID, 7, columns, extra)
    found = block.decode(data, len(columns))
    eq(found.columns, [list(column) for column in columns])
    eq((found.schema, found.seq, found.extra), (ID, 7, extra))
    return data


def random_walk(lcg, rows, width, drift=1):
    value, column = lcg.below(1000), []
    for _ in range(rows):
        value += lcg.noise(drift)
        column.append(value + lcg.noise(width))
    return column


def test_noise_of_every_width():
    chance = BlockLcg(1)
    for bits in range(24):
        round_trip([random_walk(chance, 60, 1 << bits), random_walk(chance, 60, 1, 1 << bits)])


def test_constant_absent_and_single():
    data = round_trip([[5] * 60, [0] * 60, [None] * 60, [-9] * 60])
    assert len(data) < 20, len(data)
    round_trip([[3], [None], [-(1 << 52)], [1 << 52]])


def test_long_constants_are_small():
    columns = [[1000 + i] * 300 for i in range(12)]
    assert len(round_trip(columns)) < 40


def test_linear_counters():
    for rate in (1, 17, 236, 999, 1000, 1001, 77777):
        for rows in (60, 600):
            column = [123456 + (500 + rate * t) // 1000 for t in range(rows)]
            down = [-value for value in column]
            data = round_trip([column, down])
            assert len(data) < 28 + rows // 24, (rate, rows, len(data))


def test_noise_is_no_linear_counter():
    eq(linear_counter.fit([5] * 60), None)
    eq(linear_counter.fit([0, 1, 0] * 20), None)
    eq(linear_counter.fit([0] * 30 + [100] * 30), None)
    eq(linear_counter.fit([1, 2, 3]), None)


def test_steps_cost_only_when_present():
    steps = [450] * 200 + [438] * 100 + [450] * 300
    data = round_trip([steps])
    assert len(data) < 30, len(data)


def test_missing_values():
    chance = BlockLcg(2)
    column = random_walk(chance, 120, 3)
    holes = [value if t % 7 and not 30 < t < 50 else None for t, value in enumerate(column)]
    late = [None] * 100 + column[:20]
    round_trip([holes, late, [None] + [4] * 119, [None] * 119 + [4]])


def test_random_integers():
    chance = BlockLcg(3)
    for round_ in range(40):
        rows = 1 + chance.below(90)
        columns = []
        for _ in range(4):
            most = 1 << 1 + chance.below(52)
            sparse = chance.below(3) == 0
            columns.append(
                [
                    None if sparse and chance.below(2) else chance.below(2 * most) - most
                    for _ in range(rows)
                ]
            )
        round_trip(columns, bytes(range(round_)))


def test_invalid_columns_are_rejected():
    for columns in ([[1 << 53]], [[-(1 << 53), 0]], [[]], [[1, 2], [3]], [[0] * 5000]):
        raises(EncodeError, block.encode, ID, 0, columns)


def test_damage_is_detected():
    data = round_trip([random_walk(BlockLcg(4), 60, 2) for _ in range(5)])
    for bit in range(0, 8 * len(data), 3):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        raises(DecodeError, block.decode, bytes(bad), 5)
    for end in range(len(data)):
        raises(DecodeError, block.decode, data[:end], 5)


def test_random_block_with_valid_crc_is_bounded():
    """Random content with a right CRC gives an error or some integers, bounded in size."""
    from binascii import crc32  # noqa: PLC0415

    chance = BlockLcg(5)
    for _ in range(60):
        body = bytearray([block.VERSION]) + ID + bytes([60, 1, 0])
        body.extend(bytes([chance.below(256) for _ in range(chance.below(60))]))
        check = crc32(body) & 0xFFFF
        try:
            found = block.decode(bytes(body) + bytes([check >> 8, check & 255]), 40)
            eq(len(found.columns), 40)
        except DecodeError:
            pass


VERSION_1 = (
    "0101020304180902657874bb8ef189028028bd7c8c6f1848591b434c4f1efd88fdec3679b41149c6d8303520"
    "18947eccbc407be2005a1efc9d5ecc033e9121760b18e110000ec4162c552f8f6f9510000012a5701802a760"
    "0005ec81ee35c140169d65da19a8b028ac00a304903cf7b8ebe3540609fd2a37c9605b59862617bafb418c0a"
    "d8fa690a156013f4b4a60ae4eeccc8d723d909fb1ce67b8dca6b97c4f2ef55193fe8236662edc84de8bada1d"
    "f640382679d52e7dc8e51624b423768d1b62629a8c834c8cf5603865563282fd17ddca138add7b8e52ea00ef"
    "024f1b70ec862e2bbf425cbf8e739b244ffe3f7587c48081ea514e42affe2f20a63a2729e4d50bebc1de7b63"
    "783015525782beed88f17cd6"
)


def test_block_of_version_1_is_read():
    alternating = [(1 << 52) * (-1) ** t for t in range(24)]
    walk = [
        500,
        499,
        500,
        498,
        496,
        498,
        496,
        496,
        498,
        496,
        498,
        497,
        495,
        493,
        494,
        495,
        493,
        492,
        490,
        492,
        493,
        491,
        493,
        491,
    ]
    gaps = [
        None,
        89557,
        90391,
        90384,
        90293,
        None,
        89226,
        90281,
        90299,
        89912,
        None,
        89201,
        89552,
        89195,
        90240,
        None,
        90858,
        89372,
        89693,
        89958,
        None,
        89395,
        90207,
        89341,
    ]
    found = block.decode(unhexlify(VERSION_1), 6)
    eq((found.schema, found.seq, found.extra), (ID, 9, b"ex"))
    counter = [1000 + t * 7 // 3 for t in range(24)]
    eq(found.columns, [walk, [42] * 24, counter, [None] * 24, gaps, alternating])


def test_structured_columns_are_small():
    """Shapes that need no model of noise; bytes of the whole block of 600 rows."""
    wave = [0, 383, 707, 924, 1000, 924, 707, 383, 0, -383, -707, -924, -1000, -924, -707, -383]
    shapes = (
        ([(5000 + 7919 * t) % 65536 for t in range(600)], 30),
        ([(5000 + 7919 * t) % 65536 - 32768 for t in range(600)], 30),
        ([(100 + 37 * t) % 3600 for t in range(600)], 30),
        ([wave[t % 16] for t in range(600)], 45),
        ([(1 << 52) * (-1) ** t for t in range(600)], 40),
        ([t * t for t in range(600)], 180),
        ([100 * (t // 20 % 2) for t in range(600)], 40),
    )
    for column, size in shapes:
        data = round_trip([column, [7] * 600])
        assert len(data) < size, (column[:5], len(data))


def test_structured_columns_of_few_rows():
    for rows in range(1, 26):
        columns = [[t % period * 1000 for t in range(rows)] for period in range(1, 9)]
        columns.append([(250 + 9 * t) % 256 for t in range(rows)])
        columns.append([t * t * t for t in range(rows)])
        columns.append([None if t == 3 else t % 2 * 50_000 for t in range(rows)])
        round_trip(columns)


def test_zeros_at_the_end_of_the_code():
    """Decisions 1 leave zeros in the code; more than a reader accepts must not be omitted."""
    for count in (1, 2, 3, 5, 9, 30):
        for top in ((1 << 53) - 1, (1 << 40) - 1):
            column = [(t * 7 // 3 % 3 - 1) * top for t in range(40)] + [0] + [top, -top] * count
            round_trip([column])
            round_trip([[5] * len(column), column, column[::-1]])


def test_decoded_size_is_bounded():
    """A small block cannot decode to a large table: constant columns cost almost nothing."""
    columns = block.MAX_VALUES // block.MAX_ROWS
    writer = block.BlockWriter(ID, 0, block.MAX_ROWS)
    for _ in range(columns):
        writer.add([5] * block.MAX_ROWS)
    raises(EncodeError, writer.add, [5] * block.MAX_ROWS)
    reader = block.BlockReader(writer.finish())
    for _ in range(columns):
        reader.read_column()
    raises(DecodeError, reader.read_column)


def test_varints():
    for value in (0, 1, 127, 128, 300, 1 << 31, 1 << 60):
        out = bytearray()
        varint.put(value, out)
        eq(varint.get(bytes(out), 0), (value, len(out)))
    for value in (0, 1, -1, 2, -2, 1 << 40, -(1 << 40)):
        eq(varint.zigzag_decode(varint.zigzag_encode(value)), value)
    for bad in (b"", b"\x80", b"\xff" * 11):
        raises(DecodeError, varint.get, bad, 0)


def test_range_coder_carry_and_end():
    chance = BlockLcg(6)
    for odds in (2, 3, 100, 4000):
        for count in (0, 1, 2, 9, 3000):
            bits = [1 if chance.below(odds) == 0 else 0 for _ in range(count)]
            coder = RangeEncoder([16384])
            coder.encode(bits)
            data = coder.finish()
            back = RangeDecoder([16384], data)
            eq([back.decode_bit(0) for _ in range(count)], bits)


def test_initial_contexts_are_complete():
    eq(len(initial_contexts.initial_table()), initial_contexts.COUNT)
    assert (
        0 < min(initial_contexts.initial_table()) <= max(initial_contexts.initial_table()) < 32768
    )


def test_schema_round_trip():
    schema = Schema([("t", "ms", 1, 1), ("rpu.P1", "kPa", 1, 10)])
    again = parse_schema(schema.text)
    eq((again.entries, again.number), (schema.entries, schema.number))
    eq(again.column_names(), ["t", "rpu.P1"])
    assert Schema([("t", "ms", 1, 1)]).number != schema.number
    for text in (
        b"",
        b"2\nx\t\t1\t1\n",
        b"1\nx\t1\t1\n",
        b"1\nx\t\t1\t0\n",
        b"1\n",
        b"1\n\xff\t\t1\t1\n",
    ):
        raises(DecodeError, parse_schema, text)
    raises(EncodeError, Schema, [("a\tb", "", 1, 1)])


def test_summaries():
    schema = Schema([("t", "ms", 1, 1), ("a", "Cel", 1, 10), ("b", "1", 1, 1)])
    means, bounds = Summary(schema, False), Summary(schema, True)
    eq(means.schema_out.column_names(), ["t", "a~mean", "b~mean"])
    eq(bounds.schema_out.column_names()[:4], ["t", "a~mean", "a~min", "a~max"])
    for row in ([1000, 5, None], [2000, 8, None], [None, -1, None]):
        means.add(row)
        bounds.add(row)
    eq((means.rows, means.take_row(), means.rows), (3, [2000, 4, None], 0))
    eq(bounds.take_row(), [2000, 4, -1, 8, None, None, None])
    means.add([3000, -1, 1])
    means.add([3000, -2, 2])
    eq(means.take_row(), [3000, -1, 2])
