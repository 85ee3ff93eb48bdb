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
from deploy.doctor.finding import CheckResult, bad, good, warning
from drivers.ports.address import Address
from drivers.ports.base import BUSY

GROUP = "dialout"
_MISSING_HINT = "plugged in? `ls -l /dev/serial/by-path /dev/coldloop-*` shows what is there"
_RIGHTS_HINT = f"give it to the group {GROUP} by a udev rule (/etc/udev/rules.d), mode 0660"
_MIN_FREE_BYTES = 64 << 20  # bytes: some days of the log of a row
_CONNECT_TIMEOUT_S = 3.0
_MIN_FREE_DIVISOR = 20  # a twentieth: of less is warned


def check_ports(addresses: list[tuple[str, Address]], running: bool) -> Iterator[CheckResult]:
    """Look at each port of a configuration: (what it is for, its address)."""
    for name, address in addresses:
        check = _CHECKS.get(address.kind)
        if check is not None:
            yield check(name, address, running)


def _check_device(name: str, address: Address, running: bool) -> CheckResult:
    """A device file: serial line, pulses, watchdog."""
    where, path = f"port {name}", address.path
    try:
        mode = os.stat(path)
    except OSError as error:
        return bad(where, f"{path}: {_error_text(error)}", _MISSING_HINT)
    if not stat.S_ISCHR(mode.st_mode):
        return bad(where, f"{path}: not a device", "name the tty, such as /dev/ttyUSB0")
    if not _is_open_to_agent(mode):
        text = f"{path}: the agent's user may not read and write it"
        return bad(where, f"{text} (mode {mode.st_mode & 0o777:o})", _RIGHTS_HINT)
    problem = "".join(preflight([str(address)], lambda _: None))
    if BUSY in problem and running:
        return good(where, f"{path}: there, held by the agent")
    if problem:
        text, _, todo = problem.removeprefix(f"{address.location()}: ").partition(": ")
        return bad(where, f"{path}: {text}", todo or "see the message")
    return good(where, f"{path}: there, open to the agent")


def _is_open_to_agent(mode: os.stat_result) -> bool:
    """Judge the rights of a user who is in the group and nothing else."""
    bits = mode.st_mode
    if bits & 0o006 == 0o006:
        return True
    try:
        gid = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return bits & 0o060 == 0o060
    return mode.st_gid == gid and bits & 0o060 == 0o060


def _check_watchdog(name: str, address: Address, running: bool) -> CheckResult:
    """The watchdog of systemd is the unit's affair (see `machine`)."""
    if address.path == "systemd":
        return good(f"port {name}", "systemd's watchdog, fed by each whole cycle")
    result = _check_device(name, address, running)
    todo = "under systemd say watchdog:systemd; the unit keeps devices like this one away"
    return result if result.todo else warning(result.where, result.text, todo)


def _check_socket(name: str, address: Address, _running: bool) -> CheckResult:
    """A socket of another program on this machine."""
    if os.path.exists(address.path):
        return good(f"port {name}", f"{address.path}: there")
    todo = "start chronyd; see docs/engineer/time.md"
    return warning(f"port {name}", f"{address.path}: not there", todo)


def _check_store(name: str, address: Address, running: bool) -> CheckResult:
    """A folder that holds records: there, and with room."""
    where, path = f"store {name}", address.path
    if not os.path.isdir(path):
        if path in ("/var/lib/coldloop", "/run/coldloop") and not running:
            return good(where, f"{path}: the unit makes it at its start")
        return bad(where, f"{path}: no such folder", f"mkdir -p {path}, owned by the agent's user")
    file_system = os.statvfs(path)
    free, min_free_blocks = (
        file_system.f_bavail * file_system.f_frsize,
        file_system.f_blocks // _MIN_FREE_DIVISOR,
    )
    text = f"{path}: {free >> 20} MiB free"
    if free < _MIN_FREE_BYTES:
        return bad(where, text, f"make room: at least {_MIN_FREE_BYTES >> 20} MiB")
    if file_system.f_flag & os.ST_RDONLY:
        return bad(where, f"{path}: read-only", "mount it writable; look at the disk's health")
    if file_system.f_bavail < min_free_blocks:
        return warning(where, text, "less than a twentieth of the disk; make room")
    return good(where, text)


def _check_connection(name: str, address: Address, running: bool) -> CheckResult:
    """A device behind a network: does it take a connection? Not asked while the agent has it."""
    where, endpoint = f"port {name}", address.location()
    if running:
        return good(where, f"{endpoint}: the agent's; see coldloop status")
    try:
        socket.create_connection((address.host, address.port), _CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return bad(
            where, f"{endpoint}: {error.strerror or error}", "check address, cable, firewall"
        )
    return good(where, f"{endpoint}: takes connections")


def _error_text(error: OSError) -> str:
    return "no such port" if isinstance(error, FileNotFoundError) else str(error.strerror)


_CHECKS = {
    "serial": _check_device,
    "pps": _check_device,
    "watchdog": _check_watchdog,
    "chrony": _check_socket,
    "tcp": _check_connection,
    "tls": _check_connection,
    "store": _check_store,
}
