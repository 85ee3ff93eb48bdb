# SPDX-License-Identifier: Apache-2.0
"""A store on MicroPython: one small file per key, replaced or appended.

MicroPython has no thread that waits for the flash. Therefore the port executes one request per loop
step, after the call of the agent, and requests this step with `wake`. A write takes as long as the
flash. On a board with slow flash, a control cycle can be late by one write.
"""

import os

from drivers.errors import PortError
from drivers.ports.base import (
    ENOENT,
    ENOTDIR,
    STORE_REASONS,
    StreamPort,
    make_error,
    translate_error,
)
from drivers.ports.micropython.ffi import sync, sync_folder
from drivers.ports.store_request import TEMPORARY_SUFFIX, StoreQueue, decode_key, format_listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from drivers.ports.address import Address
    from drivers.ports.base import Wake

MAX_READ = 65536  # bytes
_SLICE_BYTES = 1024  # so that a slice fills at most one block of the flash, and begins one
_S_IFDIR = 0x4000


class Store:
    """The files of one folder, which must exist."""

    def __init__(self, address: "Address") -> None:
        """Store the address `store:FOLDER`; opens no file."""
        self._address = address

    def read(self, key: str) -> "bytes | None":
        """Return the record of a key, or None. Raises PortError.

        The length is asked first: `read(N)` takes N bytes of the heap in one piece.
        """
        data = b""
        try:
            with open(self._path(key), "rb") as file:
                length = file.seek(0, 2)
                if length <= MAX_READ:
                    file.seek(0)
                    data = file.read(length)
        except OSError as error:
            if error.errno == ENOENT:
                return None
            raise translate_error(self._address, error, STORE_REASONS)
        if length > MAX_READ:
            raise make_error(self._address, "%s is longer than %d bytes" % (key, MAX_READ))
        return data

    def write(self, key: str, data: bytes) -> None:
        """Replace the record of a key. Raises PortError."""
        for _ in self.write_slices(key, data):
            pass

    def write_slices(self, key: str, data: bytes) -> "Iterator[None]":
        """Replace the record of a key; stop between the steps that the flash does."""
        path = self._path(key)
        try:
            with open(path + TEMPORARY_SUFFIX, "wb") as file:
                yield
                for part in _parts(data):
                    file.write(part)
                    yield
                file.flush()
                if hasattr(file, "fileno"):
                    sync(file.fileno())
                yield
            os.rename(path + TEMPORARY_SUFFIX, path)
            sync_folder(self._address.path)
        except OSError as error:
            raise translate_error(self._address, error, STORE_REASONS)

    def append(self, key: str, data: bytes) -> None:
        """Append to a record. Raises PortError; any part of `data` can then be present."""
        for _ in self.append_slices(key, data):
            pass

    def append_slices(self, key: str, data: bytes) -> "Iterator[None]":
        """Append to a record; stop between the steps that the flash does."""
        path = self._path(key)
        try:
            is_new = not _exists(path)
            with open(path, "ab") as file:
                for part in _parts(data):
                    file.write(part)
                    yield
                file.flush()
                if hasattr(file, "fileno"):
                    sync(file.fileno())
            if is_new:
                sync_folder(self._address.path)
        except OSError as error:
            raise translate_error(self._address, error, STORE_REASONS)

    def change_slices(self, op: str, key: str, data: bytes) -> "Iterator[None]":
        """Change a record; stop between the steps that the flash does. A deletion is one step."""
        if op == "write":
            return self.write_slices(key, data)
        if op == "append":
            return self.append_slices(key, data)
        return self._delete_slices(key)

    def _delete_slices(self, key: str) -> "Iterator[None]":
        self.delete(key)
        yield

    def delete(self, key: str) -> None:
        """Delete a record if it exists. Raises PortError."""
        try:
            os.remove(self._path(key))
            sync_folder(self._address.path)
        except OSError as error:
            if error.errno != ENOENT:
                raise translate_error(self._address, error, STORE_REASONS)

    def list_keys(self) -> bytes:
        """Return the keys, in the format of the reply to `list`. Raises PortError."""
        try:
            return format_listing(os.listdir(self._address.path))
        except OSError as error:
            raise translate_error(self._address, error, STORE_REASONS)

    def _path(self, key: str) -> str:
        """Return the file path of a key."""
        return "%s/%s" % (self._address.path, decode_key(self._address, key.encode()))


def _parts(data: bytes) -> "Iterator[bytes]":
    """Return the parts of a write; short data are not copied."""
    if len(data) <= _SLICE_BYTES:
        yield data
        return
    for at in range(0, len(data), _SLICE_BYTES):
        yield data[at : at + _SLICE_BYTES]


def _exists(path: str) -> bool:
    """Return True if a file exists."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


class StorePort(StreamPort):
    """The store as a port: requests in, replies out."""

    def __init__(self, address: "Address", wake: "Wake") -> None:
        """Initialise without a pending request."""
        StreamPort.__init__(self, address)
        self._store = Store(address)
        self._pending = StoreQueue(address)
        self._reply = b""
        self._wake = wake

    def read(self) -> "bytes | None":
        """Return the reply to one request; b"" if there is none."""
        reply, self._reply = self._reply, b""
        return reply

    def write(self, data: bytes) -> int:
        """Accept one whole record, `key NUL payload`."""
        self.request("write", data)
        return len(data)

    def request(self, op: str, data: bytes) -> None:
        """Accept one request; see `drivers.ports.store_request`."""
        self._pending.add(op, data)
        self._wake()

    def is_drained(self) -> bool:
        """Execute one request if no reply is pending; return True if no request is left."""
        if self._reply:
            return False
        request = self._pending.take()
        if request is None:
            return True
        op, key, payload = request
        self._reply = self.perform(op, key, payload)
        self._wake()
        return False

    def perform(self, op: str, key: str, payload: bytes) -> bytes:
        """Execute one request; return its reply."""
        store = self._store
        if op == "get":
            found = store.read(key)
            return key.encode() + (b"" if found is None else b"\0" + found)
        if op == "list":
            return store.list_keys()
        if op == "delete":
            store.delete(key)
        elif op == "append":
            store.append(key, payload)
        else:
            store.write(key, payload)
        return b""

    def close(self) -> None:
        """Complete the accepted requests."""
        request = self._pending.take()
        while request is not None:
            op, key, payload = request
            try:
                self.perform(op, key, payload)
            except PortError:
                return
            request = self._pending.take()


def open_port(address: "Address", wake: "Wake") -> StorePort:
    """Open `store:FOLDER`. Raises PortError if the folder does not exist."""
    check_folder(address)
    return StorePort(address, wake)


def check_folder(address: "Address") -> None:
    """Raise PortError if the folder does not exist."""
    try:
        mode = os.stat(address.path)[0]
    except OSError as error:
        raise translate_error(address, error, STORE_REASONS)
    if not mode & _S_IFDIR:
        raise make_error(address, STORE_REASONS[ENOTDIR])
