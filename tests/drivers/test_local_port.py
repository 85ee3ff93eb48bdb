# SPDX-License-Identifier: Apache-2.0
"""The folder for other processes: records are replaced as a whole, each datagram is one read."""

import grp
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.cpython import local
from drivers.ports.cpython.store import Store


def no_wake() -> None:
    pass


def open_local(folder: Path, query: str = "") -> local.LocalPort:
    return local.open_port(parse_address(f"local:{folder}{query}"), no_wake)


def wait_for(fact: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.01)


def send(folder: Path, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(data, str(folder / local.SOCKET))


def test_records_are_replaced_and_private(tmp_path: Path) -> None:
    port = open_local(tmp_path)
    path = tmp_path / "points.json"
    for i in range(20):
        port.write(b"points.json\0" + b"%d" % i)
    wait_for(lambda: path.exists() and path.read_bytes() == b"19")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / local.SOCKET).stat().st_mode) == 0o600
    port.close()
    assert not (tmp_path / local.SOCKET).exists()


def test_members_of_the_group_can_read_and_send(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getegid()).gr_name
    port = open_local(tmp_path, f"?group={group}")
    path = tmp_path / "points.json"
    port.write(b"points.json\0x")
    wait_for(path.exists)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / local.SOCKET).stat().st_mode) == 0o660
    port.close()
    with pytest.raises(PortError, match="no group is named"):
        open_local(tmp_path, "?group=none-of-this-name")


def test_each_datagram_is_one_read(tmp_path: Path) -> None:
    port = open_local(tmp_path)
    assert port.read() == b""
    send(tmp_path, b"one")
    send(tmp_path, b"two")
    assert [port.read(), port.read(), port.read()] == [b"one", b"two", b""]
    send(tmp_path, b"x" * 10_000)
    assert len(port.read() or b"") == local.MAX_DATAGRAM  # the agent drops it: too long
    port.close()


def test_a_second_agent_is_refused_and_a_stale_socket_replaced(tmp_path: Path) -> None:
    first = open_local(tmp_path)
    with pytest.raises(PortError, match="another agent"):
        open_local(tmp_path)
    first._socket.close()  # as after kill -9: the socket file stays
    second = open_local(tmp_path)
    first.close()
    assert (tmp_path / local.SOCKET).exists()
    second.close()


def test_wrong_folders_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="no such folder"):
        open_local(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(PortError, match="not a folder"):
        open_local(tmp_path / "file")
    (tmp_path / local.SOCKET).write_text("")
    with pytest.raises(PortError, match="not a socket"):
        open_local(tmp_path)


def test_a_failed_write_fails_the_port(tmp_path: Path) -> None:
    port = open_local(tmp_path)
    (tmp_path / "points.json").mkdir()
    port.write(b"points.json\0x")

    def failed() -> bool:
        try:
            port.read()
        except PortError:
            return True
        return False

    wait_for(failed)
    port.close()


def test_the_files_of_a_store_have_readers_only_with_a_group(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    for options, mode in (
        ("", 0o600),
        (f"?group={group}", 0o640),
        ("?group=no-such-group-here", 0o600),
    ):
        store = Store(parse_address(f"store:{tmp_path}{options}"))
        store.write("a", b"1")
        store.append("b", b"2")
        for key in "ab":
            assert stat.S_IMODE((tmp_path / key).stat().st_mode) == mode, (options, key)
            store.delete(key)


def test_a_folder_that_gives_its_group_needs_no_chown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system call filter of the unit refuses chown; the setgid bit of the folder is enough."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr(os, "fchown", refuse)
    tmp_path.chmod(0o2770)
    group = grp.getgrgid(tmp_path.stat().st_gid).gr_name
    port = open_local(tmp_path, f"?group={group}")
    port.write(b"points.json\0{}")
    wait_for((tmp_path / "points.json").exists)
    port.close()
    assert stat.S_IMODE((tmp_path / "points.json").stat().st_mode) == 0o640
    Store(parse_address(f"store:{tmp_path}?group={group}")).append("log", b"1")
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o640
