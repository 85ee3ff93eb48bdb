# SPDX-License-Identifier: Apache-2.0
"""`coldloop northbound serve`: run the servers that the configuration names.

With one process (`web`, `bacnet`, `snmp`) this process serves. With several, or without one or with
`all` (each that is configured), each is a fork of its own; see `process.launcher`.
"""

import argparse

from deploy.errors import OpsError
from deploy.northbound.process.launcher import run_processes
from deploy.northbound.process.run import run_process
from deploy.northbound.process.settings import PROCESSES, STATE, SiteSettings, read_settings

CONFIG = "/etc/coldloop/unit.json"
_ALL_PROCESSES = "all"
EXAMPLE = f"coldloop northbound serve web --config {CONFIG}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "processes",
        metavar="PROCESS",
        nargs="*",
        type=_parse_process,
        default=[],
        help="web (Redfish, metrics, panel, Modbus), bacnet or snmp; all, or without PROCESS: "
        "each one that the configuration names",
    )
    parser.add_argument(
        "--config", metavar="FILE", default=CONFIG, help=f"configuration of the agent ({CONFIG})"
    )
    parser.add_argument(
        "--state", metavar="FOLDER", default="", help=f"instead of northbound.state ({STATE})"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = read_settings(arguments.config, arguments.state)
    names = list(dict.fromkeys(arguments.processes))
    if _ALL_PROCESSES in names:
        return _run_forked(settings, [])
    if len(names) == 1:
        return run_process(names[0], settings)
    return _run_forked(settings, names)


def _parse_process(text: str) -> str:
    """Return the name of a process. Raises `ArgumentTypeError`."""
    choices = (*PROCESSES, _ALL_PROCESSES)
    if text not in choices:
        raise argparse.ArgumentTypeError(f"no process {text}; there are {', '.join(choices)}")
    return text


def _run_forked(settings: SiteSettings, names: list[str]) -> int:
    """Run each process as a fork of this one."""
    configured = settings.processes()
    processes = names or configured
    for name in names:
        if name not in configured:
            raise OpsError(f"{settings.path}: northbound has no section for {name}")
    if not processes:
        raise OpsError(f"{settings.path}: northbound has no http, modbus, bacnet or snmp")
    for address in list_addresses(settings):
        print(address, flush=True)
    return run_processes(processes, settings)


def list_addresses(settings: SiteSettings) -> list[str]:
    """Return the addresses of the servers, one a line: `https://10.0.0.5:8443/redfish/v1`."""
    section, lines = settings.section, []
    if "http" in section:
        http = section["http"]
        host = f"[{http['address']}]" if ":" in http["address"] else http["address"]
        url = f"https://{host}:{http['port']}"
        pages = {"panel": "/panel", "redfish": "/redfish/v1", "metrics": "/metrics"}
        lines += [f"{name:<9} {url}{pages[name]}" for name in http["serves"] or pages]
    for name, scheme in (("modbus", "tcp"), ("bacnet", "udp"), ("snmp", "udp")):
        if name in section:
            lines.append(f"{name:<9} {scheme}:{section[name]['address']}:{section[name]['port']}")
    return lines
