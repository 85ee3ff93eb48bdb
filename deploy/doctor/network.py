# SPDX-License-Identifier: Apache-2.0
"""Checks of the broker: name, connection, certificate, IP address filter of the unit."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping

from deploy.doctor.finding import CheckResult, bad, good, warning
from drivers.errors import PortError
from drivers.ports.address import Address
from drivers.ports.cpython.tcp import make_context

CONNECT_TIMEOUT_S = 5.0
EXPIRY_WARNING_S = 30 * 86400
_SITE = "/etc/systemd/system/coldloop.service.d/site.conf"


def check_broker(address: Address, allowed: list[str] | None) -> list[CheckResult]:
    """Resolve the name, connect, and do the TLS handshake if the address asks for it.

    `allowed`: networks that the unit allows; None: no unit, or no filter.
    """
    where, endpoint = "broker", address.location()
    try:
        context = make_context(address) if address.kind == "tls" else None
    except PortError as error:
        todo = "install the files: see docs/engineer/packaging.md, certificates"
        return [bad(where, str(error), todo)]
    try:
        with socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S) as plain:
            results = [_check_address_filter(plain.getpeername()[0], allowed)]
            if context is not None:
                with context.wrap_socket(plain, server_hostname=address.host) as secure:
                    results.append(_check_certificate(secure.getpeercert() or {}))
    except socket.gaierror:
        return [bad(where, f"{endpoint}: no such host name", "check the name and the name server")]
    except ssl.SSLCertVerificationError as error:
        todo = "check that ca is the authority of this broker, and check the system clock"
        return [bad(where, f"{endpoint}: {error.verify_message}", todo)]
    except (OSError, ssl.SSLError) as error:
        text = f"{endpoint}: {getattr(error, 'strerror', None) or error}"
        return [bad(where, text, "check link, route, firewall and broker; the agent retries")]
    return [
        good(where, f"{endpoint}: responds"),
        *(result for result in results if result is not None),
    ]


def _check_address_filter(peer: str, allowed: list[str] | None) -> CheckResult | None:
    """Check that IPAddressAllow= of the unit includes the broker."""
    if allowed is None:
        return None
    host = ipaddress.ip_address(peer.partition("%")[0])
    if any(host in ipaddress.ip_network(net, strict=False) for net in allowed):
        return None
    todo = f"add IPAddressAllow={peer} to {_SITE}; systemctl daemon-reload; restart coldloop"
    return bad("fence", f"the unit blocks {peer}", todo)


def _check_certificate(certificate: "Mapping[str, object]") -> CheckResult | None:
    """Check the remaining lifetime of the certificate of the broker."""
    not_after = certificate.get("notAfter")
    if not isinstance(not_after, str):
        return None
    remaining_s = ssl.cert_time_to_seconds(not_after) - time.time()
    if remaining_s > EXPIRY_WARNING_S:
        return None
    return warning(
        "broker", f"certificate expires {not_after}", "issue a new one: coldloop config pki"
    )
