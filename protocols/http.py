"""HTTP/1.1 as a client needs it to speak to a controller board: requests out, responses in.

No socket, no clock: the caller sends what `request` gives and feeds what arrives to a `Reader`.
One request at a time; no pipelining, no redirects, no compression (none is asked for). Everything
that the far end sends is bounded, and what cannot be understood is an error that ends the
connection, since a stream that is out of step cannot be trusted again.

Source: RFC 9112 (messages, chunked transfer coding), RFC 9110 (methods, status, fields).
"""

from protocols.errors import DecodeError, EncodeError

_LONGEST_HEAD = 4096
_MOST_FIELDS = 48
_NO_BODY = (204, 304)
_LINE_END = b"\r\n"


def request(
    method: str,
    host: str,
    path: str,
    fields: "list[tuple[str, str]]",
    body: bytes = b"",
) -> bytes:
    """Write a request. `EncodeError` when a text holds what could begin another line or field."""
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: " + host]
    lines.extend(["%s: %s" % field for field in fields])
    if body or method in ("POST", "PATCH", "PUT"):
        lines.append("Content-Length: %d" % len(body))
    for line in lines:
        if [c for c in line if c < " " or c > "~"]:
            raise EncodeError("a request holds a control character or one outside ASCII")
    if " " in path or not path.startswith("/"):
        raise EncodeError("a path begins with / and holds no blank")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Response:
    """One response: status, fields (names in small letters) and body."""

    def __init__(self, status: int, fields: "list[tuple[str, str]]") -> None:
        self.status = status
        self.fields = fields
        self.body = b""

    def field(self, name: str) -> str:
        """Give the value of a field by its name in small letters, or an empty text."""
        for known, value in self.fields:
            if known == name:
                return value
        return ""

    def ends(self) -> bool:
        """Whether the far end serves nothing more on this connection."""
        return "close" in self.field("connection").lower()


class Reader:
    """Takes bytes, gives whole responses; `longest` bounds a body in bytes."""

    def __init__(self, longest: int = 8192) -> None:
        self._longest = longest
        self.reset()

    def reset(self) -> None:
        """Begin with a new connection."""
        self._buffer = b""
        self._response: Response | None = None
        self._left = 0  # of a body with a length
        self._step = self._head
        self._to_the_end = False

    def take(self, data: bytes) -> "list[Response]":
        """Take bytes; give what is complete. `DecodeError`: close the connection."""
        self._buffer += data
        out: list[Response] = []
        while self._step():
            response = self._response
            if response is not None and self._done:
                self._response = None
                self._step = self._head
                out.append(response)
        if len(self._buffer) > self._longest + _LONGEST_HEAD:
            raise DecodeError("a response is too long")
        return out

    def closed(self) -> "Response | None":
        """The connection ended: give the response that only its end could end, if there is one."""
        response = self._response if self._to_the_end else None
        if response is not None:
            response.body = self._buffer
        self.reset()
        return response

    # Steps: each says whether it got on; `_done` after one that completed a response.

    _done = False

    def _head(self) -> bool:
        self._done = False
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise DecodeError("the head of a response is too long")
            return False
        lines = self._buffer[:end].split(_LINE_END)
        self._buffer = self._buffer[end + 4 :]
        response = Response(_status(lines[0]), _fields(lines[1:]))
        if response.status < 200:  # an interim response: the real one follows
            return True
        self._response = response
        self._choose(response)
        return True

    def _choose(self, response: Response) -> None:
        """How the body ends: RFC 9112, section 6.3."""
        if response.status in _NO_BODY:
            self._done = True
        elif "chunked" in response.field("transfer-encoding").lower():
            self._step = self._chunk_size
        elif response.field("content-length"):
            self._left = _number(response.field("content-length").encode(), 10)
            self._check(self._left)
            self._step = self._body
        else:
            self._to_the_end = True
            self._step = self._rest

    def _check(self, length: int) -> None:
        if length > self._longest:
            raise DecodeError("a body of %d bytes, limit %d" % (length, self._longest))

    def _body(self) -> bool:
        if len(self._buffer) < self._left or self._response is None:
            return False
        self._response.body = self._buffer[: self._left]
        self._buffer = self._buffer[self._left :]
        self._done = True
        return True

    def _rest(self) -> bool:
        self._check(len(self._buffer))
        return False

    def _line(self) -> "bytes | None":
        end = self._buffer.find(_LINE_END)
        if end < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise DecodeError("a line of a chunked body is too long")
            return None
        line = self._buffer[:end]
        self._buffer = self._buffer[end + 2 :]
        return line

    def _chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        self._left = _number(line.split(b";")[0].strip(), 16)
        if self._response is not None:
            self._check(len(self._response.body) + self._left)
        self._step = self._chunk if self._left else self._trailer
        return True

    def _chunk(self) -> bool:
        if len(self._buffer) < self._left + 2 or self._response is None:
            return False
        if self._buffer[self._left : self._left + 2] != _LINE_END:
            raise DecodeError("a chunk does not end where it should")
        self._response.body += self._buffer[: self._left]
        self._buffer = self._buffer[self._left + 2 :]
        self._step = self._chunk_size
        return True

    def _trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        self._done = line == b""
        return True


def _number(text: bytes, base: int) -> int:
    digits = b"0123456789abcdefABCDEF" if base == 16 else b"0123456789"
    if not text or len(text) > 8 or text.strip(digits):
        raise DecodeError("a length that is no number")
    return int(text.decode(), base)


def _status(line: bytes) -> int:
    words = line.split(b" ", 2)
    version = words[0]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or len(words) < 2 or len(words[1]) != 3:
        raise DecodeError("no status line of HTTP/1.1")
    return _number(words[1], 10)


def _fields(lines: "list[bytes]") -> "list[tuple[str, str]]":
    if len(lines) > _MOST_FIELDS:
        raise DecodeError("too many fields")
    out = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise DecodeError("a field without a name")
        try:
            out.append((name.decode().lower(), value.strip().decode()))
        except UnicodeError:
            raise DecodeError("a field that is no text")
    return out
