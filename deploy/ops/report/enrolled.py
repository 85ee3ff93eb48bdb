# SPDX-License-Identifier: Apache-2.0
"""Enrolled units: the public keys by which the operators' tools accept a report.

    FOLDER/SITE.UNIT.json   {"unit", "public"}, written by `coldloop config unit make` at the unit
    FOLDER/SITE.UNIT.seen   {"number"}: number of the newest audit entry that a report has named

Once one unit is enrolled, a report of another unit is not accepted. Without any enrolled unit, all
reports are taken as before, and `messages.next_counter` limits what a report can do. A report with
an older audit entry than an earlier one is a repeated one and is not accepted.

Does not enroll by itself: only the person who provisions a unit knows its key.
"""

import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.config.validate import is_valid_name
from deploy.errors import OpsError
from deploy.ops.private_file import write_private
from deploy.ops.report.unit_report import UnitReport, parse_report
from protocols.signing import report as signed_report
from protocols.signing.ed25519 import is_valid_key

_KEY_BYTES = 32
_UNTRUSTED = "its report is not accepted: "
_FORGOTTEN = (
    "it is older than one before: a repeated report, or a unit with an older store; if it was "
    "replaced or restored: `config unit forget`, then `config unit enroll`"
)


class EnrolledUnits:
    """The units in `folder`. Raises `OpsError`: a file is damaged or cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._publics: dict[str, bytes] = {}
        self._seen: dict[str, int] = {}
        try:
            for path in sorted(folder.glob("*.json")):
                unit, public = read_public(path)
                self._publics[unit] = public
        except OSError as error:
            raise OpsError(f"{folder}: {error.strerror}") from None

    def names(self) -> list[str]:
        """Return the enrolled units."""
        return sorted(self._publics)

    def public(self, unit: str) -> bytes | None:
        """Return the key of a unit, None if it is not enrolled."""
        return self._publics.get(unit)

    def add(self, path: Path) -> str:
        """Enrol the unit of a file; return its name. Raises `OpsError`: it has another key."""
        unit, public = read_public(path)
        if self._publics.get(unit, public) != public:
            raise OpsError(
                f"{unit}: is enrolled with another key; if the controller was replaced: "
                f"`config unit forget {unit}` first"
            )
        self._make_folder()
        content = json.dumps({"unit": unit, "public": public.hex()}) + "\n"
        write_private(self._path(unit, "json"), content.encode())
        self._publics[unit] = public
        return unit

    def forget(self, unit: str) -> None:
        """Remove a unit. Raises `OpsError`: it is not enrolled."""
        if unit not in self._publics:
            raise OpsError(f"{unit}: is not enrolled")
        del self._publics[unit]
        for suffix in ("json", "seen"):
            self._path(unit, suffix).unlink(missing_ok=True)

    def read(self, unit: str, payload: bytes) -> UnitReport:
        """Parse and verify a report. Raises `OpsError`: it is malformed or not accepted."""
        if not self._publics:
            return parse_report(payload)
        public = self._publics.get(unit)
        if public is None:
            raise OpsError(f"{_UNTRUSTED}the unit is not enrolled: `config unit enroll FILE`")
        text, signature = signed_report.split(payload)
        if not signature:
            raise OpsError(f"{_UNTRUSTED}it is not signed")
        try:
            key = Ed25519PublicKey.from_public_bytes(public)
            key.verify(signature, signed_report.signing_input(unit, text))
        except InvalidSignature:
            raise OpsError(f"{_UNTRUSTED}it is not signed by the enrolled key") from None
        report = parse_report(text, signed=True)
        self._check_order(unit, report.audit[0])
        return report

    def _check_order(self, unit: str, number: int) -> None:
        seen = self._seen.get(unit)
        if seen is None:
            seen = self._read_seen(unit)
        if number < seen:
            raise OpsError(_UNTRUSTED + _FORGOTTEN)
        self._seen[unit] = number
        if number > seen:
            self._make_folder()
            write_private(self._path(unit, "seen"), json.dumps({"number": number}).encode())

    def _read_seen(self, unit: str) -> int:
        try:
            return int(json.loads(self._path(unit, "seen").read_bytes())["number"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return 0  # the first report, or the tool ended while it wrote the number

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise OpsError(f"{self._folder}: {error.strerror}") from None

    def _path(self, unit: str, suffix: str) -> Path:
        return self._folder / (unit.replace("/", ".") + "." + suffix)


def read_public(path: Path) -> tuple[str, bytes]:
    """Return unit and key of a file. Raises `OpsError`."""
    raw: Any = None
    try:
        raw = json.loads(path.read_bytes())
        unit, public = str(raw["unit"]), bytes.fromhex(raw["public"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise OpsError(f"{path}: not the public key of a unit (`config unit make`)") from None
    names = unit.split("/")
    if len(names) != 2 or not all(map(is_valid_name, names)) or not is_valid_key(public):
        raise OpsError(f"{path}: not the public key of a unit (`config unit make`)")
    return unit, public
