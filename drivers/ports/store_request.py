"""What a store is asked, and in which form; and the requests that wait for a slow flash.

    write   key NUL payload   replace the record of a key, whole
    append  key NUL payload   add to the end of a record; it begins empty
    delete  key               forget a record; one that is not there is no error
    get     key               answered by `key NUL payload`, or by the key alone: not there
    list    (nothing)         answered by the keys, each after a NUL; by one NUL when there is none

Shared by the stores of both platforms and of the bench. Not here: files. A key becomes a file's
name, so that it may hold only what is harmless there.
"""

from drivers.ports.base import BACKLOG, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.address import Address

MAX_KEY = 64  # characters
TEMPORARY_SUFFIX = ".new"  # suffix of a file that is not complete yet
OPERATIONS = ("write", "append", "delete", "get", "list")
MAX_PENDING = 256  # requests
_KEY_CHARS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


def split_record(address: "Address", record: bytes) -> "tuple[str, bytes]":
    """Split `key NUL payload`, the form in which a store is written.

    Raises PortError when there is no NUL, or the key is refused by `check_key`.
    """
    key, nul, payload = bytes(record).partition(b"\0")
    if not nul:
        raise failure(address, "a record without a key (key NUL payload)")
    return check_key(address, key), payload


def check_key(address: "Address", key: bytes) -> str:
    """Return the key as text, or raise PortError when it is no plain file name.

    Plain: 1 to 64 letters, digits, `.`, `-`, `_`, not beginning with a dot.
    """
    if not is_valid_key(key):
        raise failure(address, "key %r is not a plain file name" % key[:MAX_KEY])
    return str(key, "ascii")


def format_listing(keys: "list[str]") -> bytes:
    """Return the answer to `list`, in the order of the bytes; temporary files are no records."""
    valid = [
        key for key in keys if is_valid_key(key.encode()) and not key.endswith(TEMPORARY_SUFFIX)
    ]
    return b"\0" + b"\0".join([key.encode() for key in sorted(valid)])


def is_valid_key(key: bytes) -> bool:
    """Tell whether a key can be a file's name."""
    return 0 < len(key) <= MAX_KEY and key[:1] != b"." and not key.strip(_KEY_CHARS)


class StoreQueue:
    """Requests that wait for a slow flash, in the order in which they came.

    Two things save memory and flash. A record written anew replaces the one of its key that still
    waits, unless the key was appended to, deleted or read since: a snapshot taken faster than the
    flash writes costs no memory. What is appended to the key of the youngest request joins it.
    Bounded by BACKLOG bytes and MAX_WAITING requests.
    """

    def __init__(self, address: "Address") -> None:
        """Start empty."""
        self._address = address
        self._requests: list[tuple[str, str, bytes]] = []
        self._size = 0

    def add(self, op: str, data: bytes) -> None:
        """Take one request; PortError for a bad key, or when too much waits already."""
        key, payload = "", b""
        if op in ("write", "append"):
            key, payload = split_record(self._address, data)
        elif op != "list":
            key = check_key(self._address, bytes(data))
        if self._size + len(payload) > BACKLOG or len(self._requests) >= MAX_PENDING:
            raise failure(self._address, "too slow: %d bytes wait to be stored" % self._size)
        self._size += len(payload)
        if op == "write" and self._replace_pending(key, payload):
            return
        if op == "append" and self._append_pending(key, payload):
            return
        self._requests.append((op, key, payload))

    def _replace_pending(self, key: str, payload: bytes) -> bool:
        for at in range(len(self._requests) - 1, -1, -1):
            op, pending_key, old_payload = self._requests[at]
            if pending_key == key or op == "list":
                if op != "write":
                    return False
                self._size -= len(old_payload)
                self._requests[at] = (op, key, payload)
                return True
        return False

    def _append_pending(self, key: str, payload: bytes) -> bool:
        if not self._requests:
            return False
        op, pending_key, old_payload = self._requests[-1]
        if pending_key != key or op not in ("write", "append"):
            return False
        self._requests[-1] = (op, key, old_payload + payload)
        return True

    def take(self) -> "tuple[str, str, bytes] | None":
        """Return the oldest request (operation, key, payload) and forget it; None without one."""
        if not self._requests:
            return None
        request = self._requests.pop(0)
        self._size -= len(request[2])
        return request
