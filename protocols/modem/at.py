"""Lines of a modem that is spoken to by AT commands, with unsolicited codes at any byte.

Not a driver: it sends nothing and knows no answer's meaning. A modem may say a code such as
`SBDRING` between any two bytes of an answer: `+SBD`, CR LF `SBDRING` CR LF, `IX: 0, …`. So the
reader is told which lines are whole (`known`). A line that is not waits; if a code came right after
it, the next line is its other half.

    known(line) -> bool    a whole answer that the driver can use
    codes                  (text, exact) of unsolicited codes: the whole line, or its beginning

Binary answers (a received message) are read by `take(parse)`: all bytes go to a buffer, which
`parse` looks at whenever it grows. Nothing grows beyond `_LONGEST_LINE` and `most` bytes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Events = list[tuple[str, bytes]]
    Parse = Callable[[bytes], "tuple[bytes | None, bytes] | None"]

_LONGEST_LINE = 4096


class Reader:
    """Turns bytes into events: ("line", text), ("code", text), ("unknown", text), ("binary", b)."""

    def __init__(
        self, known: "Callable[[bytes], bool]", codes: "tuple[tuple[bytes, bool], ...]"
    ) -> None:
        self.unknown = 0
        self.overlong = 0
        self._known = known
        self._codes = codes
        self._buffer = b""
        self._half = b""
        self._split = False
        self._parse: Parse | None = None
        self._most = 0

    def reset(self) -> None:
        """Forget what is half read, as when the modem was switched off."""
        self._buffer = self._half = b""
        self._split = False
        self._parse = None

    def take(self, parse: "Parse", most: int) -> None:
        """Read a binary answer next.

        `parse(buffer)` returns None while more is needed, else (content or None, what is left).
        """
        self._parse = parse
        self._most = most

    def text(self) -> "Events":
        """Go back to lines; what came meanwhile is read as lines."""
        self._parse = None
        return self.feed(b"")

    def feed(self, data: bytes) -> "Events":
        """Take bytes; return what they mean."""
        buffer = self._buffer + data
        if self._parse is not None:
            found = self._parse(buffer)
            if found is None:
                if len(buffer) <= self._most:
                    self._buffer = buffer
                    return []
                self.overlong += 1
                found = None, b""
            self._parse = None
            self._buffer = b""
            return [("binary", found[0] or b"")] + self.feed(found[1])
        events: Events = []
        lines = buffer.replace(b"\n", b"\r").split(b"\r")
        for line in lines[:-1]:
            if line:
                self._line(line, events)
        self._buffer = lines[-1]
        if len(self._buffer) > _LONGEST_LINE:
            self.overlong += 1
            self._buffer = b""
        return events

    def _line(self, line: bytes, events: "Events") -> None:
        code = self._code_of(line)
        if code:
            rest = line[: len(line) - len(code)]
            if rest:
                self._plain(rest, events)
            self._split = self._half != b""
            events.append(("code", code))
        else:
            self._plain(line, events)

    def _code_of(self, line: bytes) -> bytes:
        for text, exact in self._codes:
            if exact and line.endswith(text):
                return text
            if not exact and line.startswith(text) and not self._known(line):
                return line
        return b""

    def _plain(self, line: bytes, events: "Events") -> None:
        half, self._half = self._half, b""
        if half and self._split:
            self._split = False
            if self._known(half + line):
                events.append(("line", half + line))
                return
            if not self._known(line):
                self._half = (half + line)[:_LONGEST_LINE]
                return
        if half:
            self.unknown += 1
            events.append(("unknown", half))
        if self._known(line):
            events.append(("line", line))
        else:
            self._half = line
