# SPDX-License-Identifier: Apache-2.0
"""`coldloop relay`: options and process of a relay; `coldloop relay quarantine`."""

import argparse
import math
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from deploy.errors import DeployError
from deploy.relay.commands import quarantine_command
from deploy.relay.commands.check import find_problems
from deploy.relay.commands.option_checks import check_effects, check_files
from deploy.relay.commands.session_note import end_session
from deploy.relay.intake.http_server import HttpSettings, is_imei
from deploy.relay.intake.webhook_auth import WebhookAuth, read_public_key
from deploy.relay.limits import UnitLimits, is_unit_name
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.options import (
    MAIN_GROUP,
    RelayOptions,
    read_keys,
    sends_receipts,
)
from deploy.relay.outputs.base import is_level
from deploy.relay.outputs.http_client import check_url
from deploy.relay.outputs.registry import HTTP_OUTPUTS, OUTPUTS, default_required, has_store
from deploy.relay.outputs.tls.server_tls import OutputTlsFiles
from deploy.relay.records.name_lock import DiskError
from deploy.relay.relay import Relay
from deploy.relay.retry_delays import retry_delays
from deploy.relay.terminal_text import report
from deploy.secret_file import LoginFile, SecretFile, open_secret
from drivers.tools.lib.parser import Parser

EXAMPLE = (
    "coldloop relay --broker tcp:127.0.0.1:1883 --store relay.db --sparkplug fleet --json fleet"
)

_MOST_WAIT_S = 366 * 86400.0
_SWITCH_S = 0.001
"""How long a thread that counts can keep the others waiting, s: a flood must not slow receipts."""


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="coldloop relay",
        description="Receive telemetry of units from a broker or a message gateway, pass it on to "
        "stores and brokers, and acknowledge it after that. `coldloop relay quarantine` shows what "
        "it could not pass on.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    add("--broker", required=True, metavar="ADDRESS", help="MQTT broker, tcp:HOST:PORT")
    add("--store", required=True, metavar="FILE", help="SQLite file; relays on a machine share it")
    add(
        "--name",
        type=_parse_name,
        default="relay",
        help="name of the session and of the Sparkplug node",
    )
    add(
        "--check",
        action="store_true",
        help="check the options, and once the broker, the store and all outputs, then end; exit 2: "
        "not good",
    )
    add(
        "--end-session",
        action="store_true",
        help="end the session that the broker keeps for a relay that does not run any more, then "
        "end",
    )
    add(
        "--group",
        type=_parse_name,
        default=MAIN_GROUP,
        help="relays of one group share the load; each group has all messages",
    )
    add(
        "--receipts",
        action=argparse.BooleanOptionalAction,
        help="send receipts (default of the group `relay`), or not; one group must send them",
    )
    add(
        "--keys",
        metavar="FILE",
        help="SITE/UNIT HEX on each line: the key of the receipts and datagrams of a unit",
    )
    add("--modem", action="append", default=[], metavar="IMEI=SITE/UNIT", help="modem of a unit")
    for spec in OUTPUTS:
        if spec.metavar:
            add(f"--{spec.name}", metavar=spec.metavar, help=spec.help)
    _add_delivery_options(parser)
    _add_limit_options(parser)
    _add_gateway_options(parser)
    _add_tls_options(parser)
    return parser


def _add_delivery_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--required",
        action="append",
        metavar="OUTPUT",
        help="an output that a receipt waits for (default: all that store)",
    )
    add(
        "--undated-wait",
        type=_parse_seconds,
        default=3600.0,
        metavar="S",
        help="rows without UTC wait for a later block that dates them, s (3600)",
    )
    add(
        "--shelved",
        metavar="FILE",
        help="shelved alarms; `coldloop alarms shelve --file` writes it",
    )
    add(
        "--primary",
        default="",
        metavar="HOST",
        help="deliver to Sparkplug only while this host application is online",
    )


def _add_limit_options(parser: argparse.ArgumentParser) -> None:
    limits, add = UnitLimits(), parser.add_argument
    add(
        "--unit-bytes",
        type=_parse_rate,
        default=limits.bytes_per_s,
        metavar="N",
        help=f"limit of a unit, bytes a second ({limits.bytes_per_s:.0f})",
    )
    add(
        "--unit-messages",
        type=_parse_rate,
        default=limits.messages_per_s,
        metavar="N",
        help=f"limit of a unit, messages a second ({limits.messages_per_s:.0f})",
    )
    add(
        "--unit-cpu",
        type=_parse_share,
        default=limits.cpu_share,
        metavar="PERCENT",
        help=f"limit of a unit, CPU time of a core in percent ({100 * limits.cpu_share:.0f})",
    )
    add(
        "--unit-values",
        type=_parse_count,
        default=limits.values,
        metavar="N",
        help=f"limit of a block, rows times columns ({limits.values})",
    )
    add(
        "--unit-quarantine",
        type=_parse_count,
        default=limits.quarantine_bytes,
        metavar="N",
        help=f"limit of a unit in the quarantine, bytes ({limits.quarantine_bytes})",
    )


def _parse_share(text: str) -> float:
    return _parse_rate(text) / 100


def _parse_rate(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("not above 0")
    return number


def _parse_count(text: str) -> int:
    number = int(text)
    if not 0 < number < 1 << 62:
        raise argparse.ArgumentTypeError("not above 0, or too large")
    return number


def _parse_seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number <= _MOST_WAIT_S:
        raise argparse.ArgumentTypeError("not 0 to a year, in s")
    return number


def _parse_name(text: str) -> str:
    """Return a name that can be one level of a topic."""
    if not is_level(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: 1 to 64 characters, no / + # space")
    return text


def _add_gateway_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--http", metavar="HOST:PORT", help="serve /metrics and the webhook /sbd")
    add("--http-cert", metavar="FILE", help="certificate of the HTTP server, for TLS")
    add("--http-key", metavar="FILE", help="key of the certificate")
    add("--http-token", metavar="FILE", help="file with the bearer token of the pages")
    add(
        "--sbd-key",
        action="append",
        default=[],
        metavar="FILE",
        help="public key (PEM) of a provider: /sbd takes only requests with its signature (JWT)",
    )
    add("--sbd-token", metavar="FILE", help="file with the bearer token of a gateway at /sbd")
    add(
        "--sbd-unsigned",
        action="store_true",
        help="/sbd takes requests without a signature: only behind a proxy that authenticates",
    )
    add("--gateway", metavar="URL", help="post MT messages for modems there")
    add("--gateway-login", metavar="FILE", help="user and password of the gateway, two lines")
    add(
        "--gather",
        type=_parse_seconds,
        default=20.0,
        metavar="S",
        help="time between MT messages to a modem, s (20)",
    )


def _add_tls_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--username", metavar="NAME", help="user name at the broker")
    add("--password-file", metavar="FILE", help="file that holds the password")
    add("--ca", metavar="FILE", help="certificate of the authority of the broker, for TLS")
    add("--cert", metavar="FILE", help="certificate of this relay at the broker")
    add("--key", metavar="FILE", help="key of the certificate")
    add(
        "--output-cert",
        metavar="FILE",
        help="another certificate, for the connection of json, alarms and sparkplug: the shipped "
        "broker takes each certificate for one connection",
    )
    add("--output-key", metavar="FILE", help="key of the certificate")
    add("--output-ca", metavar="FILE", help="authority of the HTTPS servers of outputs")
    add(
        "--client-cert",
        action="append",
        default=[],
        metavar="OUTPUT=FILE",
        help="certificate of this relay at the HTTPS server of an output",
    )
    add(
        "--client-key",
        action="append",
        default=[],
        metavar="OUTPUT=FILE",
        help="key of this certificate, if it is not in the same file",
    )
    add(
        "--token",
        action="append",
        default=[],
        metavar="OUTPUT=FILE",
        help="file with the bearer token for the HTTP server of an output",
    )


def _tls_files(arguments: argparse.Namespace) -> dict[str, OutputTlsFiles]:
    """Return the files for the HTTPS servers, by output."""
    certificates = _parse_pairs(arguments.client_cert, "--client-cert", "OUTPUT=FILE")
    keys = _parse_pairs(arguments.client_key, "--client-key", "OUTPUT=FILE")
    return {
        name: OutputTlsFiles(arguments.output_ca, certificates.get(name), keys.get(name))
        for name in HTTP_OUTPUTS
    }


def _parse_endpoint(text: str, least: int = 0) -> tuple[str, int]:
    host, _, port = text.removeprefix("tcp:").rpartition(":")
    if not host or not port.isdecimal() or not least <= int(port) <= 65535:
        raise DeployError(f"{text}: not tcp:HOST:PORT")
    return host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host, int(port)


def _parse_pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise DeployError(f"{option} {text}: not {form}")
        if pairs.setdefault(name, value) != value:
            raise DeployError(f"{option} {text}: {name} has {pairs[name]} already")
    return pairs


def _http_settings(arguments: argparse.Namespace) -> HttpSettings | None:
    if not arguments.http:
        return None
    keys = [read_public_key(Path(path)) for path in arguments.sbd_key]
    token = open_secret(arguments.sbd_token)
    webhook = WebhookAuth(keys, token) if keys or token or arguments.sbd_unsigned else None
    return HttpSettings(
        *_parse_endpoint(arguments.http),
        arguments.http_cert,
        arguments.http_key,
        open_secret(arguments.http_token),
        webhook,
    )


def _required_outputs(arguments: argparse.Namespace, outputs: dict[str, str]) -> set[str]:
    if arguments.required is None:
        return default_required(set(outputs))
    for name in arguments.required:
        if name not in outputs:
            raise DeployError(f"--required {name}: there is no --{name}")
    return set(arguments.required)


def _sends_receipts(arguments: argparse.Namespace, outputs: set[str]) -> bool:
    if arguments.end_session or sends_receipts(outputs, arguments.group, arguments.receipts):
        return True
    for option in ("required", "gateway"):
        if getattr(arguments, option) is not None:
            raise DeployError(f"--{option}: this relay sends no receipts")
    if not outputs:
        raise DeployError("--no-receipts: no output")
    return False


def _broker_settings(arguments: argparse.Namespace) -> BrokerSettings:
    return BrokerSettings(
        _parse_endpoint(arguments.broker, 1),
        arguments.username,
        open_secret(arguments.password_file),
        arguments.ca,
        arguments.cert,
        arguments.key,
    )


def parse_options(argv: list[str]) -> RelayOptions:
    """Parse the command line. Raises DeployError."""
    arguments = _make_parser().parse_args(argv)
    modems = _parse_pairs(arguments.modem, "--modem", "IMEI=SITE/UNIT")
    for imei, unit in modems.items():
        if not is_imei(imei) or not is_unit_name(unit):
            raise DeployError(f"--modem {imei}={unit}: not IMEI=SITE/UNIT")
    if arguments.gateway is not None:
        check_url(arguments.gateway)
    check_effects(arguments)
    outputs = {spec.name: getattr(arguments, spec.name, None) for spec in OUTPUTS}
    selected = {name: value for name, value in outputs.items() if value is not None}
    for name, value in selected.items():
        if not value:
            raise DeployError(f"--{name}: empty")
    sends = _sends_receipts(arguments, set(selected))
    if sends and not has_store(set(selected)) and arguments.required is None:
        selected["fleet"] = arguments.store + ".fleet"
    check_files(arguments.store, selected)
    tokens = _parse_pairs(arguments.token, "--token", "OUTPUT=FILE")
    broker = _broker_settings(arguments)
    output_broker = replace(broker, certificate=arguments.output_cert, key=arguments.output_key)
    return RelayOptions(
        broker=broker,
        output_broker=output_broker if arguments.output_cert else None,
        store=Path(arguments.store),
        name=arguments.name,
        group=arguments.group,
        keys=read_keys(arguments.keys),
        modems=modems,
        outputs=selected,
        required=_required_outputs(arguments, selected) if sends else set(),
        sends_receipts=sends,
        primary=arguments.primary,
        http=_http_settings(arguments),
        gateway=arguments.gateway,
        gateway_login=LoginFile(arguments.gateway_login) if arguments.gateway_login else None,
        gather_s=arguments.gather,
        shelved=Path(arguments.shelved) if arguments.shelved else None,
        tokens={name: SecretFile(path) for name, path in tokens.items()},
        tls=_tls_files(arguments),
        limits=UnitLimits(
            values=arguments.unit_values,
            bytes_per_s=arguments.unit_bytes,
            messages_per_s=arguments.unit_messages,
            cpu_share=arguments.unit_cpu,
            quarantine_bytes=arguments.unit_quarantine,
        ),
        undated_wait_s=arguments.undated_wait,
        is_check=arguments.check,
        ends_session=arguments.end_session,
    )


def _make_relay(options: RelayOptions) -> Relay:
    """Return a relay; a full disk, for example, is tried again until the process ends."""
    failure, delays = "", retry_delays()
    while True:
        try:
            return Relay(options)
        except DiskError as error:
            if str(error) != failure:
                failure = str(error)
                report(f"relay {options.name}: {error}; tries again")
        time.sleep(next(delays))


def _check(options: RelayOptions) -> int:
    """Report all that a relay with these options could not use; exit 2 if there is something."""
    problems = find_problems(options)
    for problem in problems:
        report(f"coldloop relay: {problem}")
    if problems:
        return 2
    names = ", ".join(options.outputs)
    print(f"relay {options.name}: the options, the broker and the outputs ({names}) are good")
    return 0


def _end_session(options: RelayOptions) -> int:
    """End the session of a name; say what its file still has."""
    count = end_session(options)
    print(f"relay {options.name}: its session at {options.broker.name()} has ended")
    if count:
        print(f"{options.store}: {count} records wait for a relay with --name {options.name}")
    return 0


def run(argv: list[str]) -> int:
    """Run a relay until SIGTERM or SIGINT; or a command of the quarantine."""
    if argv[:1] == ["quarantine"]:
        return quarantine_command.run(argv[1:])
    try:
        options = parse_options(argv)
        if options.is_check:
            return _check(options)
        if options.ends_session:
            return _end_session(options)
        relay = _make_relay(options)
    except (DeployError, OSError) as error:
        sys.stderr.write(f"coldloop relay: {error}\n")
        return 2
    sys.setswitchinterval(_SWITCH_S)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    try:
        relay.start()
        relay.run(lambda: print(f"relay {relay.options.name}: ready", flush=True))
    except DeployError as error:
        sys.stderr.write(f"coldloop relay: {error}\n")
        return 2
    finally:
        relay.close()
    return 0
