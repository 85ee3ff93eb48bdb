# SPDX-License-Identifier: Apache-2.0
"""The names of bits and values in a cell of a register table: `bit 0=leak / bit 1=running (state)`.

Does not decide what a name means; see `hil.tools.commission.inputs.row_states`. Each part is a
number, `=` or `:`, and a name, perhaps with its meaning in brackets. No other form is read: a range
or a number with zeros before it is an error with its remedy.
"""

import re
from typing import NamedTuple

LAST_VALUE = 0xFFFF
_BIT = re.compile(
    r"^(bit\s*|b|d)?(0x[0-9a-f]{1,8}|0|[1-9][0-9]{0,4})\s*[=:]\s*(\S.*)$", re.IGNORECASE | re.ASCII
)
PLAIN, BY_BIT, MASKS = "", "bit", "mask"
"""Forms of the numbers in the column bits: `0=leak`, `bit 0=leak`, `0x01=leak`."""
_HEXADECIMAL_NAMES = re.compile(r"\s*(?:bit\s*|b|d)?0x", re.IGNORECASE)
VALUE = "value"
MEANINGS = ("alarm", "alarm at 0", "state", VALUE)
"""Meanings that a table can write in brackets after the name of a bit or value."""
_MEANING = re.compile(
    rf"^(.*\S)\s*\(\s*({'|'.join(MEANINGS)})\s*\)$".replace(" ", r"\s+"), re.IGNORECASE
)


class TableBit(NamedTuple):
    """One bit of a row. `meaning`: one of `MEANINGS`; empty if the table does not give it."""

    name: str
    meaning: str = ""


def join_lines(cell: str) -> str:
    """Return a cell as one line. Lines that are names of bits or values get the separator."""
    lines = [line.strip() for line in cell.splitlines() if line.strip()]
    are_names = len(lines) > 1 and all(_BIT.match(line) for line in lines)
    return (" / " if are_names else " ").join(lines)


def find_form(text: str) -> str:
    """Return the form of the numbers in the column bits."""
    prefixes = [match[1] for part in _split_parts(text) if (match := _BIT.match(part))]
    if _HEXADECIMAL_NAMES.match(text):
        return MASKS
    return BY_BIT if all(prefixes) else PLAIN


def parse_names(
    fields: dict[str, str], kind: str, last: int
) -> tuple[dict[int, TableBit], dict[int, TableBit]]:
    """Return the bits and the values that a row names."""
    bits_text, values_text = fields.get("bits", ""), fields.get("values", "")
    if bits_text and values_text:
        raise ValueError("has bits and values; give one of them")
    if bits_text and not any(e.meaning == VALUE for e in _split_names(bits_text).values()):
        names = _split_names(bits_text)
        if _HEXADECIMAL_NAMES.match(bits_text):
            names = {_bit_of_mask(mask, bit): bit for mask, bit in names.items()}
        return _check_numbers(names, "bit", last), {}
    values = _check_numbers(_split_names(bits_text or values_text), "value", LAST_VALUE)
    if values and kind not in ("u16", "i16"):
        raise ValueError(f"values need the type u16, not {kind}")
    wrong = next((entry for entry in values.values() if entry.meaning == MEANINGS[1]), None)
    if wrong is not None:
        raise ValueError(
            f"value {wrong.name!r} has the meaning ({wrong.meaning}), which is that of a bit; "
            f"write ({MEANINGS[0]}) or ({MEANINGS[2]})"
        )
    return {}, values


def _check_numbers(found: dict[int, TableBit], what: str, last: int) -> dict[int, TableBit]:
    for number, entry in found.items():
        if number > last:
            text = f"{number}={entry.name}"
            raise ValueError(f"{what} {text!r} is not like 0=leak, from 0 to {last}")
    return found


def _split_names(text: str) -> dict[int, TableBit]:
    found: dict[int, TableBit] = {}
    parts = _split_parts(text)
    for part in parts:
        match = _BIT.match(part)
        if match is None:
            raise ValueError(
                f"bit {part!r} is not like 0=leak; write each bit by itself, without a range and "
                "without zeros before its number"
            )
        number = int(match[2], 16 if match[2][:2].casefold() == "0x" else 10)
        if number in found:
            raise ValueError(f"bit {match[2]} is given twice; give it once")
        found[number] = _parse_bit(match[3].strip())
    if len({bool(_HEXADECIMAL_NAMES.match(part)) for part in parts}) > 1:
        raise ValueError(f"{text!r} has masks and numbers; write one kind of them")
    return found


def _split_parts(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[/;,|]", text)] if text else []


def _bit_of_mask(mask: int, bit: TableBit) -> int:
    """Return the number of the bit that a mask such as 0x04 has."""
    if mask == 0 or mask & (mask - 1):
        raise ValueError(f"the mask {mask:#x} of {bit.name!r} is not that of one bit")
    return mask.bit_length() - 1


def _parse_bit(text: str) -> TableBit:
    match = _MEANING.match(text)
    return (
        TableBit(text)
        if match is None
        else TableBit(match[1], " ".join(match[2].casefold().split()))
    )
