# SPDX-License-Identifier: Apache-2.0
"""Queue of telemetry rows in memory: the first row in full, each later one as its differences.

Does not build rows (see `agent.telemetry.rows`) and does not send them.

Most values of a row are those of the row before. 120 rows of a unit with the section `cooling` are
29 KB of text, and 8 KB as differences. A row is its parts between commas. The differences from the
row before are its new parts, each with a comma, and a byte of 129 to 255 for 1 to 127 equal parts.
The equal parts at the end are not written. A row with another number of parts is kept in full,
behind a byte of 128. Rows are ASCII text, so no part begins with such a byte.
"""

_FULL = 128
_MOST_EQUAL = 127


class RowQueue:
    """Rows in order, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._first = self._last = b""
        self._changes: list[bytes] = []
        self._is_empty = True

    def __len__(self) -> int:
        """Return the number of rows."""
        return 0 if self._is_empty else 1 + len(self._changes)

    @property
    def first(self) -> bytes:
        """The oldest row; empty if there is none."""
        return self._first

    @property
    def last(self) -> bytes:
        """The newest row; empty if there is none."""
        return self._last

    def add(self, row: bytes) -> bool:
        """Add a row, not empty. Return whether the oldest one was dropped for it."""
        is_full = len(self) >= self._limit
        if is_full:
            self.drop_first()
        if self._is_empty:
            self._first, self._is_empty = row, False
        else:
            self._changes.append(_differences(self._last, row))
        self._last = row
        return is_full

    def drop_first(self) -> None:
        """Drop the oldest row, if there is one."""
        if self._changes:
            self._first = _restore(self._first, self._changes.pop(0))
        else:
            self._first = self._last = b""
            self._is_empty = True


def _differences(last: bytes, row: bytes) -> bytes:
    """Return the differences of `row` from `last`; see the module."""
    old, new = last.split(b","), row.split(b",")
    if len(old) != len(new):
        return bytes((_FULL,)) + row
    out, equal = bytearray(), 0
    for i, part in enumerate(new):
        if part == old[i]:
            equal += 1
            continue
        while equal:
            count = min(equal, _MOST_EQUAL)
            out.append(_FULL + count)
            equal -= count
        out.extend(part + b",")
    return bytes(out)


def _restore(last: bytes, change: bytes) -> bytes:
    """Return the row with the differences `change` from `last`."""
    if change[:1] == bytes((_FULL,)):
        return change[1:]
    old, at = last.split(b","), 0
    parts: list[bytes] = []
    while at < len(change):
        count = change[at] - _FULL
        if count > 0:
            parts.extend(old[len(parts) : len(parts) + count])
            at += 1
        else:
            end = change.find(b",", at)
            parts.append(change[at:end])
            at = end + 1
    return b",".join(parts + old[len(parts) :])
