# SPDX-License-Identifier: Apache-2.0
"""A folder for other processes of this machine: records that they read, a socket for messages.

    local:/run/coldloop?group=coldloop-northbound

A write, `key NUL payload`, replaces the file of the key. The socket `SOCKET` in the folder takes
datagrams; each is one `read`. With `group` the members of that group can read the files and send;
without it only the own user can. Nothing is made durable: the folder belongs on a tmpfs. A thread
writes, so that no tick waits for a slow disk; only the newest record of a key waits.
"""

import contextlib
import grp
import os
import socket
import stat
import threading

from drivers.errors import PortError
from drivers.ports.address import Address
from drivers.ports.base import (
    ENOENT,
    ENOTDIR,
    EPERM,
    STORE_REASONS,
    StreamPort,
    make_error,
    translate_error,
)
from drivers.ports.store_request import TEMPORARY_SUFFIX, split_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.ports.base import Wake

SOCKET = "messages.sock"
MAX_DATAGRAM = 4096
_REASONS = dict(STORE_REASONS)
_REASONS[EPERM] = "group: the user of the agent is no member; see the unit's SupplementaryGroups"


class LocalPort(StreamPort):
    """The folder as a port."""

    def __init__(self, address: Address, sock: socket.socket, group: int) -> None:
        """Take the bound socket of `open_port`; `group`: number of the group, or -1."""
        super().__init__(address)
        self.pollable = sock.fileno()
        self._socket = sock
        self._identity = _file_identity(sock.getsockname())
        self._group = group
        self._condition = threading.Condition()
        self._pending: dict[str, bytes] = {}
        self._closed = False
        self._error: PortError | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def read(self) -> "bytes | None":
        """Return one datagram; b"" if there is none."""
        self._check()
        try:
            return self._socket.recv(MAX_DATAGRAM)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise translate_error(self.address, error, _REASONS) from error

    def write(self, data: bytes) -> int:
        """Accept one record, `key NUL payload`. It replaces one that still waits."""
        self._check()
        key, payload = split_record(self.address, data)
        with self._condition:
            self._pending[key] = payload
            self._condition.notify()
        return len(data)

    def _check(self) -> None:
        """Raise the PortError of the thread."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop the thread; remove the socket if it is still that of this port."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        path = os.path.join(self.address.path, SOCKET)
        with contextlib.suppress(OSError):
            if _file_identity(path) == self._identity:
                os.unlink(path)
        self._socket.close()

    def _run(self) -> None:
        """Write the records, in the thread."""
        while self._error is None:
            with self._condition:
                while not self._pending and not self._closed:
                    self._condition.wait()
                if self._closed:
                    return
                key = next(iter(self._pending))
                payload = self._pending.pop(key)
            try:
                self._replace(key, payload)
            except OSError as error:
                self._error = translate_error(self.address, error, _REASONS)

    def _replace(self, key: str, payload: bytes) -> None:
        """Replace a file; a reader sees the old or the new one."""
        path = os.path.join(self.address.path, key)
        temporary = path + TEMPORARY_SUFFIX
        mode = 0o640 if self._group >= 0 else 0o600
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        try:
            if self._group >= 0:
                if os.fstat(file).st_gid != self._group:  # systemd's sandbox permits no chown
                    os.fchown(file, -1, self._group)
                os.fchmod(file, mode)
            rest = memoryview(payload)
            while rest:
                rest = rest[os.write(file, rest) :]
        finally:
            os.close(file)
        os.replace(temporary, path)


def open_port(address: Address, _wake: "Wake") -> LocalPort:
    """Open `local:FOLDER`. Raises PortError: no folder, no group, or another agent has it."""
    if not os.path.exists(address.path):
        raise make_error(address, STORE_REASONS[ENOENT])
    if not os.path.isdir(address.path):
        raise make_error(address, STORE_REASONS[ENOTDIR])
    group = _group_number(address)
    path = os.path.join(address.path, SOCKET)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        _remove_stale(address, path)
        sock.setblocking(False)
        sock.bind(path)
        if group >= 0 and os.stat(path).st_gid != group:
            os.chown(path, -1, group)
        os.chmod(path, 0o660 if group >= 0 else 0o600)
    except OSError as error:
        sock.close()
        raise translate_error(address, error, _REASONS) from error
    except PortError:
        sock.close()
        raise
    return LocalPort(address, sock, group)


def _file_identity(path: str) -> "tuple[int, int]":
    """Return the number of a file and the time of its creation: numbers are used again."""
    info = os.stat(path)
    return info.st_ino, info.st_ctime_ns


def _group_number(address: Address) -> int:
    name = address.options.get("group")
    if name is None:
        return -1
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise make_error(address, "no group is named %s: create it" % name) from None


def _remove_stale(address: Address, path: str) -> None:
    """Remove a socket without a reader. Raises PortError if another process reads it."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(info.st_mode):
        raise make_error(address, "%s is not a socket: remove it" % SOCKET)
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        probe.setblocking(False)
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    else:
        raise make_error(address, "another agent uses this folder")
    finally:
        probe.close()
