# SPDX-License-Identifier: Apache-2.0
"""Reads the register table of a device: typed, as CSV, or copied from the table of a PDF.

Does not make a profile; see `hil.tools.commission.profile_draft`. One line is one register or
value. The columns are separated by tabs, semicolons, commas, `|` or two blanks. A first line with
names of columns gives their order, for example `address;name;type;scale;unit;access;bits`. Without
it the columns have this order. A line that begins with `#` is a comment, and so are lines above the
header (`hil.tools.commission.inputs.table_text`).

    address   as on the wire, 0x… (always on the wire), or a reference such as 40001
    name      what the register is: "supply temperature", "pump speed command", "alarm word"
    type      u16 (default), i16, u32, i32, f32; also "int16", "UINT", "float"
    scale     value of one count: 0.1 (default 1)
    unit      °C, K, kPa, bar, mbar, psi, L/min, L/s, m3/h, %, rpm, kW, W, none
    access    R, or RW for a register that can be written (its old value must be readable)
    min, max  limits of a written value, in the unit
    bits      names of bits: "bit 0=leak / bit 1=pump fault", or of masks: "0x01=leak / 0x02=pump
              fault"; up to 31 for u32. "0=leak / 1=pump fault" if these cannot be values. After a
              name, its meaning:
              "0=no leak (alarm at 0) / 1=filter (state) / 2=door (alarm)"
              "0=off (value) / 1=run (value)": these are values, as in the column values
    values    names of the values of a register that is a state: "0=off / 1=run / 2=fault (alarm)"
    function  3 (default) or 4
    role      what the agent does with it: pump, fan, valve, temperature set-point,
              pressure set-point, monitor, or the name of a point (default: by the name)
    order     of the bytes of u32, i32, f32: ABCD (default), CDAB (low word first), BADC, DCBA
    comment   is not read

An unknown column is an error: it can change what the others mean. The form of an address decides
what it is, and it is converted here: a `TableRow` has only addresses on the wire.
"""

import csv
import re
from fractions import Fraction
from typing import NamedTuple

from drivers.device.profile_entries import wire_address
from hil.errors import BenchError
from hil.tools.commission.inputs.bit_names import (
    PLAIN,
    TableBit,
    find_form,
    join_lines,
    parse_names,
)
from hil.tools.commission.inputs.table_text import (
    find_header,
    find_separator,
    make_plain,
    split_lines,
)

_COLUMNS = ("address", "name", "type", "scale", "unit", "access", "bits")
_ALIASES = {
    "address": ("address", "addr", "register", "reg", "modbus address", "no", "no."),
    "name": ("name", "description", "parameter", "point", "what", "signal", "meaning"),
    "type": ("type", "data type", "format", "datatype"),
    "scale": ("scale", "factor", "resolution", "multiplier", "gain", "scaling"),
    "unit": ("unit", "units", "eng. unit"),
    "access": ("access", "r/w", "rw", "read/write", "mode"),
    "min": ("min", "low", "minimum"),
    "max": ("max", "high", "maximum"),
    "bits": ("bits", "bit names"),
    "values": ("values", "value names", "states", "enumeration", "enum"),
    "function": ("function", "fc", "function code"),
    "order": ("order", "word order", "byte order", "endianness"),
    "role": ("role", "role in the agent", "agent"),
    "": ("comment", "comments", "remark", "remarks", "notes", "note", ""),
}
"""Column: the headings that it can have in a table of a vendor."""
_ORDERS = ("", "ABCD", "CDAB", "BADC", "DCBA")
_NO_UNIT = ("", "none", "-", "--", "\u2013", "\u2014", "n/a", "1")
"""Spellings of "no unit"; a row has only the first one."""
BITS, WIDE_BITS = "bits", "bits32"
"""Kinds of a row with names of bits: one register, or two."""
_READ, _WRITTEN = (
    ("", "r", "ro", "read", "readonly"),
    ("rw", "r/w", "wr", "read/write", "readwrite"),
)
_FIRST_REFERENCE = 30_001
_LARGEST_SCALE, _LARGEST_LIMIT = 10**6, 10**12
_TYPES = {
    "u16": (
        *("u16", "uint16", "uint", "word", "unsigned", "unsigned16", "ushort", "int16u", "uword"),
        *("unsignedint", "unsignedint16", "unsignedinteger", ""),
    ),
    "i16": (
        *("i16", "int16", "int", "s16", "signed", "signed16", "short", "int16s", "sword", "sint16"),
        *("signedint", "signedint16", "signedinteger", "sint"),
    ),
    "u32": ("u32", "uint32", "dword", "udint", "ulong", "int32u", "udword", "unsigned32"),
    "i32": ("i32", "int32", "s32", "dint", "long", "int32s", "sdword", "sint32", "signed32"),
    "f32": ("f32", "float", "float32", "real", "real32", "single", "ieee754", "floatingpoint"),
    "bits": ("bits", "bitfield", "flags", "bitmap", "bit"),
}
"""Type: the words that name it in a table of a vendor."""
_DIGITS = re.compile(r"[0-9]{1,6}$")
_HEXADECIMAL = re.compile(r"0x[0-9a-f]{1,6}$", re.IGNORECASE)
_LAST_ADDRESS, _LONGEST_WIRE = 0xFFFF, 5
_REFERENCE_FUNCTIONS = {"3": 4, "4": 3}
"""First digit of a reference to a register: its function code."""
_NUMBER = re.compile(r"[-+0-9./]{1,30}([eE][-+]?[0-9]{1,2})?$")  # a longer one takes long
_THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.|$)")


class TableRow(NamedTuple):
    """One row. `address`: on the wire. `low`, `high`: None if not given. `bits`: bit by number.

    `values`: the names of the values of a register that is a state; None: it is none. `form`: of
    the numbers of `bits`.
    """

    line: int
    address: int
    name: str
    kind: str
    scale: Fraction
    unit: str
    is_written: bool
    low: Fraction | None
    high: Fraction | None
    bits: dict[int, TableBit]
    function: int | None
    order: str = ""
    role: str = ""
    values: dict[int, TableBit] | None = None
    form: str = PLAIN


def parse_table(text: str, source: str) -> list[TableRow]:
    """Return the rows. Raises BenchError with a line for each problem: source, line, text."""
    lines = split_lines(make_plain(text))
    if not lines:
        raise BenchError(f"{source}:1: no registers; write one register in each line")
    place, separator = find_header(lines, _is_header) or (0, find_separator(lines))
    cells = [(i, _split(line, separator, f"{source}:{i}")) for i, line in lines[place:]]
    columns = _find_columns(cells[0][1], f"{source}:{cells[0][0]}")
    if columns:
        cells = cells[1:]
        if not cells:
            raise BenchError(f"{source}:1: the table has no rows; write one register in each line")
    else:
        columns = list(_COLUMNS)
    rows, errors = [], []
    mixed = _mixed_addresses(cells, columns)
    if mixed:
        errors.append(f"{source}:{mixed}")
    for number, values in cells:
        fields = dict(zip(columns, values, strict=False))
        try:
            _check_width(values, columns)
            rows.append(_parse_row(number, fields))
        except ValueError as error:
            errors.append(f"{source}:{number}: {error}")
    seen: dict[tuple[int, int], int] = {}
    for row in rows:
        key = (row.function or 3, row.address)
        if key in seen:
            problem = f"address {row.address} is that of line {seen[key]}; give it once"
            errors.append(f"{source}:{row.line}: {problem}")
        seen.setdefault(key, row.line)
    if errors:
        raise BenchError("\n".join(errors))
    return rows


def _check_width(values: list[str], columns: list[str]) -> None:
    extra = [value for value in values[len(columns) :] if value]
    if extra:
        raise ValueError(f"{extra[0]!r} has no column; give it one, for example `comment`")


def _is_header(line: str, separator: str) -> bool:
    """Return whether a line has the names of columns, of the address and of the name at least."""
    found = {_column(cell) for cell in _split(line, separator, "")}
    return {"address", "name"} <= found


def _column(heading: str) -> str | None:
    """Return the name of the column with a heading; None: it is not known; "": a comment."""
    key = heading.casefold()
    return next((name for name, names in _ALIASES.items() if key in names), None)


def _split(line: str, separator: str, where: str) -> list[str]:
    if not separator:
        return [cell.strip() for cell in re.split(r"\s{2,}", line.strip())]
    text = line.strip().strip("|")
    try:
        cells = next(csv.reader([text], delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise BenchError(f"{where}: {error}; write one register in each line") from None
    return [join_lines(cell) for cell in cells]


def _find_columns(cells: list[str], where: str) -> list[str]:
    """Return the names of the columns if the first line has them; "" for a comment."""
    found, unknown = [], []
    for cell in cells:
        name = _column(cell)
        found.append(name or "")
        if name is None:
            unknown.append(cell)
    if not ("address" in found and "name" in found):
        return []
    if unknown:
        known = ", ".join(filter(None, _ALIASES))
        raise BenchError(f"{where}: column {', '.join(unknown)} is none of {known}, comment")
    twice = next((name for name in found if name and found.count(name) > 1), "")
    if twice:
        raise BenchError(f"{where}: column {twice} is given twice; rename one to comment")
    return found


def _mixed_addresses(cells: list[tuple[int, list[str]]], columns: list[str]) -> str:
    """Return line and problem of a table with references and addresses on the wire; else empty."""
    at = columns.index("address")
    given = [(i, v[at]) for i, v in cells if len(v) > at and _DIGITS.match(v[at])]
    low = [(i, text) for i, text in given if int(text) < _FIRST_REFERENCE]
    high = [(i, text) for i, text in given if int(text) >= _FIRST_REFERENCE]
    if not low or not high:
        return ""
    line = max(low[0][0], high[0][0])
    return (
        f"{line}: addresses {low[0][1]} and {high[0][1]}: references and addresses on "
        "the wire are mixed; write an address on the wire as 0x…"
    )


def _parse_row(line: int, fields: dict[str, str]) -> TableRow:
    name = fields.get("name", "")
    if not re.search("[A-Za-z]", name):
        raise ValueError(f"{name!r} is no name of a register; write what it shows")
    if not name.isprintable():
        raise ValueError(f"{name!r} has a character that cannot be printed; type the name again")
    kind = _parse_type(fields.get("type", ""))
    is_wide = kind in ("u32", "i32")
    bits, values = parse_names(fields, kind, 31 if is_wide else 15)
    if bits or values or kind == BITS:
        _check_plain(fields, kind)
    function = fields.get("function", "")
    if function not in ("", "3", "4", "03", "04"):
        raise ValueError(f"function {function!r} is not 3 or 4")
    address, code = _parse_address(fields.get("address", ""), int(function) if function else None)
    return TableRow(
        line,
        address,
        name,
        (WIDE_BITS if is_wide else BITS) if bits else kind,
        _parse_number(fields.get("scale", "") or "1", "scale"),
        "" if fields.get("unit", "").casefold() in _NO_UNIT else fields["unit"],
        _parse_access(fields.get("access", "")),
        _optional(fields.get("min", ""), "min"),
        _optional(fields.get("max", ""), "max"),
        bits,
        code,
        _parse_order(fields.get("order", ""), kind),
        " ".join(fields.get("role", "").split()),
        values or None,
        find_form(fields.get("bits", "")) if bits else PLAIN,
    )


def _check_plain(fields: dict[str, str], kind: str) -> None:
    """Raise ValueError for a register of bits or states with the columns of a number."""
    unit, scale = fields.get("unit", ""), fields.get("scale", "") or "1"
    if kind == "f32":
        raise ValueError("has names of bits, and the type f32 has none; write u16 or u32")
    if unit.casefold() not in _NO_UNIT or _parse_number(scale, "scale") != 1:
        raise ValueError(
            "has bits or values, and a unit or a scale; leave the one or the other out"
        )


def _parse_access(text: str) -> bool:
    """Return whether the register can be written."""
    key = re.sub("[ _-]", "", text.casefold())
    if key in _WRITTEN:
        return True
    if key not in _READ:
        rule = "R or RW; the write test must read the old value of a register"
        raise ValueError(f"access {text!r} is none of {rule}")
    return False


def _parse_order(text: str, kind: str) -> str:
    order = text.upper()
    if order not in _ORDERS:
        raise ValueError(f"order {text!r} is none of ABCD, CDAB, BADC, DCBA")
    if order and kind not in ("u32", "i32", "f32"):
        raise ValueError(f"order {text!r}: a value of type {kind} has one register")
    return order


def _parse_address(text: str, function: int | None) -> tuple[int, int | None]:
    """Return the address on the wire and the function code; None: not named.

    `0x…` and a number below 30001 are on the wire. Another number is a reference, whose first
    digit gives the code.
    """
    if _HEXADECIMAL.match(text):
        return _check_wire(text, int(text, 16)), function
    if not _DIGITS.match(text):
        raise ValueError(f"address {text!r} is not a number such as 4, 0x04 or 40005")
    if int(text) < _FIRST_REFERENCE and len(text) <= _LONGEST_WIRE:
        return int(text), function
    own = _REFERENCE_FUNCTIONS.get(text[0])
    wire = wire_address(text, "reference", own)
    if own is None or wire is None:
        raise ValueError(
            f"address {text} is no reference to a register, such as 40005 or 30005; write an "
            "address on the wire as 0x…"
        )
    if function not in (None, own):
        raise ValueError(f"address {text} is read with function {own}, not {function}; correct one")
    return wire.address, own


def _check_wire(text: str, address: int) -> int:
    if address > _LAST_ADDRESS:
        raise ValueError(f"address {text} is above 0xFFFF; correct it")
    return address


def _parse_type(text: str) -> str:
    key = text.casefold().replace(" ", "").replace("_", "")
    for kind, names in _TYPES.items():
        if key in names:
            return kind
    raise ValueError(f"type {text!r} is none of u16, i16, u32, i32, f32, bits")


def _parse_number(text: str, key: str) -> Fraction:
    cleaned = text.removeprefix("x").removeprefix("*").strip()
    try:
        value = parse_decimal(cleaned)
    except ValueError as error:
        raise ValueError(f"{key} {text!r} is not a number: {error}") from None
    if cleaned != text and value > 1:
        raise ValueError(f"{key} {text!r}: is a count {cleaned}, or 1/{cleaned}? Write one of them")
    if key == "scale" and not 1 / _LARGEST_SCALE <= value <= _LARGEST_SCALE:
        raise ValueError(f"scale {text!r} is not from 0.000001 to 1000000; correct it")
    if abs(value) > _LARGEST_LIMIT:
        raise ValueError(f"{key} {text!r} is too large; correct it")
    return value


def parse_decimal(text: str) -> Fraction:
    """Return a number such as 0.1, 0,1 or 1/10. Raises ValueError with the remedy.

    A comma is a decimal one. With three digits after it, it can separate thousands: an error.
    """
    if _THOUSANDS.match(text):
        raise ValueError("its comma can be decimal or of thousands; write 3000 or 3.0")
    cleaned = text.replace(",", ".")
    try:
        return Fraction(cleaned if _NUMBER.match(cleaned) else "")
    except (ValueError, ZeroDivisionError):
        raise ValueError("write it as 0.1 or 1/10") from None


def _optional(text: str, key: str) -> Fraction | None:
    return _parse_number(text, key) if text else None
