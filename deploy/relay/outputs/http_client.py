# SPDX-License-Identifier: Apache-2.0
"""HTTP client of the outputs: POST and GET with a token and TLS, errors as OutputError or
RefusedError.

Does not format bodies. An acknowledgement is a status of 2xx without a body. The statuses 400, 413
and 422 are a refusal of the items; 500 can be one, see `AnsweredError`. All else is a fault of the
server, of the configuration or of the load, so the items wait: also a redirection, since the
library would follow it without the body, and the page of a proxy with status 200.
"""

import gzip
import http.client
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from typing import IO, Any

from deploy.errors import DeployError
from deploy.relay.outputs.base import AnsweredError, OutputContext, OutputError
from deploy.relay.outputs.tls.server_tls import FileTls, OutputTlsFiles, is_end, read_problem

_TIMEOUT_S = 30
_PAGE_TIMEOUT_S = 10
_NO_PAGE = {*range(300, 500), 501} - {408, 425, 429}
"""Statuses of a server that has no such page, or not for this client."""
_REFUSALS = (400, 413, 422)
_TAG = re.compile(r"<[^>]*>?")
_FAULT = 500
"""Of the server, or of an item that it cannot handle."""
HTTP_ERRORS = (OSError, ValueError, http.client.HTTPException)
"""What the library raises for a server that is away, or whose answer is not HTTP or is cut off."""


class RefusedError(Exception):
    """The server refuses the items."""


class NoPageError(Exception):
    """The server has no such page, or not for this client."""


class NoRedirection(urllib.request.HTTPRedirectHandler):
    """Makes each redirection an error."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """Return None: there is no other request."""


def check_url(url: str) -> None:
    """Raise DeployError if a URL has no host of HTTP."""
    try:
        parts = urllib.parse.urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_good = is_good and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good or " " in url:
        raise DeployError(f"{url}: not a URL")


class HttpClient:
    """Posts to `url` for an output; `key_header`: the header with the token of the output."""

    def __init__(self, url: str, context: OutputContext, key_header: str = "Authorization") -> None:
        check_url(url)
        self._url = url
        self._key_header = key_header
        self._token = context.token
        is_tls = url[:6] == "https:"
        self._tls = FileTls(context.tls or OutputTlsFiles()) if is_tls else None
        self._used: ssl.SSLContext | None = None
        self._opener = _make_opener(None)

    def _open(self, request: urllib.request.Request, timeout_s: float) -> Any:
        """Send a request; a new connection with the present certificates."""
        present = None if self._tls is None else self._tls.present()
        if present is not self._used:
            self._used, self._opener = present, _make_opener(present)
        return self._opener.open(request, timeout=timeout_s)

    def post(self, body: bytes, kind: str, query: str = "") -> None:
        """Post a body; returns after an acknowledgement. Raises OutputError, RefusedError.

        `query`: the query of the URL, with its question mark.
        """
        request = urllib.request.Request(self._url + query, gzip.compress(body, 1))
        request.add_header("Content-Type", kind)
        request.add_header("Content-Encoding", "gzip")
        self._add_token(request)
        try:
            with self._open(request, _TIMEOUT_S) as answer:
                text = answer.read(200)
        except urllib.error.HTTPError as error:
            with error:
                detail = _read_detail(error)
            if error.code in _REFUSALS:
                raise RefusedError(detail) from None
            fault = AnsweredError if error.code == _FAULT else OutputError
            raise fault(f"{self._url}: {detail}") from None
        except HTTP_ERRORS as error:
            raise self._no_answer(self._url, error) from None
        if answer.length:  # what is left of the length in its head
            raise OutputError(f"{self._url}: {answer.status}, and the answer is cut off")
        if text.strip():
            raise OutputError(f"{self._url}: {answer.status} with a text: {_to_line(text)}")

    def get(self, path: str, most_bytes: int) -> str:
        """Return a page of the server, with the token of the output: ASCII.

        Raises NoPageError if the server has none for this client, OutputError if it cannot tell.
        """
        url = urllib.parse.urljoin(self._url, path)
        request = urllib.request.Request(url)
        self._add_token(request)
        try:
            with self._open(request, _PAGE_TIMEOUT_S) as answer:
                page: bytes = answer.read(most_bytes)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _NO_PAGE:
                raise NoPageError(f"{url}: {error.code}") from None
            raise OutputError(f"{url}: {error.code}") from None
        except HTTP_ERRORS as error:
            raise self._no_answer(url, error) from None
        return page.decode("ascii", "replace")

    def _add_token(self, request: urllib.request.Request) -> None:
        if self._token is not None:
            scheme = "Bearer " if self._key_header == "Authorization" else ""
            request.add_header(self._key_header, scheme + self._token.text())

    def _no_answer(self, url: str, error: Exception) -> OutputError:
        found = error.reason if isinstance(error, urllib.error.URLError) else error
        alert = ""
        if self._tls is not None and isinstance(found, OSError) and is_end(found):
            parts = urllib.parse.urlsplit(url)
            alert = read_problem((parts.hostname or "", parts.port or 443), self._tls.present())
        return OutputError(f"{url}: {alert or found}")


def _make_opener(tls: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(NoRedirection, urllib.request.HTTPSHandler(context=tls))


def _read_detail(error: urllib.error.HTTPError) -> str:
    """Return the status and the start of the body, as far as it can be read."""
    try:
        return f"{error.code} {_to_line(error.read(200))}"
    except HTTP_ERRORS:
        return str(error.code)


def _to_line(text: bytes) -> str:
    """Return a text, or the page of a proxy, in one line."""
    line = text.decode("ascii", "replace")
    if line.lstrip()[:5].lower() in ("<html", "<!doc"):
        line = _TAG.sub(" ", line)
    return " ".join(line.split())
