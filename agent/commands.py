# SPDX-License-Identifier: Apache-2.0
"""Commands of the agent: `coldloop agent` runs it, `coldloop status` shows its state.

Does not contain the tools; the groups import them from `agent.tools` when they are called.
"""

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from agent.agent import Agent
from agent.core.config_records import Config
from agent.core.errors import AgentError, ConfigError
from agent.port_numbers import CONSOLE
from agent.runtime.io_loop import LEAVE_BOOT_LOOP, RESTART
from agent.telemetry.status import STATUS_FILE, STATUS_VERSION
from drivers.tools.lib.command_group import CommandGroup
from drivers.tools.lib.parser import Parser
from drivers.tools.lib.profile_folders import add_profiles_option, read_profiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.redundancy.paired_agent import PairedAgent
    from agent.remote.storage.boot_state import BootState
    from agent.runtime.boot_loop import BootLoop
    from drivers.ports.base import Opener

STALE_AFTER_S = 5.0


def profiles(config: str | None = None) -> dict[str, dict[str, Any]]:
    """Read the device profiles of the package and of the site, by name; see
    `drivers.tools.lib.profile_folders`. `config`: path of the configuration file.
    """
    return read_profiles(config)


def read_config(path: str) -> Config:
    """Read and check a configuration file. Raises `ConfigError`; each line names the file."""
    from agent.config.text_file import read_file
    from agent.runtime.cpython_start import compile_config

    return compile_config(read_file(path), path, profiles(path))


def check_devices(path: str) -> str:
    """Compare the devices with those of the commissioning beside the file; return a note, or "".

    Raises `ConfigError` for a device that differs; see `agent.config.tested_devices`.
    """
    from agent.config.tested_devices import check_tested
    from agent.config.text_file import read_file

    return check_tested(path, read_file(path), profiles(path))


def schema_text() -> str:
    """Return the JSON Schema of the configuration; docs/config.schema.json is a copy."""
    from agent.config.json_schema import to_json_schema
    from agent.config.schema import with_components
    from agent.core.component.registry import COMPONENTS

    schema = with_components([spec.section for spec in COMPONENTS])
    return json.dumps(to_json_schema(schema), indent=2) + "\n"


def agent(argv: list[str]) -> int:
    """Run the agent in the foreground until SIGTERM or SIGINT."""
    parser = Parser(
        prog="coldloop agent",
        description="Run the agent in the foreground.",
        epilog="example: coldloop agent --config /etc/coldloop/unit.json",
    )
    source_group = parser.add_mutually_exclusive_group(required=True)
    source_group.add_argument("--config", metavar="FILE", help="configuration (JSON or TOML)")
    source_group.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of configurations"
    )
    parser.add_argument("--check", action="store_true", help="only check the configuration")
    parser.add_argument("--json", action="store_true", help="with --check: print one JSON record")
    parser.add_argument(
        "--store",
        metavar="FOLDER",
        default="/var/lib/coldloop",
        help="folder with the confirmed configuration, used if the file is invalid",
    )
    add_profiles_option(parser)
    arguments = parser.parse_args(argv)
    if arguments.schema:
        print(schema_text(), end="")
        return 0
    if arguments.check:
        return _check(arguments.config, arguments.json)
    return run_agent(arguments.config, arguments.store)


def _check(path: str, as_json: bool) -> int:
    """Print "good", or one line for each error; as JSON like `coldloop config check`."""
    errors: list[str] = []
    note = ""
    try:
        read_config(path)
        note = check_devices(path)
    except ConfigError as error:
        errors = str(error).splitlines()
    if as_json:
        print(json.dumps({"file": path, "good": not errors, "errors": errors}))
    elif errors:
        print("\n".join(errors), file=sys.stderr)
    else:
        print("\n".join(filter(None, (f"{path}: good", note))))
    return 2 if errors else 0


def run_agent(
    path: str,
    store: str,
    openers: "dict[str, Opener] | None" = None,
    watch: "Callable[[Agent | PairedAgent], None] | None" = None,
) -> int:
    """Run the agent, and again after each requested restart and after an exception.

    `openers`: open its ports; None: those of this platform. `watch` is called with the controller
    in each wait of the loop, at least every 250 ms.
    """
    from agent.config.protection_only import protection_only
    from agent.runtime import cpython, cpython_slot
    from agent.runtime.boot_loop import BootLoop
    from agent.runtime.cpython_start import boot_store, choose_config
    from agent.runtime.crash_limit import CrashLimit

    first = True
    crashes = CrashLimit()
    boot_loop: BootLoop | None = None
    while True:
        cpython_slot.enter_application(path, first)
        first = False
        if boot_loop is None:
            boot_loop = BootLoop(boot_store(path, store))
        fallback_level = boot_loop.begin(cpython.monotonic())
        try:
            config, boot = choose_config(path, store, profiles(path), fallback_level > 0)
            config = protection_only(config, fallback_level)
        except ConfigError as error:
            print(error, file=sys.stderr)
            boot_loop.end(False)
            return 2
        if not _check_ports(config):
            boot_loop.end(False)
            return 2
        try:
            code = _run_once(config, boot, crashes.count, boot_loop, openers, watch)
        except ConfigError as error:
            print(error, file=sys.stderr)
            boot_loop.end(False)
            return 2
        except Exception:
            if not crashes.allows_restart(cpython.monotonic()):
                raise
            cpython.print_line(f"{traceback.format_exc()}coldloop agent: starts again")
            continue
        boot_loop.end(code == LEAVE_BOOT_LOOP)
        if code not in (RESTART, LEAVE_BOOT_LOOP):
            return 0


def _run_once(
    config: Config,
    boot: "BootState | None",
    restarts: int,
    boot_loop: "BootLoop",
    openers: "dict[str, Opener] | None",
    watch: "Callable[[Agent | PairedAgent], None] | None",
) -> int:
    """Build the agent and run it to its end. `restarts`: restarts after an exception so far."""
    from agent.redundancy.controller import make_controller
    from agent.runtime import cpython
    from agent.runtime.cpython_systemd import notifier_for

    controller = make_controller(
        config, lambda: Agent(config, boot, restarts, boot_loop.fallback_level), boot
    )
    controller.start(cpython.monotonic())
    notifier = notifier_for(controller, config)

    def until() -> bool:
        if watch is not None:
            watch(controller)
        boot_loop.check(cpython.monotonic())
        return notifier is not None and notifier.update()

    try:
        return cpython.run(controller, until, openers, console=CONSOLE, watches_host=True)
    finally:
        if notifier is not None:
            notifier.close()


def _check_ports(config: Config) -> bool:
    """Check the addresses of all ports. Print each error; return whether the buses can be used."""
    from agent.runtime import cpython

    buses = [address for _, address in config.buses]
    bus_texts = [str(address) for address in buses]
    ports = [address for _, _, address in config.components]
    ports.extend([address for _, _, address in config.component_ports])
    addresses = [config.receiver, *buses, *ports, config.broker, config.status_store]
    texts = [str(address) for address in addresses if address is not None]
    problems = cpython.check_addresses(texts, needed=bus_texts)
    for problem in problems:
        print(f"coldloop agent: {problem}", file=sys.stderr)
    return not problems


def status(argv: list[str]) -> int:
    """Show the last status of the agent on this controller."""
    parser = Parser(
        prog="coldloop status",
        description="Show the last status of the agent on this controller. Works without a link.",
        epilog="example: coldloop status --config /etc/coldloop/unit.json",
    )
    add_status_options(parser)
    parser.add_argument("--json", action="store_true", help="print the status as one JSON object")
    arguments = parser.parse_args(argv)
    try:
        snapshot = read_status(state_folder(arguments) / STATUS_FILE)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    snapshot["age_s"] = age_s(snapshot)
    snapshot["alarms"] = _rows_of_alarms(snapshot, state_folder(arguments))
    fresh = 0 <= snapshot["age_s"] <= STALE_AFTER_S
    if arguments.json:
        print(json.dumps(snapshot))
    else:
        from agent.alarms.status_lines import alarm_lines
        from agent.telemetry.status_text import render

        print("\n".join([render(snapshot), *alarm_lines(snapshot["alarms"])]))
    return 0 if fresh and snapshot["state"] == "normal" else 1


def _rows_of_alarms(snapshot: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Return the alarms as a person must read them, with those that are shelved in `folder`."""
    from agent.alarms.shelving import FILE, Shelving
    from agent.alarms.status_lines import alarm_rows

    unit = f"{snapshot['site']}/{snapshot['unit']}"
    return alarm_rows(snapshot, Shelving(folder / FILE).codes(unit, time.time()))


def age_s(snapshot: dict[str, Any]) -> float:
    """Return the age of a snapshot in s, by the clock of an agent on CPython (see `_run`)."""
    from drivers.ports.cpython.clock import monotonic

    return round((monotonic() - int(snapshot["mono_us"])) / 1e6, 1)


def clock(argv: list[str]) -> int:
    """Run a subcommand of `coldloop clock`."""
    tools = {
        "report": (
            "agent.tools.clock.clock_report",
            "time of the site: state, error bound, rejected checks",
        ),
        "watch": (
            "agent.tools.clock.clock_watch",
            "clock of the running agent, one line for each change",
        ),
        "calibrate": (
            "agent.tools.clock.clock_calibrate",
            "measure the latency of the sentences of a receiver",
        ),
        "serve": (
            "agent.tools.clock.clock_serve",
            "serve the time of the agent: set-up of chronyd (NTP) and ptp4l (PTP)",
        ),
    }
    example = "report --config /etc/coldloop/unit.json"
    return CommandGroup("clock", tools, example, (ConfigError,)).run(argv)


def ledger(argv: list[str]) -> int:
    """Run a subcommand of `coldloop ledger`."""
    tools = {
        "report": ("agent.tools.energy.report", "PUE, WUE, ERF and losses for each interval"),
        "annual": ("agent.tools.energy.annual", "twelve months: cost, water, CO2, uncertainty"),
    }
    example = "report --config /etc/coldloop/unit.json"
    return CommandGroup("ledger", tools, example, (ConfigError,)).run(argv)


def read_status(path: Path) -> dict[str, Any]:
    """Read a status file. Raises `ConfigError` if it is missing or invalid."""
    try:
        snapshot = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{error.strerror}; check that the agent runs and uses this state folder"
        raise ConfigError(f"coldloop status: {path}: {message}") from None
    except ValueError:
        snapshot = None
    if not isinstance(snapshot, dict) or snapshot.get("version") != STATUS_VERSION:
        message = "not a status of this version; restart the agent with this coldloop"
        raise ConfigError(f"coldloop status: {path}: {message}")
    return snapshot


def add_status_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the place of the status."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--config", metavar="FILE", help="configuration of the agent")
    group.add_argument(
        "--state", metavar="FOLDER", default="/run/coldloop", help="state folder of the agent"
    )


def state_folder(arguments: argparse.Namespace) -> Path:
    """Return the state folder of the arguments. Raises `ConfigError` if there is none."""
    if arguments.config is None:
        return Path(arguments.state)
    config = read_config(arguments.config)
    if config.status_store is None:
        raise ConfigError(f"{arguments.config}: state: missing; the agent writes no status")
    return Path(str(config.status_store.path))


ALARMS = {
    "list": ("agent.tools.alarm_table", "list the alarms: number, priority, meaning"),
    "show": ("agent.tools.alarm_show", "show one alarm: cause, consequence, action"),
    "history": ("agent.tools.alarm_history", "show the last 1,000 changes of alarms of this unit"),
    "shelve": ("agent.tools.alarm_shelve", "keep an alarm from people for a time; list these"),
}
"""Subcommand of `coldloop alarms`: its module and its help text."""

LINK = {
    "watch": (
        "agent.tools.satcom.satcom_watch",
        "signal, registration, contact windows, queue and budget, live",
    ),
    "passes": (
        "agent.tools.satcom.satcom_passes",
        "contact windows of the next hours, as a table and a plot",
    ),
    "latency": (
        "agent.tools.satcom.satcom_latency",
        "time from a record to the receipt of the ground, by carrier and class",
    ),
    "coexistence": (
        "agent.tools.satcom.satcom_coexistence",
        "effect of transmissions on the receiver, measured as a table",
    ),
}
"""Subcommand of `coldloop link`: its module and its help text."""

TELEMETRY = {
    "cat": ("agent.tools.log_cat", "print the records of a log"),
    "stats": ("agent.tools.log_stats", "print a summary of a log"),
    "codec": ("agent.tools.log_codec", "encode a table of values: bits for each value"),
}
"""Subcommand of `coldloop telemetry`: its module and its help text."""


def alarms(argv: list[str]) -> int:
    """Run a subcommand of `coldloop alarms`."""
    return CommandGroup("alarms", ALARMS, "show device_lost:valve", (AgentError,)).run(argv)


def link(argv: list[str]) -> int:
    """Run a subcommand of `coldloop link`."""
    example = "passes --config /etc/coldloop/unit.json --hours 12"
    return CommandGroup("link", LINK, example, (AgentError,)).run(argv)


def pair(argv: list[str]) -> int:
    """Run a subcommand of `coldloop pair`."""
    tools = {
        "show": ("agent.tools.pair.show", "role of this controller, also at the standby"),
        "swap": ("agent.tools.pair.swap", "give the active role to the other controller"),
        "out": ("agent.tools.pair.take_out", "take this controller out of the pair"),
        "in": ("agent.tools.pair.take_in", "take this controller into the pair again"),
    }
    example = "swap --config /etc/coldloop/unit.json"
    return CommandGroup("pair", tools, example, (ConfigError,)).run(argv)


def telemetry(argv: list[str]) -> int:
    """Run a subcommand of `coldloop telemetry`."""
    errors = (AgentError, OSError, UnicodeDecodeError)
    return CommandGroup("telemetry", TELEMETRY, "cat /var/lib/coldloop/log --csv", errors).run(argv)
