# SPDX-License-Identifier: Apache-2.0
"""Numbers of the words of enumerations and flags in Modbus, BACnet and SNMP, for the point list.

Does not encode values; the servers do. Modbus and SNMP numbers come from their encoders. BACnet
counts the states from 1 (ANSI/ASHRAE 135, clause 12.20); a test compares them with the objects of
the server. A number of one protocol is not that of another one.
"""

from deploy.northbound.modbus.layout import register_fields
from deploy.northbound.points.point_table import PointRow, columns
from deploy.northbound.snmp.tree import snmp_points

PROTOCOLS = ("modbus", "bacnet", "snmp")
"""Protocols that give numbers; the others give words."""
FLAG_WORDS = ("no", "yes")
_FLAG_WORDS = {"bacnet": ("inactive", "active"), "snmp": ("false", "true")}


def words_of(row: PointRow, protocol: str = "") -> tuple[str, ...]:
    """Return the words of a point by its raw value, as `protocol` names them; empty: none."""
    if row.kind == "flag":
        return _FLAG_WORDS.get(protocol, FLAG_WORDS)
    return row.words


def number_of(protocol: str, row: PointRow, raw: int) -> int | None:
    """Return the number of the raw value of a point with words; None: no place in the protocol."""
    if row.key not in columns(protocol):
        return None
    if protocol == "modbus":
        return register_fields()[row.key].counts(raw)
    if protocol == "snmp":
        value = snmp_points()[row.key].value(raw)
        return None if value is None else int(value.text)
    return raw + 1 if row.kind == "enum" else raw


def numbered_words(protocol: str, row: PointRow) -> dict[int, str]:
    """Return the words of a point by their numbers in a protocol; empty: it has none there."""
    numbers = (
        (number_of(protocol, row, i), word) for i, word in enumerate(words_of(row, protocol))
    )
    return {number: word for number, word in numbers if number is not None}


def words_text(protocol: str, row: PointRow) -> str:
    """Return the words in one cell: `0=unknown;1=listen`."""
    return ";".join(f"{number}={word}" for number, word in numbered_words(protocol, row).items())


def word_rows(rows: list[PointRow]) -> list[tuple[str, ...]]:
    """Return key, word and its number in each protocol, for each word of `rows`."""
    return [
        (f"`{row.key}`", f"`{word}`", *(_cell(number_of(name, row, i)) for name in PROTOCOLS))
        for row in rows
        for i, word in enumerate(words_of(row))
    ]


def _cell(number: int | None) -> str:
    return "-" if number is None else str(number)
