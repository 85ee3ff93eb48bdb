# SPDX-License-Identifier: Apache-2.0
"""Functions of the C library that MicroPython's unix port lacks.

File locks, non-blocking files, durable files, and signals as a file. Each function does nothing
without the module `ffi` (a board, a small build). There, no second program can use the port, and
the file system of the store is write-through.
"""

from drivers.ports.base import EAGAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

_F_GETFL, _F_SETFL, _O_NONBLOCK = 3, 4, 0o4000
_O_DIRECTORY = 0o200000
_LOCK_EX_NB = 6
_LIBC = "libc.so.6"
_SIGSET_SIZE = 128  # bytes of glibc's sigset_t
_SIG_BLOCK = 0
_SIGINFO_SIZE = 128  # bytes of struct signalfd_siginfo, signalfd(2)


def _load_function(name: str, arguments: str) -> "Callable[..., int] | None":
    """Return a function of the C library, or None."""
    try:
        import ffi  # type: ignore[import-not-found]  # noqa: PLC0415 - not in every build

        found: Callable[..., int] = ffi.open(_LIBC).func("i", name, arguments)
        return found
    except (ImportError, OSError):
        return None


_fcntl = _load_function("fcntl", "iii")
_flock = _load_function("flock", "ii")
_fsync = _load_function("fsync", "i")
_open = _load_function("open", "sii")
_close = _load_function("close", "i")
_sigaddset = _load_function("sigaddset", "Pi")
_sigprocmask = _load_function("sigprocmask", "iPP")
_signalfd = _load_function("signalfd", "iPi")


def set_nonblocking(descriptor: int) -> bool:
    """Make a descriptor non-blocking; False if this is not supported."""
    if _fcntl is None:
        return False
    flags = _fcntl(descriptor, _F_GETFL, 0)
    return flags >= 0 and _fcntl(descriptor, _F_SETFL, flags | _O_NONBLOCK) == 0


def lock(descriptor: int) -> None:
    """Lock a file for this program. Raises OSError(EAGAIN) if another program has the lock."""
    if _flock is not None and _flock(descriptor, _LOCK_EX_NB) != 0:
        raise OSError(EAGAIN)


def sync(descriptor: int) -> None:
    """Make the content of a file durable. Raises OSError."""
    if _fsync is not None and _fsync(descriptor) != 0:
        raise OSError(5)


def sync_folder(path: str) -> None:
    """Make the names in a folder durable. Raises OSError."""
    if _open is None or _close is None:
        return
    descriptor = _open(path, _O_DIRECTORY, 0)
    if descriptor < 0:
        raise OSError(5)
    try:
        sync(descriptor)
    finally:
        _close(descriptor)


def open_signal_file(numbers: "tuple[int, ...]") -> "BinaryIO | None":
    """Return a file that is readable after one of the signals; None if not supported.

    The signals have no other effect from then on, for the life of the process.
    """
    if _sigaddset is None or _sigprocmask is None or _signalfd is None:
        return None
    signal_set = bytearray(_SIGSET_SIZE)  # all zero: the empty set
    for number in numbers:
        _sigaddset(signal_set, number)
    descriptor = _signalfd(-1, signal_set, _O_NONBLOCK)
    if descriptor < 0 or _sigprocmask(_SIG_BLOCK, signal_set, None) != 0:
        return None
    return open(descriptor, "rb")


def read_signal(file: "BinaryIO") -> int:
    """Return the number of the received signal, or 0."""
    data = file.read(_SIGINFO_SIZE)
    return data[0] if data else 0  # signal numbers fit the first byte (little-endian)
