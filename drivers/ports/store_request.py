# SPDX-License-Identifier: Apache-2.0
"""The requests of a store and their format; the queue of pending requests.

    write   key NUL payload   replace the whole record of a key
    append  key NUL payload   add to the end of a record; a new record is empty
    delete  key               delete a record; a missing record is not an error
    get     key               reply: `key NUL payload`, or the key alone if it is missing
    list    (nothing)         reply: the keys, each after a NUL; one NUL if there is no key

Used by the stores of both platforms and of the bench. Does not access files. A key is the name of a
file; therefore its characters are limited.
"""

from drivers.ports.base import MAX_BACKLOG, make_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.address import Address

MAX_KEY = 64  # characters
TEMPORARY_SUFFIX = ".new"  # suffix of an incomplete file
OPERATIONS = ("append", "delete", "get", "list")
"""The operations of a store besides `write`, which each port has."""
MAX_PENDING = 256  # requests
_KEY_CHARS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


def split_record(address: "Address", record: bytes) -> "tuple[str, bytes]":
    """Split `key NUL payload`, the format of a written record.

    Raises PortError if there is no NUL, or if `decode_key` rejects the key.
    """
    key, nul, payload = bytes(record).partition(b"\0")
    if not nul:
        raise make_error(address, "a record without a key (key NUL payload)")
    return decode_key(address, key), payload


def decode_key(address: "Address", key: bytes) -> str:
    """Return the key as text; raises PortError if it is not a plain file name.

    Plain: 1 to 64 letters, digits, `.`, `-`, `_`, without a dot at the start.
    """
    if not is_valid_key(key):
        raise make_error(address, "key %r is not a plain file name" % key[:MAX_KEY])
    return str(key, "ascii")


def format_listing(keys: "list[str]") -> bytes:
    """Return the reply to `list`, in byte order, without temporary files."""
    valid = [
        key for key in keys if is_valid_key(key.encode()) and not key.endswith(TEMPORARY_SUFFIX)
    ]
    return b"\0" + b"\0".join([key.encode() for key in sorted(valid)])


def is_valid_key(key: bytes) -> bool:
    """Return True if a key can be the name of a file."""
    return 0 < len(key) <= MAX_KEY and key[:1] != b"." and not key.strip(_KEY_CHARS)


class StoreQueue:
    """Pending requests of a slow flash, in order of arrival.

    Two rules save memory and flash writes. A new record replaces a pending one with its key, unless
    a request to append, delete or read the key came later. Thus snapshots faster than the flash
    need no memory. Appended data join the last request if it has the same key. The queue is limited
    to MAX_BACKLOG bytes and MAX_PENDING requests.
    """

    def __init__(self, address: "Address") -> None:
        """Create an empty queue."""
        self._address = address
        self._requests: list[tuple[str, str, bytes]] = []
        self._size = 0

    def add(self, op: str, data: bytes) -> None:
        """Add one request; PortError for an invalid key, or if the queue is full."""
        key, payload = "", b""
        if op in ("write", "append"):
            key, payload = split_record(self._address, data)
        elif op != "list":
            key = decode_key(self._address, bytes(data))
        if self._size + len(payload) > MAX_BACKLOG or len(self._requests) >= MAX_PENDING:
            raise make_error(self._address, "too slow: %d bytes wait to be stored" % self._size)
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
        """Remove and return the oldest request (operation, key, payload), or None."""
        if not self._requests:
            return None
        request = self._requests.pop(0)
        self._size -= len(request[2])
        return request
