"""`coldloop relay`: its options, and the life of the process."""

import argparse
import signal
import sys
from pathlib import Path

from deploy.errors import DeployError
from deploy.relay.relay import Options, Relay
from drivers.tools.lib.parser import Parser

_PATIENCE_S = 10.0
EXAMPLE = "coldloop relay --broker 127.0.0.1:1883 --store relay.db --sparkplug fleet --json fleet"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="coldloop relay",
        description="Take units' telemetry from a broker or a message gateway, acknowledge it, "
        "and publish it as Sparkplug B, JSON, InfluxDB lines or OpenMetrics.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    add("--broker", required=True, metavar="HOST:PORT")
    add("--store", required=True, metavar="FILE", help="SQLite file; relays of a machine share it")
    add("--name", default="relay", help="this relay's name: of its session and Sparkplug node")
    add("--group", default="relay", help="relays of one group share the load")
    add(
        "--keys",
        metavar="FILE",
        help="a line a unit: SITE/UNIT HEX, the key of its receipts and datagrams",
    )
    add("--modem", action="append", default=[], metavar="IMEI=SITE/UNIT", help="for the webhook")
    add("--sparkplug", metavar="GROUP", help="publish Sparkplug B 3.0 in this group")
    add("--primary", default="", metavar="HOST", help="the Sparkplug host to wait for")
    add("--json", metavar="TOPIC", help="publish JSON below this topic")
    add("--lines", metavar="FILE", help="append InfluxDB lines to a file")
    add("--http", metavar="HOST:PORT", help="serve /metrics and the gateway's webhook /sbd")
    add("--gateway", metavar="URL", help="post acknowledgements for modems there (MT messages)")
    add("--gateway-login", metavar="FILE", help="user and password of the gateway, a line each")
    add("--gather", type=float, default=20.0, metavar="S", help="one MT message in so many seconds")
    add("--username")
    add("--password-file", metavar="FILE")
    add("--ca", metavar="FILE", help="the broker's authority, for TLS")
    return parser


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise DeployError(f"{text}: HOST:PORT is needed")
    return host, int(port)


def _keys(path: str | None) -> dict[str, bytes]:
    keys = {}
    for number, line in enumerate(Path(path).read_text().splitlines() if path else [], 1):
        words = line.split()
        try:
            if words:
                unit, key = words
                keys[unit] = bytes.fromhex(key)
        except ValueError:
            raise DeployError(f"{path}:{number}: SITE/UNIT and a hexadecimal key") from None
    return keys


def _login(path: str | None) -> tuple[str, str]:
    """Read the gateway's user and password."""
    if path is None:
        return "", ""
    words = Path(path).read_text().split()
    if len(words) != 2:
        raise DeployError(f"{path}: two lines are needed, user and password")
    return words[0], words[1]


def options_of(argv: list[str]) -> Options:
    """Read the command's words; raises DeployError."""
    said = _parser().parse_args(argv)
    modems = {}
    for text in said.modem:
        imei, equals, unit = text.partition("=")
        if not equals or unit.count("/") != 1:
            raise DeployError(f"--modem {text}: IMEI=SITE/UNIT is needed")
        modems[imei] = unit
    if said.gateway is not None and not said.gateway.startswith(("http://", "https://")):
        raise DeployError(f"--gateway {said.gateway}: a URL is needed")
    password = said.password_file
    return Options(
        broker=_place(said.broker),
        store=Path(said.store),
        name=said.name,
        group=said.group,
        keys=_keys(said.keys),
        modems=modems,
        sparkplug=said.sparkplug,
        primary=said.primary,
        json_root=said.json,
        lines=Path(said.lines) if said.lines else None,
        http=_place(said.http) if said.http else None,
        gateway=said.gateway,
        gateway_login=_login(said.gateway_login),
        gather_s=said.gather,
        username=said.username,
        password=Path(password).read_text().strip() if password else None,
        ca=said.ca,
    )


def run(argv: list[str]) -> int:
    """Run a relay until SIGTERM or SIGINT."""
    try:
        relay = Relay(options_of(argv))
    except (DeployError, OSError) as error:
        sys.stderr.write(f"coldloop relay: {error}\n")
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    try:
        relay.start()
        if relay.ready.wait(_PATIENCE_S):
            print(f"relay {relay.options.name}: ready", flush=True)
        relay.run()
    except DeployError as error:
        sys.stderr.write(f"coldloop relay: {error}\n")
        return 2
    finally:
        relay.close()
    return 0
