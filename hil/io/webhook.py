# SPDX-License-Identifier: Apache-2.0
"""The webhook of the message gateway: it posts each uplink datagram to a URL, as a provider does.

The form is that of RockBLOCK: `imei`, `momsn`, `transmit_time` (YY-MM-DD HH:MM:SS UTC), `data` in
hexadecimal. A separate thread posts with three tries for each datagram. Failures are counted.
"""

import http.client
import queue
import threading
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime

from hil.devices.satcom.gateway import UplinkDatagram

_TRIES = 3
_TIMEOUT_S = 5


def encode_form(datagram: UplinkDatagram, utc_us: int) -> bytes:
    """Return the body of one post."""
    when = datetime.fromtimestamp(utc_us / 1e6, UTC).strftime("%y-%m-%d %H:%M:%S")
    fields = {
        "imei": datagram.serial,
        "momsn": str(datagram.number),
        "transmit_time": when,
        "data": datagram.content.hex(),
    }
    return urllib.parse.urlencode(fields).encode()


class Webhook:
    """Posts to `url` (only http; loopback on the bench)."""

    def __init__(self, url: str) -> None:
        self.delivered = 0
        self.lost = 0
        self._url = url
        self._queue: queue.Queue[bytes | None] = queue.Queue(1000)
        self._thread = threading.Thread(target=self._deliver_queue, daemon=True)
        self._thread.start()

    def post(self, datagram: UplinkDatagram, utc_us: int) -> None:
        """Queue one datagram; a full queue loses and counts it."""
        try:
            self._queue.put_nowait(encode_form(datagram, utc_us))
        except queue.Full:
            self.lost += 1

    def _deliver_queue(self) -> None:
        while True:
            body = self._queue.get()
            if body is None:
                return
            if self._deliver(body):
                self.delivered += 1
            else:
                self.lost += 1

    def _deliver(self, body: bytes) -> bool:
        for attempt in range(_TRIES):
            try:
                request = urllib.request.Request(self._url, body)
                with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                    return bool(answer.status < 300)
            except (OSError, http.client.HTTPException):
                time.sleep(0.2 * (attempt + 1))
        return False

    def close(self) -> None:
        """Deliver the queue, then end."""
        self._queue.put(None)
        self._thread.join(30)
