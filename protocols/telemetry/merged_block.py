# SPDX-License-Identifier: Apache-2.0
"""Consecutive blocks coded again as one longer block, and back, byte for byte.

Not a format for rows: it stores and carries a backlog of blocks. A longer block needs fewer bits
per value, because the adapted contexts serve more rows. The content of a record of kind MERGED is:

    numbers     number of blocks; their number of columns
    the rest    one block (`protocols.telemetry.block`) with all rows; its extra bytes are, for each
                of the blocks: rows, length of its own extra bytes, these bytes

The record has the number of the first block and counts as many numbers as it has blocks. A reader
that counts numbers splits the record, or counts all of them. No other module is concerned.

`MergedBlockWriter` processes one column of one block per step, so that no control cycle is late. It
holds the decoder of each block and one column of the result.
"""

from protocols.errors import DecodeError
from protocols.telemetry import block, varint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from protocols.telemetry.block import Values


class MergedBlockWriter:
    """Merges `blocks`, all with a schema of `width` columns. Raises DecodeError."""

    def __init__(self, blocks: "Sequence[bytes]", width: int) -> None:
        self._readers = [block.BlockReader(data) for data in blocks]
        self._width = width
        self._column_index = self._reader_index = 0
        self._values: Values = []
        extra = bytearray()
        for reader in self._readers:
            varint.put(reader.rows, extra)
            varint.put(len(reader.extra), extra)
            extra.extend(reader.extra)
        first = self._readers[0]
        rows = sum([reader.rows for reader in self._readers])
        self._writer = block.BlockWriter(first.schema, first.seq, rows, bytes(extra))

    def step(self) -> bool:
        """Decode a column of one block, or encode that of all; True after the last step."""
        if self._reader_index < len(self._readers):
            self._values.extend(self._readers[self._reader_index].read_column())
            self._reader_index += 1
            return False
        self._writer.add(self._values)
        self._values = []
        self._reader_index = 0
        self._column_index += 1
        return self._column_index == self._width

    def finish(self) -> bytes:
        """Return the content of the record."""
        out = bytearray()
        varint.put(len(self._readers), out)
        varint.put(self._width, out)
        out.extend(self._writer.finish())
        return bytes(out)


def extract_block(content: bytes) -> bytes:
    """Return the merged block of a record. Raises DecodeError."""
    return bytes(content[parse_header(content)[2] :])


def parse_header(content: bytes) -> "tuple[int, int, int]":
    """Return number of blocks, number of columns, start of the merged block. Raises DecodeError."""
    count, at = varint.get(content, 0)
    width, at = varint.get(content, at)
    if not 0 < count <= block.MAX_ROWS or not 0 < width <= len(content) * 8:
        raise DecodeError("%d blocks of %d columns" % (count, width))
    return count, width, at


def split_blocks(content: bytes) -> "list[bytes]":
    """Return the original blocks of a record. Raises DecodeError."""
    count, width, at = parse_header(content)
    merged = block.decode(content[at:], width)
    blocks = []
    row = at = 0
    for _ in range(count):
        rows, at = varint.get(merged.extra, at)
        length, at = varint.get(merged.extra, at)
        extra = merged.extra[at : at + length]
        at += length
        columns = [column[row : row + rows] for column in merged.columns]
        if not rows or len(columns[0]) != rows:
            raise DecodeError("blocks with more rows than there are")
        blocks.append(block.encode(merged.schema, merged.seq + row, columns, extra))
        row += rows
    return blocks
