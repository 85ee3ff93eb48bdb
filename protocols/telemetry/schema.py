"""What the columns of a block are: name, unit, scale. Sent once, known by its number afterwards.

The number is the first four bytes of the SHA-256 of the text below, so that a unit of other points
has another, and a relay that knows it needs nothing else:

    1                           the version
    name TAB unit TAB a TAB b   a line for each column: the value is raw * a / b in the unit (UCUM)

Three columns have a meaning of their own: `t` (UTC of the row in ms), `clock` and `state` (places
in the lists CLOCKS and STATES). A name may end in `~mean`, `~min` or `~max`: a summary of several
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
STATES = ("normal", "degraded", "safe")
_VERSION = "1"


class Schema:
    """The columns of a block, in order: (name, unit, numerator, denominator)."""

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
        """Name the columns."""
        return [entry[0] for entry in self.entries]


def parse_schema(text: bytes) -> Schema:
    """Read a schema's text. Raises DecodeError."""
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
