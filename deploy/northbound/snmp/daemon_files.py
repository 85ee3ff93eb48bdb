# SPDX-License-Identifier: Apache-2.0
"""Files for snmpd and snmpinform: configuration, user, view. All are private (mode 0600).

Does not start programs; see `process`. There is one user, with authentication (SHA-256) and privacy
(AES), and one view: the group `system` and the subtree of the unit. SNMPv1 and v2c get no answer,
because no community exists. The engine boots of snmpd stay in its own file across restarts (replay
protection, RFC 3414); the user is set again at each start from the file of keys.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import OpsError
from deploy.northbound.snapshot import Snapshot
from deploy.northbound.snmp import liveness, relay
from deploy.northbound.snmp.tree import ROOT, Oid
from deploy.ops.private_file import replace_private

SYSTEM = ".1.3.6.1.2.1.1"
_USER = re.compile(r"[A-Za-z0-9_-]{1,32}")
_PASSPHRASE = re.compile(r"[!#-\[\]-~]{12,64}")  # printable ASCII without space, quote, backslash
_KEYS = ("authentication", "privacy")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,45}")


@dataclass(frozen=True, slots=True)
class SnmpUser:
    """User name and passphrases. Not printed: `repr` has the name only."""

    name: str
    authentication: str
    privacy: str

    def __repr__(self) -> str:
        return f"SnmpUser({self.name!r})"


def read_user(name: str, keys: Path) -> SnmpUser:
    """Read the passphrases: lines `authentication: TEXT` and `privacy: TEXT`.

    Raises OpsError: the name or a passphrase is not valid, or others can read the file.
    """
    if not _USER.fullmatch(name):
        raise OpsError("northbound.snmp.user: 1 to 32 letters, digits, - and _")
    try:
        mode, content = keys.stat().st_mode, keys.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OpsError(f"northbound.snmp.keys: {error}") from error
    if mode & _forbidden(keys):
        raise OpsError(f"{keys}: others can read it: chmod 600 {keys}")
    found = dict(line.split(":", 1) for line in content.splitlines() if ":" in line)
    values = [found.get(key, "").strip() for key in _KEYS]
    for key, value in zip(_KEYS, values, strict=True):
        if not _PASSPHRASE.fullmatch(value):
            raise OpsError(f"{keys}: {key}: 12 to 64 characters of ASCII, no space, quote or \\")
    if values[0] == values[1]:
        raise OpsError(f"{keys}: authentication and privacy need different passphrases")
    return SnmpUser(name, *values)


def _forbidden(path: Path) -> int:
    """Return the mode bits that a secret must not have.

    A credential of systemd is readable by an access list, which shows as a right of the group.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return 0o037 if folder and path.resolve().is_relative_to(Path(folder).resolve()) else 0o077


def write_daemon_files(
    folder: Path, user: SnmpUser, address: str, port: int, snapshot: Snapshot, root: Oid = ROOT
) -> Path:
    """Write the configuration of snmpd and of snmpinform; return the first.

    `snapshot`: for the name plate. `root`: of the MIB.
    """
    subtree = "." + ".".join(map(str, root))
    identity = snapshot.identity
    if not _ADDRESS.fullmatch(address):
        raise OpsError("northbound.snmp.address: an IP address")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    transport = f"udp6:[{address}]" if ":" in address else f"udp:{address}"
    command = f"{sys.executable} -I -S {relay.__file__} {folder}"
    if re.search(r"\s", f"{sys.executable}{relay.__file__}{folder}"):
        raise OpsError(f"{folder}: no spaces in the path")
    lines = [
        f"agentAddress {transport}:{port},unix:{liveness.SOCKET}",
        f"sysDescr {_line(identity.manufacturer, identity.model) or 'coldloop'}",
        f"sysName {_line(identity.site, identity.unit) or 'coldloop'}",
        f"sysLocation {_line(identity.location) or 'not set'}",
        "sysContact not set",
        f"view unit included {SYSTEM}",
        f"view unit included {subtree}",
        f"rouser {user.name} priv -V unit",
        f"pass_persist {subtree} {command}",
        "",
    ]
    path = folder / "coldloop-snmpd.conf"
    replace_private(path, "\n".join(lines))
    client = [
        "defVersion 3",
        "defSecurityLevel authPriv",
        f"defSecurityName {user.name}",
        "defAuthType SHA-256",
        f"defAuthPassphrase {user.authentication}",
        "defPrivType AES",
        f"defPrivPassphrase {user.privacy}",
        "",
    ]
    (folder / "client").mkdir(mode=0o700, exist_ok=True)
    replace_private(folder / "client" / "snmp.conf", "\n".join(client))
    _set_user(folder / "engine", user)
    return path


def _set_user(folder: Path, user: SnmpUser) -> None:
    """Set the user in the file that snmpd keeps; its engine boots stay."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "snmpd.conf"
    try:
        old = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        old = []
    kept = [line for line in old if not line.startswith(("usmUser", "createUser"))]
    create = f'createUser {user.name} SHA-256 "{user.authentication}" AES "{user.privacy}"'
    replace_private(path, "\n".join([*kept, create, ""]))


def _line(*texts: str) -> str:
    """Join texts to one line without characters that snmpd.conf interprets."""
    joined = "/".join(text for text in texts if text)
    return "".join(c for c in joined if c.isprintable() and c not in "#\"'\\")[:100]
