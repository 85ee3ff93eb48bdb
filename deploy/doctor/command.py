# SPDX-License-Identifier: Apache-2.0
"""`coldloop doctor`: options, order of the checks, exit code."""

import json
import os
import time
from collections.abc import Iterator

from agent.commands import check_devices, profiles
from agent.config.text_file import read_file
from agent.core.config_records import Config
from agent.core.errors import ConfigError
from agent.runtime.cpython_start import compile_config
from deploy.doctor import machine
from deploy.doctor.finding import BAD, WARNING, CheckResult, bad, good, render, warning
from deploy.doctor.network import check_broker
from deploy.doctor.northbound import check_northbound
from deploy.doctor.ports import check_ports
from drivers.ports.address import Address, parse_address
from drivers.tools.lib.parser import Parser

CONFIG = "/etc/coldloop/unit.json"
# The unit file gives the agent credentials under the first prefix; root stores them in the second.
_CREDENTIAL_PREFIX = "/run/credentials/coldloop.service/tls_"
_ROOT_TLS_PREFIX = "/etc/coldloop/tls/"


def run(argv: list[str]) -> int:
    """Run all checks and print the results: 0 can run, 1 cannot run, 2 wrong use."""
    parser = Parser(
        prog="coldloop doctor",
        description="Check ports, rights, clock, broker, disk, configuration and service of this "
        "controller, and name the next step. Changes nothing and sends no request to a device.",
        epilog="example: coldloop doctor --config /etc/coldloop/unit.json",
    )
    add = parser.add_argument
    add("--config", metavar="FILE", default=CONFIG, help=f"configuration of the agent ({CONFIG})")
    add("--no-broker", action="store_true", help="do not connect to the broker")
    add("--json", action="store_true", help="print the results as one JSON object")
    arguments = parser.parse_args(argv)
    results = list(run_checks(arguments.config, not arguments.no_broker))
    verdicts = [result.verdict for result in results]
    if arguments.json:
        records = [result._asdict() for result in results]
        print(json.dumps({"fit": BAD not in verdicts, "findings": records}))
    else:
        print(render(results))
        print(f"{verdicts.count(BAD)} bad, {verdicts.count(WARNING)} warnings")
    return 1 if BAD in verdicts else 0


def run_checks(path: str, with_broker: bool) -> Iterator[CheckResult]:
    """Check the configuration, then its ports and broker, then the machine."""
    unit = machine.unit_properties()
    config, results = _check_configuration(path)
    yield from results
    if config is not None:
        yield from check_ports(_configured_ports(config), unit.get("ActiveState") == "active")
        if with_broker and config.broker is not None:
            yield from check_broker(_with_root_paths(config.broker), machine.allowed_networks(unit))
        yield from check_northbound(path)
    yield machine.check_clock(time.time())
    yield from machine.check_service(unit)
    if config is not None:
        yield from (
            result
            for result in (
                machine.check_watchdog_time(config),
                machine.check_status(config.status_store),
            )
            if result
        )


def _check_configuration(path: str) -> tuple[Config | None, list[CheckResult]]:
    """Read and check the file; return a result for each error."""
    where = "configuration"
    if not os.path.exists(path):
        todo = "copy /usr/share/doc/coldloop/examples/unit.json there and edit it"
        return None, [bad(where, f"{path}: no such file", todo)]
    try:
        config = compile_config(read_file(path), path, profiles(path))
    except ConfigError as error:
        todo = "correct it; coldloop agent --schema prints the valid keys and values"
        return None, [bad(where, line, todo) for line in str(error).splitlines()]
    return config, [
        good(where, f"{path}: good, {len(config.devices)} devices"),
        *_check_tested(path),
        *_check_load_store(config),
    ]


def _check_load_store(config: Config) -> list[CheckResult]:
    """Warn if a restart forgets which loads are off: they stay off."""
    ports = [
        address
        for section, settings, address in config.components
        if section == "throttle"
        and any("system" in load or load["outlets"] for load in settings["loads"])
    ]
    if None not in ports:
        return []
    text = "throttle.port: no store, so after a restart loads that were off stay off"
    return [warning("throttle", text, "name a folder of its own: store:/var/lib/coldloop/throttle")]


def _check_tested(path: str) -> list[CheckResult]:
    """Compare the devices with those of the commissioning beside the file."""
    where, todo = "commissioning", "coldloop commission tests the devices, and continues its steps"
    try:
        note = check_devices(path)
    except ConfigError as error:
        return [bad(where, str(error), todo)]
    return [warning(where, note, todo)] if note else []


def _configured_ports(config: Config) -> list[tuple[str, Address]]:
    """List each port of a configuration with its name."""
    addresses: list[tuple[str, Address | None]] = [("receiver", config.receiver)]
    addresses += list(config.buses)
    addresses += [("state", config.status_store)]
    addresses += [(section, address) for section, _, address in config.components]
    addresses += [
        (f"{section}.{name}", address) for section, name, address in config.component_ports
    ]
    return [(name, address) for name, address in addresses if address is not None]


def _with_root_paths(address: Address) -> Address:
    """Replace the path of each credential by the file of root."""
    return parse_address(str(address).replace(_CREDENTIAL_PREFIX, _ROOT_TLS_PREFIX))
