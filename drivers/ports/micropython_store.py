"""A store on MicroPython: one small file a key, replaced whole.

There is no thread to wait for the flash. The port therefore writes one record a turn, after the
agent's call is over, and asks the shell for that turn by `wake`; a write takes as long as the flash
does, so that on a board with slow flash a tick may be late by one write. Choose a moment for it.
"""

import os

from drivers.ports.base import ENOENT, ENOTDIR, STORE_REASONS, StreamPort, explain, failure
from drivers.ports.micropython_unix import sync
from drivers.ports.records import TEMPORARY, Pending, checked_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.address import Address
    from drivers.ports.base import Wake

MAX_READ = 65536  # bytes
_S_IFDIR = 0x4000


class Store:
    """The files of one folder, which must exist."""

    def __init__(self, address: "Address") -> None:
        """Take `store:FOLDER`; nothing is opened yet."""
        self._address = address

    def read(self, key: str) -> "bytes | None":
        """Return the record of a key, None when there is none. Raises PortError."""
        try:
            with open(self._path(key), "rb") as file:
                data = file.read(MAX_READ + 1)
        except OSError as error:
            if error.errno == ENOENT:
                return None
            raise explain(self._address, error, STORE_REASONS)
        if len(data) > MAX_READ:
            raise failure(self._address, "%s is longer than %d bytes" % (key, MAX_READ))
        return data

    def write(self, key: str, data: bytes) -> None:
        """Replace the record of a key. Raises PortError."""
        path = self._path(key)
        try:
            with open(path + TEMPORARY, "wb") as file:
                file.write(data)
                file.flush()
                if hasattr(file, "fileno"):
                    sync(file.fileno())
            os.rename(path + TEMPORARY, path)
        except OSError as error:
            raise explain(self._address, error, STORE_REASONS)

    def _path(self, key: str) -> str:
        """Return the file of a key."""
        return "%s/%s" % (self._address.path, checked_key(self._address, key.encode()))


class StorePort(StreamPort):
    """The store as a port: records in, nothing out."""

    def __init__(self, address: "Address", wake: "Wake") -> None:
        """Start with nothing to write."""
        StreamPort.__init__(self, address)
        self._store = Store(address)
        self._pending = Pending(address)
        self._wake = wake

    def read(self) -> "bytes | None":
        """Return nothing: a store is only written."""
        return b""

    def write(self, data: bytes) -> int:
        """Take one whole record, `key NUL payload`."""
        self._pending.add(data)
        self._wake()
        return len(data)

    def settled(self) -> bool:
        """Write one record; tell whether none is left."""
        record = self._pending.take()
        if record is None:
            return True
        self._store.write(record[0], record[1])
        self._wake()
        return False

    def close(self) -> None:
        """Write what was taken already."""
        record = self._pending.take()
        while record is not None:
            self._store.write(record[0], record[1])
            record = self._pending.take()


def open_port(address: "Address", wake: "Wake") -> StorePort:
    """Open `store:FOLDER`. Raises PortError when the folder is not there."""
    try:
        mode = os.stat(address.path)[0]
    except OSError as error:
        raise explain(address, error, STORE_REASONS)
    if not mode & _S_IFDIR:
        raise failure(address, STORE_REASONS[ENOTDIR])
    return StorePort(address, wake)
