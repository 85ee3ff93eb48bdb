# SPDX-License-Identifier: Apache-2.0
"""TLS session resumption: a handshake of a few hundred bytes instead of thousands.

Only for addresses with `tls=1.2`: in TLS 1.3 a resumed handshake is nearly as long as a full one
with a client certificate. The cache holds the session of the last connection to the same address
with the same files. A changed file or a failed handshake ends it. The server checked the identity
at the start of the session and sets its lifetime (two hours in OpenSSL). The port checks the dates
of the certificate each time.
"""

import os
import ssl

from drivers.ports.address import Address

_FILES = ("ca", "cert", "key")


class _CachedSession:
    def __init__(self, file_stamps: "list[tuple[str, int, int]]", context: ssl.SSLContext) -> None:
        self.file_stamps = file_stamps
        self.context = context
        self.session: ssl.SSLSession | None = None


_cache: "dict[tuple[object, ...], _CachedSession]" = {}


def _key(address: Address) -> "tuple[object, ...]":
    return (address.host, address.port, "utc" in address.options)


def _file_stamps(address: Address) -> "list[tuple[str, int, int]]":
    found = []
    for name in _FILES:
        if name in address.options:
            path = address.options[name]
            status = os.stat(path)
            found.append((path, status.st_mtime_ns, status.st_size))
    return found


def cached_context(address: Address) -> "ssl.SSLContext | None":
    """Return the context of an earlier connection if it is still valid."""
    cached = _cache.get(_key(address))
    try:
        return (
            cached.context
            if cached is not None and cached.file_stamps == _file_stamps(address)
            else None
        )
    except OSError:
        return None


def cached_session(address: Address, tls_context: ssl.SSLContext) -> "ssl.SSLSession | None":
    """Return the session to resume with this context, or None."""
    cached = _cache.get(_key(address))
    return cached.session if cached is not None and cached.context is tls_context else None


def store_session(
    address: Address, tls_context: ssl.SSLContext, tls_session: "ssl.SSLSession | None"
) -> None:
    """Store the session of an established connection."""
    try:
        cached = _cache[_key(address)] = _CachedSession(_file_stamps(address), tls_context)
    except OSError:
        return
    cached.session = tls_session


def drop_session(address: Address) -> None:
    """Delete a session: the next handshake is a full one."""
    _cache.pop(_key(address), None)
