"""What can be said of the ports' addresses before the agent starts.

Wrong use (exit 2) is what waiting will not cure: an address that means nothing, a path that is no
serial port, a port that another program or another of our own ports uses, a baud rate that the
hardware refuses, a certificate file that cannot be read. What is merely absent is a warning: it is
retried.
"""

import os
import sys
from collections.abc import Callable, Iterable

from drivers.errors import AddressError, PortError
from drivers.ports.address import Address, parse_address
from drivers.ports.base import ENOENT, ENOTDIR, NO_PORT, STORE_REASONS, make_error
from drivers.ports.cpython import serial, tcp
from drivers.ports.cpython.watchdog import SYSTEMD

Warn = Callable[[str], None]


def _print_warning(line: str) -> None:
    """Print a warning on stderr."""
    print("warning: " + line, file=sys.stderr, flush=True)


def preflight(addresses: "Iterable[str]", warn: Warn = _print_warning) -> "list[str]":
    """Return one line for each thing that is wrong; `warn` gets one for each thing that is absent.

    A serial port that is there is opened and closed again.
    """
    used_paths: set[str] = set()
    problems = [_problem(text, used_paths, warn) for text in addresses]
    return [problem for problem in problems if problem]


def _problem(text: str, used_paths: "set[str]", warn: Warn) -> str:
    """Return what is wrong with one address, or nothing."""
    try:
        address = parse_address(text)
        _check_unshared(address, used_paths)
        _CHECKS[address.kind](address, warn)
    except (AddressError, PortError) as error:
        return str(error)
    return ""


def _check_unshared(address: Address, used_paths: "set[str]") -> None:
    """Refuse a line that two ports would share."""
    if address.kind not in ("serial", "uart"):
        return
    real_path = os.path.realpath(address.path)
    if real_path in used_paths:
        raise make_error(address, "named twice: a line belongs to one port only")
    used_paths.add(real_path)


def _check_serial(address: Address, warn: Warn) -> None:
    """Open a serial port once."""
    if not os.path.exists(address.path):
        warn(str(make_error(address, NO_PORT)))
        return
    serial.open_port(address, lambda: None).close()


def _check_tls(address: Address, _warn: Warn) -> None:
    """Read the certificates once."""
    tcp.make_context(address)


def _check_store(address: Address, warn: Warn) -> None:
    """Look at the folder."""
    if not os.path.exists(address.path):
        warn(str(make_error(address, STORE_REASONS[ENOENT])))
    elif not os.path.isdir(address.path):
        raise make_error(address, STORE_REASONS[ENOTDIR])


def _skip_check(_address: Address, _warn: Warn) -> None:
    """A peer that is not there yet will be retried."""


def _check_exists(address: Address, warn: Warn) -> None:
    """Say when there is no such device or socket yet."""
    if not os.path.exists(address.path):
        warn(str(make_error(address, NO_PORT)))


def _check_watchdog(address: Address, warn: Warn) -> None:
    """Say when there is none; that of systemd is there for a unit only."""
    if address.path == SYSTEMD:
        if "NOTIFY_SOCKET" not in os.environ:
            warn(
                "%s: no NOTIFY_SOCKET: not started as a unit with Type=notify" % address.location()
            )
    else:
        _check_exists(address, warn)


def _reject_uart(address: Address, _warn: Warn) -> None:
    """Refuse a board's UART: this is no board."""
    raise make_error(address, "UARTs are for boards: name a serial: port here")


_CHECKS = {
    "serial": _check_serial,
    "uart": _reject_uart,
    "tcp": _skip_check,
    "tls": _check_tls,
    "store": _check_store,
    "pps": _check_exists,
    "chrony": _check_exists,
    "watchdog": _check_watchdog,
}
