# SPDX-License-Identifier: Apache-2.0
"""Checks of the northbound servers: what is open to which clients, and what the site can write.

Does not connect to a server. It reads the section `northbound` of the configuration, the folder of
the record and the state folder of the servers. Without the section there is one line: all is off.
"""

import datetime as dt
import grp
import ipaddress
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.doctor.certificates import check_certificates
from deploy.doctor.finding import CheckResult, bad, good, warning
from deploy.errors import DeployError
from deploy.northbound.process.notifications import read_counts
from deploy.northbound.process.settings import SiteSettings, read_settings
from drivers.ports.address import Address

_WHERE = "northbound"
_SERVERS = (
    ("http", "https", "networks"),
    ("modbus", "tcp", "networks"),
    ("bacnet", "udp", ""),
    ("snmp", "udp", ""),
)
"""Sub-section, scheme, key with the networks that can connect."""
_TMPFS = ("tmpfs", "ramfs")
_NOTES = {"bacnet": "no login: its network must be separate", "snmp": "SNMPv3 users only"}


def check_northbound(path: str) -> Iterator[CheckResult]:
    """Check the servers that the configuration file names. A wrong file has its own results."""
    try:
        settings = read_settings(path)
    except DeployError as error:
        if "no section northbound" in str(error):
            yield good(_WHERE, "off: the configuration has no section northbound")
        return
    names = [name for name, _, _ in _SERVERS if name in settings.section]
    if not names:
        yield good(_WHERE, "no server: northbound has no http, modbus, bacnet or snmp")
    for name, scheme, key in _SERVERS:
        if name in settings.section:
            yield _check_server(name, scheme, settings.section[name], key)
    yield from _check_writes(settings)
    yield from _check_receivers(settings)
    yield from check_certificates(settings, dt.datetime.now(dt.UTC))
    yield from _check_state(settings)


def _check_receivers(settings: SiteSettings) -> Iterator[CheckResult]:
    """Report the receivers of alarms, and those that do not confirm."""
    for entry in read_counts(settings.state):
        where = f"{_WHERE} {entry.protocol}"
        lost = f"; {entry.dropped} lost" if entry.dropped else ""
        text = f"receiver {entry.receiver}: {entry.confirmed} alarms confirmed{lost}"
        if not entry.waiting:
            yield good(where, text)
            continue
        text += f", {entry.waiting} wait, {entry.failed} attempts failed"
        yield warning(where, text, "check the receiver, its users or networks, and the way to it")


def _check_server(name: str, scheme: str, section: dict[str, Any], key: str) -> CheckResult:
    """Report where a server listens and for which networks."""
    where, host = f"{_WHERE} {name}", str(section["address"])
    networks = section.get(key, []) if key else []
    readers = ", ".join(networks) if networks else _NOTES.get(name, "all that can reach it")
    text = f"{scheme}:{host}:{section['port']}: open to {readers}{_writers(name, section)}"
    try:
        address = ipaddress.ip_interface(host).ip
    except ValueError:
        return bad(where, f"{host}: not an address", "write the address of one interface")
    if address.is_unspecified:
        return warning(
            where, f"{text}; on all interfaces", f"set northbound.{name}.address to one interface"
        )
    if not networks and not address.is_loopback and key:
        todo = f"name the networks in northbound.{name}.{key}, or use a firewall"
        return warning(where, text, todo)
    if section.get("discovery") == "ssdp":
        text += "; answers discovery (SSDP, udp:1900)"
    return good(where, text)


def _writers(name: str, section: dict[str, Any]) -> str:
    writers = {"modbus": "writers", "bacnet": "networks"}.get(name)
    if writers is None:
        return ""
    found = ", ".join(section.get(writers, [])) or "none"
    return f"; writers: {found}"


def _check_writes(settings: SiteSettings) -> Iterator[CheckResult]:
    """Report what the site can write, and check the file of its key."""
    where, writes = f"{_WHERE} writes", settings.section.get("writes")
    if writes is None:
        yield good(where, "read-only: northbound.writes is not configured")
        return
    ranges = [f"{n} {writes[n]['low']} to {writes[n]['high']}" for n in ("supply_c", "dp_kpa")
              if n in writes]  # fmt: skip
    text = "; ".join([*ranges, *writes["commands"]]) or "nothing"
    yield good(where, f"the site can write: {text}")
    key = settings.key_file()
    if key is None:
        yield warning(where, "no key: nothing can be written", "set northbound.writes.key")
        return
    place = _root_place(key)
    try:
        mode = stat.S_IMODE(place.stat().st_mode)
    except OSError as error:
        todo = "coldloop config keygen NAME --role site --no-passphrase --number N"
        yield bad(where, f"{place}: {error.strerror}", todo)
        return
    if mode & 0o077:
        yield bad(where, f"{place}: mode {mode:o}, others can read it", f"chmod 600 {place}")


def _root_place(key: Path) -> Path:
    """Return the file of root for a credential of the service: northbound_site.key."""
    name = key.name.removeprefix("northbound_")
    return key if name == key.name else Path("/etc/coldloop/northbound") / name


def _check_state(settings: SiteSettings) -> Iterator[CheckResult]:
    """Check the state folder: rights, and whether the initial password is still valid."""
    where = f"{_WHERE} state"
    try:
        mode = stat.S_IMODE(settings.state.stat().st_mode)
    except OSError:
        return  # the servers did not start yet
    if mode & 0o077:
        text = f"{settings.state}: mode {mode:o}, others can read it"
        yield bad(where, text, f"chmod 700 {settings.state}")
    if (settings.state / "initial_password").exists():
        yield warning(
            where, "the account admin has its initial password", "log in and set a new one"
        )


def check_local(name: str, address: Address, _running: bool) -> CheckResult:
    """Check the folder of the record of points: it exists, on a tmpfs, for the group."""
    where, path = f"port {name}", address.path
    if not os.path.isdir(path):
        todo = "systemd-tmpfiles --create coldloop.conf, or create the folder"
        return bad(where, f"{path}: no such folder", todo)
    group = address.options.get("group")
    if group is not None:
        try:
            grp.getgrnam(group)
        except KeyError:
            return bad(where, f"{path}: no group {group}", "systemd-sysusers coldloop.conf")
    kind = file_system(path)
    if kind not in _TMPFS:
        text = f"{path}: on {kind}; the record is written each second"
        return warning(where, text, "use a folder on a tmpfs, such as /run/coldloop-site")
    readers = f"readers: group {group}" if group else "readers: the user of the agent only"
    return good(where, f"{path}: on {kind}; {readers}")


def file_system(path: str, mounts: str = "/proc/mounts") -> str:
    """Return the type of the file system of a folder; "unknown" without /proc."""
    best, kind = "", "unknown"
    real = os.path.realpath(path)
    try:
        lines = Path(mounts).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return kind
    for line in lines:
        _, point, found, *_ = line.split(" ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind
