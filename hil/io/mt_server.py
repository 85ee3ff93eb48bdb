# SPDX-License-Identifier: Apache-2.0
"""The downlink of the message gateway: an HTTP server for messages to modems, as a provider has it.

The interface is that of RockBLOCK: POST with `imei`, `username`, `password` and `data`, which is
hexadecimal: at most 270 bytes for a modem of short-burst data, 2,700 for others. The reply is
"OK,number" or "FAILED,code,words", both with status 200. Any user and password is accepted. Each
request has its own thread. The messages are queued, and the bench empties `queue`.
"""

import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

MAX_BYTES, MAX_LONG_BYTES = 270, 2_700
_MAX_BODY_BYTES = 8_192


class MtServer:
    """Serves on a free loopback port until `close`; `limits`: serial number of a modem -> bytes."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.queue: deque[tuple[str, bytes]] = deque(maxlen=1000)
        self.accepted = 0
        server = self

        class MtRequestHandler(BaseHTTPRequestHandler):
            """One request."""

            timeout = 10

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                size = int(length) if length.isdecimal() and len(length) < 10 else 0
                body = self.rfile.read(min(size, _MAX_BODY_BYTES)).decode("ascii", "replace")
                answer = server.accept(limits, parse_qs(body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), MtRequestHandler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/rockblock/MT"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def accept(self, limits: dict[str, int], form: dict[str, list[str]]) -> str:
        """Accept one message; return the reply of the gateway."""
        imei = form.get("imei", [""])[0]
        try:
            data = bytes.fromhex(form.get("data", [""])[0])
        except ValueError:
            return "FAILED,14,Data must be hex encoded"
        if imei not in limits:
            return "FAILED,11,No RockBLOCK with this IMEI found on your account"
        if not data:
            return "FAILED,16,No data"
        if len(data) > limits[imei]:
            return "FAILED,15,Data too long"
        self.queue.append((imei, data))
        self.accepted += 1
        return f"OK,{self.accepted}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
