# SPDX-License-Identifier: Apache-2.0
"""Settings of the servers: the section `northbound` of a configuration file, checked.

Does not check the rest of the file; the agent does. So a server needs little memory. The servers
use the file as it is on the disk, also while the agent runs a change of it on trial.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config.text_file import read_file
from agent.config.validate import validate
from agent.core.errors import ConfigError
from agent.northbound.schema import NORTHBOUND
from deploy.errors import OpsError
from drivers.errors import AddressError
from drivers.ports.address import parse_address

STATE = "/var/lib/coldloop-northbound"
PROCESSES = {
    "web": ("http", "modbus"),
    "bacnet": ("bacnet",),
    "snmp": ("snmp",),
}
"""The processes, and the sub-sections of `northbound` that each one serves."""


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """`section`: the section `northbound` with its defaults. `folder`: of the record of points.

    `state`: folder of accounts, audit logs, certificates. `raw`: the whole file, not checked.
    """

    path: Path
    site: str
    unit: str
    folder: Path
    state: Path
    section: dict[str, Any]
    raw: dict[str, Any]

    def processes(self) -> list[str]:
        """Return the processes that have something to serve."""
        return [
            name for name, sections in PROCESSES.items() if any(s in self.section for s in sections)
        ]

    def key_file(self) -> Path | None:
        """Return the file of the site key, relative to the configuration; None: no writes."""
        name = self.section.get("writes", {}).get("key")
        return None if name is None else self.path.parent / name


def read_settings(path: str, state: str = "") -> SiteSettings:
    """Read a configuration file. `state` replaces the state folder. Raises `OpsError`."""
    try:
        raw = read_file(path)
    except ConfigError as error:
        raise OpsError(str(error)) from None
    if not isinstance(raw, dict):
        raise OpsError(f"{path}: not an object")
    section = raw.get("northbound")
    if section is None:
        raise OpsError(f"{path}: no section northbound; the servers are off")
    errors: list[str] = []
    complete = validate(section, NORTHBOUND, "northbound", errors)
    if errors:
        raise OpsError(f"{path}: " + "; ".join(errors))
    try:
        folder = Path(parse_address(complete["port"]).path)
    except AddressError as error:
        raise OpsError(f"{path}: northbound.port: {error}") from None
    return SiteSettings(
        Path(path),
        str(raw.get("site", "")),
        str(raw.get("unit", "")),
        folder,
        Path(state or complete.get("state", STATE)),
        complete,
        raw,
    )
