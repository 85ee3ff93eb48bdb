# SPDX-License-Identifier: Apache-2.0
"""The time of the processor that TLS uses for a handshake and for what a client sends.

Does not limit; see `deploy.northbound.http.limits`. asyncio does both in callbacks, outside of the
task of the connection. So the object of the connection counts the time itself. A record of TLS can
have one byte of a request, or none: a client could else use the processor without a request.
"""

import ssl
import time
from collections.abc import Callable


class MeasuredTls(ssl.SSLObject):
    """A TLS connection. `work_s`: time of this thread in its handshake, s.

    `on_read`: called with the time of each read, s; None: it is not counted. If it raises OSError,
    asyncio ends the connection before the next record.
    """

    work_s: float = 0.0
    on_read: Callable[[float], None] | None = None

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        begin = time.thread_time()
        try:
            super().do_handshake()
        finally:
            self.work_s += time.thread_time() - begin

    def read(self, len: int = 1024, buffer: bytearray | None = None) -> bytes | int:  # type: ignore[override]  # noqa: A002
        """Decrypt what the client has sent; return bytes, or their number in `buffer`."""
        begin = time.thread_time()
        try:
            if buffer is None:
                return super().read(len)
            return super().read(len, buffer)
        finally:
            if self.on_read is not None:
                self.on_read(time.thread_time() - begin)
