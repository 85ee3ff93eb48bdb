"""A store on MicroPython: one small file a key, replaced whole or appended to.

There is no thread to wait for the flash. The port therefore does one thing a turn, after the
agent's call is over, and asks the shell for that turn by `wake`; a write takes as long as the flash
does, so that on a board with slow flash a tick may be late by one write. Choose a moment for it.
"""

import os

from drivers.errors import PortError
from drivers.ports.base import ENOENT, ENOTDIR, STORE_REASONS, StreamPort, explain, failure
from drivers.ports.micropython.ffi import sync, sync_folder
from drivers.ports.store_request import TEMPORARY_SUFFIX, StoreQueue, check_key, format_listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.address import Address
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
            with open(path + TEMPORARY_SUFFIX, "wb") as file:
                file.write(data)
                file.flush()
                if hasattr(file, "fileno"):
                    sync(file.fileno())
            os.rename(path + TEMPORARY_SUFFIX, path)
            sync_folder(self._address.path)
        except OSError as error:
            raise explain(self._address, error, STORE_REASONS)

    def append(self, key: str, data: bytes) -> None:
        """Add to the end of a record. Raises PortError; then any part of `data` may be there."""
        path = self._path(key)
        try:
            is_new = not _exists(path)
            with open(path, "ab") as file:
                file.write(data)
                file.flush()
                if hasattr(file, "fileno"):
                    sync(file.fileno())
            if is_new:
                sync_folder(self._address.path)
        except OSError as error:
            raise explain(self._address, error, STORE_REASONS)

    def delete(self, key: str) -> None:
        """Forget a record, if it is there. Raises PortError."""
        try:
            os.remove(self._path(key))
            sync_folder(self._address.path)
        except OSError as error:
            if error.errno != ENOENT:
                raise explain(self._address, error, STORE_REASONS)

    def names(self) -> bytes:
        """Name the records, in the form of the answer to `list`. Raises PortError."""
        try:
            return format_listing(os.listdir(self._address.path))
        except OSError as error:
            raise explain(self._address, error, STORE_REASONS)

    def _path(self, key: str) -> str:
        """Return the file of a key."""
        return "%s/%s" % (self._address.path, check_key(self._address, key.encode()))


def _exists(path: str) -> bool:
    """Tell whether a file exists."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


class StorePort(StreamPort):
    """The store as a port: requests in, answers out."""

    def __init__(self, address: "Address", wake: "Wake") -> None:
        """Start with nothing to do."""
        StreamPort.__init__(self, address)
        self._store = Store(address)
        self._pending = StoreQueue(address)
        self._answer = b""
        self._wake = wake

    def read(self) -> "bytes | None":
        """Return the answer to one request; b"" when there is none yet."""
        answer, self._answer = self._answer, b""
        return answer

    def write(self, data: bytes) -> int:
        """Take one whole record, `key NUL payload`."""
        self.ask("write", data)
        return len(data)

    def ask(self, op: str, data: bytes) -> None:
        """Take one request; see `drivers.ports.store_request`."""
        self._pending.add(op, data)
        self._wake()

    def settled(self) -> bool:
        """Do one thing, unless its forerunner's answer has yet to be read; tell if none is left."""
        if self._answer:
            return False
        request = self._pending.take()
        if request is None:
            return True
        self._answer = self.perform(request[0], request[1], request[2])
        self._wake()
        return False

    def perform(self, op: str, key: str, payload: bytes) -> bytes:
        """Do one thing; return its answer."""
        store = self._store
        if op == "get":
            found = store.read(key)
            return key.encode() + (b"" if found is None else b"\0" + found)
        if op == "list":
            return store.names()
        if op == "delete":
            store.delete(key)
        elif op == "append":
            store.append(key, payload)
        else:
            store.write(key, payload)
        return b""

    def close(self) -> None:
        """Do what was taken already."""
        request = self._pending.take()
        while request is not None:
            try:
                self.perform(request[0], request[1], request[2])
            except PortError:
                return
            request = self._pending.take()


def open_port(address: "Address", wake: "Wake") -> StorePort:
    """Open `store:FOLDER`. Raises PortError when the folder is not there."""
    check_folder(address)
    return StorePort(address, wake)


def check_folder(address: "Address") -> None:
    """Raise PortError when the folder is not there."""
    try:
        mode = os.stat(address.path)[0]
    except OSError as error:
        raise explain(address, error, STORE_REASONS)
    if not mode & _S_IFDIR:
        raise failure(address, STORE_REASONS[ENOTDIR])
