# SPDX-License-Identifier: Apache-2.0
"""Audit entries for a central log: syslog (RFC 5424) over TCP or TLS with octet counting.

Does not fetch or check the log of a unit; see `reader`. The framing is that of RFC 5425, 4.3
(TLS) and RFC 6587, 3.4.1 (TCP). The receiver sends no answer, so nothing proves that it has stored
an entry: the number of each entry shows a gap. Facility 13 is "log audit".
"""

import socket
import ssl
from typing import Any

from deploy.errors import OpsError
from deploy.ops.audit.reader import History
from drivers.errors import DriverError
from drivers.ports.address import parse_address

_AUDIT = 13
_NOTICE, _WARNING, _ALERT = 5, 4, 1
_TIMEOUT_S = 10.0
_PRIVATE_NUMBER = 32473  # RFC 5612: for documentation


def format_entry(unit: str, entry: dict[str, Any]) -> bytes:
    """Return an entry as a message of RFC 5424, without its frame."""
    is_refused = entry["what"] == "refused"
    parameters = {
        "number": entry["number"],
        "keys": ",".join(map(str, entry["keys"])),
        "counter": entry["counter"],
    }
    text = f"{entry['what']}: {entry['result']}"
    severity = _WARNING if is_refused else _NOTICE
    return _message(severity, unit, entry["when"], "audit", parameters, text)


def format_fault(unit: str, text: str) -> bytes:
    """Return a fault of the chain as a message: the log was changed."""
    return _message(_ALERT, unit, None, "fault", {}, text)


def _message(
    severity: int,
    unit: str,
    when: str | None,
    kind: str,
    parameters: dict[str, object],
    text: str,
) -> bytes:
    name = "".join(c if "!" <= c <= "~" else "_" for c in unit.replace("/", "."))[:255] or "-"
    values = "".join(f' {key}="{_escape(str(value))}"' for key, value in parameters.items())
    data = f"[audit@{_PRIVATE_NUMBER}{values}]"
    head = f"<{_AUDIT * 8 + severity}>1 {when or '-'} {name} coldloop - {kind} {data} "
    return head.encode() + b"\xef\xbb\xbf" + _visible(text).encode()


def _escape(value: str) -> str:
    """Escape a value (RFC 5424, 6.3.3)."""
    visible = _visible(value)
    return visible.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def send_history(address: str, unit: str, history: History) -> None:
    """Send all entries and faults. Raises `OpsError`: no connection, or it ended."""
    messages = [format_entry(unit, entry) for entry in history.entries]
    messages += [format_fault(unit, text) for text in history.faults]
    try:
        parsed = parse_address(address)
        if parsed.kind not in ("tcp", "tls"):
            raise OpsError(f"--syslog {address}: use tcp:HOST:PORT or tls:HOST:PORT")
        place = (parsed.host, parsed.port)
        with socket.create_connection(place, _TIMEOUT_S) as plain:
            if parsed.kind == "tcp":
                _send(plain, messages)
                return
            context = ssl.create_default_context(cafile=parsed.options.get("ca"))
            with context.wrap_socket(plain, server_hostname=parsed.host) as link:
                _send(link, messages)
    except (OSError, DriverError) as error:
        raise OpsError(f"--syslog {address}: {error}") from None


def _send(link: socket.socket, messages: list[bytes]) -> None:
    for message in messages:
        link.sendall(b"%d %s" % (len(message), message))
