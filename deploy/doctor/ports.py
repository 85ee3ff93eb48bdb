"""Ports as the doctor sees them: there, of the right kind, and open to the agent's user.

The agent of the package runs as a user of its own in the group dialout (`SupplementaryGroups=`);
the doctor mostly runs as root, to whom everything is open. So rights are read from the device's
mode, and never tried. A port that the running agent holds is where it should be.
"""

import grp
import os
import socket
import stat
from collections.abc import Iterator

from agent.runtime.cpython_preflight import preflight
from deploy.doctor.finding import Finding, bad, good, warning
from drivers.ports.address import Address
from drivers.ports.base import BUSY

GROUP = "dialout"
_LIST = "plugged in? `ls -l /dev/serial/by-path /dev/coldloop-*` shows what is there"
_GIVE_TO_GROUP = f"give it to the group {GROUP} by a udev rule (/etc/udev/rules.d), mode 0660"
_LOWEST_FREE = 64 << 20  # bytes: some days of the log of a row
_PATIENCE_S = 3.0
_LOWEST_SHARE = 20  # a twentieth: of less is warned


def ports(named: list[tuple[str, Address]], running: bool) -> Iterator[Finding]:
    """Look at each port of a configuration: (what it is for, its address)."""
    for name, address in named:
        look = _LOOKS.get(address.kind)
        if look is not None:
            yield look(name, address, running)


def _device(name: str, address: Address, running: bool) -> Finding:
    """A device file: serial line, pulses, watchdog."""
    where, path = f"port {name}", address.path
    try:
        mode = os.stat(path)
    except OSError as error:
        return bad(where, f"{path}: {_said(error)}", _LIST)
    if not stat.S_ISCHR(mode.st_mode):
        return bad(where, f"{path}: not a device", "name the tty, such as /dev/ttyUSB0")
    if not _open_to_agent(mode):
        text = f"{path}: the agent's user may not read and write it"
        return bad(where, f"{text} (mode {mode.st_mode & 0o777:o})", _GIVE_TO_GROUP)
    problem = "".join(preflight([str(address)], lambda _: None))
    if BUSY in problem and running:
        return good(where, f"{path}: there, held by the agent")
    if problem:
        text, _, todo = problem.removeprefix(f"{address.place()}: ").partition(": ")
        return bad(where, f"{path}: {text}", todo or "see the message")
    return good(where, f"{path}: there, open to the agent")


def _open_to_agent(mode: os.stat_result) -> bool:
    """Judge the rights of a user who is in the group and nothing else."""
    bits = mode.st_mode
    if bits & 0o006 == 0o006:
        return True
    try:
        gid = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return bits & 0o060 == 0o060
    return mode.st_gid == gid and bits & 0o060 == 0o060


def _watchdog(name: str, address: Address, running: bool) -> Finding:
    """The watchdog of systemd is the unit's affair (see `machine`)."""
    if address.path == "systemd":
        return good(f"port {name}", "systemd's watchdog, fed by each whole cycle")
    found = _device(name, address, running)
    todo = "under systemd say watchdog:systemd; the unit keeps devices like this one away"
    return found if found.todo else warning(found.where, found.text, todo)


def _socket(name: str, address: Address, _running: bool) -> Finding:
    """A socket of another program on this machine."""
    if os.path.exists(address.path):
        return good(f"port {name}", f"{address.path}: there")
    todo = "start chronyd; see docs/engineer/time.md"
    return warning(f"port {name}", f"{address.path}: not there", todo)


def _store(name: str, address: Address, running: bool) -> Finding:
    """A folder that holds records: there, and with room."""
    where, path = f"store {name}", address.path
    if not os.path.isdir(path):
        if path in ("/var/lib/coldloop", "/run/coldloop") and not running:
            return good(where, f"{path}: the unit makes it at its start")
        return bad(where, f"{path}: no such folder", f"mkdir -p {path}, owned by the agent's user")
    room = os.statvfs(path)
    free, share = room.f_bavail * room.f_frsize, room.f_blocks // _LOWEST_SHARE
    text = f"{path}: {free >> 20} MiB free"
    if free < _LOWEST_FREE:
        return bad(where, text, f"make room: at least {_LOWEST_FREE >> 20} MiB")
    if room.f_flag & os.ST_RDONLY:
        return bad(where, f"{path}: read-only", "mount it writable; look at the disk's health")
    if room.f_bavail < share:
        return warning(where, text, "less than a twentieth of the disk; make room")
    return good(where, text)


def _connection(name: str, address: Address, running: bool) -> Finding:
    """A device behind a network: does it take a connection? Not asked while the agent has it."""
    where, place = f"port {name}", address.place()
    if running:
        return good(where, f"{place}: the agent's; see coldloop status")
    try:
        socket.create_connection((address.host, address.port), _PATIENCE_S).close()
    except OSError as error:
        return bad(where, f"{place}: {error.strerror or error}", "check address, cable, firewall")
    return good(where, f"{place}: takes connections")


def _said(error: OSError) -> str:
    return "no such port" if isinstance(error, FileNotFoundError) else str(error.strerror)


_LOOKS = {
    "serial": _device,
    "pps": _device,
    "watchdog": _watchdog,
    "chrony": _socket,
    "tcp": _connection,
    "tls": _connection,
    "store": _store,
}
