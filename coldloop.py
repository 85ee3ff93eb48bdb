# SPDX-License-Identifier: Apache-2.0
"""Command dispatcher: one table from a subcommand to the function that does it.

Does not contain the commands. A command is `function(argv) -> exit code` in the `commands.py` of
its package. The dispatcher imports that module only when the command is called, so
`coldloop --help` imports argparse and nothing else. Exit codes of all commands: 0 good, 1 judged
bad, 2 wrong use. An error is one line.

The packages have common names (`agent`, `drivers`, ...), the same on the flash of a board. Another
distribution can install a package with such a name. Therefore the dispatcher refuses a command if a
package does not lie beside this file, and refuses `agent` if another distribution claims one.

A controller installs only the agent. A command that needs more names the extra of the distribution
that contains it (`EXTRAS`).
"""

import errno
import importlib
import importlib.util
import io
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
INTERRUPTED = 130  # exit code of a shell for a program that SIGINT ended

# Subcommand: its function, and its line in `coldloop --help`.
COMMANDS = {
    "demo": (
        "hil.commands:demo",
        "run the agent with an emulated row and broker, no hardware",
    ),
    "agent": ("agent.commands:agent", "run the agent in the foreground"),
    "status": ("agent.commands:status", "show readings, state and alarms of the agent here"),
    "alarms": ("agent.commands:alarms", "list the alarms, show what to do about one"),
    "ledger": ("agent.commands:ledger", "report energy and water: PUE, WUE, ERF, losses"),
    "clock": ("agent.commands:clock", "report the clock of the agent, or show it live"),
    "link": ("agent.commands:link", "show a satellite modem and its next contact windows"),
    "pair": ("agent.commands:pair", "show or change which of two controllers is active"),
    "telemetry": (
        "agent.commands:telemetry",
        "print a telemetry log; measure the codec on a table",
    ),
    "nmea": ("drivers.commands:nmea", "decode a GNSS receiver: captures and live ports"),
    "bench": ("hil.commands:bench", "run the emulated devices on ports for other programs"),
    "commission": (
        "hil.tools.commission.command:commission",
        "bring a unit into operation: scan, describe, test, accept, sign",
    ),
    "hil": ("hil.commands:hil", "run scenarios in virtual or real time and evaluate them"),
    "dossier": ("hil.tools.dossier:dossier", "write a document of what was measured on a unit"),
    "config": ("deploy.commands:config", "operators: keys, signed changes, rollouts over MQTT"),
    "firmware": ("deploy.commands:firmware", "build, run and flash MicroPython images"),
    "factory": ("deploy.commands:factory", "produce units: flash, key, test, label, record"),
    "northbound": (
        "deploy.commands:northbound",
        "serve the site: Redfish, metrics, panel, Modbus, BACnet, SNMP",
    ),
    "relay": ("deploy.commands:relay", "receive telemetry of units on the ground and publish it"),
    "fleet": ("deploy.commands:fleet", "show units, alarms and rows in the store of the relay"),
    "orchestrate": (
        "deploy.commands:orchestrate",
        "publish heat headroom of rows, let Slurm or Kubernetes follow it",
    ),
    "doctor": ("deploy.commands:doctor", "check this controller: ports, clock, broker, disk"),
    "modbus": ("drivers.commands:modbus", "diagnose a field bus: scan, read, write, sniff ..."),
    "completion": ("coldloop:completion", "print completion scripts of shells, write man pages"),
}

# Words of a command -> function(further words) -> exit code, or None if these words need a parser.
# For a small file, argparse and json take longer than the decoder.
PLAIN_CALLS = {("nmea", "decode"): "drivers.tools.capture.command:run_plain"}

# Extra of the distribution: the commands that need it, and the modules by which it is recognised.
EXTRAS = {
    "bench": (
        ("demo", "bench", "commission", "hil", "dossier"),
        ("construct", "cryptography", "microdot", "pymodbus", "pynmea2", "sgp4"),
    ),
    "northbound": (
        ("northbound", "factory"),
        ("bacpypes3", "cryptography", "microdot", "pymodbus", "segno"),
    ),
    "ops": (("config", "relay"), ("cryptography", "paho")),
    "firmware": (("firmware",), ("mpremote",)),
}

FULL_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
PACKAGES = ("agent", "deploy", "drivers", "hil", "protocols")
FULLY_CHECKED = ("agent",)  # commands that move real actuators; the full check takes 10 ms


class DispatchError(Exception):
    """A command cannot start; the text is the one line that gives the reason."""

    def __init__(self, text: str, command: str = "") -> None:
        super().__init__(text)
        self.prog = f"coldloop {command}".rstrip()


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run the subcommand that `argv` (default: the process's arguments) names.

    Returns:
        The exit code: 0 good, 1 judged bad, 2 wrong use, 130 interrupted, also by a closed output.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    opened = _open_closed_streams()
    try:
        _accept_any_encoding()
        return _run(arguments)
    finally:
        for name in opened:
            getattr(sys, name).close()
            setattr(sys, name, None)


def _open_closed_streams() -> "list[str]":
    """Let a stream that the caller has closed lead nowhere: the exit code is the result.

    The lowest free descriptor is that of the stream. So no port gets it, and then the messages.
    Return the names of these streams; the caller closes them.
    """
    opened = []
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nothing = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115  the caller closes it
            setattr(sys, name, nothing)
            opened.append(name)
    return opened


def _run(arguments: "list[str]") -> int:
    try:
        code = _call(arguments)
        sys.stdout.flush()  # a result that is lost is an error
        return code
    except DispatchError as error:
        sys.stderr.write(f"{error.prog}: {error}\n")
        return WRONG_USE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has closed the pipe, as `head` does. The command has not finished: a test
        # without a verdict is not good.
        _discard_output()
        return INTERRUPTED
    except OSError as error:
        if error.filename is not None or error.errno not in FULL_OUTPUT:
            raise
        _discard_output()
        prog = " ".join(["coldloop", *arguments[:1]])
        sys.stderr.write(f"{prog}: output: {error.strerror}\n")
        return WRONG_USE


def _discard_output() -> None:
    """Let the output lead nowhere, so that Python does not report it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _call(arguments: "list[str]") -> int:
    if not arguments or arguments[0].startswith("-"):
        return _options(arguments)
    if _print_help(arguments):
        return GOOD
    code = _call_plainly(arguments)
    return _load(arguments[0])(arguments[1:]) if code is None else code


def _call_plainly(arguments: "list[str]") -> "int | None":
    """Run a command of `PLAIN_CALLS`; None if the words need its parser."""
    place = PLAIN_CALLS.get((arguments[0], arguments[1] if len(arguments) > 1 else ""))
    if place is None:
        return None
    _reject_foreign_packages(os.path.dirname(os.path.abspath(__file__)))
    module, function = place.split(":")
    code: int | None = getattr(importlib.import_module(module), function)(arguments[2:])
    return code


def _accept_any_encoding() -> None:
    """Let the output replace characters that the encoding of the locale does not have."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(errors="replace")


def _print_help(arguments: "list[str]") -> bool:
    """Print the help of a command from its data, without an import of the command."""
    is_asked = "-h" in arguments or "--help" in arguments
    if not is_asked or arguments[0] not in COMMANDS:
        return False
    _reject_foreign_packages(os.path.dirname(os.path.abspath(__file__)))
    from drivers.tools.lib.command_spec import find_help

    text = find_help(arguments)
    sys.stdout.write(text)
    return bool(text)


def completion(argv: "list[str]") -> int:
    """Print the completion script of a shell, or write man pages."""
    from drivers.tools.lib.shell_completion import completion as run

    return run({name: text for name, (_, text) in COMMANDS.items()}, argv)


def _options(arguments: "list[str]") -> int:
    """Handle `--help` and `--version`; any other call without a command is wrong use."""
    import argparse  # 8 ms of every start of a command

    class OptionsParser(argparse.ArgumentParser):
        """With one-line errors. Imports no package: none is checked yet."""

        def error(self, message: str) -> "NoReturn":
            self.exit(WRONG_USE, f"{self.prog}: {message}\n")

    parser = OptionsParser(
        prog="coldloop",
        usage="coldloop COMMAND [OPTION]...   (coldloop COMMAND --help: options)",
        description="Agent for the controller of a coolant distribution unit, and its test bench.",
        epilog=_command_list(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    if not parser.parse_args(arguments).version:
        parser.error("no command; `coldloop --help` lists them")
    sys.stdout.write(f"coldloop {_version()} ({_module_kind()})\n")
    return GOOD


def _command_list() -> str:
    width = max(len(name) for name in COMMANDS) + 2
    rows = "\n".join(f"  {name:<{width}}{text}" for name, (_, text) in COMMANDS.items())
    return f"commands:\n{rows}\n\nexample:\n  coldloop demo --seconds 60 --json"


def _version() -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version("coldloop")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _module_kind() -> str:
    """Return "pure Python", or how many modules are compiled (`make compiled`)."""
    import importlib.machinery

    home = os.path.dirname(os.path.abspath(__file__))
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    count = sum(
        name.endswith(suffixes)
        for package in PACKAGES
        for _, _, names in os.walk(os.path.join(home, package))
        for name in names
    )
    return f"{count} compiled modules" if count else "pure Python"


def _load(name: str) -> "Command":
    """Check the packages, then return the function of a subcommand.

    Raises:
        DispatchError: no such command, a missing extra, a foreign package, or a failed import.
    """
    if name not in COMMANDS:
        raise DispatchError(
            f"no command {name!r}{_suggest_command(name)}; `coldloop --help` lists them"
        )
    home = os.path.dirname(os.path.abspath(__file__))
    _reject_foreign_packages(home)
    if name in FULLY_CHECKED:
        _reject_other_owners()
        _report_changed_files(name, home)
    _require_extra(name)
    module, function = COMMANDS[name][0].split(":")
    try:
        command: Command = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise DispatchError(f"{error}; `make setup` installs all packages", name) from error
    return command


def _require_extra(name: str) -> None:
    """Raise if a module of the extra that the command needs is missing (0.4 ms a module)."""
    for extra, (commands, modules) in EXTRAS.items():
        if name in commands and not all(importlib.util.find_spec(module) for module in modules):
            raise DispatchError(f"needs the extra `{extra}`: pip install 'coldloop[{extra}]'", name)


def _suggest_command(name: str) -> str:
    import difflib  # 1 ms of every start

    matches = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    return f", did you mean {matches[0]!r}?" if matches else ""


def _reject_foreign_packages(home: str) -> None:
    """Raise if a package does not lie beside this file (0.2 ms)."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.origin:
            raise DispatchError(
                f"package {name!r} is missing beside {home}; install coldloop again"
            )
        if os.path.dirname(os.path.dirname(os.path.abspath(spec.origin))) != home:
            raise DispatchError(
                f"package {name!r} would come from {spec.origin}, another distribution; "
                "run coldloop in a separate virtual environment"
            )


def _report_changed_files(name: str, home: str) -> None:
    """Print a warning for files that changed since they were packed; before they are imported."""
    from pathlib import Path

    from agent.runtime.cpython_checksums import checksum_warning

    text = checksum_warning(Path(home))
    if text:
        sys.stderr.write(f"coldloop {name}: {text}\n")
        sys.stderr.flush()  # changed bytecode can end the interpreter without a flush


def _reject_other_owners() -> None:
    """Raise if another installed distribution has a package with one of our names (10 ms).

    As `importlib.metadata.packages_distributions`, which makes an object of each installed file.
    """
    import importlib.metadata
    import re

    listed = re.compile(rf'^"?({"|".join(PACKAGES)})(?:/|\.[^/\n]*,)', re.MULTILINE)
    for distribution in importlib.metadata.distributions():
        names = set((distribution.read_text("top_level.txt") or "").split())
        if not names:
            record = distribution.read_text("RECORD")
            if record is None:
                record = "".join(f"{file},\n" for file in distribution.files or ())
            names = set(listed.findall(record))
        if names.intersection(PACKAGES) and (owner := distribution.metadata["Name"]) != "coldloop":
            raise DispatchError(
                f"package {min(names.intersection(PACKAGES))!r} is also shipped by {owner}; "
                "run coldloop in a separate virtual environment"
            )


if __name__ == "__main__":
    sys.exit(main())
