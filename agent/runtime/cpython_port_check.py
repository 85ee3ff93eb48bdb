# SPDX-License-Identifier: Apache-2.0
"""Check of the port addresses before the agent starts.

Does not keep ports open; the I/O loop opens them later.

Wrong use is an error that a retry alone cannot repair:

- an invalid address;
- a path that is not a serial port;
- a port that another program or another port of the agent uses;
- a baud rate that the hardware rejects;
- an unreadable certificate file.

A missing device or folder is only a warning: the agent retries. So is each error of a port that is
not `needed`: the agent cools without its broker and its receiver, and an alarm names the port. The
error can come from a file that was lost in a power cut, and an agent that ends stops the cooling.
"""

import os
import sys
from collections.abc import Callable, Container, Iterable

from drivers.errors import AddressError, PortError
from drivers.ports.address import Address, parse_address
from drivers.ports.address_text import LINE_KINDS
from drivers.ports.base import ENOENT, ENOTDIR, NO_PORT, STORE_REASONS, make_error
from drivers.ports.cpython import serial, tcp
from drivers.ports.cpython.watchdog import SYSTEMD

WarnFunction = Callable[[str], None]


def _print_warning(line: str) -> None:
    """Print a warning on stderr."""
    print("warning: " + line, file=sys.stderr, flush=True)


def check_addresses(
    addresses: "Iterable[str]",
    warn: WarnFunction = _print_warning,
    needed: "Container[str] | None" = None,
) -> "list[str]":
    """Return one line for each error; call `warn` for each missing device or folder.

    `needed`: the errors of other addresses are warnings; None: all are needed. An existing serial
    port is opened and closed again.
    """
    used_paths: set[str] = set()
    errors = []
    for text in addresses:
        error = _find_error(text, used_paths, warn)
        if error and needed is not None and text not in needed:
            warn(error)
        elif error:
            errors.append(error)
    return errors


def _find_error(text: str, used_paths: "set[str]", warn: WarnFunction) -> str:
    """Return the error of one address, or an empty text."""
    try:
        address = parse_address(text)
        _check_single_use(address, used_paths)
        _CHECKS[address.kind](address, warn)
    except (AddressError, PortError) as error:
        return str(error)
    return ""


def _check_single_use(address: Address, used_paths: "set[str]") -> None:
    """Reject a serial line with two ports."""
    if address.kind not in LINE_KINDS:
        return
    real_path = os.path.realpath(address.path)
    if real_path in used_paths:
        raise make_error(address, "named twice: a line belongs to one port only")
    used_paths.add(real_path)


def _check_serial(address: Address, warn: WarnFunction) -> None:
    """Open a serial port once."""
    if not os.path.exists(address.path):
        warn(str(make_error(address, NO_PORT)))
        return
    serial.open_port(address, lambda: None).close()


def _check_tls(address: Address, _warn: WarnFunction) -> None:
    """Read the certificates once."""
    tcp.make_context(address)


def _check_store(address: Address, warn: WarnFunction) -> None:
    """Check the folder."""
    if not os.path.exists(address.path):
        warn(str(make_error(address, STORE_REASONS[ENOENT])))
    elif not os.path.isdir(address.path):
        raise make_error(address, STORE_REASONS[ENOTDIR])


def _skip_check(_address: Address, _warn: WarnFunction) -> None:
    """The I/O loop retries a peer that is offline."""


def _check_exists(address: Address, warn: WarnFunction) -> None:
    """Warn if the device or socket does not exist yet."""
    if not os.path.exists(address.path):
        warn(str(make_error(address, NO_PORT)))


def _check_watchdog(address: Address, warn: WarnFunction) -> None:
    """Warn if there is no watchdog. systemd has one only for a unit."""
    if address.path == SYSTEMD:
        if "NOTIFY_SOCKET" not in os.environ:
            warn(
                "%s: no NOTIFY_SOCKET: not started as a unit with Type=notify" % address.location()
            )
    else:
        _check_exists(address, warn)


def _reject_uart(address: Address, _warn: WarnFunction) -> None:
    """Reject a UART: only a board has them."""
    raise make_error(address, "UARTs are for boards: name a serial: port here")


_CHECKS = {
    "serial": _check_serial,
    "uart": _reject_uart,
    "tcp": _skip_check,
    "rtu+tcp": _skip_check,
    "rtu+udp": _skip_check,
    "ascii": _check_serial,
    "ascii+tcp": _skip_check,
    "tls": _check_tls,
    "store": _check_store,
    "pps": _check_exists,
    "chrony": _check_exists,
    "ntp": _skip_check,
    "udp": _skip_check,
    "watchdog": _check_watchdog,
    "local": _check_store,
}
