"""The bench's commands: `coldloop demo`, `coldloop bench`, `coldloop hil list|run`."""

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from drivers.tools.parser import Parser
from hil.errors import BenchError
from hil.year import words

if TYPE_CHECKING:
    from hil.scenario import Scenario
    from hil.virtualrun import Outcome

_DEMO_SECONDS_OFF_TERMINAL = 60


def _guarded(prog: str, call: Callable[[], int]) -> int:
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
    arguments = parser.parse_args(argv)
    seconds: int | None = arguments.seconds
    if seconds is not None and not 5 <= seconds <= 86_400:
        parser.error(f"--seconds: {seconds} is outside 5 to 86400")
    if seconds is None and (arguments.json or not sys.stdout.isatty()):
        seconds = _DEMO_SECONDS_OFF_TERMINAL
    if arguments.broker is not None:
        _check_broker(parser, arguments.broker)
    from hil.demo import Demo

    return _guarded("coldloop demo", Demo(seconds, arguments.broker, arguments.json).run)


def _check_broker(parser: Parser, text: str) -> None:
    from drivers.address import parse
    from drivers.errors import AddressError

    try:
        parse(f"tcp:{text}")
    except AddressError as error:
        parser.error(f"--broker: {error}")


def bench(argv: list[str]) -> int:
    """Run the emulated devices on real ports until interrupted."""
    parser = Parser(
        prog="coldloop bench",
        description="Emulated devices on real ports, with the agent or alone, until interrupted.",
        epilog="example: coldloop bench --no-agent --json --real drive2=serial:/dev/ttyUSB0",
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
    parser.add_argument("--dut", choices=("cpython", "micropython"), default="cpython")
    parser.add_argument("--json", action="store_true", help="print the ports as one JSON object")
    arguments = parser.parse_args(argv)
    for text in arguments.real:
        name, equals, port = text.partition("=")
        if not (name and equals and port):
            parser.error(f"--real: {text!r} is not NAME=PORT, such as drive2=serial:/dev/ttyUSB0")
    return _guarded("coldloop bench", lambda: _bench(arguments))


def _bench(arguments: argparse.Namespace) -> int:
    from hil.realbench import RealBench
    from hil.realrun import stop_on_signals
    from hil.setting import Setting

    with RealBench(Setting(), seed=1, fleet=arguments.fleet) as running:
        stop_on_signals(running)
        for text in arguments.real:
            name, _, port = text.partition("=")
            running.swaps.swap(name, port)
        if arguments.json:
            print(json.dumps({"ports": running.ports}), flush=True)
        else:
            for name, port in running.ports.items():
                print(f"{name:10} {port}", flush=True)
        if not arguments.no_agent:
            running.start_agent(arguments.dut)
            if not arguments.json:
                print(f"agent      coldloop status --state {running.folder}", flush=True)
        running.shell.run()
    return 0


def hil(argv: list[str]) -> int:
    """List scenarios, or run and judge one."""
    parser = Parser(
        prog="coldloop hil",
        description="Scenarios, judged: in virtual time, or in real time over real ports.",
        epilog="example: coldloop hil run load-step --dut micropython --json",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the scenarios that come with the bench")
    listing.add_argument("--json", action="store_true", help="print one JSON list")
    run = commands.add_parser("run", help="run one scenario and judge it")
    run.add_argument("scenario", metavar="NAME|FILE.toml", help="a name from `list`, or a file")
    run.add_argument("--real-time", action="store_true", help="over real ports, in real time")
    run.add_argument("--dut", choices=("cpython", "micropython"), default="cpython")
    run.add_argument("--seed", type=int, default=1, metavar="N", help="seed of all chance (1)")
    run.add_argument("--json", action="store_true", help="print one JSON record")
    run.add_argument("--log", type=Path, metavar="FILE", help="what the agent prints (real time)")
    words.add(commands)
    arguments = parser.parse_args(argv)
    call = {"list": _list, "run": _run, "year": _year}[arguments.command]
    return _guarded("coldloop hil", lambda: call(arguments))


def _year(arguments: argparse.Namespace) -> int:
    from hil.year.command import run

    return run(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from hil.scenario import find, shipped

    scenarios = [find(name) for name in shipped()]
    if arguments.json:
        print(
            json.dumps(
                [{"name": s.name, "title": s.title, "seconds": s.seconds} for s in scenarios]
            )
        )
        return 0
    for scenario in scenarios:
        print(f"{scenario.name:15} {scenario.seconds:5.0f} s  {scenario.title}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from hil.scenario import find

    scenario = find(arguments.scenario)
    if arguments.real_time:
        from hil.realrun import RealRun

        outcome = RealRun(scenario, arguments.seed, arguments.dut).run(arguments.log)
    else:
        outcome = _run_virtual(scenario, arguments.seed, arguments.dut)
    record = outcome.record()
    if arguments.json:
        print(json.dumps(record))
    else:
        print(
            f"{record['verdict'].upper()}  {outcome.scenario}  seed {outcome.seed}  {outcome.dut}  "
            f"{outcome.virtual_s:.0f} s in {outcome.wall_s:.2f} s, {record['speed']:.0f} x real"
        )
        for failure in outcome.failures:
            print(f"  {failure}")
        if outcome.failures:
            print(f"  again: {_again(arguments)}")
    return 1 if outcome.failures else 0


def _again(arguments: argparse.Namespace) -> str:
    real = " --real-time" if arguments.real_time else ""
    name = shlex.quote(arguments.scenario)
    return f"coldloop hil run {name} --seed {arguments.seed} --dut {arguments.dut}{real}"


def _run_virtual(scenario: "Scenario", seed: int, dut: str) -> "Outcome":
    from hil.dut import InProcess
    from hil.shells.lockstep import LockStep
    from hil.virtualrun import VirtualRun

    signal.signal(signal.SIGTERM, _interrupt)
    run = VirtualRun(scenario, seed, LockStep if dut == "micropython" else InProcess)
    try:
        return run.outcome(dut, run.run())
    finally:
        run.dut.close()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise BenchError("interrupted")
