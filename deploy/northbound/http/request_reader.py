# SPDX-License-Identifier: Apache-2.0
"""Reads one HTTP/1.1 request from a stream, strictly and within the limits.

Does not answer; see `deploy.northbound.http.connections`. The reader of microdot has no limit of
the head and no deadline, and it accepts a repeated Content-Length. So this module reads the bytes
and makes the request object of microdot. A request with Transfer-Encoding is refused.
"""

import asyncio
import re
from typing import Any

from microdot import Microdot, Request

from deploy.northbound.http.limits import HttpLimits

_LINE = re.compile(rb"([A-Z]{3,24}) (/[\x21-\x7e]*) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_ONCE = {"content-length", "host", "authorization", "x-auth-token", "if-match", "content-type"}
_LENGTH = re.compile(r"[0-9]{1,9}")


class BadRequest(Exception):  # noqa: N818 - the name of the status in HTTP
    """The bytes are no request that the server serves. `status`: status code of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_head(reader: asyncio.StreamReader, limits: HttpLimits) -> bytes:
    """Return the head of a request; b"": the connection ended before its first byte."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BadRequest(400, "incomplete head") from error
        return b""
    except asyncio.LimitOverrunError as error:
        raise BadRequest(431, f"a head has at most {limits.head} bytes") from error


def parse_head(app: Microdot, head: bytes, peer: Any, limits: HttpLimits) -> Request:
    """Return the request, still without its body. Raises BadRequest."""
    if len(head) > limits.head:
        raise BadRequest(431, f"a head has at most {limits.head} bytes")
    lines = head[:-4].split(b"\r\n")
    match = _LINE.fullmatch(lines[0])
    if match is None:
        raise BadRequest(400, "the request line is not valid")
    method, target, minor = match.groups()
    if len(target) > limits.target:
        raise BadRequest(414, f"a target has at most {limits.target} bytes")
    fields = _parse_fields(lines[1:], limits)
    if "transfer-encoding" in fields:
        raise BadRequest(501, "Transfer-Encoding is not supported; send Content-Length")
    length = fields.get("content-length", "0")
    if _LENGTH.fullmatch(length) is None:
        raise BadRequest(400, "Content-Length is not valid")
    if int(length) > limits.body:
        raise BadRequest(413, f"a body has at most {limits.body} bytes")
    if minor == b"1" and "host" not in fields:
        raise BadRequest(400, "Host is missing")
    try:
        return make_request(app, method.decode(), target.decode(), minor.decode(), fields, peer)
    except ValueError as error:  # the query has a wrong percent code
        raise BadRequest(400, "the target is not valid") from error


def make_request(
    app: Microdot, method: str, target: str, minor: str, fields: dict[str, str], peer: Any
) -> Request:
    """Return a request of microdot; its header names are in lower case."""
    factory: Any = Request
    request: Any = factory(app, peer, method, target, "1." + minor, _FieldMap(fields), body=b"")
    request.max_content_length = request.content_length  # the limit of this module applies
    return request  # type: ignore[no-any-return]


def set_body(request: Request, body: bytes) -> None:
    """Set the body; microdot has no public function for it."""
    setattr(request, "_body", body)  # noqa: B010 - private in microdot


class _FieldMap(dict[str, str]):
    """Header fields; a name may have any case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a field, or `default`."""
        return super().get(name.lower(), default)


def _parse_fields(lines: list[bytes], limits: HttpLimits) -> dict[str, str]:
    if len(lines) > limits.fields:
        raise BadRequest(431, f"a head has at most {limits.fields} fields")
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadRequest(400, "a header field is not valid")
        name = match[1].decode().lower()
        value = match[2].decode("latin-1").rstrip()
        if name in fields:
            if name in _ONCE:
                raise BadRequest(400, f"{name} stands twice")
            value = f"{fields[name]}, {value}"
        fields[name] = value
    return fields
