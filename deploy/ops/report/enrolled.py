# SPDX-License-Identifier: Apache-2.0
"""Enrolled units: the public keys by which the operators' tools accept a report.

    FOLDER/SITE.UNIT.json   {"unit", "public"}, written by `coldloop config unit make` at the unit
    FOLDER/SITE.UNIT.seen   {"number"}: number of the newest audit entry that a report has named
    FOLDER/.lock            held while a file is compared and replaced: tools run at the same time

Once one unit is enrolled, a report of another unit is not accepted. Without any enrolled unit, all
reports are taken as before, and `messages.next_counter` limits what a report can do. A report with
an older audit entry than an earlier one is a repeated one and is not accepted.

The number only grows. A damaged file is an error, which `config unit forget` and `config unit
enroll` end. It is never taken as a first report. A key belongs to one unit.

Does not enroll by itself: only the person who provisions a unit knows its key.
"""

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.config.validate import is_valid_name
from deploy.errors import LocalError, OpsError
from deploy.ops.private_file import replace_private
from deploy.ops.report.unit_report import UnitReport, parse_report
from protocols.signing import report as signed_report
from protocols.signing.ed25519 import is_valid_key

_MAX_FILE = 4096
_NOT_PUBLIC = "not the public key of a unit (`config unit make`)"
_UNTRUSTED = "its report is not accepted: "
_FORGOTTEN = (
    "it is older than one before: a repeated report, or a unit with an older store; if it was "
    "replaced or restored: `config unit forget`, then `config unit enroll`"
)


class EnrolledUnits:
    """The units in `folder`. Raises `LocalError`: a file is damaged or cannot be read.

    `keep_damaged`: a damaged file is no error; its unit can be forgotten.
    """

    def __init__(self, folder: Path, keep_damaged: bool = False) -> None:
        self._folder = folder
        self._publics: dict[str, bytes] = {}
        self.damaged: list[str] = []
        """Units whose file is damaged."""
        self._load(keep_damaged)

    def _load(self, keep_damaged: bool = False) -> None:
        try:
            paths = sorted(self._folder.glob("*.json"))
        except OSError as error:
            raise LocalError(f"{self._folder}: {error.strerror}") from None
        self._publics = {}
        for path in paths:
            public = self._read_own(path)
            if public is not None:
                self._publics[_unit_of(path)] = public
            elif keep_damaged:
                self.damaged.append(_unit_of(path))
            else:
                unit = _unit_of(path)
                raise LocalError(
                    f"{path}: damaged: `config unit forget {unit}`, then `config unit enroll`"
                )

    def _read_own(self, path: Path) -> bytes | None:
        """Return the key in a file of this folder, None if it is damaged or of another unit."""
        try:
            unit, public = read_public(path)
        except OpsError:
            return None
        return public if unit == _unit_of(path) else None

    def names(self) -> list[str]:
        """Return the enrolled units."""
        return sorted(self._publics)

    def public(self, unit: str) -> bytes | None:
        """Return the key of a unit, None if it is not enrolled."""
        return self._publics.get(unit)

    def add(self, path: Path) -> str:
        """Enrol the unit of a file; return its name.

        Raises `OpsError`: it has another key, or another unit has this key.
        """
        unit, public = read_public(path)
        with self._lock():
            self._load()  # another tool can have added one
            if self._publics.get(unit, public) != public:
                raise OpsError(
                    f"{unit}: is enrolled with another key; if the controller was replaced: "
                    f"`config unit forget {unit}` first"
                )
            others = [name for name in self.names() if self._publics[name] == public]
            if others and others != [unit]:
                raise OpsError(
                    f"{unit}: this is the key of {', '.join(others)}; a copied store: remove "
                    "its unit.key, then `config unit make` at the unit"
                )
            content = json.dumps({"unit": unit, "public": public.hex()}) + "\n"
            self._replace(self._path(unit, "json"), content)
            self._publics[unit] = public
        return unit

    def forget(self, unit: str) -> None:
        """Remove a unit, also one with a damaged file. Raises `OpsError`: it is not enrolled."""
        if unit not in self._publics and unit not in self.damaged:
            raise OpsError(f"{unit}: is not enrolled")
        with self._lock():
            self._publics.pop(unit, None)
            try:
                for suffix in ("seen", "json"):  # the key last: without it nothing is checked
                    self._path(unit, suffix).unlink(missing_ok=True)
            except OSError as error:
                raise LocalError(f"{self._folder}: {error.strerror}") from None

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
        with self._lock():
            seen = self._read_seen(unit)
            if number > seen:
                self._replace(self._path(unit, "seen"), json.dumps({"number": number}))
        if number < seen:
            raise OpsError(_UNTRUSTED + _FORGOTTEN)

    def _read_seen(self, unit: str) -> int:
        """Return the number of the newest report, 0 before the first one."""
        path = self._path(unit, "seen")
        try:
            number = json.loads(path.read_bytes())["number"]
            if type(number) is int:
                return number
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise LocalError(f"{path}: {error.strerror}") from None
        except (ValueError, LookupError, TypeError, RecursionError):
            pass
        raise LocalError(
            f"{path}: damaged, so a repeated report cannot be recognised: "
            f"`config unit forget {unit}`, then `config unit enroll`"
        )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep the other tools of this user out."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise LocalError(f"{self._folder}: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _replace(self, path: Path, text: str) -> None:
        try:
            replace_private(path, text)
        except OSError as error:
            raise LocalError(f"{path}: {error.strerror}") from None

    def _path(self, unit: str, suffix: str) -> Path:
        return self._folder / (unit.replace("/", ".") + "." + suffix)


def _unit_of(path: Path) -> str:
    """Return the unit of a file in the folder: a name has no dot."""
    return path.stem.replace(".", "/", 1)


def read_public(path: Path) -> tuple[str, bytes]:
    """Return unit and key of a regular file. Raises `OpsError`."""
    raw: Any = None
    try:
        raw = json.loads(_read_regular(path))
        unit, public = raw["unit"], bytes.fromhex(raw["public"])
        names = unit.split("/")
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror or error}; {_NOT_PUBLIC}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise OpsError(f"{path}: {_NOT_PUBLIC}") from None
    if len(names) != 2 or not all(map(is_valid_name, names)) or not is_valid_key(public):
        raise OpsError(f"{path}: {_NOT_PUBLIC}")
    return unit, public


def _read_regular(path: Path) -> bytes:
    """Return the start of a file. Raises OSError: a FIFO or a device, which could block."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a regular file")
        return file.read(_MAX_FILE)
