# SPDX-License-Identifier: Apache-2.0
"""Private certificate authority of a fleet: clients of the broker, their names and their rights.

    FOLDER/ca.pem, ca.key          the authority; ca.key stays with the operators, encrypted
    FOLDER/ca.old-N.*              earlier intermediates; their certificates stay valid
    FOLDER/NAME.pem, NAME.key      a broker, a unit (SITE.UNIT), an operator, a reader
    FOLDER/acl                     rights at the broker, one block for each name
    FOLDER/crl.pem                 the revoked certificates, one list for each intermediate
    FOLDER/replaced                when a certificate that a unit has replaced is revoked
    FOLDER/pending                 changes of a process that died (`deploy.ops.pki.store`)

With a root (`create_root`, in a folder of its own on a machine without a network), the authority is
an intermediate: `create` and `renew` need the root, `issue` and `revoke` do not. `ca.pem` holds the
intermediates and the root, NAME.pem the certificate and its intermediate.

The role and the site of a name stand in its certificate (`deploy.ops.pki.certificates`), and a
rotation keeps them. The broker uses the common name as the user name and as the client
identifier. So a client cannot disconnect another one, and each running tool needs its own name. A
unit can make its key itself: `issue` signs its request (PKCS #10). Names are checked, because they
stand in file names and in the access list. The clock of a unit
can be wrong when it connects (docs/engineer/security.md). So lifetimes are long, and revocation
ends a certificate.
"""

import re
import secrets
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from agent.config.validate import is_valid_name
from deploy.errors import OpsError
from deploy.ops.pki import access_list, store
from deploy.ops.pki.certificates import (
    ROLES,
    Rights,
    SigningAuthority,
    check_root,
    check_time,
    hosts_of,
    make_crl,
    requested_key,
    rights_of,
    sign_authority,
    sign_leaf,
    to_pem,
)
from deploy.ops.pki.store import is_encrypted, load_authority

__all__ = ["ROLES", "SigningAuthority", "is_encrypted", "load_authority", "requested_key"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,252})")
_LONGEST_NAME = 40
_PRIVATE = 0o600


def create_root(folder: Path, organisation: str, passphrase: str = "") -> Path:
    """Make the root, which signs intermediates only; return its ca.pem. Raises `OpsError`."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = sign_authority(key, f"{_checked(organisation)} coldloop root", None)
    files = {"ca.key": store.key_to_pem(key, passphrase), "ca.pem": to_pem([certificate])}
    with store.locked(folder):
        _write_new(folder, files)
    return folder / "ca.pem"


def create(
    folder: Path, organisation: str, passphrase: str = "", root: SigningAuthority | None = None
) -> Path:
    """Make the authority; return ca.pem. Raises `OpsError` if the folder has or had one.

    `root`: it signs the authority, which is an intermediate then.
    """
    made = _make_authority(organisation, root)
    files = {
        "ca.key": store.key_to_pem(made.key, passphrase),
        "ca.pem": to_pem([made.certificate] + ([] if root is None else [root.certificate])),
        "acl": access_list.head().encode(),
        "crl.pem": make_crl(made, []),
    }
    with store.locked(folder):
        _write_new(folder, files)
    return folder / "ca.pem"


def _make_authority(organisation: str, root: SigningAuthority | None) -> SigningAuthority:
    if root is not None:
        check_root(root)
    number = "" if root is None else " " + secrets.token_hex(4)  # each has its own name
    name = f"{_checked(organisation)} coldloop CA{number}"
    key = ec.generate_private_key(ec.SECP256R1())
    return SigningAuthority(key, sign_authority(key, name, root, 0))


def _write_new(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files of a new authority, all or none. An earlier one stays as it is."""
    found = [folder / name for name in ("ca.key", "ca.pem", "acl", "crl.pem")]
    for path in [*found, *sorted(folder.glob("ca.old-*"))]:
        if path.exists():
            raise OpsError(f"{path}: exists; a new authority needs an empty folder")
    _write_all(folder, files)


def _mode(name: str) -> int:
    return _PRIVATE if ".key" in name or name == "crl.pem" else 0o666


def renew(folder: Path, organisation: str, passphrase: str, root: SigningAuthority) -> Path:
    """Make a new intermediate; return ca.pem. Certificates of the earlier ones stay valid.

    Revoke those, or rotate them one after another. Raises `OpsError`: nothing has changed.
    """
    made = _make_authority(organisation, root)
    with store.locked(folder):
        load_authority(folder, passphrase)  # the folder has one, and the passphrase is right
        old = {name: store.read(folder / name) for name in ("ca.key", "ca.pem", "crl.pem")}
        numbers = [int(p.stem[7:]) for p in folder.glob("ca.old-*.pem") if p.stem[7:].isdigit()]
        stem = f"ca.old-{max(numbers, default=0) + 1}"
        new = {
            f"{stem}.key": old["ca.key"],
            f"{stem}.pem": old["ca.pem"],
            "crl.pem": make_crl(made, []) + old["crl.pem"],
            "ca.key": store.key_to_pem(made.key, passphrase),
            "ca.pem": to_pem([made.certificate]) + old["ca.pem"],
        }
        _write_all(folder, new)
    return folder / "ca.pem"


def _write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Replace files together. Raises `OpsError`: the earlier files are back."""
    store.write_all(folder, {name: (data, _mode(name)) for name, data in files.items()})


def _checked(organisation: str) -> str:
    if not 1 <= len(organisation) <= _LONGEST_NAME or not organisation.isprintable():
        raise OpsError("the organisation needs 1 to 40 printable characters")
    return organisation


def issue(
    folder: Path,
    name: str,
    role: str,
    hosts: list[str],
    passphrase: str = "",
    request: bytes | None = None,
    site: str = "",
) -> Path:
    """Issue a certificate; return NAME.pem. Raises `OpsError` if the folder has one.

    `name`: SITE.UNIT for a unit; `hosts`: the host names of a broker; `passphrase`: of ca.key;
    `request`: a signing request in PEM, whose key stays where it is; `site`: the only site of an
    operator or a reader.
    """
    _check_names(name, role, hosts, site)
    with store.locked(folder):
        path = folder / f"{name}.pem"
        if path.exists():
            raise OpsError(f"{path}: exists; `config pki rotate` replaces it")
        if request is None and path.with_suffix(".key").exists():
            raise OpsError(f"{folder / name}.key: exists without a certificate; remove it")
        files = _sign(folder, name, Rights(role, site), hosts, passphrase, request)
        if role != "broker":  # rights without a certificate give nothing; the opposite is worse
            access_list.set_entry(folder, name, role, site or "+")
        _write_all(folder, files)
    return path


def _sign(
    folder: Path,
    name: str,
    rights: Rights,
    hosts: list[str],
    passphrase: str,
    request: bytes | None,
) -> dict[str, bytes]:
    """Return the new files of a name: the certificate, and the key if there is no request."""
    issuer = load_authority(folder, passphrase)
    check_time(issuer)
    if request is not None:
        public = requested_key(request, name)
        return {f"{name}.pem": sign_leaf(issuer, name, rights, hosts, public)}
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = sign_leaf(issuer, name, rights, hosts, key.public_key())
    return {f"{name}.key": store.key_to_pem(key), f"{name}.pem": certificate}


def _check_names(name: str, role: str, hosts: list[str], site: str) -> None:
    if role not in ROLES:
        raise OpsError(f"{role}: unknown role; use one of {', '.join(ROLES)}")
    _check_name(name)
    parts = name.split(".")
    if role == "unit" and (len(parts) != 2 or not all(map(is_valid_name, parts))):
        raise OpsError(f"{name}: not a name of a unit; write SITE.UNIT")
    if role == "broker" and not hosts:
        raise OpsError(f"{name}: a broker needs --host, its host name")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise OpsError(f"{host!r}: not a host name or an address")
    if site and (role not in ("operator", "reader", "relay") or not is_valid_name(site)):
        raise OpsError(f"{site!r}: a site limits an operator, a reader or a relay")


def is_name(name: str) -> bool:
    """Return whether it is no pattern of the access list, no other line of it, no other file."""
    is_own = name in ("ca", "acl", "crl", "invitations", "pending", "replaced") or name.startswith(
        "ca.old-"
    )
    return bool(_NAME.fullmatch(name)) and not is_own


def _check_name(name: str) -> None:
    if not is_name(name):
        raise OpsError(f"{name!r}: a name has letters, digits, '.', '_' and '-', 64 at most")


def revoke(folder: Path, name: str, passphrase: str = "") -> Path:
    """Revoke the certificate of `name` and remove its rights; return crl.pem.

    The broker reads both after a SIGHUP. Then an open connection has no rights any more.
    """
    _check_name(name)
    with store.locked(folder):
        revoke_replaced(folder, passphrase, name)
        path = _revoke_certificate(folder, f"{name}.pem", passphrase)
        access_list.remove_entry(folder, name)
    return path


def is_revoked(folder: Path, certificate: x509.Certificate) -> bool:
    """Return whether a certificate is in the lists of the folder now."""
    lists = store.load_crls(folder)
    number = certificate.serial_number
    return any(crl.get_revoked_certificate_by_serial_number(number) for crl in lists)


def revoke_replaced(folder: Path, passphrase: str, name: str = "") -> None:
    """Revoke the replaced certificates whose time is over, and that of `name`."""
    with store.locked(folder):
        waiting = store.read_table(folder / "replaced", 1)
        over = [key for key, (until,) in waiting.items() if key == name or until <= time.time()]
        for key in over:
            if is_name(key) and (folder / f"{key}.pem.old").exists():
                _revoke_certificate(folder, f"{key}.pem.old", passphrase)
            del waiting[key]
        if over:
            store.write_table(folder / "replaced", waiting)


def _revoke_certificate(folder: Path, file: str, passphrase: str) -> Path:
    certificate = store.load_certificate(folder / file)
    issuer = store.issuer_of(certificate, folder, passphrase)
    revoked = {certificate.serial_number}
    others = []
    for crl in store.load_crls(folder):
        if crl.issuer == issuer.certificate.subject:
            revoked.update(entry.serial_number for entry in crl)
        else:
            others.append(crl.public_bytes(Encoding.PEM))
    data = b"".join([make_crl(issuer, sorted(revoked)), *others])
    store.replace(folder / "crl.pem", data, _PRIVATE)
    return folder / "crl.pem"


def rotate(
    folder: Path,
    name: str,
    hosts: list[str],
    passphrase: str = "",
    request: bytes | None = None,
    rights: Rights | None = None,
    until: float = 0,
) -> Path:
    """Replace the certificate of `name`: revoke the old one, copy its files to `.old`.

    The role and the site stay those of the old certificate, also after a revocation. Raises
    `OpsError`: it has none, and `rights` has none; or `rights` are others; then nothing changes.
    `request`: a signing request with the new key, which stays where it is; `until`: the old
    certificate is revoked after this time (Unix time in s), not now.
    """
    _check_name(name)
    with store.locked(folder):
        old = store.load_certificate(folder / f"{name}.pem")
        kept = _kept_rights(name, rights_of(old), rights)
        if kept.role == "broker" and not hosts:
            hosts = hosts_of(old)
        _check_names(name, kept.role, hosts, kept.site)
        files = _sign(folder, name, kept, hosts, passphrase, request)
        revoke_replaced(folder, passphrase, name)
        if until:
            waiting = store.read_table(folder / "replaced", 1)
            store.write_table(folder / "replaced", waiting | {name: [int(until)]})
        else:
            _revoke_certificate(folder, f"{name}.pem", passphrase)
        if kept.role == "unit" or not (
            kept.role == "broker" or access_list.has_entry(folder, name)
        ):
            access_list.set_entry(folder, name, kept.role, kept.site or "+")
        _replace_pair(folder, name, files)
    return folder / f"{name}.pem"


def _kept_rights(name: str, recorded: Rights | None, given: Rights | None) -> Rights:
    found = recorded or given
    if found is None:
        raise OpsError(f"{name}: its certificate has no role; give --role, and --site")
    if given not in (None, found):
        raise OpsError(f"{name}: is {found.role} {found.site}".rstrip() + "; it keeps the role")
    return found


def _replace_pair(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """Write the new files of a name, and the earlier ones as `.old`."""
    new = {}
    for ending in (".key", ".pem"):
        path = folder / (name + ending)
        if path.exists():  # the key of a signing request is elsewhere
            new[path.name + ".old"] = store.read(path)
    _write_all(folder, new | files)
    if f"{name}.key" not in files:
        (folder / f"{name}.key").unlink(missing_ok=True)  # the new key is elsewhere
