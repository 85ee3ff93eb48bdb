# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 client messages for a controller board: writes requests, parses responses.

Has no socket and no clock. The caller sends the bytes of `build_request` and feeds received bytes
to a `ResponseReader`. It supports one request at a time: no pipelining, redirects or compression
(the client requests none). All lengths from the server are bounded. A parse error raises
`DecodeError`, and the caller must close the connection, because the stream is out of step.

Source: RFC 9112 (messages, chunked transfer coding), RFC 9110 (methods, status, fields).
"""

from protocols.errors import DecodeError, EncodeError

_MAX_HEADER = 4096
_MAX_FIELDS = 48
_NO_BODY = (204, 304)
_LINE_END = b"\r\n"


def build_request(
    method: str,
    host: str,
    path: str,
    fields: "list[tuple[str, str]]",
    body: bytes = b"",
) -> bytes:
    """Write a request. Raises `EncodeError` if a text can start another line or field."""
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + host]
    lines.extend(["%s: %s" % field for field in fields])
    if body or method in ("POST", "PATCH", "PUT"):
        lines.append("Content-Length: %d" % len(body))
    for line in lines:
        if not _is_printable(line):
            raise EncodeError("a request holds a control character or one outside ASCII")
    if " " in path or not path.startswith("/"):
        raise EncodeError("a path begins with / and holds no blank")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _is_printable(text: str) -> bool:
    return not [c for c in text if c < " " or c > "~"]


class Response:
    """One response: status, fields (names in lower case) and body."""

    def __init__(self, status: int, fields: "list[tuple[str, str]]") -> None:
        self.status = status
        self.fields = fields
        self.body = b""

    def get_field(self, name: str) -> str:
        """Return the value of a field by its name in lower case, or an empty text."""
        for field_name, value in self.fields:
            if field_name == name:
                return value
        return ""

    def get_printable(self, name: str) -> str:
        """Return a value that a later request sends back; empty if no request can hold it."""
        value = self.get_field(name)
        return value if _is_printable(value) else ""

    def closes_connection(self) -> bool:
        """Return True if the server closes the connection after this response."""
        return "close" in self.get_field("connection").lower()


class ResponseReader:
    """Parses bytes into complete responses; `max_body` bounds a body in bytes."""

    def __init__(self, max_body: int = 8192) -> None:
        self._max_body = max_body
        self.reset()

    def reset(self) -> None:
        """Discard all state; a new connection starts."""
        self._buffer = b""
        self._response: Response | None = None
        self._remaining = 0  # bytes of a body with a length
        self._parse_step = self._parse_header
        self._until_close = False

    def feed(self, data: bytes) -> "list[Response]":
        """Add bytes; return the complete responses. After `DecodeError`, close the connection."""
        self._buffer += data
        responses: list[Response] = []
        while self._parse_step():
            response = self._response
            if response is not None and self._done:
                self._response = None
                self._parse_step = self._parse_header
                responses.append(response)
        if len(self._buffer) > self._max_body + _MAX_HEADER:
            raise DecodeError("a response is too long")
        return responses

    def finish(self) -> "Response | None":
        """Handle the end of the connection; return the response that it completes, or None."""
        response = self._response if self._until_close else None
        if response is not None:
            response.body = self._buffer
        self.reset()
        return response

    # Parse steps: each returns True if it made progress and sets `_done` if a response is complete.

    _done = False

    def _parse_header(self) -> bool:
        self._done = False
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEADER:
                raise DecodeError("the head of a response is too long")
            return False
        lines = self._buffer[:end].split(_LINE_END)
        self._buffer = self._buffer[end + 4 :]
        response = Response(_parse_status(lines[0]), _parse_fields(lines[1:]))
        if response.status < 200:  # an interim response: the final one follows
            return True
        self._response = response
        self._select_body(response)
        return True

    def _select_body(self, response: Response) -> None:
        """Select the rule that ends the body (RFC 9112, section 6.3)."""
        if response.status in _NO_BODY:
            self._done = True
        elif "chunked" in response.get_field("transfer-encoding").lower():
            self._parse_step = self._parse_chunk_size
        elif response.get_field("content-length"):
            self._remaining = _parse_number(response.get_field("content-length").encode(), 10)
            self._check_length(self._remaining)
            self._parse_step = self._parse_body
        else:
            self._until_close = True
            self._parse_step = self._await_close

    def _check_length(self, length: int) -> None:
        if length > self._max_body:
            raise DecodeError("a body of %d bytes, limit %d" % (length, self._max_body))

    def _parse_body(self) -> bool:
        if len(self._buffer) < self._remaining or self._response is None:
            return False
        self._response.body = self._buffer[: self._remaining]
        self._buffer = self._buffer[self._remaining :]
        self._done = True
        return True

    def _await_close(self) -> bool:
        self._check_length(len(self._buffer))
        return False

    def _take_line(self) -> "bytes | None":
        end = self._buffer.find(_LINE_END)
        if end < 0:
            if len(self._buffer) > _MAX_HEADER:
                raise DecodeError("a line of a chunked body is too long")
            return None
        line = self._buffer[:end]
        self._buffer = self._buffer[end + 2 :]
        return line

    def _parse_chunk_size(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        self._remaining = _parse_number(line.split(b";")[0].strip(), 16)
        if self._response is not None:
            self._check_length(len(self._response.body) + self._remaining)
        self._parse_step = self._parse_chunk if self._remaining else self._parse_trailer
        return True

    def _parse_chunk(self) -> bool:
        if len(self._buffer) < self._remaining + 2 or self._response is None:
            return False
        if self._buffer[self._remaining : self._remaining + 2] != _LINE_END:
            raise DecodeError("a chunk does not end where it should")
        self._response.body += self._buffer[: self._remaining]
        self._buffer = self._buffer[self._remaining + 2 :]
        self._parse_step = self._parse_chunk_size
        return True

    def _parse_trailer(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        self._done = line == b""
        return True


def _parse_number(text: bytes, base: int) -> int:
    digits = b"0123456789abcdefABCDEF" if base == 16 else b"0123456789"
    if not text or len(text) > 8 or text.strip(digits):
        raise DecodeError("a length that is no number")
    return int(text.decode(), base)


def _parse_status(line: bytes) -> int:
    parts = line.split(b" ", 2)
    version = parts[0]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(parts) < 2 or len(parts[1]) != 3:
        raise DecodeError("no status line of HTTP/1.1")
    return _parse_number(parts[1], 10)


def _parse_fields(lines: "list[bytes]") -> "list[tuple[str, str]]":
    if len(lines) > _MAX_FIELDS:
        raise DecodeError("too many fields")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise DecodeError("a field without a name")
        try:
            fields.append((name.decode().lower(), value.strip().decode()))
        except UnicodeError:
            raise DecodeError("a field that is no text")
    return fields
