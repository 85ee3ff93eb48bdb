# SPDX-License-Identifier: Apache-2.0
"""Checks of the certificates of the northbound servers: which ones expire soon, or have expired.

Does not connect. A server that has an expired certificate runs, and its clients refuse it without a
word on the unit. The file of `modbus.client_ca` counts too: with it all clients are refused. A file
of several certificates ends with its first one that expires.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from deploy.doctor.finding import CheckResult, bad, good, warning
from deploy.doctor.network import EXPIRY_WARNING_S
from deploy.northbound.process.settings import SiteSettings

_REDFISH = "replace it: CertificateService.GenerateCSR and ReplaceCertificate of Redfish"
_FILE = "replace the file; the server uses it within some seconds"


def check_certificates(settings: SiteSettings, now: dt.datetime) -> Iterator[CheckResult]:
    """Check the files that exist; a server makes its own certificate at its first start.

    `now`: UTC of the system clock.
    """
    for name, path, todo in _files(settings):
        if path.exists():
            yield _check(f"northbound {name}", path, todo, now)


def _files(settings: SiteSettings) -> Iterator[tuple[str, Path, str]]:
    folder = settings.path.parent
    http, modbus = (settings.section.get(name) or {} for name in ("http", "modbus"))
    if "certificate" in http:
        yield "http", folder / http["certificate"], _FILE
    elif "http" in settings.section:
        yield "http", settings.state / "https" / "certificate.pem", _REDFISH
    for key in ("certificate", "client_ca"):
        if modbus.get(key):
            yield "modbus", folder / modbus[key], _FILE


def _check(where: str, path: Path, todo: str, now: dt.datetime) -> CheckResult:
    from cryptography import x509  # noqa: PLC0415 - large, and only for this check

    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        return bad(where, f"{path}: no certificate: {error}", todo)
    end = min(entry.not_valid_after_utc for entry in chain)
    begin = max(entry.not_valid_before_utc for entry in chain)
    day = f"{path}: valid until {end:%Y-%m-%d}"
    if end <= now:
        return bad(where, f"{day}: expired, clients refuse it", todo)
    if begin > now:
        text = f"{path}: valid from {begin:%Y-%m-%d}, clients refuse it"
        return bad(where, text, "check the system clock, then the certificate")
    is_soon = (end - now).total_seconds() <= EXPIRY_WARNING_S
    return warning(where, day, todo) if is_soon else good(where, day)
