"""`coldloop doctor`: its options, the order of looking, and the verdict."""

import json
import os
import time
from collections.abc import Iterator

from agent.commands import profiles
from agent.core.config_records import Config
from agent.core.errors import ConfigError
from agent.runtime.cpython_start import compiled, read_file
from deploy.doctor import machine
from deploy.doctor.finding import BAD, WARNING, Finding, bad, good, render
from deploy.doctor.network import broker
from deploy.doctor.ports import ports
from drivers.ports.address import Address, parse
from drivers.tools.lib.parser import Parser

CONFIG = "/etc/coldloop/unit.json"
# What the unit hands to the agent as credentials, and where root keeps it.
_HANDED = "/run/credentials/coldloop.service/tls_"
_KEPT = "/etc/coldloop/tls/"


def run(argv: list[str]) -> int:
    """Look at everything and say what is to be done: 0 fit, 1 not fit, 2 wrong use."""
    parser = Parser(
        prog="coldloop doctor",
        description="Check ports, rights, clock, broker, disk, configuration and service of this "
        "controller, and say what to do. Nothing is changed, no device is spoken to.",
        epilog="example: coldloop doctor --config /etc/coldloop/unit.json",
    )
    add = parser.add_argument
    add("--config", metavar="FILE", default=CONFIG, help=f"the agent's configuration ({CONFIG})")
    add("--no-broker", action="store_true", help="do not connect to the broker")
    add("--json", action="store_true", help="print the findings as one JSON object")
    arguments = parser.parse_args(argv)
    findings = list(examine(arguments.config, not arguments.no_broker))
    verdicts = [finding.verdict for finding in findings]
    if arguments.json:
        listed = [finding._asdict() for finding in findings]
        print(json.dumps({"fit": BAD not in verdicts, "findings": listed}))
    else:
        print(render(findings))
        print(f"{verdicts.count(BAD)} bad, {verdicts.count(WARNING)} warnings")
    return 1 if BAD in verdicts else 0


def examine(path: str, ask_broker: bool) -> Iterator[Finding]:
    """Look at the configuration, then at what it names, then at the machine."""
    unit = machine.unit()
    config, findings = _configuration(path)
    yield from findings
    if config is not None:
        yield from ports(_named(config), unit.get("ActiveState") == "active")
        if ask_broker and config.broker is not None:
            yield from broker(_kept(config.broker), machine.allowed(unit))
    yield machine.clock(time.time())
    yield from machine.service(unit)
    if config is not None:
        yield from (one for one in (machine.pace(config), machine.status(config.state)) if one)


def _configuration(path: str) -> tuple[Config | None, list[Finding]]:
    """Read and check the file; a finding for each line that is wrong."""
    where = "configuration"
    if not os.path.exists(path):
        todo = "copy /usr/share/doc/coldloop/examples/unit.json there and fill it in"
        return None, [bad(where, f"{path}: no such file", todo)]
    try:
        config = compiled(read_file(path), path, profiles())
    except ConfigError as error:
        todo = "correct it; coldloop agent --schema says what is allowed"
        return None, [bad(where, line, todo) for line in str(error).splitlines()]
    return config, [good(where, f"{path}: good, {len(config.devices)} devices")]


def _named(config: Config) -> list[tuple[str, Address]]:
    """List every port of a configuration with what it is for."""
    named: list[tuple[str, Address | None]] = [("receiver", config.receiver)]
    named += list(config.buses)
    named += [("state", config.state)]
    named += [(section, address) for section, _, address in config.parts]
    named += [(f"{section}.{name}", address) for section, name, address in config.part_ports]
    return [(name, address) for name, address in named if address is not None]


def _kept(address: Address) -> Address:
    """The address with the files that root keeps in the place of those the unit hands over."""
    return parse(str(address).replace(_HANDED, _KEPT))
