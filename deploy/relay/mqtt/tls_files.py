# SPDX-License-Identifier: Apache-2.0
"""Certificates of the relay that are out of date. Does not open a connection."""

from datetime import UTC, datetime
from pathlib import Path


def date_problem(path: str | None) -> str:
    """Return why a certificate is not valid now, or "".

    Raises nothing: a file that cannot be read is reported where it is used.
    """
    from cryptography import x509  # noqa: PLC0415 - large, and only for `--check`

    try:
        chain = x509.load_pem_x509_certificates(Path(path).read_bytes()) if path else []
    except (OSError, ValueError):
        return ""
    now = datetime.now(UTC)
    for certificate in chain:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if end <= now:
            return f"{path}: expired on {end:%Y-%m-%d}"
        if begin > now:
            return f"{path}: valid from {begin:%Y-%m-%dT%H:%M}Z only; check the clock"
    return ""
