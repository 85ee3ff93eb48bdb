# SPDX-License-Identifier: Apache-2.0
"""Answers to the requests of snmpd with values of the unit (pass_persist).

The protocol is that of snmpd.conf(5): lines in, lines out; `relay` carries them from snmpd to a
socket of the SNMP process. It knows no writes: each `set` is answered with `not-writable`. A bad
line gets an answer too, so snmpd never waits.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from deploy.northbound.snapshot import SnapshotReader
from deploy.northbound.snmp.relay import SOCKET
from deploy.northbound.snmp.tree import ROOT, Oid, SnmpTree, SnmpValue

_NONE = "NONE\n"
_TREE_MAX_AGE_S = 0.25
_LONGEST_LINE = 2048
_FURTHER = {"get": 1, "getnext": 1, "set": 2}
"""Lines of a request after the command."""
_IO_TIMEOUT_S = 5.0
_MAX_CONNECTIONS = 4
_MOST_NUMBERS = 128  # in an object identifier (RFC 2578, section 3.5)


class PassPersistResponder:
    """Answers requests. `clock` returns monotonic seconds; `root` is that of the MIB."""

    def __init__(
        self,
        reader: SnapshotReader,
        clock: Callable[[], float] = time.monotonic,
        root: Oid = ROOT,
    ) -> None:
        self._reader, self._clock, self._root = reader, clock, root
        self._tree = SnmpTree(reader.read(), root)
        self._read_at = clock()

    def serve(self, lines: TextIO, output: TextIO) -> None:
        """Answer all requests until the end of the input."""
        while command := lines.readline(_LONGEST_LINE):
            rest = _Rest(lines)
            output.write(self.answer(command.strip(), rest))
            output.flush()

    def answer(self, command: str, rest: Iterable[str]) -> str:
        """Return the answer to a command; `rest` gives its further lines."""
        lines = iter(rest)
        name = command.lower()
        if name == "ping":
            return "PONG\n"
        if name == "set":
            next(lines, "")
            next(lines, "")
            return "not-writable\n"
        if name not in ("get", "getnext"):
            return _NONE
        oid = parse_oid(next(lines, ""))
        if oid is None:
            return _NONE
        tree = self._current()
        if name == "get":
            value = tree.get(oid)
            return _NONE if value is None else _format(oid, value)
        found = tree.following(oid)
        return _NONE if found is None else _format(*found)

    def _current(self) -> SnmpTree:
        now = self._clock()
        if now - self._read_at >= _TREE_MAX_AGE_S:
            self._tree, self._read_at = SnmpTree(self._reader.read(), self._root), now
        return self._tree


class _Rest:
    """The further lines of a request, read when they are needed."""

    def __init__(self, lines: TextIO) -> None:
        self._lines = lines

    def __iter__(self) -> "_Rest":
        return self

    def __next__(self) -> str:
        line = self._lines.readline(_LONGEST_LINE)
        if not line:
            raise StopIteration
        return line


def parse_oid(line: str) -> Oid | None:
    """Return the numbers of an object identifier, with or without the first dot; None: wrong."""
    parts = line.strip().removeprefix(".").split(".")
    if len(parts) > _MOST_NUMBERS or not all(p.isascii() and p.isdigit() for p in parts):
        return None
    numbers = tuple(int(part) for part in parts if len(part) <= 10)
    return numbers if len(numbers) == len(parts) else None


def _format(oid: Oid, value: SnmpValue) -> str:
    return f".{'.'.join(map(str, oid))}\n{value.kind}\n{value.text}\n"


class ResponderSocket:
    """The socket in `folder` at which the relays of snmpd ask."""

    def __init__(self, responder: PassPersistResponder, folder: Path) -> None:
        self._responder, self._folder = responder, folder
        self._open_count = 0

    async def serve(self) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_unix_server(
            self._answer_relay, sock=_bind(self._folder), limit=_LONGEST_LINE
        )
        async with server:
            await server.serve_forever()

    async def _answer_relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer until the relay closes. A line that is too long ends the connection."""
        self._open_count += 1
        try:
            with contextlib.suppress(OSError, ValueError, TimeoutError):
                while self._open_count <= _MAX_CONNECTIONS:
                    line = await reader.readline()
                    if not line:
                        return
                    command = line.decode("ascii", "replace").strip()
                    rest = []
                    for _ in range(_FURTHER.get(command.lower(), 0)):
                        further = await asyncio.wait_for(reader.readline(), _IO_TIMEOUT_S)
                        rest.append(further.decode("ascii", "replace"))
                    writer.write(self._responder.answer(command, rest).encode())
                    await asyncio.wait_for(writer.drain(), _IO_TIMEOUT_S)
        finally:
            self._open_count -= 1
            writer.transport.abort()


def _bind(folder: Path) -> socket.socket:
    """Return a listening socket in a folder, whose path can be long."""
    (folder / SOCKET).unlink(missing_ok=True)
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(f"/proc/self/fd/{folder_fd}/{SOCKET}")
        (folder / SOCKET).chmod(0o600)
        sock.listen(_MAX_CONNECTIONS)
        sock.setblocking(False)
    finally:
        os.close(folder_fd)
    return sock
