# SPDX-License-Identifier: Apache-2.0
"""Tree of the Debian package: all files in the places from which `dpkg-deb` packs them.

Does not use `venv`: its scripts contain absolute paths. The tree has the same three parts
(bin/python, pyvenv.cfg, site-packages) and a launcher that finds its own folder, so it also runs in
another place. It has no bytecode: the installation writes it, and the removal deletes it.
"""

import email.utils
import gzip
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from agent.runtime.cpython_checksums import SUMS
from deploy.debian import manual_page

ROOT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).resolve().parent / "files"
HOME = "usr/lib/coldloop"
MAINTAINER = os.environ.get("COLDLOOP_MAINTAINER", "The coldloop project <coldloop@example.org>")
"""Name and address of those who build the package; a site names its own."""
_LAUNCHER = """#!/bin/sh
exec "$(dirname -- "$(realpath -- "$0")")/python" -P -m coldloop "$@"
"""
EXAMPLES = "usr/share/doc/coldloop/examples"
# file here -> path in the package; files below etc/ belong to the site after the installation
INSTALL_PATHS = {
    "coldloop.service": "usr/lib/systemd/system/coldloop.service",
    "60-coldloop.rules": "usr/lib/udev/rules.d/60-coldloop.rules",
    "copyright": "usr/share/doc/coldloop/copyright",
    "lintian-overrides": "usr/share/lintian/overrides/coldloop",
    "site.conf": "etc/systemd/system/coldloop.service.d/site.conf",
    "61-coldloop-ports.rules": "etc/udev/rules.d/61-coldloop-ports.rules",
    "computers/raspberry-pi-cm4.dts": f"{EXAMPLES}/computers/raspberry-pi-cm4.dts",
    "computers/beaglebone-black.dts": f"{EXAMPLES}/computers/beaglebone-black.dts",
    "northbound/site.conf": "etc/systemd/system/coldloop-northbound@.service.d/site.conf",
    "northbound/agent.conf": f"{EXAMPLES}/northbound-agent.conf",
    "northbound/sysusers.conf": "usr/lib/sysusers.d/coldloop.conf",
    "northbound/tmpfiles.conf": "usr/lib/tmpfiles.d/coldloop.conf",
    **{
        f"northbound/{name}": f"usr/lib/systemd/system/{name}"
        for name in (
            "coldloop-northbound@.service",
            "coldloop-northbound-https.socket",
            "coldloop-northbound-modbus.socket",
            "coldloop-northbound-modbus-tls.socket",
        )
    },
}
SCRIPTS = ("postinst", "prerm", "postrm")
FROM_DEBIAN = {"armhf": {"cffi": "_cffi_backend.cpython-{tag}-arm-linux-gnueabihf.so"}}
"""Locked packages without a wheel for an architecture, and the module of Debian that stands for
each: a link to it, and a dependency on its package (python3-cffi-backend)."""
PRIVATE = ("etc/coldloop/tls", "etc/coldloop/northbound")  # folders that only root can read
SITE_FOLDERS = ("etc/coldloop/profiles",)  # empty in the package: upgrades keep their files


class PackageFacts(NamedTuple):
    """Facts of a package.

    `architecture`: as in dpkg; `python`: version of Debian's interpreter, such as 3.13; `epoch`:
    date of all files, seconds since 1970.
    """

    version: str
    architecture: str
    python: str
    epoch: int


def lay_out(top: Path, site: Path, facts: PackageFacts) -> None:
    """Make the tree of the package below `top`; `site` is the folder with the Python packages."""
    _make_environment(top / HOME, site, facts)
    for name, target in INSTALL_PATHS.items():
        _write(top / target, (FILES / name).read_bytes())
    day = time.strftime("%Y-%m-%d", time.gmtime(facts.epoch))
    doc = top / "usr/share/doc/coldloop"
    _write(doc / "examples/unit.json", (FILES / "unit.json").read_bytes())
    _write(doc / "changelog.gz", _gzip(_changelog(facts).encode()))
    _write(doc / "NEWS.md.gz", _gzip((ROOT / "CHANGELOG.md").read_bytes()))
    page = manual_page.page(facts.version, day).encode()
    _write(top / "usr/share/man/man1/coldloop.1.gz", _gzip(page))
    (top / "usr/bin").mkdir(parents=True)
    (top / "usr/bin/coldloop").symlink_to(f"../{HOME.removeprefix('usr/')}/bin/coldloop")
    for folder in PRIVATE + SITE_FOLDERS:
        (top / folder).mkdir(parents=True)
    _write_checksums(top / HOME / f"lib/python{facts.python}/site-packages")
    _set_modes_and_dates(top, facts.epoch)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _make_environment(home: Path, site: Path, facts: PackageFacts) -> None:
    """Make the environment around the Python packages."""
    python = facts.python
    packages = home / f"lib/python{python}/site-packages"
    packages.parent.mkdir(parents=True)
    shutil.copytree(site, packages, ignore=shutil.ignore_patterns("__pycache__", "bin"))
    for record in packages.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        selected = sorted(line for line in lines if not line.startswith(("bin/", "../")))
        record.write_text("".join(selected), encoding="utf-8")
    for module in FROM_DEBIAN.get(facts.architecture, {}).values():
        name = module.format(tag=python.replace(".", ""))
        (packages / name).symlink_to(f"/usr/lib/python3/dist-packages/{name}")
    (home / "bin").mkdir()
    (home / "bin/python").symlink_to(f"/usr/bin/python{python}")
    _write(home / "bin/coldloop", _LAUNCHER.encode())
    settings = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n"
    _write(home / "pyvenv.cfg", settings.encode())


def _changelog(facts: PackageFacts) -> str:
    """Return the changelog in the format of Debian (deb-changelog(5)): one entry."""
    date = email.utils.formatdate(facts.epoch, usegmt=False).replace("-0000", "+0000")
    return (
        f"coldloop ({facts.version}) stable; urgency=medium\n\n"
        "  * New version; /usr/share/doc/coldloop/NEWS.md.gz has the changes.\n\n"
        f" -- {MAINTAINER}  {date}\n"
    )


def _write_checksums(packages: Path) -> None:
    """Write the checksums that a start compares; see `agent.runtime.cpython_checksums`."""
    files = sorted(path for path in packages.rglob("*") if path.is_file())
    checksums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(packages)}\n"
        for path in files
    ]
    _write(packages / SUMS, "".join(checksums).encode())


def _set_modes_and_dates(top: Path, epoch: int) -> None:
    """Set mode and date of each file, independent of umask and clock."""
    for folder, names, files in os.walk(top, topdown=False):
        for name in (*files, *names):
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(_mode(path, path.relative_to(top).as_posix()))
            os.utime(path, (epoch, epoch), follow_symlinks=False)
    top.chmod(0o755)
    os.utime(top, (epoch, epoch))


def _mode(path: Path, package_path: str) -> int:
    if path.is_dir():
        return 0o700 if package_path in PRIVATE else 0o755
    return 0o755 if package_path == f"{HOME}/bin/coldloop" else 0o644


def write_control(top: Path, facts: PackageFacts) -> None:
    """Write the control files, DEBIAN/*, of the tree below `top`."""
    files = sorted(p for p in top.rglob("*") if p.is_file() and not p.is_symlink())
    checksums = [f"{_md5(file)}  {file.relative_to(top)}\n" for file in files]
    conffiles = [f"/{target}\n" for target in INSTALL_PATHS.values() if target.startswith("etc/")]
    kib = sum(-(-path.stat().st_size // 1024) for path in files)
    debian = top / "DEBIAN"
    _write(debian / "control", _control_text(facts, kib).encode())
    _write(debian / "md5sums", "".join(checksums).encode())
    _write(debian / "conffiles", "".join(conffiles).encode())
    for name in SCRIPTS:
        shutil.copyfile(FILES / name, debian / name)
    for path in (debian, *debian.iterdir()):
        path.chmod(0o755 if path.is_dir() or path.name in SCRIPTS else 0o644)
        os.utime(path, (facts.epoch, facts.epoch))


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def _control_text(facts: PackageFacts, kib: int) -> str:
    """Return the control file. The environment ties the package to one version of Python."""
    text = (FILES / "control").read_text(encoding="utf-8")
    major, minor = facts.python.split(".")
    return text.format(
        version=facts.version,
        architecture=facts.architecture,
        python=facts.python,
        next_python=f"{major}.{int(minor) + 1}",
        kib=kib,
        others="".join(
            f", python3-{name}-backend" for name in FROM_DEBIAN.get(facts.architecture, {})
        ),
        maintainer=MAINTAINER,
    )
