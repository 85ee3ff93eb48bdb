# SPDX-License-Identifier: Apache-2.0
"""The commands of the bench: `coldloop demo`, `coldloop bench`, `coldloop hil …`.

Does not contain their logic: the subcommands of `hil` are modules of `hil.tools` (see
`drivers.tools.lib.command_group`).
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.core.errors import AgentError
from drivers.tools.lib.command_group import CommandGroup
from drivers.tools.lib.parser import Parser
from hil.errors import BenchError
from hil.tools.arguments import path_argument

HIL: dict[str, tuple[str, str]] = {
    "list": ("hil.tools.listing", "list the shipped scenarios and suites, or the faults"),
    "run": ("hil.tools.run", "run a scenario or a suite, and judge it"),
    "new": ("hil.tools.authoring.new", "write a first scenario file, and the schema for editors"),
    "check": (
        "hil.tools.authoring.check",
        "list all problems of scenarios, with line numbers",
    ),
    "words": (
        "hil.tools.authoring.words",
        "list faults, measures, row keys, parts of a scenario",
    ),
    "replay": ("hil.tools.replay", "feed a capture to the controller and compare its operations"),
    "shrink": ("hil.tools.shrink", "find the fewest events with which a scenario still fails"),
    "campaign": ("hil.tools.campaign", "run random scenarios on all cores"),
    "hazard": ("hil.tools.hazard", "run pairs of faults, judged by the truth of the plant"),
    "year": ("hil.tools.year", "simulate a year of cooling: energy, water, shed load"),
    "hall": (
        "hil.tools.hall",
        "test that many rows apply a power cap at the same UTC time without a network",
    ),
    "group": (
        "hil.tools.several.group",
        "failures in a group of CDUs on one facility loop, in virtual time",
    ),
    "takeover": (
        "hil.tools.several.takeover",
        "run faults of two redundant controllers on one line",
    ),
    "compare": ("hil.tools.records.compare", "compare records: changes and worse results"),
    "verify": (
        "hil.tools.records.verify",
        "check that reports are those that a known bench has written",
    ),
    "report": ("hil.tools.records.report", "write HTML, PDF and JUnit from a record"),
    "key": ("hil.tools.records.key", "print the public key of this bench"),
}
"""Subcommand of `coldloop hil`: its module and its help text."""

_ERRORS = (BenchError, AgentError)
_DEMO_SECONDS_OFF_TERMINAL = 60


def _run_guarded(prog: str, call: Callable[[], int]) -> int:
    try:
        return call()
    except BenchError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2


def demo(argv: list[str]) -> int:
    """Run the demo without hardware."""
    parser = Parser(
        prog="coldloop demo",
        description="The agent controls an emulated liquid-cooled row over real ports.",
        epilog="example: coldloop demo --seconds 60 --json",
    )
    parser.add_argument("--seconds", type=int, metavar="N", help="end after N seconds (5 or more)")
    parser.add_argument(
        "--broker",
        metavar="ADDRESS",
        help="use this MQTT broker, tcp:HOST:PORT, instead of the emulated one",
    )
    parser.add_argument(
        "--trust",
        action="append",
        type=path_argument,
        default=[],
        metavar="FILE",
        help="public key of an operator whose changes the unit takes; two or more",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record at the end")
    parser.add_argument("--no-page", action="store_true", help="do not serve the live page")
    arguments = parser.parse_args(argv)
    seconds: int | None = arguments.seconds
    if seconds is not None and not 5 <= seconds <= 86_400:
        parser.error(f"--seconds: {seconds} is outside 5 to 86400")
    if seconds is None and (arguments.json or not sys.stdout.isatty()):
        seconds = _DEMO_SECONDS_OFF_TERMINAL
    broker = None
    if arguments.broker is not None:
        broker = arguments.broker.removeprefix("tcp:")
        _check_broker(parser, broker)
    keys = _read_keys(parser, arguments.trust)
    from hil.demo import Demo

    return _run_guarded(
        "coldloop demo",
        Demo(seconds, broker, arguments.json, not arguments.no_page, keys).run,
    )


def _read_keys(parser: Parser, paths: list[Path]) -> list[dict[str, Any]]:
    """Return the public keys that `coldloop config keygen` wrote."""
    keys = []
    for path in paths:
        try:
            key = json.loads(path.read_text(encoding="utf-8"))
            keys.append({name: key[name] for name in ("number", "public", "role")})
        except (OSError, ValueError, LookupError, TypeError):
            parser.error(f"--trust: {path} is not a public key of `coldloop config keygen`")
    if len(keys) == 1:
        parser.error("--trust: a unit needs two keys, one of them with the role limits")
    return keys


def _check_broker(parser: Parser, text: str) -> None:
    from drivers.errors import AddressError
    from drivers.ports.address import parse_address

    try:
        parse_address(f"tcp:{text}")
    except AddressError as error:
        parser.error(f"--broker: {error}")


def bench(argv: list[str]) -> int:
    """Run the emulated devices on real ports until interrupted."""
    from hil.devices.gnss.dialects import DIALECTS

    parser = Parser(
        prog="coldloop bench",
        description="Run emulated devices on real ports, with or without the agent.",
        epilog="example: coldloop bench --no-agent --json --real drive2=serial:/dev/ttyUSB0",
    )
    parser.add_argument(
        "scenario", nargs="*", metavar="FILE.toml", help="further scenarios for the page"
    )
    parser.add_argument("--no-agent", action="store_true", help="do not start the agent")
    parser.add_argument(
        "--fleet",
        action="store_true",
        help="also run each shipped Modbus model: eight on port bus8, four on port modbus_tcp",
    )
    parser.add_argument(
        "--real",
        action="append",
        default=[],
        metavar="NAME=PORT",
        help="replace an emulated device by a real one; can be repeated",
    )
    parser.add_argument(
        "--receiver",
        choices=tuple(DIALECTS),
        default="",
        help="a GNSS receiver with the sentences and commands of this vendor",
    )
    parser.add_argument("--dut", choices=("cpython", "micropython", "qemu"), default="cpython")
    _add_modems(parser)
    parser.add_argument("--json", action="store_true", help="print the ports as one JSON object")
    add_page_options(parser)
    parser.add_argument("--records", type=path_argument, default=Path("out/records"), metavar="DIR")
    parser.add_argument(
        "--key",
        type=path_argument,
        metavar="FILE",
        help="key file of the bench, if not the default",
    )
    arguments = parser.parse_args(argv)
    if arguments.webhook is not None and not arguments.webhook.startswith("http://"):
        parser.error(f"--webhook: {arguments.webhook!r} does not start with http://")
    if arguments.scenario and not arguments.page:
        parser.error("scenarios need --page; without it use `coldloop hil run`")
    for text in arguments.real:
        name, separator, port = text.partition("=")
        if not (name and separator and port):
            parser.error(f"--real: {text!r} is not NAME=PORT, such as drive2=serial:/dev/ttyUSB0")
    if arguments.dut == "qemu":
        from hil.run.dut_qemu import QemuDut

        code = _run_guarded("coldloop bench", QemuDut.build_image)
        if code:
            return code
    call = _run_page if arguments.page else _run_bench
    return _run_guarded("coldloop bench", lambda: call(arguments))


def _add_modems(parser: argparse.ArgumentParser) -> None:
    """Add the options of the satellite modems."""
    from hil.devices.satcom.constellation import SKIES

    parser.add_argument(
        "--sky", choices=SKIES, default="always", help="satellites that the modems receive"
    )
    parser.add_argument(
        "--webhook",
        metavar="URL",
        help="post uplink messages of the gateways to this URL, as a provider does",
    )


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the live page."""
    page = parser.add_argument_group("live page")
    page.add_argument("--page", action="store_true", help="serve the page and print its address")
    page.add_argument(
        "--page-host", default="127.0.0.1", metavar="HOST", help="address to listen on (127.0.0.1)"
    )
    page.add_argument(
        "--page-port",
        type=int,
        default=8080,
        metavar="N",
        help="port to listen on (8080); 0: a free one",
    )


def _run_page(arguments: argparse.Namespace) -> int:
    from hil.page.page_command import serve_page
    from hil.page.session_manager import SessionManager

    real_devices = dict(text.split("=", 1) for text in arguments.real)
    return serve_page(
        lambda hub: SessionManager(
            hub, arguments.records, arguments.dut, real_devices, arguments.key, arguments.scenario
        ),
        arguments.records,
        (arguments.page_host, arguments.page_port),
        arguments.json,
    )


def _run_bench(arguments: argparse.Namespace) -> int:
    from contextlib import closing

    from hil.bench.testbed import SITE_E7
    from hil.bench.testbed_settings import TestbedSettings
    from hil.run.dut_qemu import QemuDut
    from hil.run.real import stop_on_signals
    from hil.run.real_bench import RealBench
    from hil.run.real_modems import RealModems

    settings = TestbedSettings(receiver_dialect=arguments.receiver, sky=arguments.sky)
    with RealBench(settings, seed=1, fleet=arguments.fleet, make_board_agent=QemuDut) as real_bench:
        stop_on_signals(real_bench)
        for text in arguments.real:
            name, _, port = text.partition("=")
            real_bench.device_swap.attach_real(name, port)
        broker = None if real_bench.broker is None else real_bench.broker.address
        modems = RealModems(real_bench.shell, settings, SITE_E7, broker, arguments.webhook)
        with closing(modems):
            real_bench.ports.update(modems.ports)
            _print_ports(real_bench.ports, arguments.json)
            if not arguments.no_agent:
                real_bench.start_agent(arguments.dut)
                if not arguments.json:
                    print(f"agent      coldloop status --state {real_bench.folder}", flush=True)
            real_bench.shell.run()
    return 0


def _print_ports(ports: dict[str, str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ports": ports}), flush=True)
        return
    for name, port in ports.items():
        print(f"{name:10} {port}", flush=True)


def hil(argv: list[str]) -> int:
    """Run a subcommand of `coldloop hil`."""
    return CommandGroup("hil", HIL, "run load-step --dut micropython --json", _ERRORS).run(argv)
