# SPDX-License-Identifier: Apache-2.0
"""Checks of ports: existence, kind, access rights of the user of the agent.

The agent of the package runs as a separate user in the group dialout (`SupplementaryGroups=`). The
check often runs as root, which can open all devices. So it reads the rights from the mode of the
device. If the agent runs and holds a port, the check passes.
"""

import grp
import os
import socket
import stat
from collections.abc import Iterator

from agent.runtime.cpython_port_check import check_addresses
from deploy.doctor.finding import CheckResult, bad, good, warning
from deploy.doctor.northbound import check_local
from drivers.ports.address import Address
from drivers.ports.base import BUSY

GROUP = "dialout"
_MISSING_HINT = "check the cable; `ls -l /dev/serial/by-path /dev/coldloop-*` lists the ports"
_RIGHTS_HINT = f"set group {GROUP} and mode 0660 with a udev rule (/etc/udev/rules.d)"
_MIN_FREE_BYTES = 64 << 20  # bytes: some days of the log of a unit
_CONNECT_TIMEOUT_S = 3.0
_MIN_FREE_DIVISOR = 20  # warning below a twentieth of the disk


def check_ports(addresses: list[tuple[str, Address]], running: bool) -> Iterator[CheckResult]:
    """Check each port of a configuration: (name, address)."""
    for name, address in addresses:
        yield CHECKS[address.kind](name, address, running)


def _check_device(name: str, address: Address, running: bool) -> CheckResult:
    """Check a device file: serial line, pulses, watchdog."""
    where, path = f"port {name}", address.path
    try:
        mode = os.stat(path)
    except OSError as error:
        return bad(where, f"{path}: {_error_text(error)}", _MISSING_HINT)
    if not stat.S_ISCHR(mode.st_mode):
        return bad(where, f"{path}: not a device", "use a tty such as /dev/ttyUSB0")
    if not _is_open_to_agent(mode):
        text = f"{path}: the user of the agent cannot read and write it"
        return bad(where, f"{text} (mode {mode.st_mode & 0o777:o})", _RIGHTS_HINT)
    problem = "".join(check_addresses([str(address)], lambda _: None))
    if BUSY in problem and running:
        return good(where, f"{path}: present, open in the agent")
    if problem:
        text, _, todo = problem.removeprefix(f"{address.location()}: ").partition(": ")
        return bad(where, f"{path}: {text}", todo or "see the text")
    return good(where, f"{path}: present, the agent can open it")


def _is_open_to_agent(mode: os.stat_result) -> bool:
    """Return whether a user who is only in the group can read and write."""
    bits = mode.st_mode
    if bits & 0o006 == 0o006:
        return True
    try:
        gid = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return bits & 0o060 == 0o060
    return mode.st_gid == gid and bits & 0o060 == 0o060


def _check_watchdog(name: str, address: Address, running: bool) -> CheckResult:
    """Check a watchdog device. The watchdog of systemd belongs to the unit; see `machine`."""
    if address.path == "systemd":
        return good(f"port {name}", "watchdog of systemd, kicked after each control cycle")
    result = _check_device(name, address, running)
    todo = "use watchdog:systemd; the systemd unit blocks this device"
    return result if result.todo else warning(result.where, result.text, todo)


def _check_socket(name: str, address: Address, _running: bool) -> CheckResult:
    """Check a socket of another program on this machine."""
    if os.path.exists(address.path):
        return good(f"port {name}", f"{address.path}: present")
    todo = "start chronyd; see docs/engineer/time.md"
    return warning(f"port {name}", f"{address.path}: missing", todo)


def _check_store(name: str, address: Address, running: bool) -> CheckResult:
    """Check a folder of records: existence and free space."""
    where, path = f"store {name}", address.path
    if not os.path.isdir(path):
        if path in ("/var/lib/coldloop", "/run/coldloop") and not running:
            return good(where, f"{path}: systemd makes it at the start of the unit")
        return bad(where, f"{path}: no such folder", f"mkdir -p {path}, owned by the agent's user")
    file_system = os.statvfs(path)
    free, min_free_blocks = (
        file_system.f_bavail * file_system.f_frsize,
        file_system.f_blocks // _MIN_FREE_DIVISOR,
    )
    text = f"{path}: {free >> 20} MiB free"
    if free < _MIN_FREE_BYTES:
        return bad(where, text, f"free at least {_MIN_FREE_BYTES >> 20} MiB")
    if file_system.f_flag & os.ST_RDONLY:
        return bad(where, f"{path}: read-only", "mount it writable; check the disk")
    if file_system.f_bavail < min_free_blocks:
        return warning(where, text, "less than a twentieth of the disk; free some space")
    return good(where, text)


def _check_connection(name: str, address: Address, running: bool) -> CheckResult:
    """Check that a network device accepts a connection; skipped while the agent runs."""
    where, endpoint = f"port {name}", address.location()
    if running:
        return good(where, f"{endpoint}: in use by the agent; see coldloop status")
    try:
        socket.create_connection((address.host, address.port), _CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return bad(
            where, f"{endpoint}: {error.strerror or error}", "check address, cable, firewall"
        )
    return good(where, f"{endpoint}: accepts connections")


def _check_udp(name: str, address: Address, _running: bool) -> CheckResult:
    """Check that the other end has an address; UDP has no connection that could fail."""
    where, endpoint = f"port {name}", address.location()
    try:
        socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        return bad(where, f"{endpoint}: {error.strerror or error}", "check the name and its DNS")
    if address.kind == "udp":  # link of a pair or a group
        return good(where, f"{endpoint}: UDP; the status of the unit shows whether it is received")
    return good(where, f"{endpoint}: UDP; `coldloop modbus scan` shows whether the gateway replies")


def _check_ntp(name: str, address: Address, running: bool) -> CheckResult:
    """Check that the name of an NTP server has an address."""
    found = _check_udp(name, address, running)
    if not found.text.endswith("gateway replies"):
        return found
    text = f"{address.location()}: UDP; `coldloop status --json` shows whether the server replies"
    return good(f"port {name}", text)


def _check_uart(name: str, address: Address, _running: bool) -> CheckResult:
    """Report a UART: only a board has them."""
    text = f"{address.location()}: UARTs are for boards"
    return bad(f"port {name}", text, "name a serial: port")


def _error_text(error: OSError) -> str:
    return "no such port" if isinstance(error, FileNotFoundError) else str(error.strerror)


CHECKS = {
    "serial": _check_device,
    "uart": _check_uart,
    "ascii": _check_device,
    "pps": _check_device,
    "watchdog": _check_watchdog,
    "chrony": _check_socket,
    "tcp": _check_connection,
    "rtu+tcp": _check_connection,
    "rtu+udp": _check_udp,
    "udp": _check_udp,
    "ntp": _check_ntp,
    "ascii+tcp": _check_connection,
    "tls": _check_connection,
    "store": _check_store,
    "local": check_local,
}
"""Kind of address: its check, for each kind of `drivers.ports.address_text.KINDS`."""
