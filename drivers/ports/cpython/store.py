# SPDX-License-Identifier: Apache-2.0
"""A store on CPython: one small file per key, replaced or appended, durable when reported.

`Store` is the synchronous form, for commands and for the start. `StorePort` is the port. Its thread
waits for the flash, so that no control cycle waits, and wakes the runtime when all data are durable
("drained"). A store on a tmpfs (`store:/run/coldloop`) writes no flash: use it for status
snapshots. With `?group=NAME` the members of the group can read the files; all others cannot.
Without the right to give a file to the group, it stays private: a log matters more than readers.
"""

import contextlib
import grp
import os
import threading

from drivers.errors import PortError
from drivers.ports.address import Address
from drivers.ports.base import (
    ENOENT,
    ENOTDIR,
    STORE_REASONS,
    StreamPort,
    make_error,
    translate_error,
)
from drivers.ports.store_request import TEMPORARY_SUFFIX, StoreQueue, decode_key, format_listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.ports.base import Wake

MAX_READ = 1 << 20  # bytes; no valid record is longer


def _make_opener(group: str) -> "Callable[[str, int], int]":
    """Return a function that opens a file for its user, and for the readers of a group."""

    def open_file(path: str, flags: int) -> int:
        found = os.open(path, flags, 0o600)  # a record can hold a secret
        if group:
            with contextlib.suppress(OSError, KeyError):
                number = grp.getgrnam(group).gr_gid
                if os.fstat(found).st_gid != number:  # systemd's sandbox permits no chown
                    os.fchown(found, -1, number)
                os.fchmod(found, 0o640)
        return found

    return open_file


class Store:
    """The files of one folder, which must exist."""

    def __init__(self, address: Address) -> None:
        """Store the address `store:FOLDER`; opens no file."""
        self._address = address
        self._open = _make_opener(address.options.get("group", ""))

    def read(self, key: str) -> "bytes | None":
        """Return the record of a key, or None. Raises PortError."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_READ + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise translate_error(self._address, error, STORE_REASONS) from error
        if len(data) > MAX_READ:
            raise make_error(self._address, "%s is longer than %d bytes" % (key, MAX_READ))
        return data

    def write(self, key: str, data: bytes) -> None:
        """Replace the record of a key; on return it is durable. Raises PortError."""
        path = self._path(key)
        try:
            with open(path + TEMPORARY_SUFFIX, "wb", opener=self._open) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(path + TEMPORARY_SUFFIX, path)
            self._sync_folder()
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(path + TEMPORARY_SUFFIX)
            raise translate_error(self._address, error, STORE_REASONS) from error

    def append(self, key: str, data: bytes) -> None:
        """Append to a record; on return the data are durable. Raises PortError.

        After an error, or a power cut during the call, any part of `data` can be present. The
        reader needs a checksum.
        """
        path = self._path(key)
        try:
            is_new = not os.path.exists(path)
            with open(path, "ab", buffering=0, opener=self._open) as file:
                remaining = memoryview(data)
                while remaining:
                    remaining = remaining[file.write(remaining) :]
                os.fdatasync(file.fileno())
            if is_new:
                self._sync_folder()
        except OSError as error:
            raise translate_error(self._address, error, STORE_REASONS) from error

    def delete(self, key: str) -> None:
        """Delete a record if it exists. Raises PortError."""
        try:
            os.unlink(self._path(key))
            self._sync_folder()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise translate_error(self._address, error, STORE_REASONS) from error

    def list_keys(self) -> bytes:
        """Return the keys, in the format of the reply to `list`. Raises PortError."""
        try:
            return format_listing(os.listdir(self._address.path))
        except OSError as error:
            raise translate_error(self._address, error, STORE_REASONS) from error

    def _sync_folder(self) -> None:
        """Make a new file name durable."""
        folder = os.open(self._address.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, key: str) -> str:
        """Return the file path of a key."""
        return os.path.join(self._address.path, decode_key(self._address, key.encode()))


class StorePort(StreamPort):
    """The store as a port: requests in, replies out."""

    def __init__(self, address: Address, wake: "Wake") -> None:
        """Start the thread that accesses the flash."""
        super().__init__(address)
        self._store = Store(address)
        self._wake = wake
        self._pending = StoreQueue(address)
        self._condition = threading.Condition()
        self._replies: list[bytes] = []
        self._busy = False
        self._closed = False
        self._error: PortError | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def read(self) -> "bytes | None":
        """Return the reply to one request; b"" if there is none."""
        with self._condition:
            if not self._replies:
                return b""
            reply = self._replies.pop(0)
        self._wake()
        return reply

    def write(self, data: bytes) -> int:
        """Accept one whole record, `key NUL payload`."""
        self.request("write", data)
        return len(data)

    def request(self, operation: str, data: bytes) -> None:
        """Accept one request; see `drivers.ports.store_request`."""
        with self._condition:
            self._pending.add(operation, data)
            self._busy = True
            self._condition.notify()

    def is_drained(self) -> bool:
        """Return True if all data are durable and no reply is pending; raises the thread's
        PortError.
        """
        with self._condition:
            if self._error is not None:
                raise self._error
            return not self._busy and not self._replies

    def close(self) -> None:
        """Stop the thread after its accepted requests."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def _run(self) -> None:
        """Execute requests, in the thread."""
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
        """Report that all data are durable, and wait for a request; the caller holds the lock."""
        if self._busy:
            self._busy = False
            self._wake()
        if not self._closed:
            self._condition.wait()

    def _execute(self, operation: str, key: str, payload: bytes) -> None:
        """Execute one request; store its reply or its error."""
        try:
            reply = self._perform(operation, key, payload)
        except PortError as error:
            with self._condition:
                self._error = error
            self._wake()
            return
        if reply:
            with self._condition:
                self._replies.append(reply)

    def _perform(self, operation: str, key: str, payload: bytes) -> bytes:
        """Execute one request; return its reply."""
        if operation == "get":
            found = self._store.read(key)
            return key.encode() + (b"" if found is None else b"\0" + found)
        if operation == "list":
            return self._store.list_keys()
        if operation == "delete":
            self._store.delete(key)
        elif operation == "append":
            self._store.append(key, payload)
        else:
            self._store.write(key, payload)
        return b""


def open_port(address: Address, wake: "Wake") -> StorePort:
    """Open `store:FOLDER`. Raises PortError if the folder does not exist."""
    if not os.path.exists(address.path):
        raise make_error(address, STORE_REASONS[ENOENT])
    if not os.path.isdir(address.path):
        raise make_error(address, STORE_REASONS[ENOTDIR])
    return StorePort(address, wake)
