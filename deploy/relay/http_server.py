# SPDX-License-Identifier: Apache-2.0
"""HTTP server of the relay: the pages of the outputs, and the webhook `/sbd` of a message gateway.

Not a general server: bodies of at most 64 KiB, one thread for each request. The webhook accepts the
requests of the gateways of RockBLOCK and Cloudloop: a form or a JSON object with `imei` and `data`
(hexadecimal). It responds only after the message is stored, so a gateway repeats a message that is
not stored. Run it behind a proxy that terminates TLS and authenticates the gateway.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from deploy.relay.output import Page

_MAX_BODY_BYTES = 65536
OnMessage = Callable[[str, bytes], bool]
"""(imei, message) -> whether the message is stored."""


def _parse_message(content_type: str, body: bytes) -> tuple[str, bytes]:
    """Return IMEI and message. Raises ValueError."""
    if "json" in content_type:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError("no object")
        imei, data = str(document.get("imei", "")), str(document.get("data", ""))
    else:
        form = parse_qs(body.decode("ascii"))
        imei, data = form.get("imei", [""])[0], form.get("data", [""])[0]
    if not imei or not data:
        raise ValueError("imei or data is missing")
    return imei, bytes.fromhex(data)


class RelayHttpServer:
    """Serves at (host, port) until `close`; port 0: any free one, see `address`."""

    def __init__(self, host: str, port: int, pages: dict[str, Page], on_message: OnMessage) -> None:
        class RelayRequestHandler(BaseHTTPRequestHandler):
            """One request."""

            timeout = 10

            def do_GET(self) -> None:
                page = pages.get(self.path)
                if page is None:
                    self._answer(404, "", "text/plain")
                    return
                kind, text = page()
                self._answer(200, text, kind)

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                is_number = length.isdecimal() and len(length) < 10
                if self.path != "/sbd" or not is_number or int(length) > _MAX_BODY_BYTES:
                    self._answer(413 if self.path == "/sbd" else 404, "", "text/plain")
                    return
                body = self.rfile.read(int(length))
                try:
                    imei, message = _parse_message(self.headers.get("Content-Type", ""), body)
                except ValueError:
                    self._answer(400, "imei and data (hexadecimal) are needed\n", "text/plain")
                    return
                is_stored = on_message(imei, message)
                text = "kept\n" if is_stored else "again\n"
                self._answer(200 if is_stored else 503, text, "text/plain")

            def _answer(self, code: int, text: str, kind: str) -> None:
                data = text.encode()
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Write no log."""

        self._server = ThreadingHTTPServer((host, port), RelayRequestHandler)
        self._server.daemon_threads = True
        self.address: tuple[str, int] = self._server.server_address[:2]  # type: ignore[assignment]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
