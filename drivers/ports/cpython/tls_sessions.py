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


class _Known:
    def __init__(self, stamp: "list[tuple[str, int, int]]", context: ssl.SSLContext) -> None:
        self.stamp = stamp
        self.context = context
        self.session: ssl.SSLSession | None = None


_known: "dict[tuple[object, ...], _Known]" = {}


def _key(address: Address) -> "tuple[object, ...]":
    return (address.host, address.port, "utc" in address.options)


def _stamp(address: Address) -> "list[tuple[str, int, int]]":
    found = []
    for name in _FILES:
        if name in address.options:
            path = address.options[name]
            about = os.stat(path)
            found.append((path, about.st_mtime_ns, about.st_size))
    return found


def context(address: Address) -> "ssl.SSLContext | None":
    """Give the context that an earlier connection had, if it may be used again."""
    known = _known.get(_key(address))
    try:
        return known.context if known is not None and known.stamp == _stamp(address) else None
    except OSError:
        return None


def session(address: Address, used: ssl.SSLContext) -> "ssl.SSLSession | None":
    """Give the session to take up again with this context."""
    known = _known.get(_key(address))
    return known.session if known is not None and known.context is used else None


def keep(address: Address, used: ssl.SSLContext, made: "ssl.SSLSession | None") -> None:
    """Remember the session of a connection that stands."""
    try:
        known = _known[_key(address)] = _Known(_stamp(address), used)
    except OSError:
        return
    known.session = made


def forget(address: Address) -> None:
    """Let go of a session: the next handshake is a full one."""
    _known.pop(_key(address), None)
