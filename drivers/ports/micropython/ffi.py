"""What MicroPython's unix port lacks and the C library has.

Locks on files, files that do not wait, files that are durable, and signals that can be waited for.

Each function does nothing where there is no `ffi` (a board, a small build): there no second program
can take the port, and a store has a file system that is written through.
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


def _function(name: str, arguments: str) -> "Callable[..., int] | None":
    """Return a function of the C library, or None."""
    try:
        import ffi  # type: ignore[import-not-found]  # noqa: PLC0415 - not in every build

        found: Callable[..., int] = ffi.open(_LIBC).func("i", name, arguments)
        return found
    except (ImportError, OSError):
        return None


_fcntl = _function("fcntl", "iii")
_flock = _function("flock", "ii")
_fsync = _function("fsync", "i")
_open = _function("open", "sii")
_close = _function("close", "i")
_sigaddset = _function("sigaddset", "Pi")
_sigprocmask = _function("sigprocmask", "iPP")
_signalfd = _function("signalfd", "iPi")


def set_nonblocking(descriptor: int) -> bool:
    """Make reads and writes return at once; False where that cannot be asked for."""
    if _fcntl is None:
        return False
    flags = _fcntl(descriptor, _F_GETFL, 0)
    return flags >= 0 and _fcntl(descriptor, _F_SETFL, flags | _O_NONBLOCK) == 0


def lock(descriptor: int) -> None:
    """Take a file for this program alone. Raises OSError(EAGAIN) when another has it."""
    if _flock is not None and _flock(descriptor, _LOCK_EX_NB) != 0:
        raise OSError(EAGAIN)


def sync(descriptor: int) -> None:
    """Make a file's content durable. Raises OSError."""
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


def signal_file(numbers: "tuple[int, ...]") -> "BinaryIO | None":
    """Return a file that is readable once one of the signals came; None where there is none.

    The signals do nothing else from then on, for the life of the process.
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
    """Return the number of the signal that came, 0 for none."""
    data = file.read(_SIGINFO_SIZE)
    return data[0] if data else 0  # signal numbers fit the first byte (little-endian)
