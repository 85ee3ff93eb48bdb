"""TLS sessions that are taken up again: a handshake of a few hundred bytes instead of thousands.

Only for addresses with `tls=1.2`: in TLS 1.3 a resumed handshake is nearly as long as a full one
with a client's certificate. A session is the one of the last connection to the same place with the
same files; a file that has changed, or a handshake that fails, ends it. What a resumed session
rests on was checked when it began: the server says how long that holds (two hours as OpenSSL has
it). The certificate's dates are looked at each time, by the port.
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
    """Give the context that an earlier connection had, if it may be used again."""
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
    """Give the session to take up again with this context."""
    cached = _cache.get(_key(address))
    return cached.session if cached is not None and cached.context is tls_context else None


def store_session(
    address: Address, tls_context: ssl.SSLContext, tls_session: "ssl.SSLSession | None"
) -> None:
    """Remember the session of a connection that stands."""
    try:
        cached = _cache[_key(address)] = _CachedSession(_file_stamps(address), tls_context)
    except OSError:
        return
    cached.session = tls_session


def drop_session(address: Address) -> None:
    """Let go of a session: the next handshake is a full one."""
    _cache.pop(_key(address), None)
