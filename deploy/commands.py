# SPDX-License-Identifier: Apache-2.0
"""Commands of deploy: `config`, `relay`, `fleet`, `orchestrate`, `doctor`, `firmware`.

Does not contain the subcommands; each is a module (see `drivers.tools.lib.command_group`).
"""

from deploy.errors import DeployError
from drivers.tools.lib.command_group import CommandGroup
from protocols.errors import ProtocolError

_HELP = ("-h", "--help")
CONFIG: dict[str, tuple[str, str]] = {
    "check": ("deploy.ops.command.check", "check a configuration file"),
    "keygen": ("deploy.ops.command.keygen", "make a key of an operator"),
    "sign": ("deploy.ops.command.sign", "write a signed change to a file"),
    "push": ("deploy.ops.command.push", "send a signed change to units, canaries first"),
    "rollout": ("deploy.ops.fleet.rollout.command_rollout", "pause, resume or abort a rollout"),
    "show": ("deploy.ops.command.show", "show configuration, trial and last result of a unit"),
    "watch": ("deploy.ops.command.watch", "print each change in the reports of units"),
    "diff": ("deploy.ops.command.diff", "compare configurations of units and files"),
    "confirm": ("deploy.ops.command.confirm", "confirm the configuration or update on trial"),
    "rollback": ("deploy.ops.command.rollback", "end the trial and restore the confirmed state"),
    "cancel": ("deploy.ops.command.cancel", "drop a change that waits for its time"),
    "unit": ("deploy.ops.unit_config.command_unit", "make and enroll the keys of units"),
    "pki": ("deploy.ops.command.pki", "create, issue, revoke, rotate certificates"),
    "update": ("deploy.ops.command.update", "send an application update to a unit"),
    "history": ("deploy.ops.command.history", "show the audit log of a unit"),
    "command": ("deploy.ops.command.command", "send a signed command"),
    "decommission": ("deploy.ops.command.decommission", "make a unit erase its data and end"),
}
"""Subcommand of `coldloop config`: its module and its help text."""


def relay(argv: list[str]) -> int:
    """Run the ground relay."""
    from deploy.relay.command import run

    return run(argv)


def orchestrate(argv: list[str]) -> int:
    """Publish the heat headroom of rows, and act on a scheduler."""
    from deploy.orchestrate.command import run

    return run(argv)


def factory(argv: list[str]) -> int:
    """Produce units on emulated boards."""
    from deploy.factory.command import run

    return run(argv)


def doctor(argv: list[str]) -> int:
    """Check whether this controller can run the agent."""
    from deploy.doctor.command import run

    return run(argv)


def config(argv: list[str]) -> int:
    """Run a subcommand of `coldloop config`."""
    return CommandGroup("config", CONFIG, "check unit.json", (DeployError, ProtocolError)).run(argv)


NORTHBOUND: dict[str, tuple[str, str]] = {
    "serve": ("deploy.northbound.command.serve", "run the servers that the configuration names"),
    "account": ("deploy.northbound.command.account", "list, add, change and remove accounts"),
    "audit": ("deploy.northbound.command.audit", "print the audit logs and check their chains"),
    "points": ("deploy.northbound.command.points", "print the point list of all protocols"),
}
"""Subcommand of `coldloop northbound`: its module and its help text."""


def northbound(argv: list[str]) -> int:
    """Run a subcommand of `coldloop northbound`; without one: `serve`."""
    from deploy.northbound.process.settings import PROCESSES

    is_serve = not argv or argv[0] in PROCESSES or (argv[0][:1] == "-" and argv[0] not in _HELP)
    words = ["serve", *argv] if is_serve else argv
    example = "serve --config /etc/coldloop/unit.json"
    return CommandGroup("northbound", NORTHBOUND, example, (DeployError,)).run(words)


FLEET: dict[str, tuple[str, str]] = {
    "list": ("deploy.ops.fleet.command_list", "list the units: age, clock, state, alarms"),
    "show": ("deploy.ops.fleet.command_show", "show a unit with its newest values"),
    "alarms": ("deploy.ops.fleet.command_alarms", "list active alarms, or their history"),
    "late": ("deploy.ops.fleet.command_late", "list units without recent rows"),
    "versions": ("deploy.ops.fleet.command_versions", "list configurations and updates"),
    "export": ("deploy.ops.fleet.command_export", "print rows as CSV or JSON"),
}
"""Subcommand of `coldloop fleet`: its module and its help text."""


def fleet(argv: list[str]) -> int:
    """Run a subcommand of `coldloop fleet`."""
    errors = (DeployError, ProtocolError)
    return CommandGroup("fleet", FLEET, "list --store relay.db.fleet", errors).run(argv)


FIRMWARE: dict[str, tuple[str, str]] = {
    "build": ("deploy.firmware.command_build", "build an image for a board"),
    "run": ("deploy.firmware.command_run", "run an image under QEMU, UARTs on terminals"),
    "emulate": ("deploy.firmware.rp2.command_emulate", "run the RP2040 image in an emulator"),
    "flash": ("deploy.firmware.command_flash", "write an image and a configuration to a board"),
}
"""Subcommand of `coldloop firmware`: its module and its help text."""


def firmware(argv: list[str]) -> int:
    """Run a subcommand of `coldloop firmware`."""
    errors = (DeployError, ProtocolError)
    return CommandGroup("firmware", FIRMWARE, "build --board qemu-mps2", errors).run(argv)
