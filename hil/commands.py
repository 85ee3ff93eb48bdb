"""The bench's commands: `coldloop demo`, `coldloop bench`, `coldloop hil …`.

Not a place for logic: the subcommands of `hil` are modules of `hil.tools` (see
`drivers.tools.lib.command_group`).
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from agent.core.errors import AgentError
from drivers.tools.lib.command_group import CommandGroup
from drivers.tools.lib.parser import Parser
from hil.errors import BenchError

HIL: dict[str, tuple[str, str]] = {
    "list": ("hil.tools.listing", "the scenarios and suites that come with the bench"),
    "run": ("hil.tools.run", "run a scenario or a suite, and judge it"),
    "replay": ("hil.tools.replay", "feed a capture to the controller, compare what it does"),
    "shrink": ("hil.tools.shrink", "the fewest events with which a scenario still fails"),
    "campaign": ("hil.tools.campaign", "scenarios drawn by chance, over all cores"),
    "year": ("hil.tools.year", "a year of cooling: energy, water, what had to be shed"),
    "hall": ("hil.tools.hall", "many rows, a cap at a UTC instant, no link: do they act as one"),
    "compare": ("hil.tools.compare", "records side by side: what changed, what became worse"),
    "verify": ("hil.tools.verify", "was a record changed after it was written"),
    "report": ("hil.tools.report", "a page, a PDF and JUnit from a record"),
}

_ERRORS = (BenchError, AgentError)
_DEMO_SECONDS_OFF_TERMINAL = 60


def _run_guarded(prog: str, call: Callable[[], int]) -> int:
    try:
        return call()
    except BenchError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2


def demo(argv: list[str]) -> int:
    """Show the main job, live, without hardware."""
    parser = Parser(
        prog="coldloop demo",
        description="The agent controls an emulated liquid-cooled row over real ports.",
        epilog="example: coldloop demo --seconds 60 --json",
    )
    parser.add_argument("--seconds", type=int, metavar="N", help="end after N seconds (5 or more)")
    parser.add_argument(
        "--broker", metavar="HOST:PORT", help="use this MQTT broker, not the bench's"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record at the end")
    parser.add_argument("--no-page", action="store_true", help="do not serve the live page")
    arguments = parser.parse_args(argv)
    seconds: int | None = arguments.seconds
    if seconds is not None and not 5 <= seconds <= 86_400:
        parser.error(f"--seconds: {seconds} is outside 5 to 86400")
    if seconds is None and (arguments.json or not sys.stdout.isatty()):
        seconds = _DEMO_SECONDS_OFF_TERMINAL
    if arguments.broker is not None:
        _check_broker(parser, arguments.broker)
    from hil.demo import Demo

    return _run_guarded(
        "coldloop demo", Demo(seconds, arguments.broker, arguments.json, not arguments.no_page).run
    )


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
        description="Emulated devices on real ports, with the agent or alone, until interrupted.",
        epilog="example: coldloop bench --no-agent --json --real drive2=serial:/dev/ttyUSB0",
    )
    parser.add_argument(
        "scenario", nargs="*", metavar="FILE.toml", help="scenarios to offer on the page, first"
    )
    parser.add_argument("--no-agent", action="store_true", help="the devices alone")
    parser.add_argument(
        "--fleet",
        action="store_true",
        help="also every shipped Modbus model: eight on the port bus8, four behind modbus_tcp",
    )
    parser.add_argument(
        "--real",
        action="append",
        default=[],
        metavar="NAME=PORT",
        help="a real device in the place of an emulated one (again for more)",
    )
    parser.add_argument(
        "--receiver",
        choices=tuple(DIALECTS),
        default="",
        help="a satellite receiver that writes as this maker's do, and obeys its commands",
    )
    parser.add_argument("--dut", choices=("cpython", "micropython", "qemu"), default="cpython")
    _add_modems(parser)
    parser.add_argument("--json", action="store_true", help="print the ports as one JSON object")
    add_page_options(parser)
    parser.add_argument("--records", type=Path, default=Path("out/records"), metavar="DIR")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the bench's key, if another")
    arguments = parser.parse_args(argv)
    if arguments.webhook is not None and not arguments.webhook.startswith("http://"):
        parser.error(f"--webhook: {arguments.webhook!r} does not begin with http://")
    if arguments.scenario and not arguments.page:
        parser.error("a scenario is run with `coldloop hil run`, or offered with --page")
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
        "--sky", choices=SKIES, default="always", help="what the satellite modems hear"
    )
    parser.add_argument(
        "--webhook", metavar="URL", help="post what the modems' gateways get, as a provider does"
    )


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the live page."""
    page = parser.add_argument_group("the live page")
    page.add_argument("--page", action="store_true", help="serve the page and print its address")
    page.add_argument(
        "--page-host", default="127.0.0.1", metavar="HOST", help="loopback unless told"
    )
    page.add_argument(
        "--page-port", type=int, default=8080, metavar="N", help="8080; 0: a free one"
    )


def _run_page(arguments: argparse.Namespace) -> int:
    from hil.page.serve import serve
    from hil.page.session_manager import SessionManager

    real_devices = dict(text.split("=", 1) for text in arguments.real)
    return serve(
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
    """Scenarios and suites: list, run, judge, report."""
    return CommandGroup("hil", HIL, "run load-step --dut micropython --json", _ERRORS).run(argv)
