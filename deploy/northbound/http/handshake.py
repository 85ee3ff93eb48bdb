# SPDX-License-Identifier: Apache-2.0
"""The time of the processor that a TLS handshake uses.

Does not limit; see `deploy.northbound.http.limits`. asyncio makes a handshake in callbacks, outside
of the task of its connection. So the object of the connection counts the time itself.
"""

import ssl
import time


class MeasuredTls(ssl.SSLObject):
    """A TLS connection. `work_s`: time of this thread in its handshake, s."""

    work_s: float = 0.0

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        begin = time.thread_time()
        try:
            super().do_handshake()
        finally:
            self.work_s += time.thread_time() - begin
