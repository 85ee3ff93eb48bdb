# SPDX-License-Identifier: Apache-2.0
"""An HTTP server whose address may be in use, or not there yet, when the process starts.

Does not handle requests; `make` returns the server that does. At the start it is made immediately.
If the address is not free, a thread makes it after 1 s to 30 s. The thread serves until `close`.
"""

import errno
import threading
from collections.abc import Callable
from http.server import ThreadingHTTPServer

from deploy.errors import DeployError
from deploy.relay.retry_delays import retry_delays

_POLL_S = 0.2
_PERMANENT = (errno.EACCES, errno.EPERM)


class LateServer:
    """Serves at `address` (HOST:PORT, for the lines). `report` gets a line when that changes.

    Raises DeployError if this process may not open the port, or if `address` is none.
    """

    def __init__(
        self,
        address: str,
        make: Callable[[], ThreadingHTTPServer],
        report: Callable[[str], None],
    ) -> None:
        self.address: tuple[str, int] | None = None
        self._name = address
        self._make = make
        self._report = report
        self._server: ThreadingHTTPServer | None = None
        self._failure = ""
        self._stopping = threading.Event()
        self._open()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _open(self) -> None:
        try:
            server = self._make()
        except (ValueError, OverflowError) as error:
            raise DeployError(f"{self._name}: {error}") from None
        except OSError as error:
            if error.errno in _PERMANENT:
                raise DeployError(f"{self._name}: {error}") from None
            if str(error) != self._failure:
                self._failure = str(error)
                self._report(f"{self._name}: {error}; tries again")
            return
        server.daemon_threads = True
        server.timeout = _POLL_S
        self._server = server
        self.address = server.server_address[:2]  # type: ignore[assignment]
        if self._failure:
            self._report(f"{self._name}: serves now")

    def _run(self) -> None:
        delays = retry_delays()
        while self._server is None and not self._stopping.wait(next(delays)):
            try:
                self._open()
            except DeployError as error:
                self._report(str(error))
        while self._server is not None and not self._stopping.is_set():
            self._server.handle_request()

    def close(self) -> None:
        """End the server."""
        self._stopping.set()
        self._thread.join()
        if self._server is not None:
            self._server.server_close()
