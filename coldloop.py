"""The front door: one table from a subcommand to the function that does it.

Not a place for logic: a command is `function(argv) -> exit code` in its package's `commands.py`,
which is imported only when it is called, so that `coldloop --help` costs no more than argparse.
Exit codes are the same everywhere: 0 good, 1 judged bad, 2 wrong use. An error is one line.

The packages have plain names (`agent`, `drivers`, ...), the same on a board's flash as here. So
that no other distribution's package of such a name is run by mistake, they must lie beside this
file (looked at for each command), and `agent` refuses to start where another distribution claims
one of them.
"""

import argparse
import difflib
import importlib
import importlib.util
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    Command = Callable[[list[str]], int]

GOOD = 0
BAD = 1
WRONG_USE = 2
INTERRUPTED = 130  # what a shell reports for a program that SIGINT ended

# Subcommand: where its function is, and what `coldloop --help` says of it.
COMMANDS = {
    "demo": (
        "hil.commands:demo",
        "the main job, live: agent, emulated row and broker, no hardware",
    ),
    "agent": ("agent.commands:agent", "the agent, in the foreground, with a configuration file"),
    "status": ("agent.commands:status", "what the agent on this controller sees, alarms included"),
    "ledger": ("agent.commands:ledger", "the row's energy bill: PUE, WUE, ERF, losses"),
    "clock": ("agent.commands:clock", "the time of this site: a report, and the clock live"),
    "link": ("agent.commands:link", "a satellite modem watched, and the windows ahead"),
    "telemetry": ("agent.commands:telemetry", "what a unit's log holds; the codec on a table"),
    "nmea": ("drivers.commands:nmea", "what a satellite receiver says: captures and live ports"),
    "bench": ("hil.commands:bench", "the emulated devices, on ports that other programs can open"),
    "hil": ("hil.commands:hil", "scenarios, judged, in virtual or in real time"),
    "config": ("deploy.commands:config", "operators: keys, signed changes, rollouts over MQTT"),
    "firmware": ("deploy.commands:firmware", "MicroPython images: build, run, flash"),
    "relay": ("deploy.commands:relay", "ground: units' telemetry in, the fleet's formats out"),
    "doctor": ("deploy.commands:doctor", "is this controller fit: ports, clock, broker, disk"),
    "modbus": ("drivers.commands:modbus", "a technician's probes: scan, read, write, sniff ..."),
}

PACKAGES = ("agent", "deploy", "drivers", "hil", "protocols")
FULLY_CHECKED = ("agent",)  # commands that move real actuators: worth the 50 ms of the full check


class DispatchError(Exception):
    """A command that cannot be started; the text is the one line that says why."""


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run the subcommand that `argv` (default: the process's arguments) names.

    Returns:
        The exit code: 0 good, 1 judged bad, 2 wrong use, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0].startswith("-"):
        return _options(arguments)
    try:
        return _load(arguments[0])(arguments[1:])
    except DispatchError as error:
        sys.stderr.write(f"coldloop: {error}\n")
        return WRONG_USE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away, as `head` does. Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD


def _options(arguments: "list[str]") -> int:
    """Answer `--help` and `--version`; anything else without a command is wrong use."""
    parser = _Parser(
        prog="coldloop",
        usage="coldloop COMMAND [OPTION]...   (coldloop COMMAND --help tells more)",
        description="The agent on the controller of a coolant distribution unit, and its bench.",
        epilog=_command_list(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    if not parser.parse_args(arguments).version:
        parser.error("no command; `coldloop --help` lists them")
    sys.stdout.write(f"coldloop {_version()}\n")
    return GOOD


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line; of this file, which trusts no package yet."""

    def error(self, message: str) -> "NoReturn":
        self.exit(WRONG_USE, f"{self.prog}: {message}\n")


def _command_list() -> str:
    rows = "\n".join(f"  {name:<10}{text}" for name, (_, text) in COMMANDS.items())
    return f"commands:\n{rows}\n\nexample:\n  coldloop demo --seconds 60 --json"


def _version() -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version("coldloop")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _load(name: str) -> "Command":
    """Find the function of a subcommand, once the packages are known to be ours.

    Raises:
        FrontDoorError: no such command, a foreign package, or one that cannot be imported.
    """
    if name not in COMMANDS:
        raise DispatchError(
            f"no command {name!r}{_suggest_command(name)}; `coldloop --help` lists them"
        )
    _reject_foreign_packages(os.path.dirname(os.path.abspath(__file__)))
    if name in FULLY_CHECKED:
        _reject_other_owners()
    module, function = COMMANDS[name][0].split(":")
    try:
        command: Command = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise DispatchError(f"{name}: {error}; `make setup` installs what is needed") from error
    return command


def _suggest_command(name: str) -> str:
    matches = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    return f", did you mean {matches[0]!r}?" if matches else ""


def _reject_foreign_packages(home: str) -> None:
    """Raise if a package would be imported from anywhere but beside this file (0.2 ms)."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.origin:
            raise DispatchError(f"package {name!r} is missing beside {home}; install coldloop anew")
        if os.path.dirname(os.path.dirname(os.path.abspath(spec.origin))) != home:
            raise DispatchError(
                f"package {name!r} would come from {spec.origin}, which is not ours; "
                "run coldloop from a virtual environment of its own"
            )


def _reject_other_owners() -> None:
    """Raise if another installed distribution ships a package of ours: one overwrites the other."""
    import importlib.metadata

    owners = importlib.metadata.packages_distributions()
    for name in PACKAGES:
        other_owners = sorted(set(owners.get(name, ())) - {"coldloop"})
        if other_owners:
            raise DispatchError(
                f"package {name!r} is also shipped by {', '.join(other_owners)}; "
                "run coldloop from a virtual environment of its own"
            )


if __name__ == "__main__":
    sys.exit(main())
