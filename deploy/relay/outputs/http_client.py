# SPDX-License-Identifier: Apache-2.0
"""HTTP client of the outputs: one POST with a token and TLS, errors as OutputError or RefusedError.

Does not format bodies. The statuses 400, 413 and 422 are a refusal of the items. All others are
faults of the server, of the configuration or of the load, so the items wait.
"""

import gzip
import ssl
import urllib.error
import urllib.request

from deploy.relay.outputs.base import OutputContext, OutputError

_TIMEOUT_S = 30
_REFUSALS = (400, 413, 422)


class RefusedError(Exception):
    """The server refuses the items."""


class HttpClient:
    """Posts to `url` for an output; `key_header`: the header with the token of the output."""

    def __init__(self, url: str, context: OutputContext, key_header: str = "Authorization") -> None:
        self._url = url
        self._key_header = key_header
        self._token = context.token
        if key_header == "Authorization" and self._token:
            self._token = f"Bearer {self._token}"
        self._tls = (
            ssl.create_default_context(cafile=context.ca_file) if url[:6] == "https:" else None
        )

    def post(self, body: bytes, kind: str, query: str = "") -> None:
        """Post a body; returns after a status of 2xx. Raises OutputError, RefusedError.

        `query`: the query of the URL, with its question mark.
        """
        request = urllib.request.Request(self._url + query, gzip.compress(body, 1))
        request.add_header("Content-Type", kind)
        request.add_header("Content-Encoding", "gzip")
        if self._token:
            request.add_header(self._key_header, self._token)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=self._tls) as answer:
                answer.read(1000)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(200).decode("ascii", "replace").strip()
            if error.code in _REFUSALS:
                raise RefusedError(f"{error.code} {text}") from None
            raise OutputError(f"{self._url}: {error.code} {text}") from None
        except (OSError, ValueError) as error:
            raise OutputError(f"{self._url}: {error}") from None
