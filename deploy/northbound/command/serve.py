# SPDX-License-Identifier: Apache-2.0
"""`coldloop northbound serve`: run the servers that the configuration names.

With one process (`web`, `bacnet`, `snmp`) this process serves, as systemd starts it. With several,
or without one (all that are configured), each is a child of its own.
"""

import argparse
import os
import signal
import subprocess
import sys
import time

from deploy.errors import OpsError
from deploy.northbound.process.run import run_process
from deploy.northbound.process.settings import PROCESSES, STATE, SiteSettings, read_settings

CONFIG = "/etc/coldloop/unit.json"
EXAMPLE = f"coldloop northbound serve web --config {CONFIG}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "processes",
        metavar="PROCESS",
        nargs="*",
        type=_process,
        default=[],
        help="web (Redfish, metrics, panel, Modbus), bacnet or snmp; without PROCESS: "
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
    if len(names) == 1:
        return run_process(names[0], settings)
    return _run_all(settings, arguments, names)


def _process(text: str) -> str:
    """Return the name of a process. Raises `ArgumentTypeError`."""
    if text not in PROCESSES:
        raise argparse.ArgumentTypeError(f"no process {text}; there are {', '.join(PROCESSES)}")
    return text


def _run_all(settings: SiteSettings, arguments: argparse.Namespace, names: list[str]) -> int:
    """Start a child for each process; return 1 as soon as one ends."""
    configured = settings.processes()
    processes = names or configured
    for name in names:
        if name not in configured:
            raise OpsError(f"{settings.path}: northbound has no section for {name}")
    if not processes:
        raise OpsError(f"{settings.path}: northbound has no http, modbus, bacnet or snmp")
    options = ["--config", arguments.config, "--state", str(settings.state)]
    command = [sys.executable, "-m", "coldloop", "northbound", "serve"]
    children = [subprocess.Popen([*command, name, *options]) for name in processes]
    for address in list_addresses(settings):
        print(address, flush=True)
    try:
        while all(child.poll() is None for child in children):
            time.sleep(0.2)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for child in children:
            if child.poll() is None:
                os.kill(child.pid, signal.SIGTERM)
        for child in children:
            child.wait(timeout=10)


def list_addresses(settings: SiteSettings) -> list[str]:
    """Return the addresses of the servers, one a line: `https://10.0.0.5:8443/redfish/v1`."""
    section, lines = settings.section, []
    if "http" in section:
        http = section["http"]
        host = f"[{http['address']}]" if ":" in http["address"] else http["address"]
        base = f"https://{host}:{http['port']}"
        pages = {"panel": "/panel", "redfish": "/redfish/v1", "metrics": "/metrics"}
        lines += [f"{name:<9} {base}{pages[name]}" for name in http["serves"] or pages]
    for name, scheme in (("modbus", "tcp"), ("bacnet", "udp"), ("snmp", "udp")):
        if name in section:
            lines.append(f"{name:<9} {scheme}:{section[name]['address']}:{section[name]['port']}")
    return lines
