# SPDX-License-Identifier: Apache-2.0
"""TLS of the HTTP outputs: the files, the present context, and the reason of a failure.

Does not open the connection of a request. The files can be replaced while the relay runs: the next
connection uses the new ones. Files that cannot be used, because they are being written, change
nothing.
"""

import socket
import ssl
from contextlib import suppress
from typing import NamedTuple

from drivers.ports.cpython.certificate_files import (
    FileStamps,
    load_certificate,
    make_client_context,
)

_ALERT_WAIT_S = 2.0


class OutputTlsFiles(NamedTuple):
    """Files (PEM) for the server of an output.

    `authority`: of the server; None: those of the system. `certificate`, `key`: those of this
    relay; None: it has none, or the key is in the file of the certificate.
    """

    authority: str | None = None
    certificate: str | None = None
    key: str | None = None


class FileTls:
    """The context of some files. Raises OSError if it cannot be made at the start."""

    def __init__(self, files: OutputTlsFiles) -> None:
        self._files = files
        self._stamps = FileStamps(path for path in files if path is not None)
        self._context = self._load()

    def present(self) -> ssl.SSLContext:
        """Return the context of the present files; while they cannot be used, the one before."""
        if self._stamps.has_changed():
            with suppress(OSError):
                self._context = self._load()
                self._stamps.keep()
        return self._context

    def _load(self) -> ssl.SSLContext:
        files = self._files
        context = make_client_context(files.authority)
        if files.certificate is not None:
            load_certificate(context, files.certificate, files.key)
        return context


def is_end(error: BaseException) -> bool:
    """Return whether the server has ended the connection without a reason."""
    return isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError)


def read_problem(address: tuple[str, int], context: ssl.SSLContext) -> str:
    """Return why TLS with a server fails: its certificate, or the alert that it sends; "": nothing.

    With TLS 1.3 a server refuses the certificate of a client after the client's handshake. While
    the client still writes, the alert is lost with the connection. So this writes nothing.
    """
    try:
        with (
            socket.create_connection(address, _ALERT_WAIT_S) as raw,
            context.wrap_socket(raw, server_hostname=address[0]) as connection,
        ):
            connection.recv(1)
    except ssl.SSLError as error:
        return "" if is_end(error) else str(error)
    except OSError:
        pass
    return ""
