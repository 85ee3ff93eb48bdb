# SPDX-License-Identifier: Apache-2.0
"""`coldloop relay`: options and process of a relay."""

import argparse
import signal
import sys
from pathlib import Path

from deploy.errors import DeployError
from deploy.relay.broker_client import BrokerSettings
from deploy.relay.outputs import OUTPUTS
from deploy.relay.relay import Relay, RelayOptions
from drivers.tools.lib.parser import Parser

_READY_TIMEOUT_S = 10.0
EXAMPLE = "coldloop relay --broker 127.0.0.1:1883 --store relay.db --sparkplug fleet --json fleet"


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="coldloop relay",
        description="Receive telemetry of units from a broker or a message gateway, acknowledge "
        "it, and publish it as Sparkplug B, JSON, InfluxDB lines or OpenMetrics.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    add("--broker", required=True, metavar="HOST:PORT")
    add("--store", required=True, metavar="FILE", help="SQLite file; relays on a machine share it")
    add("--name", default="relay", help="name of the session and of the Sparkplug node")
    add("--group", default="relay", help="relays of one group share the load")
    add(
        "--keys",
        metavar="FILE",
        help="SITE/UNIT HEX on each line: the key of the receipts and datagrams of a unit",
    )
    add("--modem", action="append", default=[], metavar="IMEI=SITE/UNIT", help="modem of a unit")
    for spec in OUTPUTS:
        if spec.metavar:
            add(f"--{spec.name}", metavar=spec.metavar, help=spec.help)
    add(
        "--shelved",
        metavar="FILE",
        help="shelved alarms; `coldloop alarms shelve --file` writes it",
    )
    add(
        "--primary",
        default="",
        metavar="HOST",
        help="deliver only while this Sparkplug host is online",
    )
    add("--http", metavar="HOST:PORT", help="serve /metrics and the webhook /sbd")
    add("--gateway", metavar="URL", help="post MT messages for modems there")
    add("--gateway-login", metavar="FILE", help="user and password of the gateway, two lines")
    add(
        "--gather",
        type=float,
        default=20.0,
        metavar="S",
        help="time between MT messages to a modem, s (20)",
    )
    add("--username", metavar="NAME", help="user name at the broker")
    add("--password-file", metavar="FILE", help="file that holds the password")
    add("--ca", metavar="FILE", help="certificate of the authority of the broker, for TLS")
    return parser


def _parse_endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise DeployError(f"{text}: not HOST:PORT")
    return host, int(port)


def _read_keys(path: str | None) -> dict[str, bytes]:
    keys = {}
    for number, line in enumerate(Path(path).read_text().splitlines() if path else [], 1):
        fields = line.split()
        try:
            if fields:
                unit, key = fields
                keys[unit] = bytes.fromhex(key)
        except ValueError:
            raise DeployError(f"{path}:{number}: not SITE/UNIT and a hexadecimal key") from None
    return keys


def _read_login(path: str | None) -> tuple[str, str]:
    """Read user and password of the gateway."""
    if path is None:
        return "", ""
    fields = Path(path).read_text().split()
    if len(fields) != 2:
        raise DeployError(f"{path}: not two lines, user and password")
    return fields[0], fields[1]


def parse_options(argv: list[str]) -> RelayOptions:
    """Parse the command line. Raises DeployError."""
    arguments = _make_parser().parse_args(argv)
    modems = {}
    for text in arguments.modem:
        imei, equals, unit = text.partition("=")
        if not equals or unit.count("/") != 1:
            raise DeployError(f"--modem {text}: not IMEI=SITE/UNIT")
        modems[imei] = unit
    if arguments.gateway is not None and not arguments.gateway.startswith(("http://", "https://")):
        raise DeployError(f"--gateway {arguments.gateway}: not a URL")
    password = arguments.password_file
    outputs = {spec.name: getattr(arguments, spec.name, None) for spec in OUTPUTS}
    return RelayOptions(
        broker=BrokerSettings(
            _parse_endpoint(arguments.broker),
            arguments.username,
            Path(password).read_text().strip() if password else None,
            arguments.ca,
        ),
        store=Path(arguments.store),
        name=arguments.name,
        group=arguments.group,
        keys=_read_keys(arguments.keys),
        modems=modems,
        outputs={name: value for name, value in outputs.items() if value},
        primary=arguments.primary,
        http=_parse_endpoint(arguments.http) if arguments.http else None,
        gateway=arguments.gateway,
        gateway_login=_read_login(arguments.gateway_login),
        gather_s=arguments.gather,
        shelved=Path(arguments.shelved) if arguments.shelved else None,
    )


def run(argv: list[str]) -> int:
    """Run a relay until SIGTERM or SIGINT."""
    try:
        relay = Relay(parse_options(argv))
    except (DeployError, OSError) as error:
        sys.stderr.write(f"coldloop relay: {error}\n")
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    try:
        relay.start()
        if relay.ready.wait(_READY_TIMEOUT_S):
            print(f"relay {relay.options.name}: ready", flush=True)
        relay.run()
    except DeployError as error:
        sys.stderr.write(f"coldloop relay: {error}\n")
        return 2
    finally:
        relay.close()
    return 0
