"""Lines of a modem that is spoken to by AT commands, with unsolicited codes at any byte.

Not a driver: it sends nothing and knows no answer's meaning. A modem may say a code such as
`SBDRING` between any two bytes of an answer: `+SBD`, CR LF `SBDRING` CR LF, `IX: 0, …`. So the
reader is told which lines are whole (`is_answer`). A line that is not waits; if a code came right
after it, the next line is its other half.

    known(line) -> bool    a whole answer that the driver can use
    codes                  (text, exact) of unsolicited codes: the whole line, or its beginning

Binary answers (a received message) are read by `take(parse)`: all bytes go to a buffer, which
`parse` looks at whenever it grows. Nothing grows beyond `_MAX_LINE` and `max_bytes` bytes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Events = list[tuple[str, bytes]]
    Parse = Callable[[bytes], "tuple[bytes | None, bytes] | None"]

_MAX_LINE = 4096


class AtReader:
    """Turns bytes into events: ("line", text), ("code", text), ("unknown", text), ("binary", b)."""

    def __init__(
        self, is_answer: "Callable[[bytes], bool]", urcs: "tuple[tuple[bytes, bool], ...]"
    ) -> None:
        self.unknown_lines = 0
        self.overlong_lines = 0
        self._is_answer = is_answer
        self._urcs = urcs
        self._buffer = b""
        self._partial_line = b""
        self._urc_interrupted = False
        self._parse: Parse | None = None
        self._max_bytes = 0

    def reset(self) -> None:
        """Forget what is half read, as when the modem was switched off."""
        self._buffer = self._partial_line = b""
        self._urc_interrupted = False
        self._parse = None

    def expect_binary(self, parse: "Parse", max_bytes: int) -> None:
        """Read a binary answer next.

        `parse(buffer)` returns None while more is needed, else (content or None, what is left).
        """
        self._parse = parse
        self._max_bytes = max_bytes

    def resume_lines(self) -> "Events":
        """Go back to lines; what came meanwhile is read as lines."""
        self._parse = None
        return self.feed(b"")

    def feed(self, data: bytes) -> "Events":
        """Take bytes; return what they mean."""
        buffer = self._buffer + data
        if self._parse is not None:
            parsed = self._parse(buffer)
            if parsed is None:
                if len(buffer) <= self._max_bytes:
                    self._buffer = buffer
                    return []
                self.overlong_lines += 1
                parsed = None, b""
            self._parse = None
            self._buffer = b""
            return [("binary", parsed[0] or b"")] + self.feed(parsed[1])
        events: Events = []
        lines = buffer.replace(b"\n", b"\r").split(b"\r")
        for line in lines[:-1]:
            if line:
                self._handle_line(line, events)
        self._buffer = lines[-1]
        if len(self._buffer) > _MAX_LINE:
            self.overlong_lines += 1
            self._buffer = b""
        return events

    def _handle_line(self, line: bytes, events: "Events") -> None:
        urc = self._find_urc(line)
        if urc:
            rest = line[: len(line) - len(urc)]
            if rest:
                self._handle_text(rest, events)
            self._urc_interrupted = self._partial_line != b""
            events.append(("code", urc))
        else:
            self._handle_text(line, events)

    def _find_urc(self, line: bytes) -> bytes:
        for text, exact in self._urcs:
            if exact and line.endswith(text):
                return text
            if not exact and line.startswith(text) and not self._is_answer(line):
                return line
        return b""

    def _handle_text(self, line: bytes, events: "Events") -> None:
        partial, self._partial_line = self._partial_line, b""
        if partial and self._urc_interrupted:
            self._urc_interrupted = False
            if self._is_answer(partial + line):
                events.append(("line", partial + line))
                return
            if not self._is_answer(line):
                self._partial_line = (partial + line)[:_MAX_LINE]
                return
        if partial:
            self.unknown_lines += 1
            events.append(("unknown", partial))
        if self._is_answer(line):
            events.append(("line", line))
        else:
            self._partial_line = line
