# SPDX-License-Identifier: Apache-2.0
"""The columns of a block: name, unit, scale. Sent once, then identified by a number.

The number is the first four bytes of the SHA-256 of the text below. A unit with other points thus
has another number, and a relay that knows the schema needs nothing else:

    1                           the version
    name TAB unit TAB a TAB b   a line for each column: the value is raw * a / b in the unit (UCUM)

Three columns have a special meaning: `t` (UTC of the row in ms), `clock` and `state` (indices of
the lists CLOCKS and STATES). A name can end in `~mean`, `~min` or `~max`: a summary of several
rows.
"""

import hashlib

from protocols.errors import DecodeError, EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    Entry = tuple[str, str, int, int]

NUMBER_BYTES = 4
MAX_COLUMNS = 1024
TIME, CLOCK, STATE = "t", "clock", "state"
CLOCKS = ("free", "sync", "holdover", "untrusted")
STATES = ("normal", "degraded", "safe", "stopped")
_VERSION = "1"


class Schema:
    """The columns of a block: (name, unit, numerator, denominator). Raises EncodeError."""

    def __init__(self, entries: "list[Entry]") -> None:
        if not 0 < len(entries) <= MAX_COLUMNS:
            raise EncodeError("a schema has 1 to %d columns" % MAX_COLUMNS)
        for name, unit, _, denominator in entries:
            if "\t" in name + unit or "\n" in name + unit or not name or denominator < 1:
                raise EncodeError("column %r cannot be told" % name)
        self.entries = entries
        lines = ["%s\t%s\t%d\t%d\n" % entry for entry in entries]
        self.text = (_VERSION + "\n" + "".join(lines)).encode()
        self.number = hashlib.sha256(self.text).digest()[:NUMBER_BYTES]

    def column_names(self) -> "list[str]":
        """Return the names of the columns."""
        return [entry[0] for entry in self.entries]


def parse_schema(text: bytes) -> Schema:
    """Parse the text of a schema. Raises DecodeError."""
    try:
        lines = str(text, "utf-8").split("\n")
        if lines[0] != _VERSION or lines[-1]:
            raise DecodeError("no schema of version " + _VERSION)
        entries = []
        for line in lines[1:-1]:
            name, unit, numerator, denominator = line.split("\t")
            entries.append((name, unit, int(numerator), int(denominator)))
        return Schema(entries)
    except (ValueError, EncodeError) as error:  # UnicodeError is a ValueError
        raise DecodeError("a schema that cannot be read: %s" % error)
