# SPDX-License-Identifier: Apache-2.0
"""Ranges of record numbers of a class, as receipts have them.

Does not send or store; see `receipts` and `records.database`.
"""

Range = tuple[int, int, int]
"""Class, first id, last id."""


def join_ranges(ranges: list[Range]) -> list[Range]:
    """Join consecutive ids to ranges."""
    joined: list[Range] = []
    for group, first, last in sorted(set(ranges)):
        if joined and joined[-1][0] == group and first <= joined[-1][2] + 1:
            joined[-1] = (group, joined[-1][1], max(last, joined[-1][2]))
        elif first:
            joined.append((group, first, last))
    return joined
