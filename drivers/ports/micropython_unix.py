"""What MicroPython's unix port lacks and the C library has: locks, waitless and durable files.

Each function does nothing where there is no `ffi` (a board, a small build): there no second program
can take the port, and a store has a file system that is written through.
"""

from drivers.ports.base import EAGAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_F_GETFL, _F_SETFL, _O_NONBLOCK = 3, 4, 0o4000
_LOCK_EX_NB = 6
_LIBC = "libc.so.6"


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
