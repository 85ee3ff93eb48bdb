# SPDX-License-Identifier: Apache-2.0
"""The line reader of an AT modem, with unsolicited result codes (URC) at any byte.

Does not send and does not interpret responses; see `drivers.modems`. A modem can insert a URC such
as `SBDRING` between any two bytes of a response: `+SBD`, CR LF `SBDRING` CR LF, `IX: 0, …`.
Therefore `is_response` tells the reader which lines are complete. An incomplete line waits. If a
URC followed it, the next line is its second half.

    is_response(line) -> bool   a complete response that the driver supports
    urcs                        (text, exact) of URCs: the whole line, or its first characters

`expect_binary(parse)` reads a binary response (a received message). All bytes then go to a buffer,
and `parse` checks it after each chunk. Buffers are bounded by `_MAX_LINE` and `max_bytes` bytes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Events = list[tuple[str, bytes]]
    Parse = Callable[[bytes], "tuple[bytes | None, bytes] | None"]

_MAX_LINE = 4096


class AtReader:
    """Converts bytes to events (kind, text): "line", "urc", "unknown" or "binary"."""

    def __init__(
        self, is_response: "Callable[[bytes], bool]", urcs: "tuple[tuple[bytes, bool], ...]"
    ) -> None:
        self.unknown_lines = 0
        self.overlong_lines = 0
        self._is_response = is_response
        self._urcs = urcs
        self._buffer = b""
        self._partial_line = b""
        self._urc_interrupted = False
        self._parse: Parse | None = None
        self._max_bytes = 0

    def reset(self) -> None:
        """Discard incomplete input, for example after the modem was switched off."""
        self._buffer = self._partial_line = b""
        self._urc_interrupted = False
        self._parse = None

    def expect_binary(self, parse: "Parse", max_bytes: int) -> None:
        """Expect a binary response next.

        `parse(buffer)` returns None if it needs more bytes, else (content or None, rest).
        """
        self._parse = parse
        self._max_bytes = max_bytes

    def resume_lines(self) -> "Events":
        """Return to lines; bytes received meanwhile are read as lines."""
        self._parse = None
        return self.feed(b"")

    def feed(self, data: bytes) -> "Events":
        """Add bytes; return the events."""
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
            events.append(("urc", urc))
        else:
            self._handle_text(line, events)

    def _find_urc(self, line: bytes) -> bytes:
        for text, exact in self._urcs:
            if exact and line.endswith(text):
                return text
            if not exact and line.startswith(text) and not self._is_response(line):
                return line
        return b""

    def _handle_text(self, line: bytes, events: "Events") -> None:
        partial, self._partial_line = self._partial_line, b""
        if partial and self._urc_interrupted:
            self._urc_interrupted = False
            if self._is_response(partial + line):
                events.append(("line", partial + line))
                return
            if not self._is_response(line):
                self._partial_line = (partial + line)[:_MAX_LINE]
                return
        if partial:
            self.unknown_lines += 1
            events.append(("unknown", partial))
        if self._is_response(line):
            events.append(("line", line))
        else:
            self._partial_line = line
