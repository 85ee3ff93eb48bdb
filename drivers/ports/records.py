"""The form in which a store is written, `key NUL payload`; and the records that wait.

Shared by the stores of both platforms. Not here: files. A key becomes a file's name, so that it may
hold only what is harmless there.
"""

from drivers.ports.base import BACKLOG, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.address import Address

MAX_KEY = 64  # characters
TEMPORARY = ".new"  # suffix of a file that is not complete yet
_PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


def split_record(address: "Address", record: bytes) -> "tuple[str, bytes]":
    """Split `key NUL payload`, the form in which a store is written.

    Raises PortError when there is no NUL, or the key is refused by `checked_key`.
    """
    key, nul, payload = bytes(record).partition(b"\0")
    if not nul:
        raise failure(address, "a record without a key (key NUL payload)")
    return checked_key(address, key), payload


def checked_key(address: "Address", key: bytes) -> str:
    """Return the key as text, or raise PortError when it is no plain file name.

    Plain: 1 to 64 letters, digits, `.`, `-`, `_`, not beginning with a dot.
    """
    if not 0 < len(key) <= MAX_KEY or key[:1] == b"." or key.strip(_PLAIN):
        raise failure(address, "key %r is not a plain file name" % key[:MAX_KEY])
    return str(key, "ascii")


class Pending:
    """Records that wait for a slow flash: the newest of each key, in the order of first arrival.

    A second record of a key replaces the first while that one still waits: a snapshot that is
    taken faster than the flash writes costs no memory. Bounded by BACKLOG bytes.
    """

    def __init__(self, address: "Address") -> None:
        """Start empty."""
        self._address = address
        self._records: list[tuple[str, bytes]] = []
        self._size = 0

    def add(self, record: bytes) -> None:
        """Take one record; PortError for a bad key, or when too much waits already."""
        key, payload = split_record(self._address, record)
        if self._size + len(payload) > BACKLOG:
            raise failure(self._address, "too slow: %d bytes wait to be stored" % self._size)
        self._size += len(payload)
        for at, (waiting, old) in enumerate(self._records):
            if waiting == key:
                self._size -= len(old)
                self._records[at] = (key, payload)
                return
        self._records.append((key, payload))

    def take(self) -> "tuple[str, bytes] | None":
        """Return the oldest record and forget it; None when there is none."""
        if not self._records:
            return None
        record = self._records.pop(0)
        self._size -= len(record[1])
        return record
