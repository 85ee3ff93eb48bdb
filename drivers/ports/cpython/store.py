"""A store on CPython: one small file a key, replaced whole or appended to, durable when it says so.

`Store` is the synchronous form, for commands and for start-up. `StorePort` is the port: a thread
does the waiting for the flash, so that no tick does, and wakes the shell when all is durable
("drained"). A store on a tmpfs (`store:/run/coldloop`) costs the flash nothing: use that for
snapshots of status.
"""

import contextlib
import os
import threading

from drivers.errors import PortError
from drivers.ports.address import Address
from drivers.ports.base import ENOENT, ENOTDIR, STORE_REASONS, StreamPort, explain, failure
from drivers.ports.store_request import TEMPORARY_SUFFIX, StoreQueue, check_key, format_listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Wake

MAX_READ = 1 << 20  # bytes: more is no record of ours


class Store:
    """The files of one folder, which must exist."""

    def __init__(self, address: Address) -> None:
        """Take `store:FOLDER`; nothing is opened yet."""
        self._address = address

    def read(self, key: str) -> "bytes | None":
        """Return the record of a key, None when there is none. Raises PortError."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_READ + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain(self._address, error, STORE_REASONS) from error
        if len(data) > MAX_READ:
            raise failure(self._address, "%s is longer than %d bytes" % (key, MAX_READ))
        return data

    def write(self, key: str, data: bytes) -> None:
        """Replace the record of a key; on return it survives a power cut. Raises PortError."""
        path = self._path(key)
        try:
            with open(path + TEMPORARY_SUFFIX, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(path + TEMPORARY_SUFFIX, path)
            self._sync_folder()
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(path + TEMPORARY_SUFFIX)
            raise explain(self._address, error, STORE_REASONS) from error

    def append(self, key: str, data: bytes) -> None:
        """Add to the end of a record; on return it survives a power cut. Raises PortError.

        After an error, or a power cut meanwhile, any part of `data` may be there: its reader needs
        a checksum.
        """
        path = self._path(key)
        try:
            is_new = not os.path.exists(path)
            with open(path, "ab", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fdatasync(file.fileno())
            if is_new:
                self._sync_folder()
        except OSError as error:
            raise explain(self._address, error, STORE_REASONS) from error

    def delete(self, key: str) -> None:
        """Forget a record, if it is there. Raises PortError."""
        try:
            os.unlink(self._path(key))
            self._sync_folder()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise explain(self._address, error, STORE_REASONS) from error

    def names(self) -> bytes:
        """Name the records, in the form of the answer to `list`. Raises PortError."""
        try:
            return format_listing(os.listdir(self._address.path))
        except OSError as error:
            raise explain(self._address, error, STORE_REASONS) from error

    def _sync_folder(self) -> None:
        """Make the new name durable too."""
        folder = os.open(self._address.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, key: str) -> str:
        """Return the file of a key."""
        return os.path.join(self._address.path, check_key(self._address, key.encode()))


class StorePort(StreamPort):
    """The store as a port: requests in, answers out."""

    def __init__(self, address: Address, wake: "Wake") -> None:
        """Start the thread that waits for the flash."""
        super().__init__(address)
        self._store = Store(address)
        self._wake = wake
        self._pending = StoreQueue(address)
        self._condition = threading.Condition()
        self._answers: list[bytes] = []
        self._busy = False
        self._closed = False
        self._error: PortError | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def read(self) -> "bytes | None":
        """Return the answer to one request; b"" when there is none yet."""
        with self._condition:
            if not self._answers:
                return b""
            answer = self._answers.pop(0)
        self._wake()
        return answer

    def write(self, data: bytes) -> int:
        """Take one whole record, `key NUL payload`."""
        self.ask("write", data)
        return len(data)

    def ask(self, op: str, data: bytes) -> None:
        """Take one request; see `drivers.ports.store_request`."""
        with self._condition:
            self._pending.add(op, data)
            self._busy = True
            self._condition.notify()

    def settled(self) -> bool:
        """Tell whether all is durable and answered; raises the PortError that the thread met."""
        with self._condition:
            if self._error is not None:
                raise self._error
            return not self._busy and not self._answers

    def close(self) -> None:
        """Let the thread end after what it has taken already."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def _run(self) -> None:
        """Do what is asked, in the thread."""
        while self._error is None:
            with self._condition:
                request = self._pending.take()
                while request is None:
                    self._wait_for_request()
                    if self._closed:
                        return
                    request = self._pending.take()
            self._execute(*request)

    def _wait_for_request(self) -> None:
        """Say that all is durable, and wait for more; the lock is held."""
        if self._busy:
            self._busy = False
            self._wake()
        if not self._closed:
            self._condition.wait()

    def _execute(self, op: str, key: str, payload: bytes) -> None:
        """Do one thing, and keep its answer, or the error, for the shell."""
        try:
            answer = self._perform(op, key, payload)
        except PortError as error:
            with self._condition:
                self._error = error
            self._wake()
            return
        if answer:
            with self._condition:
                self._answers.append(answer)

    def _perform(self, op: str, key: str, payload: bytes) -> bytes:
        """Do one thing; return its answer."""
        if op == "get":
            found = self._store.read(key)
            return key.encode() + (b"" if found is None else b"\0" + found)
        if op == "list":
            return self._store.names()
        if op == "delete":
            self._store.delete(key)
        elif op == "append":
            self._store.append(key, payload)
        else:
            self._store.write(key, payload)
        return b""


def open_port(address: Address, wake: "Wake") -> StorePort:
    """Open `store:FOLDER`. Raises PortError when the folder is not there."""
    if not os.path.exists(address.path):
        raise failure(address, STORE_REASONS[ENOENT])
    if not os.path.isdir(address.path):
        raise failure(address, STORE_REASONS[ENOTDIR])
    return StorePort(address, wake)
