"""The broker as the doctor sees it: named, answering, trusted, and within the unit's fence."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping

from deploy.doctor.finding import Finding, bad, good, warning
from drivers.errors import PortError
from drivers.ports.address import Address
from drivers.ports.cpython.tcp import make_context

PATIENCE_S = 5.0
SOON_S = 30 * 86400
_SITE = "/etc/systemd/system/coldloop.service.d/site.conf"


def broker(address: Address, allowed: list[str] | None) -> list[Finding]:
    """Resolve, connect, and shake hands where TLS is asked for.

    `allowed`: networks that the unit lets through; None when there is no unit to ask.
    """
    where, place = "broker", address.place()
    try:
        context = make_context(address) if address.kind == "tls" else None
    except PortError as error:
        todo = "put the files there: see docs/engineer/packaging.md, certificates"
        return [bad(where, str(error), todo)]
    try:
        with socket.create_connection((address.host, address.port), PATIENCE_S) as plain:
            found = [_fence(plain.getpeername()[0], allowed)]
            if context is not None:
                with context.wrap_socket(plain, server_hostname=address.host) as secure:
                    found.append(_certificate(secure.getpeercert() or {}))
    except socket.gaierror:
        return [bad(where, f"{place}: no such name", "check the name, and the name server")]
    except ssl.SSLCertVerificationError as error:
        todo = "is ca the authority of this broker, and is this machine's clock right?"
        return [bad(where, f"{place}: {error.verify_message}", todo)]
    except (OSError, ssl.SSLError) as error:
        text = f"{place}: {getattr(error, 'strerror', None) or error}"
        return [bad(where, text, "check link, route, firewall and broker; the agent retries")]
    return [good(where, f"{place}: answers"), *(one for one in found if one is not None)]


def _fence(peer: str, allowed: list[str] | None) -> Finding | None:
    """Say when the unit's IPAddressAllow= would not let the agent talk to the broker."""
    if allowed is None:
        return None
    host = ipaddress.ip_address(peer.partition("%")[0])
    if any(host in ipaddress.ip_network(net, strict=False) for net in allowed):
        return None
    todo = f"add IPAddressAllow={peer} to {_SITE}; systemctl daemon-reload; restart coldloop"
    return bad("fence", f"the unit lets nothing through to {peer}", todo)


def _certificate(certificate: "Mapping[str, object]") -> Finding | None:
    """Say when the broker's certificate ends soon."""
    ends = certificate.get("notAfter")
    if not isinstance(ends, str):
        return None
    left = ssl.cert_time_to_seconds(ends) - time.time()
    if left > SOON_S:
        return None
    return warning("broker", f"its certificate ends {ends}", "issue a new one: coldloop config pki")
